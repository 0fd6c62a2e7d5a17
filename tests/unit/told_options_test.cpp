// SPDX-License-Identifier: LGPL-2.1-or-later
#include "keeper/told_options.hpp"

#include <linux/filter.h>
#include <linux/in6.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>

#include "image_sample.hpp"
#include "kernel_numbers.hpp"

using namespace udpcr;
using keeper::Packet;
using keeper::ToldOptions;

namespace {

constexpr std::uint64_t kInode = 77;

Bytes bytes_of(int number) {
  Bytes bytes(sizeof number);
  std::memcpy(bytes.data(), &number, sizeof number);
  return bytes;
}

Packet packet_of(int level, int name, const Bytes& value, std::uint64_t inode = kInode) {
  const wire::OptionMessage message{{wire::Type::option, wire::kVersion},
                                    0,
                                    {inode, level, name, static_cast<std::uint32_t>(value.size())}};
  Packet packet;
  packet.data.resize(sizeof message + value.size());
  std::memcpy(packet.data.data(), &message, sizeof message);
  std::copy(value.begin(), value.end(), packet.data.begin() + sizeof message);
  return packet;
}

SocketState completed(const ToldOptions& told, SocketState state = {}) {
  state.record.inode = kInode;
  told.complete(state, true);
  return state;
}

const Bytes kProgram(sizeof(sock_filter), 6);

}  // namespace

TEST_CASE("told options: what the kernel does not tell goes into the record", "[told]") {
  ToldOptions told;
  told.take(packet_of(SOL_IPV6, IPV6_MTU, bytes_of(1400)));
  told.take(packet_of(SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, kProgram));
  told.take(packet_of(SOL_IPV6, IPV6_MTU, bytes_of(1280), kInode + 1));
  const SocketState state = completed(told);
  CHECK(state.losses.empty());
  CHECK(state.record.options ==
        std::vector<SocketOption>{{SOL_IPV6, IPV6_MTU, bytes_of(1400)},
                                  {SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, kProgram}});
  told.forget();
  CHECK(completed(told).record.options.empty());
}

TEST_CASE("told options: by index goes before by address", "[told]") {
  ToldOptions told;
  Bytes by_index(sizeof(ip_mreqn));
  by_index[8] = 3;
  told.take(packet_of(SOL_IP, IP_MULTICAST_IF, by_index));
  SocketState read;
  read.record.options.push_back({SOL_IP, IP_MULTICAST_IF, Bytes{192, 0, 2, 1}});
  CHECK(completed(told, read).record.options.at(0).value == by_index);
  // It was set by address since.
  told.take(packet_of(SOL_IP, IP_MULTICAST_IF, Bytes(sizeof(ip_mreqn))));
  told.forget();
  told.take(packet_of(SOL_IP, IP_MULTICAST_IF, Bytes(sizeof(ip_mreqn))));
  CHECK(completed(told, read).record.options == read.record.options);
}

TEST_CASE("told options: only those of the list, in their sizes", "[told]") {
  const auto [level, name, size] = GENERATE(table<int, int, std::size_t>(
      {{SOL_SOCKET, SO_MARK, 4},
       {SOL_SOCKET, SO_RCVBUFFORCE, 4},
       {SOL_IPV6, IPV6_MTU, 3},
       {SOL_IPV6, IPV6_MTU, 8},
       {SOL_IP, IP_MULTICAST_IF, 4},
       {SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, 7},
       {SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, wire::kLargestProgram + 8},
       {SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, 4}}));
  ToldOptions told;
  const Packet packet = packet_of(level, name, Bytes(size, 1));
  const std::string sentence = test::error_of([&] { told.take(packet); });
  CHECK(sentence.find("none that a program may tell") != std::string::npos);
  CHECK(completed(told).record.options.empty());
  // One that states another size than it has.
  Packet lying = packet_of(SOL_IPV6, IPV6_MTU, bytes_of(1400));
  lying.data.pop_back();
  test::error_of([&] { told.take(lying); });
  CHECK(completed(told).record.options.empty());
}

TEST_CASE("told options: a value that needs a right is named, not taken", "[told]") {
  ToldOptions told;
  told.take(packet_of(SOL_SOCKET, kSoBusyPollBudget, bytes_of(4)));
  CHECK(completed(told).record.options.size() == 1);
  told.forget();
  told.take(packet_of(SOL_SOCKET, kSoBusyPollBudget, bytes_of(9)));
  told.take(packet_of(SOL_IPV6, IPV6_MTU, bytes_of(1279)));
  const SocketState state = completed(told);
  CHECK(state.record.options.empty());
  REQUIRE(state.losses.size() == 2);
  CHECK(state.losses[0].what == "SO_BUSY_POLL_BUDGET");
  CHECK(state.losses[1].what == "IPV6_MTU");
}

TEST_CASE("told options: an anycast membership that the kernel does not have", "[told]") {
  ToldOptions told;
  told.take(packet_of(SOL_IPV6, IPV6_JOIN_ANYCAST, Bytes(sizeof(ipv6_mreq), 0x20)));
  const SocketState state = completed(told);
  CHECK(state.record.memberships.empty());
  REQUIRE(state.losses.size() == 1);
  CHECK(state.losses[0].what == "anycast");
}

TEST_CASE("told options: steering that cannot be kept, and labels, are named", "[told]") {
  ToldOptions told;
  told.take(packet_of(SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, {}));
  Bytes lease(sizeof(in6_flowlabel_req));
  lease[17] = 0x01, lease[18] = 0x23, lease[19] = 0x45;
  told.take(packet_of(SOL_IPV6, IPV6_FLOWLABEL_MGR, lease));
  const SocketState state = completed(told);
  CHECK(state.record.options.empty());
  REQUIRE(state.losses.size() == 2);
  CHECK(state.losses[0].what == "reuseport steering");
  CHECK(state.losses[1].what == "flow label");
  CHECK(state.losses[1].why.find("12345") != std::string::npos);

  // The module does not know of them either; of all else it does.
  told.take(packet_of(SOL_IPV6, IPV6_MTU, bytes_of(1400)));
  SocketState read;
  read.record.inode = kInode;
  told.name_losses(read);
  CHECK(read.record.options.empty());
  CHECK(read.losses == state.losses);
}

TEST_CASE("told options: a restored socket has its image's until told otherwise", "[told]") {
  const UniqueFd fd(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  struct stat status {};
  REQUIRE(::fstat(fd.get(), &status) == 0);
  SocketRecord image;
  image.options = {{SOL_IPV6, IPV6_MTU, bytes_of(1400)},
                   {SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, kProgram},
                   {SOL_SOCKET, SO_RCVBUF, bytes_of(5000)}};
  ToldOptions told;
  told.remember(fd.get(), image, {});
  SocketState state;
  state.record.inode = status.st_ino;
  state.losses.push_back({"anycast", "it may be", ""});
  SocketState next = state;
  told.complete(next, false);
  CHECK(next.record.options.size() == 2);
  CHECK(next.losses.empty());

  told.take(packet_of(SOL_IPV6, IPV6_MTU, bytes_of(0), status.st_ino));
  told.take(packet_of(SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, {}, status.st_ino));
  next = state;
  told.complete(next, false);
  CHECK(next.record.options.empty());

  // What could not be restored is not there.
  ToldOptions other;
  other.remember(fd.get(), image, {{"IPV6_MTU", "it was 1400", ""}});
  next = state;
  other.complete(next, false);
  CHECK(next.record.options.size() == 1);
}
