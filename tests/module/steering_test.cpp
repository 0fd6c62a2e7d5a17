// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Who gets a datagram: classic filters and SO_REUSEPORT groups; and to which
// cgroup a socket is accounted.
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <optional>

#include "receive.hpp"
#include "support.hpp"
#include "talk.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

std::optional<Bytes> option(int fd, std::uint32_t name) {
  for (const Attrs& one : Talk().record(fd).nests(UDPCR_A_OPTION)) {
    if (one.u32(UDPCR_OPT_LEVEL) == SOL_SOCKET && one.u32(UDPCR_OPT_NAME) == name) {
      return one.bytes(UDPCR_OPT_VALUE);
    }
  }
  return std::nullopt;
}

Bytes attach(int fd, int name, std::vector<sock_filter> code) {
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  REQUIRE(::setsockopt(fd, SOL_SOCKET, name, &program, sizeof program) == 0);
  const auto* const raw = reinterpret_cast<const std::uint8_t*>(code.data());
  return {raw, raw + code.size() * sizeof code[0]};
}

// Lets pass what is longer than `length`, UDP header included.
std::vector<sock_filter> longer(std::uint32_t length) {
  return {{BPF_LD | BPF_W | BPF_LEN, 0, 0, 0},
          {BPF_JMP | BPF_JGT | BPF_K, 0, 1, length},
          {BPF_RET | BPF_K, 0, 0, 0xffff},
          {BPF_RET | BPF_K, 0, 0, 0}};
}

UniqueFd member_of(const Address& where) {
  UniqueFd fd = unbound(where.family);
  set(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1);
  bind_to(fd.get(), where);
  return fd;
}

// CONFIG_SOCK_CGROUP_DATA: without it no socket has a cgroup.
bool has_cgroups() {
  return file_text("/proc/kallsyms").find(" cgroup_sk_alloc\n") != std::string::npos;
}

}  // namespace

TEST_CASE("steering: a classic filter, locked or not", "[smoke]") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  CHECK_FALSE(option(fd.get(), SO_ATTACH_FILTER));
  CHECK(option(fd.get(), SO_ATTACH_FILTER).has_value() == false);
  const Bytes first = attach(fd.get(), SO_ATTACH_FILTER, longer(10));
  CHECK(option(fd.get(), SO_ATTACH_FILTER) == first);
  const Bytes second = attach(fd.get(), SO_ATTACH_FILTER, longer(11));
  set(fd.get(), SOL_SOCKET, SO_LOCK_FILTER, 1);
  CHECK(option(fd.get(), SO_ATTACH_FILTER) == second);
  // What is told makes another socket's filter.
  const UniqueFd to = socket_at(address("127.0.0.1"));
  std::vector<sock_filter> code(second.size() / sizeof(sock_filter));
  std::memcpy(code.data(), second.data(), second.size());
  attach(to.get(), SO_ATTACH_FILTER, code);
  const UniqueFd sender = unbound(AF_INET);
  for (const char* payload : {"ab", "abc", "abcd"})
    send_to(sender.get(), local_of(to.get()), payload);
  CHECK(texts(receive_all(to.get())) == std::vector<std::string>{"abcd"});
}

TEST_CASE("steering: the largest filter, beside the largest of its group") {
  const UniqueFd fd = member_of(address("127.0.0.1"));
  std::vector<sock_filter> code(BPF_MAXINSNS, {BPF_LD | BPF_W | BPF_LEN, 0, 0, 0});
  code.back() = {BPF_RET | BPF_K, 0, 0, 0xffff};
  set(fd.get(), SOL_SOCKET, SO_RCVBUF, 1000);
  // The initial namespace's up to 6.7.
  bool allowed = write_file("/proc/sys/net/core/optmem_max", "200000");
  {
    const In there(Net::initial);
    allowed = write_file("/proc/sys/net/core/optmem_max", "200000") || allowed;
  }
  REQUIRE(allowed);
  const Bytes filter = attach(fd.get(), SO_ATTACH_FILTER, code);
  const Bytes steering = attach(fd.get(), SO_ATTACH_REUSEPORT_CBPF, code);
  CHECK((option(fd.get(), SO_ATTACH_FILTER) == filter));
  CHECK((option(fd.get(), SO_ATTACH_REUSEPORT_CBPF) == steering));
  // The dump has room for 60 kB of each socket only, and says so.
  const std::uint64_t inode = inode_of(fd.get());
  bool found = false;
  for (const Message& one : Talk().must_dump(Request(UDPCR_CMD_SOCKET))) {
    if (one.u64(UDPCR_A_INO) != inode) continue;
    found = true;
    CHECK((one.u32(UDPCR_A_SOCK_FLAGS) & UDPCR_SOCK_PARTIAL) != 0);
    CHECK(one.u32(UDPCR_A_REUSEPORT_INDEX) == 0);
    CHECK(one.has(UDPCR_A_CGROUP) == has_cgroups());
  }
  CHECK(found);
}

TEST_CASE("steering: a reuseport group's order and its classic program", "[smoke]") {
  const bool v6 = GENERATE(false, true);
  const Address where = address(v6 ? "::1" : "127.0.0.1", free_port());
  CHECK_FALSE(Talk().record(socket_at(where).get()).has(UDPCR_A_REUSEPORT_INDEX));
  UniqueFd all[3];
  for (UniqueFd& fd : all) fd = member_of(where);
  for (std::uint32_t i = 0; i < 3; ++i) {
    CHECK(Talk().record(all[i].get()).u32(UDPCR_A_REUSEPORT_INDEX) == i);
    CHECK_FALSE(option(all[i].get(), SO_ATTACH_REUSEPORT_CBPF));
  }
  const Bytes program =
      attach(all[1].get(), SO_ATTACH_REUSEPORT_CBPF, {{BPF_RET | BPF_K, 0, 0, 2}});
  for (const UniqueFd& fd : all) CHECK(option(fd.get(), SO_ATTACH_REUSEPORT_CBPF) == program);
  // The last one takes the place of the one that goes.
  all[0].reset();
  CHECK(Talk().record(all[2].get()).u32(UDPCR_A_REUSEPORT_INDEX) == 0);
}

TEST_CASE("steering: an eBPF program is not told as a classic one") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  const bpf_insn code[] = {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 100},
                           {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
  bpf_attr attributes{};
  attributes.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  attributes.insns = reinterpret_cast<std::uint64_t>(code);
  attributes.insn_cnt = 2;
  attributes.license = reinterpret_cast<std::uint64_t>("GPL");
  const UniqueFd program(
      static_cast<int>(::syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes)));
  REQUIRE(program.get() >= 0);
  set(fd.get(), SOL_SOCKET, SO_ATTACH_BPF, program.get());
  CHECK_FALSE(option(fd.get(), SO_ATTACH_FILTER));
}

TEST_CASE("steering: the cgroup by id", "[smoke]") {
  if (!has_cgroups()) {
    CHECK_FALSE(Talk().record(socket_at(address("127.0.0.1")).get()).has(UDPCR_A_CGROUP));
    return;
  }
  REQUIRE(in_child([] {
            const std::string root = "/tmp/udpcr-cgroup";
            demand(::mkdir(root.c_str(), 0700) == 0 || errno == EEXIST, "mkdir");
            demand(::mount("none", root.c_str(), "cgroup2", 0, nullptr) == 0, "mount cgroup2");
            const std::string own = root + "/own";
            demand(::mkdir(own.c_str(), 0700) == 0, "mkdir of a cgroup");
            demand(write_file(own + "/cgroup.procs", "0"), "enter it");
            struct stat status {};
            demand(::stat(own.c_str(), &status) == 0, "stat");
            const UniqueFd fd = socket_at(address("127.0.0.1"));
            demand(write_file(root + "/cgroup.procs", "0"), "leave it");
            const UniqueFd other = socket_at(address("127.0.0.1"));
            Talk talk;
            const std::uint64_t told = talk.record(fd.get()).u64(UDPCR_A_CGROUP);
            const std::uint64_t elsewhere = talk.record(other.get()).u64(UDPCR_A_CGROUP);
            ::rmdir(own.c_str());
            ::umount2(root.c_str(), MNT_DETACH);
            demand(told == status.st_ino,
                   "told " + std::to_string(told) + ", it is " + std::to_string(status.st_ino));
            demand(elsewhere != told && elsewhere != 0, "the root's is no other");
          }) == "");
}
