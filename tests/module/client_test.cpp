// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The library's client beside the messages by hand.
#include "module_client.hpp"

#include <time.h>

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <cerrno>

#include "receive.hpp"
#include "support.hpp"
#include "talk.hpp"

using namespace udpcr;
using namespace udpcr::test;

TEST_CASE("client: a queue goes round through the library", "[smoke]") {
  const UniqueFd from = socket_at(address("127.0.0.1"));
  const UniqueFd sender = unbound(AF_INET);
  for (int i = 0; i < 50; ++i) send_to(sender.get(), local_of(from.get()), std::string(i, 'x'));
  ModuleClient client;
  REQUIRE(client.available());
  std::vector<std::uint16_t> unknown;
  const SocketRecord record = decode_record(client.record(SocketName::of(from.get())), unknown);
  CHECK(record.inode == inode_of(from.get()));
  CHECK(record.local == local_of(from.get()));
  CHECK(record.queue_count == 50);
  const MessageStream queue = client.read_queue(SocketName::of(from.get()), UDPCR_QUEUE_RECEIVE);
  CHECK(queue.count() == 50);
  const Taken taken = client.take(SocketName::of(from.get()), 1);
  CHECK(taken.count == 50);
  CHECK(taken.rmem == charged(from.get()));
  CHECK(client.read_list(1).count() == 50);
  const UniqueFd to = unbound(AF_INET);
  client.stage(SocketName::of(to.get()), 2);
  CHECK(client.add(2, queue).empty());
  client.put(2, UDPCR_POSITION_FRONT);
  client.drop(1);
  const auto seen = receive_all(to.get());
  REQUIRE(seen.size() == 50);
  for (std::size_t i = 0; i < 50; ++i) {
    CHECK(seen[i].payload.size() == i);
    CHECK(seen[i].source.port == local_of(sender.get()).port);
  }
  // The client knows what the module knows.
  CHECK(unknown.empty());
  for (const Datagram& one : decode_all(queue)) CHECK(one.source);
}

TEST_CASE("client: refusals of single datagrams are told by number; the rest goes in") {
  const UniqueFd to = unbound(AF_INET);
  ModuleClient client;
  client.stage(SocketName::of(to.get()), 1);
  MessageStream stream;
  Datagram good;
  good.source = address("198.51.100.1", 5);
  good.payload = bytes("good");
  Datagram bad = good;
  bad.source = address("2001:db8::1", 5);
  for (int i = 0; i < 10; ++i) stream.append(encode_datagram(i % 5 == 3 ? bad : good));
  const auto refusals = client.add(1, stream);
  REQUIRE(refusals.size() == 2);
  CHECK(refusals[0].index == 3);
  CHECK(refusals[1].index == 8);
  CHECK(refusals[0].ack.error_number == EINVAL);
  CHECK_FALSE(refusals[0].ack.sentence.empty());
  client.put(1, UDPCR_POSITION_FRONT);
  CHECK(receive_all(to.get()).size() == 8);
}

TEST_CASE("client: open, drops, error, and errors with the kernel's sentence", "[smoke]") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  ModuleClient client;
  const SocketName name = SocketName::of(fd.get());
  const UniqueFd opened = client.open_socket(name);
  CHECK(inode_of(opened.get()) == inode_of(fd.get()));
  client.set_drops(name, 12);
  CHECK(dropped(fd.get()) == 12);
  client.set_error(name, EHOSTUNREACH);
  CHECK(get(fd.get(), SOL_SOCKET, SO_ERROR) == EHOSTUNREACH);
  try {
    client.drop(31);
    FAIL("a list that is not there was dropped");
  } catch (const Error& error) {
    CHECK(error.error_number() == ENOENT);
    CHECK(std::string(error.what()).find("31") != std::string::npos);
  }
}

TEST_CASE("client: errors made by hand, the counter of timestamps, what was bound", "[smoke]") {
  const UniqueFd fd = socket_at(address("::1", free_port()));
  set(fd.get(), SOL_IPV6, IPV6_RECVERR, 1);
  ModuleClient client;
  const SocketName name = SocketName::of(fd.get());
  client.stage(name, 1, UDPCR_QUEUE_ERROR);
  Datagram datagram;
  datagram.destination = address("2001:db8::5", 99);
  datagram.error = {ECONNREFUSED, SO_EE_ORIGIN_ICMP6, 1, 4, 0, 0, address("2001:db8::6")};
  datagram.payload = bytes("refused");
  MessageStream stream;
  stream.append(encode_datagram(datagram));
  CHECK(client.add(1, stream).empty());
  CHECK(decode_all(client.read_list(1)).at(0).error == datagram.error);
  client.put(1, UDPCR_POSITION_BEHIND);
  Received seen;
  REQUIRE(receive(fd.get(), seen, MSG_ERRQUEUE));
  CHECK(seen.payload == "refused");
  CHECK(seen.source == *datagram.destination);
  client.set_tskey(name, 77);
  client.set_bound(name, UDPCR_SOCK_BOUND_ADDR);
  std::vector<std::uint16_t> unknown;
  const SocketRecord record = decode_record(client.record(name), unknown);
  CHECK(unknown.empty());
  CHECK(record.tskey == 77);
  CHECK((record.flags & UDPCR_SOCK_BOUND_PORT) == 0);
  CHECK((record.flags & UDPCR_SOCK_BOUND_ADDR) != 0);
}

TEST_CASE("client: what the module takes with a datagram is what the header says") {
  ModuleClient client;
  const std::set<std::uint16_t> wanted = {
      UDPCR_A_HANDLE,      UDPCR_A_SRC_ADDR,   UDPCR_A_SRC_PORT, UDPCR_A_SRC_SCOPE,
      UDPCR_A_DST_ADDR,    UDPCR_A_DST_PORT,   UDPCR_A_IFINDEX,  UDPCR_A_TSTAMP,
      UDPCR_A_TOS,         UDPCR_A_TTL,        UDPCR_A_MARK,     UDPCR_A_GSO_SIZE,
      UDPCR_A_SPEC_DST,    UDPCR_A_PAYLOAD,    UDPCR_A_ERRMSG,   UDPCR_A_IP_OPTIONS,
      UDPCR_A_NEXT_HEADER, UDPCR_A_FLOW_LABEL, UDPCR_A_PEEKED,   UDPCR_A_PRIORITY,
      UDPCR_A_FRAG_SIZE};
  CHECK(client.datagram_attributes() == wanted);
}

TEST_CASE("client: park, list, claim and give up", "[smoke][park]") {
  ModuleClient client;
  REQUIRE(client.parks());
  // How an older module is told.
  try {
    client.attributes(250);
    FAIL("there is a command 250");
  } catch (const Error& error) {
    CHECK(error.error_number() == ENOENT);
  }
  UniqueFd fd = socket_at(address("::1"));
  const SocketName name = SocketName::of(fd.get());
  const Address where = local_of(fd.get());
  client.park(name, bytes("key"), 30);
  REQUIRE(client.parked().size() == 1);
  CHECK_FALSE(client.parked()[0].since);
  REQUIRE(client.parked_everywhere().size() == 1);
  CHECK(client.parked_everywhere()[0].record.inode == name.inode);
  CHECK(client.parked_everywhere()[0].netns_inode != 0);
  CHECK(client.parked_everywhere()[0].netns_cookie != 0);
  const auto refused = [&](int error, const std::function<void()>& what) {
    try {
      what();
      FAIL("not refused with " << error);
    } catch (const Error& one) {
      CHECK(one.error_number() == error);
      CHECK(std::string(one.what()).find(std::to_string(name.inode)) != std::string::npos);
    }
  };
  refused(EBUSY, [&] { client.claim(name, bytes("key")); });
  refused(EEXIST, [&] { client.park(name, bytes("other")); });
  fd.reset();
  send_to(unbound(AF_INET6).get(), where, "for whoever comes");
  const Parked one = client.parked().at(0);
  CHECK(one.record.inode == name.inode);
  CHECK(one.record.local == where);
  CHECK(one.record.uid == 0);
  CHECK(one.record.queue_count == 1);
  CHECK(one.record.rmem > 0);
  CHECK(one.key == bytes("key"));
  CHECK(one.seconds == 30);
  CHECK(one.since);
  CHECK_FALSE(one.has_siblings());
  refused(EKEYREJECTED, [&] { client.claim({name.inode, {}, {}}, bytes("other")); });
  fd = client.claim({name.inode, {}, {}}, bytes("key"));
  CHECK(inode_of(fd.get()) == name.inode);
  CHECK(texts(receive_all(fd.get())) == std::vector<std::string>{"for whoever comes"});
  client.park(name, {});
  CHECK(client.parked().at(0).key.empty());
  CHECK(client.parked().at(0).seconds == UDPCR_PARK_SECONDS);
  client.unpark(name);
  refused(ENOENT, [&] { client.unpark(name); });
  CHECK(client.parked().empty());
}
