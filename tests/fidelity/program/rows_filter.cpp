// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Filters, and the steering of SO_REUSEPORT groups.
#include <linux/bpf.h>
#include <linux/filter.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "rows.hpp"

namespace fidelity {
namespace {

constexpr unsigned kHeader = 8;  // what a filter sees first is the UDP header
constexpr unsigned kMembers = 3;

// Takes datagrams whose payload begins with 'y'.
void attach_filter(int fd) {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kHeader),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'y', 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0xffff),
      BPF_STMT(BPF_RET | BPF_K, 0),
  };
  const sock_fprog program{4, code};
  set(fd, SOL_SOCKET, SO_ATTACH_FILTER, program, "SO_ATTACH_FILTER");
}

void tell_filter(Trial& trial, const Kind& kind) {
  sock_filter code[64];
  socklen_t count = 64;
  const int got = ::getsockopt(trial.fd(), SOL_SOCKET, SO_GET_FILTER, code, &count);
  trial.answer("filter", got == 0 ? hex(code, count * sizeof *code) : std::strerror(errno));
  const Endpoint to = at(kind.loopback, trial.port());
  const int client = ::socket(kind.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  for (const char* payload : {"no", "yes"}) ::sendto(client, payload, 3, 0, to.get(), to.size);
  ::close(client);
  std::string all;
  settle();
  while (auto one = receive(trial.fd()))
    all += one->payload.substr(0, one->payload.find('\0')) + ";";
  trial.answer("taken", all);
}

void add_classic(Rows& rows, const Kind& kind) {
  const std::string in = std::string("/") + kind.suffix;
  const auto tell = [=](Trial& trial) { tell_filter(trial, kind); };
  rows.push_back({"filter/classic" + in, "^filter$|SO_ATTACH_FILTER", bound(kind),
                  [](Trial& trial) { attach_filter(trial.fd()); }, tell});
  rows.push_back({"filter/locked" + in, "filter lock|SO_LOCK_FILTER", bound(kind),
                  [](Trial& trial) {
                    attach_filter(trial.fd());
                    set(trial.fd(), SOL_SOCKET, SO_LOCK_FILTER, 1, "SO_LOCK_FILTER");
                  },
                  [](Trial& trial) {
                    trial.answer("lock", get_number(trial.fd(), SOL_SOCKET, SO_LOCK_FILTER));
                    const int none = 0;
                    const int off =
                        ::setsockopt(trial.fd(), SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none);
                    trial.answer("detach", off == 0 ? "0" : std::strerror(errno));
                  }});
  // A filter that would refuse what waits in the queue.
  rows.push_back({"filter/with_queue" + in, "^filter$|SO_ATTACH_FILTER|receive queue", bound(kind),
                  [=](Trial& trial) {
                    send_from(at(kind.second, trial.port(1)), at(kind.loopback, trial.port()),
                              "no, but before", trial.fd());
                    attach_filter(trial.fd());
                  },
                  [=](Trial& trial) {
                    const auto waiting = receive(trial.fd());
                    trial.answer("waiting", waiting ? waiting->payload : "nothing");
                    tell_filter(trial, kind);
                  }});
}

int load_ebpf(bpf_prog_type type) {
  // r0 = 0xffff; exit
  const bpf_insn code[] = {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0xffff},
                           {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
  bpf_attr attr{};
  attr.prog_type = type;
  attr.insns = reinterpret_cast<std::uint64_t>(code);
  attr.insn_cnt = 2;
  attr.license = reinterpret_cast<std::uint64_t>("GPL");
  const auto fd = static_cast<int>(::syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof attr));
  if (fd < 0) fail("BPF_PROG_LOAD", errno);
  return fd;
}

void add_ebpf(Rows& rows, const Kind& kind) {
  rows.push_back({std::string("filter/ebpf/") + kind.suffix, "^filter$", bound(kind),
                  [](Trial& trial) {
                    const int program = load_ebpf(BPF_PROG_TYPE_SOCKET_FILTER);
                    set(trial.fd(), SOL_SOCKET, SO_ATTACH_BPF, program, "SO_ATTACH_BPF");
                    ::close(program);
                  },
                  [](Trial& trial) {
                    socklen_t count = 0;
                    const int got =
                        ::getsockopt(trial.fd(), SOL_SOCKET, SO_GET_FILTER, nullptr, &count);
                    trial.answer("filter", got == 0 ? std::to_string(count) : std::strerror(errno));
                  }});
}

// Three sockets on one port.
Step open_group(const Kind& kind) {
  return [=](Trial& trial) {
    for (unsigned i = 0; i < kMembers; ++i) {
      const int fd = trial.make(kind.family);
      set(fd, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT");
      bind_to(fd, at(kind.loopback, trial.port()));
    }
  };
}

// Which member gets what; each has one waiting, by which it is known.
void tell_group(Trial& trial, const Kind& kind) {
  std::string waiting;
  for (unsigned i = 0; i < kMembers; ++i) {
    const auto got = receive(trial.fd(i));
    waiting += (got ? got->payload : "nothing") + ";";
  }
  trial.answer("waiting", waiting);
  std::string took;
  for (unsigned n = 0; n < 8; ++n) {
    const int client = ::socket(kind.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bind_to(client, at(kind.second, 9100 + n));
    const Endpoint to = at(kind.loopback, trial.port());
    const std::string payload(1, static_cast<char>(n));
    ::sendto(client, payload.data(), 1, 0, to.get(), to.size);
    ::close(client);
    settle();
    for (unsigned i = 0; i < kMembers; ++i) {
      while (receive(trial.fd(i))) took += std::to_string(i);
    }
  }
  trial.answer("took", took);
}

// One datagram to each, while the others are not there to take it.
void fill_group(Trial& trial, const Kind& kind) {
  // By a program that steers by the payload's first byte.
  for (unsigned i = 0; i < kMembers; ++i) {
    const unsigned before = queue_memory(trial.fd(i));
    const int client = ::socket(kind.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const Endpoint to = at(kind.loopback, trial.port());
    const std::string payload = std::string(1, static_cast<char>(i)) + "for " + std::to_string(i);
    ::sendto(client, payload.data(), payload.size(), 0, to.get(), to.size);
    ::close(client);
    await_more(trial.fd(i), before);
  }
}

// Here a program sees the payload first (net/core/sock_reuseport.c, run_bpf_filter).
void attach_steering(int fd) {
  sock_filter code[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
                        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, kMembers),
                        BPF_STMT(BPF_RET | BPF_A, 0)};
  const sock_fprog program{3, code};
  set(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, program, "SO_ATTACH_REUSEPORT_CBPF");
}

void add_reuseport(Rows& rows, const Kind& kind) {
  const std::string in = std::string("/") + kind.suffix;
  const Step open = open_group(kind);
  rows.push_back({"reuseport/steering" + in, "reuseport steering", open,
                  [=](Trial& trial) {
                    attach_steering(trial.fd());
                    fill_group(trial, kind);
                  },
                  [=](Trial& trial) { tell_group(trial, kind); }});
  // The kernel's own choice goes by the order in the group.
  rows.push_back({"reuseport/order" + in, "reuseport|order", open,
                  [=](Trial& trial) {
                    attach_steering(trial.fd());
                    fill_group(trial, kind);
                    const int none = 0;
                    set(trial.fd(), SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, none,
                        "SO_DETACH_REUSEPORT_BPF");
                  },
                  [=](Trial& trial) { tell_group(trial, kind); }});
  rows.push_back(
      {"reuseport/ebpf_steering" + in, "reuseport steering", open,
       [=](Trial& trial) {
         const int program = load_ebpf(BPF_PROG_TYPE_SOCKET_FILTER);
         set(trial.fd(), SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, program, "SO_ATTACH_REUSEPORT_EBPF");
         ::close(program);
       },
       [=](Trial& trial) {
         // ENOENT: there is no program to take off.
         const int none = 0;
         const int off =
             ::setsockopt(trial.fd(), SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &none, sizeof none);
         trial.answer("detach", off == 0 ? "0" : std::strerror(errno));
       }});
}

}  // namespace

void add_filters(Rows& rows) {
  for (const Kind& kind : {kV4, kV6}) {
    add_classic(rows, kind);
    add_ebpf(rows, kind);
    add_reuseport(rows, kind);
  }
}

}  // namespace fidelity
