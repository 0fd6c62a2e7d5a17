// SPDX-License-Identifier: LGPL-2.1-or-later
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <udpcr/udpcr_netlink.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "image_sample.hpp"

using namespace udpcr;
using Catch::Matchers::Contains;
using test::error_of;

namespace {

std::vector<std::uint16_t> unknown;

Bytes message_of(std::uint8_t command) { return {command, UDPCR_GENL_VERSION, 0, 0}; }

void add(Bytes& message, std::uint16_t type, const Bytes& value) {
  const nlattr header{static_cast<std::uint16_t>(sizeof header + value.size()), type};
  const auto* const bytes = reinterpret_cast<const std::uint8_t*>(&header);
  message.insert(message.end(), bytes, bytes + sizeof header);
  message.insert(message.end(), value.begin(), value.end());
  message.resize(NLA_ALIGN(message.size()));
}

Bytes minimal_record() {
  Bytes message = message_of(UDPCR_CMD_SOCKET);
  add(message, UDPCR_A_INO, Bytes(8));
  add(message, UDPCR_A_FAMILY, {AF_INET, 0});
  return message;
}

std::string record_error(const Bytes& message) {
  return error_of([&] { decode_record(message, unknown); });
}

std::string datagram_error(const Bytes& message) {
  return error_of([&] { decode_datagram(message, unknown); });
}

}  // namespace

TEST_CASE("records come back as they were", "[message]") {
  unknown.clear();
  SocketRecord bare;
  bare.family = AF_INET;
  SocketRecord wildcard = bare;
  wildcard.local = test::v4("0.0.0.0", 0);
  SocketRecord signalled = bare;
  signalled.owner.signal = 12;
  for (const SocketRecord& record : {test::full_record(), bare, wildcard, signalled}) {
    CHECK(decode_record(encode_record(record), unknown) == record);
  }
  CHECK(unknown.empty());
}

TEST_CASE("datagrams come back as they were", "[message]") {
  unknown.clear();
  for (const std::size_t size : {0, 1, 2, 3, 4, 1472, UDPCR_MAX_PAYLOAD}) {
    const Datagram full = test::full_datagram(size);
    CHECK(decode_datagram(encode_datagram(full), unknown) == full);
    const Datagram error = test::full_error(size);
    CHECK(decode_datagram(encode_datagram(error), unknown) == error);
    Datagram bare;
    bare.payload = full.payload;
    CHECK(decode_datagram(encode_datagram(bare), unknown) == bare);
  }
  Datagram v4;
  v4.source = test::v4("192.0.2.1", 1);
  v4.destination = test::v4("192.0.2.2", 2);
  v4.specific_destination = test::v4("192.0.2.3", 0);
  CHECK(decode_datagram(encode_datagram(v4), unknown) == v4);
  CHECK(unknown.empty());
}

TEST_CASE("a datagram costs at most 128 bytes beside its payload", "[message]") {
  for (std::size_t size = 0; size <= 64; ++size) {
    MessageStream stream;
    stream.append(encode_datagram(test::full_datagram(size)));
    CHECK(stream.bytes().size() <= size + 128);
  }
}

TEST_CASE("what UDP cannot carry is not encoded", "[message]") {
  Datagram datagram;
  datagram.payload.resize(UDPCR_MAX_PAYLOAD + 1);
  CHECK_THAT(error_of([&] { encode_datagram(datagram); }), Contains("65528") && Contains("65527"));
  SocketRecord record = test::full_record();
  record.options = {{1, 2, Bytes(UINT16_MAX - 3)}};
  CHECK_THAT(error_of([&] { encode_record(record); }), Contains("65532 bytes"));
  record.options = {{1, 2, Bytes(UINT16_MAX - 15)}};  // the value fits, its nest does not
  CHECK_THAT(error_of([&] { encode_record(record); }), Contains("cannot encode attribute"));
  datagram.payload.clear();
  datagram.source = Address{};
  CHECK_THAT(error_of([&] { encode_datagram(datagram); }), Contains("family 0"));
}

TEST_CASE("attributes that are not known are skipped and named once", "[message]") {
  unknown.clear();
  Bytes message = encode_record(test::full_record());
  add(message, 900, {1, 2, 3});
  add(message, 901 | NLA_F_NESTED, {});
  add(message, 900, {});
  add(message, UDPCR_A_PAYLOAD, {1});  // a datagram's
  Bytes option;
  add(option, UDPCR_OPT_LEVEL, Bytes(4));
  add(option, UDPCR_OPT_NAME, Bytes(4));
  add(option, UDPCR_OPT_VALUE, {});
  add(option, 44, {1});
  add(message, UDPCR_A_OPTION | NLA_F_NESTED, option);
  SocketRecord expected = test::full_record();
  expected.options.emplace_back();
  CHECK(decode_record(message, unknown) == expected);
  CHECK(unknown == std::vector<std::uint16_t>{900, 901, UDPCR_A_PAYLOAD, UDPCR_A_OPTION});

  unknown.clear();
  message = encode_datagram(test::full_datagram(4));
  add(message, UDPCR_A_PAD, {});
  add(message, 16383, {});
  CHECK(decode_datagram(message, unknown) == test::full_datagram(4));
  CHECK(unknown == std::vector<std::uint16_t>{16383});
}

TEST_CASE("a message that is not whole is refused", "[message]") {
  CHECK_THAT(record_error({}), Contains("0 bytes"));
  CHECK_THAT(record_error({UDPCR_CMD_SOCKET, 1, 0}), Contains("3 bytes"));
  CHECK_THAT(record_error(message_of(UDPCR_CMD_DATAGRAM)), Contains("of command 2"));
  CHECK_THAT(record_error({UDPCR_CMD_SOCKET, 2, 0, 0}), Contains("of version 2"));
  CHECK_THAT(record_error(message_of(UDPCR_CMD_SOCKET)), Contains("inode"));
  CHECK_THAT(datagram_error(message_of(UDPCR_CMD_DATAGRAM)), Contains("payload"));

  Bytes message = minimal_record();
  CHECK(record_error(message) == "(no error)");
  message.push_back(0);
  CHECK_THAT(record_error(message), Contains("1 bytes stand where"));
  message = minimal_record();
  add(message, UDPCR_A_UID, {1, 2});
  CHECK_THAT(record_error(message), Contains("has 2 bytes where 4"));
  // An errno of the kernel's own, pending and in the error queue: 511 and 529.
  message = minimal_record();
  add(message, UDPCR_A_ERROR, {0xff, 1, 0, 0});
  CHECK(record_error(message) == "(no error)");
  message = minimal_record();
  add(message, UDPCR_A_ERROR, {0x11, 2, 0, 0});
  CHECK_THAT(record_error(message), Contains("error 529"));
  message = message_of(UDPCR_CMD_DATAGRAM);
  add(message, UDPCR_A_PAYLOAD, {});
  add(message, UDPCR_A_ERRMSG, {8, 0, UDPCR_ERRMSG_ERRNO, 0, 0x11, 2, 0, 0});
  CHECK_THAT(datagram_error(message), Contains("error 529"));
  message = minimal_record();
  add(message, UDPCR_A_INO, Bytes(8));
  CHECK_THAT(record_error(message), Contains("twice"));
  message = minimal_record();
  add(message, UDPCR_A_LOCAL_ADDR, Bytes(5));
  CHECK_THAT(record_error(message), Contains("4 or 16"));
  message = minimal_record();
  add(message, UDPCR_A_LOCAL_ADDR, Bytes(4));
  CHECK_THAT(record_error(message), Contains("only a part"));
  message = minimal_record();
  add(message, UDPCR_A_DEVICE, {'a'});
  CHECK_THAT(record_error(message), Contains("interface name"));
  message = minimal_record();
  add(message, UDPCR_A_DEVICE, {'a', 0, 'b', 0});
  CHECK_THAT(record_error(message), Contains("interface name"));
  message = minimal_record();
  add(message, UDPCR_A_DEVICE, {});
  CHECK_THAT(record_error(message), Contains("interface name"));
  message = minimal_record();
  add(message, UDPCR_A_PROTOCOL, {IPPROTO_TCP, 0});
  CHECK_THAT(record_error(message), Contains("protocol 6"));
  message = minimal_record();
  add(message, UDPCR_A_OPTION, {});
  CHECK_THAT(record_error(message), Contains("level"));
  message = minimal_record();
  add(message, UDPCR_A_MEMBERSHIP, {});
  CHECK_THAT(record_error(message), Contains("group"));
  Bytes member;
  add(member, UDPCR_MEMBER_GROUP, Bytes(16));
  add(member, UDPCR_MEMBER_SOURCES, Bytes(20));
  message = minimal_record();
  add(message, UDPCR_A_MEMBERSHIP, member);
  CHECK_THAT(record_error(message), Contains("20 bytes where each has 16"));
  message = minimal_record();
  add(message, UDPCR_A_INTERFACE, {});
  CHECK_THAT(record_error(message), Contains("interface's index"));
  for (const char* name : {"a/b", "..", "."}) {
    message = minimal_record();
    add(message, UDPCR_A_NETNS, Bytes(name, name + std::strlen(name) + 1));
    CHECK_THAT(record_error(message), Contains("no name in /run/netns"));
  }
  message = minimal_record();
  add(message, UDPCR_A_NETNS, Bytes(257, 'a'));
  CHECK_THAT(record_error(message), Contains("257 bytes is no text"));
  message = minimal_record();
  add(message, UDPCR_A_LABEL, {0});
  CHECK_THAT(record_error(message), Contains("no text"));
  for (const std::uint16_t half : {UDPCR_A_OWN_TYPE, UDPCR_A_OWN_PID}) {
    message = minimal_record();
    add(message, half, {1, 0, 0, 0});
    CHECK_THAT(record_error(message), Contains("sent SIGIO"));
  }
  message = encode_datagram(test::full_datagram(0));
  add(message, UDPCR_A_IP_OPTIONS, Bytes(UDPCR_MAX_IP_OPTIONS + 1));
  CHECK_THAT(datagram_error(message), Contains("2049 bytes"));
  message = encode_datagram(test::full_error(0));
  add(message, UDPCR_A_ERRMSG, {});
  CHECK_THAT(datagram_error(message), Contains("twice"));
}

TEST_CASE("a record cut at any byte is refused or lacks what was cut", "[message]") {
  const Bytes whole = encode_record(test::full_record());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    bool same = false;
    try {
      same = decode_record(cut, unknown) == test::full_record();
    } catch (const Error&) {
    }
    CHECK_FALSE(same);
  }
}

TEST_CASE("more options than Linux could have are refused", "[message]") {
  SocketRecord record = test::full_record();
  record.options.assign(1024, SocketOption{1, 2, {3}});
  CHECK(decode_record(encode_record(record), unknown) == record);
  record.options.emplace_back();
  CHECK_THAT(record_error(encode_record(record)), Contains("more than 1024"));
}

TEST_CASE("more memberships than a record holds are refused", "[message]") {
  SocketRecord record;
  record.family = AF_INET;
  record.memberships.assign(4096, test::full_record().memberships[0]);
  CHECK(decode_record(encode_record(record), unknown) == record);
  record.memberships.push_back(record.memberships.front());
  CHECK_THAT(record_error(encode_record(record)), Contains("more than 4096"));
}

TEST_CASE("more interfaces than a record holds are refused", "[message]") {
  SocketRecord record;
  record.family = AF_INET;
  record.interfaces.assign(4096, Interface{1, "lo"});
  CHECK(decode_record(encode_record(record), unknown) == record);
  record.interfaces.push_back({2, "eth0"});
  CHECK_THAT(record_error(encode_record(record)), Contains("more than 4096 interfaces"));
}

TEST_CASE("a stream gives its messages in order", "[message]") {
  MessageStream stream;
  CHECK(stream.empty());
  for (std::size_t size = 0; size < 50; ++size) {
    stream.append(encode_datagram(test::full_datagram(size)));
  }
  const MessageStream read = MessageStream::from_bytes(stream.bytes());
  CHECK(read.count() == 50);
  std::size_t offset = 0;
  for (std::size_t size = 0; size < 50; ++size) {
    CHECK(decode_datagram(read.next(offset), unknown) == test::full_datagram(size));
  }
  CHECK(read.next(offset).empty());
  CHECK(read.next(offset).empty());
}

TEST_CASE("a stream that does not end with a whole message is refused", "[message]") {
  MessageStream stream;
  stream.append(message_of(UDPCR_CMD_DATAGRAM));
  stream.append(encode_datagram(test::full_datagram(3)));
  const Bytes whole = stream.bytes();
  for (std::size_t size = 1; size < whole.size(); ++size) {
    if (size == 8) continue;  // the first message, whole
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK_THAT(error_of([&] { MessageStream::from_bytes(cut); }),
               Contains("broken message stream"));
  }
  CHECK_THAT(error_of([] { MessageStream::from_bytes({0, 0, 0, 0}); }), Contains("length of 0"));
  CHECK_THAT(error_of([&] { stream.append(Bytes{1, 2, 3}); }), Contains("3 bytes"));
}
