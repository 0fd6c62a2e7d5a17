// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The module's client and engine as far as they go without a module.
#include "module_client.hpp"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <udpcr/udpcr_netlink.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>

#include "attributes.hpp"
#include "datagram_filter.hpp"
#include "image_sample.hpp"
#include "kernel_numbers.hpp"
#include "options.hpp"
#include "socket_list.hpp"

using namespace udpcr;
using Catch::Matchers::Contains;
using test::error_of;

namespace {

MessageStream three() {
  MessageStream stream;
  for (std::size_t size = 1; size <= 3; ++size) {
    stream.append(encode_datagram(test::full_datagram(size)));
  }
  return stream;
}

std::vector<Datagram> decoded(const MessageStream& stream) {
  std::vector<Datagram> all;
  std::vector<std::uint16_t> unknown;
  std::size_t offset = 0;
  for (ByteView message = stream.next(offset); !message.empty(); message = stream.next(offset)) {
    all.push_back(decode_datagram(message, unknown));
  }
  CHECK(unknown.empty());
  return all;
}

// Nobody has loaded it where these tests run, or else nothing is to be seen here.
bool module_there() { return ModuleClient().available(); }

}  // namespace

TEST_CASE("attributes that the module does not take are held back, the rest is as it was",
          "[module-client]") {
  const MessageStream all = three();
  std::set<std::uint16_t> accepted;
  for (const auto& [number, count] : count_attributes(all)) {
    CHECK(count == 3);
    accepted.insert(number);
  }
  CHECK(keep_attributes(all, accepted).bytes() == all.bytes());

  accepted.erase(UDPCR_A_MARK);
  accepted.erase(UDPCR_A_GSO_SIZE);
  const auto kept = decoded(keep_attributes(all, accepted));
  REQUIRE(kept.size() == 3);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    Datagram expected = test::full_datagram(i + 1);
    expected.mark.reset();
    expected.gso_size.reset();
    CHECK(kept[i] == expected);
  }
  // The payload's end is the message's, whatever came before it.
  CHECK(count_attributes(keep_attributes(all, accepted)).count(UDPCR_A_MARK) == 0);
}

TEST_CASE("a broken datagram is refused before the module sees it", "[module-client]") {
  MessageStream stream;
  stream.append(Bytes{UDPCR_CMD_DATAGRAM, 1, 0, 0, 200, 0, UDPCR_A_PAYLOAD, 0});
  CHECK_THAT(error_of([&] { count_attributes(stream); }), Contains("claims a length of 200"));
}

TEST_CASE("attributes are written as they are read", "[module-client]") {
  AttributeWriter writer;
  writer.u32(7, 70'000);
  writer.u64(8, 1ULL << 40);
  writer.put(9, "abc", 3);
  writer.put(10, nullptr, 0);
  CHECK(writer.bytes().size() % 4 == 0);
  AttributeReader reader(writer.bytes());
  Attribute attribute;
  REQUIRE(reader.next(attribute));
  CHECK(attribute.as<std::uint32_t>() == 70'000);
  REQUIRE(reader.next(attribute));
  CHECK(attribute.as<std::uint64_t>() == 1ULL << 40);
  REQUIRE(reader.next(attribute));
  CHECK(attribute.type == 9);
  CHECK(attribute.value.size() == 3);
  REQUIRE(reader.next(attribute));
  CHECK(attribute.value.empty());
  CHECK_FALSE(reader.next(attribute));
  const Bytes large(UINT16_MAX);
  CHECK_THAT(error_of([&] { writer.put(9, large.data(), large.size()); }),
             Contains("at most 65531"));
}

TEST_CASE("without the module each choice of engine is as asked, or says why not",
          "[module-client]") {
  CHECK(make_engine(UseEngine::userspace)->name() == "userspace");
  if (module_there()) {
    CHECK(make_engine(UseEngine::automatic)->name() == "module");
    CHECK(make_engine(UseEngine::module)->name() == "module");
    return;
  }
  CHECK(make_engine(UseEngine::automatic)->name() == "userspace");
  CHECK_THAT(error_of([] { make_engine(UseEngine::module); }),
             Contains("UDPCR_ENGINE=module is not possible") && Contains("is not loaded") &&
                 Contains("modprobe udpcr") && Contains("UDPCR_ENGINE=auto"));
  ModuleClient client;
  CHECK(client.absence().error_number() == ENOENT);
  CHECK_THAT(error_of([&] { client.record({1, {}, {}}); }), Contains("is not loaded"));
  CHECK_THAT(error_of([&] { client.records(); }), Contains("is not loaded"));
  CHECK_THAT(error_of([&] { client.add(1, three()); }), Contains("is not loaded"));
  CHECK_THAT(error_of([&] { client.datagram_attributes(); }), Contains("is not loaded"));
}

TEST_CASE("a netlink request gives replies, or errno and sentence", "[module-client]") {
  NetlinkSocket socket;
  // The generic netlink controller is always there.
  Bytes request = {CTRL_CMD_GETFAMILY, 1, 0, 0};
  AttributeWriter name;
  name.put(CTRL_ATTR_FAMILY_NAME, "nlctrl", sizeof "nlctrl");
  request.insert(request.end(), name.bytes().begin(), name.bytes().end());
  std::size_t replies = 0;
  Ack ack = socket.request(GENL_ID_CTRL, 0, request, [&](ByteView) { ++replies; });
  CHECK(ack.error_number == 0);
  CHECK(replies == 1);

  replies = 0;
  ack = socket.request(GENL_ID_CTRL, NLM_F_DUMP, Bytes{CTRL_CMD_GETFAMILY, 1, 0, 0},
                       [&](ByteView) { ++replies; });
  CHECK(ack.error_number == 0);
  CHECK(replies > 1);

  const auto nothing = [](ByteView) {};
  CHECK(socket.request(GENL_ID_CTRL, 0, Bytes{99, 1, 0, 0}, nothing).error_number == EOPNOTSUPP);
  Bytes bad = {CTRL_CMD_GETFAMILY, 1, 0, 0, 5, 0, CTRL_ATTR_FAMILY_ID, 0, 1, 0, 0, 0};
  ack = socket.request(GENL_ID_CTRL, 0, bad, nothing);
  CHECK(ack.error_number != 0);
  CHECK_FALSE(ack.sentence.empty());
}

TEST_CASE("a batch tells which requests have failed", "[module-client]") {
  NetlinkSocket socket;
  std::vector<std::size_t> failed;
  socket.begin([&](std::size_t number, const Ack& ack) {
    CHECK(ack.error_number == ENOENT);
    failed.push_back(number);
  });
  AttributeWriter good;
  good.put(CTRL_ATTR_FAMILY_NAME, "nlctrl", sizeof "nlctrl");
  AttributeWriter bad;
  bad.put(CTRL_ATTR_FAMILY_NAME, "nosuch", sizeof "nosuch");
  std::vector<std::size_t> expected;
  // More than one batch; the first part of a message is padded before the second.
  for (std::size_t i = 0; i < 500; ++i) {
    const bool fails = i % 7 == 3 || i == 499;
    if (fails) expected.push_back(i);
    socket.add(GENL_ID_CTRL, Bytes{CTRL_CMD_GETFAMILY, 1, 0, 0},
               fails ? bad.bytes() : good.bytes());
  }
  socket.flush();
  CHECK(failed == expected);
}

TEST_CASE("an option has one meaning, whoever has read it", "[module-client]") {
  const OptionRow& interface = *find_option(SOL_IP, IP_MULTICAST_IF);
  const Bytes address = {10, 9, 0, 1};
  const Bytes mreqn = {0, 0, 0, 0, 10, 9, 0, 1, 3, 0, 0, 0};
  const Bytes other = {0, 0, 0, 0, 10, 9, 0, 1, 4, 0, 0, 0};
  CHECK(same_value(interface, address, mreqn));
  CHECK(same_value(interface, mreqn, address));
  CHECK_FALSE(same_value(interface, mreqn, other));
  CHECK_FALSE(same_value(interface, Bytes{10, 9, 0, 2}, mreqn));
  CHECK_FALSE(same_value(*find_option(SOL_IP, IP_TTL), Bytes{1, 0, 0, 0}, Bytes{1}));
}

TEST_CASE("/proc/net tells of sockets where the module does not", "[module-client]") {
  const std::string ipv4 =
      "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
      "inode ref pointer drops\n"
      "  326: 0100007F:1DB0 0200007F:0035 01 00000000:00000B40 00:00000000 00000000  1000        0 "
      "1222 2 000000005b76cd42 7\n"
      "  327: garbage\n";
  auto sockets = parse_proc_net(ipv4, AF_INET, IPPROTO_UDP);
  REQUIRE(sockets.size() == 1);
  CHECK(sockets[0].inode == 1222);
  CHECK(sockets[0].local == test::v4("127.0.0.1", 7600));
  CHECK(sockets[0].peer == test::v4("127.0.0.2", 53));
  CHECK(sockets[0].memory == 0xb40);
  CHECK(sockets[0].uid == 1000);
  CHECK(sockets[0].drops == 7);
  CHECK_FALSE(sockets[0].datagrams);
  const std::string ipv6 =
      "heads\n"
      "  1: B80D0120000000000000000001000000:14E9 00000000000000000000000000000000:0000 07 "
      "00000000:00000000 00:00000000 00000000     0        0 5 2 0000000000000000 0\n";
  sockets = parse_proc_net(ipv6, AF_INET6, IPPROTO_UDPLITE);
  REQUIRE(sockets.size() == 1);
  CHECK(sockets[0].local == test::v6("2001:db8::1", 5353, 0));
  CHECK_FALSE(sockets[0].peer);
}
