// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Classic BPF programs come back, and work.
#include <linux/bpf.h>
#include <linux/filter.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>

#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

// Lets in what begins with this letter.
void admit(int fd, char first) {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 8),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(first), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0xffff),
      BPF_STMT(BPF_RET | BPF_K, 0),
  };
  const sock_fprog program{4, code};
  REQUIRE(::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0);
}

}  // namespace

TEST_CASE("a filter and its lock come back behind a queue that it would not let in") {
  const bool locked = GENERATE(false, true);
  UniqueFd fd = socket_at(address("127.0.0.1"));
  const Address to = local_of(fd.get());
  const UniqueFd sender = unbound(AF_INET);
  send_to(sender.get(), to, "before");
  admit(fd.get(), 'y');
  if (locked) set(fd.get(), SOL_SOCKET, SO_LOCK_FILTER, 1);
  const auto engine = engine_under_test();
  const SocketState state = engine->capture(fd.get(), {});
  INFO(list(state.losses));
  CHECK(state.losses.empty());
  fd.reset();
  const Restored restored = engine->restore(state, {});
  INFO(list(restored.losses));
  CHECK(restored.losses.empty());
  CHECK(get(restored.fd.get(), SOL_SOCKET, SO_LOCK_FILTER) == (locked ? 1 : 0));
  for (const char* payload : {"no", "yes"}) send_to(sender.get(), to, payload);
  CHECK(payloads(read_some(restored.fd.get(), 2)) == std::vector<std::string>{"before", "yes"});
  CHECK(engine->capture(restored.fd.get(), {}).record.options == state.record.options);
  const int none = 0;
  const int detached =
      ::setsockopt(restored.fd.get(), SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none);
  CHECK((detached == 0) != locked);
}

TEST_CASE("an eBPF filter is named") {
  bpf_insn code[2] = {};
  code[0].code = BPF_ALU64 | BPF_MOV | BPF_K;
  code[0].imm = 0xffff;
  code[1].code = BPF_JMP | BPF_EXIT;
  bpf_attr attribute{};
  attribute.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  attribute.insns = reinterpret_cast<std::uint64_t>(code);
  attribute.insn_cnt = 2;
  attribute.license = reinterpret_cast<std::uint64_t>("GPL");
  const UniqueFd program(
      static_cast<int>(::syscall(SYS_bpf, BPF_PROG_LOAD, &attribute, sizeof attribute)));
  REQUIRE(program);
  const UniqueFd fd = unbound(AF_INET);
  set(fd.get(), SOL_SOCKET, SO_ATTACH_BPF, program.get());
  CHECK(names(engine_under_test()->capture(fd.get(), {}).losses, "filter"));
}

TEST_CASE("classic steering of a REUSEPORT group is attached") {
  // Everything to the second socket.
  sock_filter code = BPF_STMT(BPF_RET | BPF_K, 1);
  SocketState state = state_of(address("127.0.0.1", free_port()), {});
  state.record.options.push_back({SOL_SOCKET, SO_REUSEPORT, Bytes{1, 0, 0, 0}});
  Bytes value(sizeof code);
  std::memcpy(value.data(), &code, sizeof code);
  state.record.options.push_back({SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, value});
  const auto engine = engine_under_test();
  const Restored first = engine->restore(state, {});
  const Restored second = engine->restore(state, {});
  INFO(list(first.losses) << list(second.losses));
  CHECK(first.losses.empty());
  CHECK(second.losses.empty());
  for (int i = 0; i < 20; ++i) {
    send_to(unbound(AF_INET).get(), state.record.local, std::to_string(i));
  }
  CHECK(read_all(first.fd.get()).empty());
  CHECK(read_all(second.fd.get()).size() == 20);
}

TEST_CASE("a program that cannot be attached is named") {
  SocketState state = state_of(address("127.0.0.1", free_port()), {});
  state.record.options.push_back({SOL_SOCKET, SO_ATTACH_FILTER, Bytes(7)});
  state.record.options.push_back({SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, Bytes(8)});
  const Restored restored = engine_under_test()->restore(state, {});
  CHECK(names(restored.losses, "filter"));
  CHECK(names(restored.losses, "reuseport steering"));
}
