// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What belongs to the file and to its owners, and sockets of other kinds.
#include <fcntl.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "numbers.hpp"
#include "rows.hpp"

namespace fidelity {
namespace {

void control(int fd, int command, long value, const char* text) {
  if (::fcntl(fd, command, value) < 0) fail(text, errno);
}

Row file_row(const std::string& name, const std::string& named, const Kind& kind,
             const Step& set_up, const Step& observe, bool inherit_only) {
  return {"sharing/" + name + "/" + kind.suffix, named, bound(kind), set_up, observe, inherit_only};
}

void send_here(Trial& trial, const Kind& kind, const std::string& payload) {
  send_from(at(kind.second, trial.port(1)), at(kind.loopback, trial.port()), payload, trial.fd());
}

std::string owner_text(int fd) {
  f_owner_ex owner{};
  if (::fcntl(fd, F_GETOWN_EX, &owner) != 0) return std::strerror(errno);
  if (owner.pid == 0) return "nobody";
  const char* type = owner.type == F_OWNER_PGRP  ? "group"
                     : owner.type == F_OWNER_TID ? "thread"
                                                 : "process";
  const bool own = owner.pid == (owner.type == F_OWNER_PGRP ? ::getpgrp() : ::getpid());
  return std::string(type) + (own ? " own" : " another");
}

void add_file(Rows& rows, const Kind& kind) {
  const auto flags = [](int mask) {
    return [=](Trial& trial) { trial.answer("flags", ::fcntl(trial.fd(), F_GETFL) & mask); };
  };
  // When it is adopted, an fd's flags are those that the new run has given it.
  rows.push_back(file_row(
      "nonblock", "flags|O_NONBLOCK", kind,
      [](Trial& t) { control(t.fd(), F_SETFL, O_NONBLOCK, "O_NONBLOCK"); }, flags(O_NONBLOCK),
      true));
  rows.push_back(file_row(
      "close_on_exec", "CLOEXEC", kind,
      [](Trial& t) { control(t.fd(), F_SETFD, FD_CLOEXEC, "FD_CLOEXEC"); },
      [](Trial& t) { t.answer("fd flags", ::fcntl(t.fd(), F_GETFD)); }, true));
  rows.push_back(file_row(
      "async", "owner|async", kind,
      [](Trial& t) {
        ::signal(SIGIO, SIG_IGN);
        control(t.fd(), F_SETOWN, ::getpid(), "F_SETOWN");
        control(t.fd(), F_SETFL, O_ASYNC, "O_ASYNC");
      },
      [](Trial& t) {
        t.answer("flags", ::fcntl(t.fd(), F_GETFL) & O_ASYNC);
        t.answer("owner", owner_text(t.fd()));
      },
      true));
  rows.push_back(file_row(
      "owner_process", "owner", kind,
      [](Trial& t) { control(t.fd(), F_SETOWN, ::getpid(), "F_SETOWN"); },
      [](Trial& t) { t.answer("owner", owner_text(t.fd())); }, true));
  rows.push_back(file_row(
      "owner_group", "owner", kind,
      [](Trial& t) { control(t.fd(), F_SETOWN, -::getpgrp(), "F_SETOWN"); },
      [](Trial& t) { t.answer("owner", owner_text(t.fd())); }, true));
  rows.push_back(file_row(
      "owner_signal", "owner", kind,
      [](Trial& t) {
        control(t.fd(), F_SETOWN, ::getpid(), "F_SETOWN");
        control(t.fd(), F_SETSIG, SIGRTMIN + 3, "F_SETSIG");
      },
      [](Trial& t) {
        t.answer("signal", ::fcntl(t.fd(), F_GETSIG) - SIGRTMIN);
        t.answer("owner", owner_text(t.fd()));
      },
      true));
  // Two numbers, one socket.
  Row twice = file_row(
      "dup", "dup", kind,
      [=](Trial& t) {
        t.own(::dup(t.fd()));
        send_here(t, kind, "once");
      },
      [](Trial& t) {
        struct stat one {};
        struct stat other {};
        ::fstat(t.fd(0), &one);
        ::fstat(t.fd(1), &other);
        t.answer("same", one.st_ino == other.st_ino);
        const auto got = receive(t.fd(1));
        t.answer("second", got ? got->payload : "nothing");
        t.answer("first", receive(t.fd(0)) ? "again" : "nothing");
      },
      true);
  rows.push_back(twice);
  rows.push_back(file_row(
      "uid", "owner|uid", kind,
      [](Trial& t) {
        if (::fchown(t.fd(), 1234, static_cast<gid_t>(-1)) != 0) fail("fchown", errno);
      },
      [](Trial& t) {
        struct stat status {};
        ::fstat(t.fd(), &status);
        t.answer("uid", status.st_uid);
      },
      false));
}

void add_shutdown(Rows& rows, const Kind& kind) {
  constexpr const char* kNames[] = {"receive", "send", "both"};
  for (const int how : {SHUT_RD, SHUT_WR, SHUT_RDWR}) {
    rows.push_back({std::string("shutdown/") + kNames[how] + "/" + kind.suffix, "shutdown",
                    [=](Trial& trial) {
                      trial.make(kind.family);
                      bind_to(trial.fd(), at(kind.loopback, trial.port()));
                      connect_to(trial.fd(), at(kind.second, trial.port(1)));
                    },
                    [=](Trial& trial) {
                      if (::shutdown(trial.fd(), how) != 0) fail("shutdown", errno);
                    },
                    [](Trial& trial) {
                      pollfd events{trial.fd(), POLLIN | POLLOUT | POLLRDHUP, 0};
                      ::poll(&events, 1, 0);
                      trial.answer("poll", events.revents);
                      const ssize_t sent = ::send(trial.fd(), "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
                      trial.answer("send", sent < 0 ? std::strerror(errno) : "sent");
                      char byte = 0;
                      const ssize_t got = ::recv(trial.fd(), &byte, 1, MSG_DONTWAIT);
                      trial.answer("receive", got < 0 ? std::strerror(errno) : std::to_string(got));
                    }});
  }
}

void add_udp_lite(Rows& rows, const Kind& kind) {
  rows.push_back({std::string("udp_lite/coverage/") + kind.suffix, "UDPLITE|UDP-Lite|coverage",
                  [=](Trial& trial) {
                    trial.make(kind.family, IPPROTO_UDPLITE);
                    bind_to(trial.fd(), at(kind.loopback, trial.port()));
                  },
                  [](Trial& trial) {
                    set(trial.fd(), kSolUdplite, kUdpliteSendCscov, 20, "UDPLITE_SEND_CSCOV");
                    set(trial.fd(), kSolUdplite, kUdpliteRecvCscov, 8, "UDPLITE_RECV_CSCOV");
                  },
                  [](Trial& trial) {
                    trial.answer("send", get_number(trial.fd(), kSolUdplite, kUdpliteSendCscov));
                    trial.answer("receive", get_number(trial.fd(), kSolUdplite, kUdpliteRecvCscov));
                  }});
}

void add_encapsulation(Rows& rows, const Kind& kind) {
  constexpr int kEspInUdp = 2;  // linux/udp.h
  constexpr int kUdpEncap = 100;
  rows.push_back(
      {std::string("refused/encapsulation/") + kind.suffix, "encapsulation", bound(kind),
       [=](Trial& trial) { set(trial.fd(), SOL_UDP, kUdpEncap, kEspInUdp, "UDP_ENCAP"); },
       [=](Trial& trial) {
         trial.answer("encapsulation", get_number(trial.fd(), SOL_UDP, kUdpEncap));
       }});
}

// Another network namespace than the process's own.
int enter(const char* path) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail(path, errno);
  const int error = ::setns(fd, CLONE_NEWNET) == 0 ? 0 : errno;
  ::close(fd);
  return error;
}

template <typename Body>
void elsewhere(const Body& body) {
  const std::string home = "/proc/self/task/" + std::to_string(::gettid()) + "/ns/net";
  const int back = ::open(home.c_str(), O_RDONLY | O_CLOEXEC);
  if (const int error = enter("/run/netns/other")) {
    ::close(back);
    fail("setns", error);
  }
  body();
  ::setns(back, CLONE_NEWNET);
  ::close(back);
}

std::string cookie_of(int fd) {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  if (::getsockopt(fd, SOL_SOCKET, kSoNetnsCookie, &cookie, &size) != 0)
    fail("SO_NETNS_COOKIE", errno);
  return std::to_string(cookie);
}

void add_namespace(Rows& rows, const Kind& kind) {
  rows.push_back({std::string("namespace/other/") + kind.suffix, "network namespace",
                  [=](Trial& trial) {
                    elsewhere([&] { trial.make(kind.family); });
                    bind_to(trial.fd(), at(kind.loopback, trial.port()));
                  },
                  [=](Trial& trial) {
                    elsewhere([&] {
                      send_from(at(kind.loopback, trial.port(1)), at(kind.loopback, trial.port()),
                                "from elsewhere", trial.fd());
                    });
                  },
                  [](Trial& trial) {
                    std::string wanted;
                    elsewhere([&] {
                      const int there = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
                      wanted = cookie_of(there);
                      ::close(there);
                    });
                    const bool same = cookie_of(trial.fd()) == wanted;
                    trial.answer("namespace", same ? "other" : "another");
                    const auto got = receive(trial.fd());
                    trial.answer("queue", got ? got->payload : "nothing");
                  }});
}

// One socket in a tree of processes: the child reads what came before.
void add_tree(Rows& rows, const Kind& kind) {
  rows.push_back({std::string("tree/shared/") + kind.suffix, "shared|processes", bound(kind),
                  [=](Trial& trial) {
                    send_here(trial, kind, "for one of us");
                    send_here(trial, kind, "for the other");
                    const pid_t child = ::fork();
                    if (child == 0) {
                      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
                      for (;;) ::pause();
                    }
                  },
                  [](Trial& trial) {
                    int pipe[2];
                    if (::pipe(pipe) != 0) fail("pipe", errno);
                    const pid_t child = ::fork();
                    if (child == 0) {
                      const auto got = receive(trial.fd());
                      const std::string text = got ? got->payload : "nothing";
                      const ssize_t written = ::write(pipe[1], text.data(), text.size());
                      ::_exit(written < 0 ? 1 : 0);
                    }
                    ::waitpid(child, nullptr, 0);
                    char text[64] = {};
                    const ssize_t size = ::read(pipe[0], text, sizeof text - 1);
                    trial.answer("child", size > 0 ? text : "nothing");
                    const auto got = receive(trial.fd());
                    trial.answer("parent", got ? got->payload : "nothing");
                    trial.answer("more", receive(trial.fd()) ? "more" : "nothing");
                    ::close(pipe[0]);
                    ::close(pipe[1]);
                  }});
}

}  // namespace

void add_sharing(Rows& rows) {
  for (const Kind& kind : {kV4, kV6}) {
    add_file(rows, kind);
    add_shutdown(rows, kind);
    add_udp_lite(rows, kind);
    add_encapsulation(rows, kind);
    add_namespace(rows, kind);
  }
}

void add_trees(Rows& rows) {
  for (const Kind& kind : {kV4, kV6}) add_tree(rows, kind);
}

}  // namespace fidelity
