// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Lists held aside: TAKE, STAGE, DATAGRAM, PUT, DROP.
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <cerrno>

#include "receive.hpp"
#include "refusal.hpp"
#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

using Strings = std::vector<std::string>;

Strings payloads_of(const std::vector<Message>& queue) {
  Strings all;
  for (const Message& one : queue) all.push_back(text(one.bytes(UDPCR_A_PAYLOAD)));
  return all;
}

// A bound socket and who sends to it.
struct Scene {
  explicit Scene(const std::string& ip = "127.0.0.1")
      : fd(socket_at(address(ip))), sender(unbound(address(ip).family)) {}
  void send(const Strings& payloads) const {
    for (const std::string& one : payloads) send_to(sender.get(), local_of(fd.get()), one);
  }
  Strings read() const { return texts(receive_all(fd.get())); }
  UniqueFd fd, sender;
};

Attrs plain(const std::string& payload) {
  Attrs result;
  result.all.push_back({UDPCR_A_PAYLOAD, bytes(payload)});
  return result;
}

Request with_handle(std::uint8_t command, std::uint32_t handle) {
  return Request(command).u32(UDPCR_A_HANDLE, handle);
}

}  // namespace

TEST_CASE("take: the whole queue goes into the list, and can be read there", "[smoke]") {
  const Scene scene(GENERATE("127.0.0.1", "::1"));
  scene.send({"a", "b", "", "c"});
  const std::uint32_t charge = charged(scene.fd.get());
  Talk talk;
  const Message reply = talk.take(scene.fd.get(), 77);
  CHECK(reply.command == UDPCR_CMD_TAKE);
  CHECK(reply.u32(UDPCR_A_HANDLE) == 77);
  CHECK(reply.u32(UDPCR_A_QUEUE_COUNT) == 4);
  CHECK(reply.u32(UDPCR_A_RMEM) == charge);
  CHECK(scene.read().empty());
  CHECK(next_length(scene.fd.get()) == 0);
  // Still charged, so that it can come back whatever happens.
  CHECK(charged(scene.fd.get()) == charge);
  for (int i = 0; i < 2; ++i) CHECK(payloads_of(talk.held(77)) == Strings{"a", "b", "", "c"});
  CHECK(talk.queue(scene.fd.get()).empty());
  talk.put(77, UDPCR_POSITION_FRONT);
  CHECK(scene.read() == Strings{"a", "b", "", "c"});
  CHECK(charged(scene.fd.get()) == 0);
}

TEST_CASE("put: in front of what came meanwhile, or behind it", "[smoke]") {
  const std::uint32_t position = GENERATE(UDPCR_POSITION_FRONT, UDPCR_POSITION_BEHIND);
  const bool reader_has_some = GENERATE(false, true);
  const Scene scene;
  scene.send({"old 1", "old 2"});
  Talk talk;
  talk.take(scene.fd.get(), 1);
  scene.send({"new 0", "new 1"});
  if (reader_has_some) {
    Received one;
    REQUIRE(receive(scene.fd.get(), one));
    CHECK(one.payload == "new 0");
  }
  scene.send({"new 2"});
  talk.put(1, position);
  Strings fresh = reader_has_some ? Strings{"new 1", "new 2"} : Strings{"new 0", "new 1", "new 2"};
  const Strings old = {"old 1", "old 2"};
  Strings wanted = position == UDPCR_POSITION_FRONT ? old : fresh;
  const Strings& rest = position == UDPCR_POSITION_FRONT ? fresh : old;
  wanted.insert(wanted.end(), rest.begin(), rest.end());
  CHECK(payloads_of(talk.queue(scene.fd.get())) == wanted);
  CHECK(scene.read() == wanted);
  CHECK(charged(scene.fd.get()) == 0);
}

TEST_CASE("take: what a reader has moved into its own list comes too, and is first") {
  const Scene scene;
  scene.send({"0", "1", "2"});
  Received one;
  REQUIRE(receive(scene.fd.get(), one));
  scene.send({"3"});
  Talk talk;
  CHECK(talk.take(scene.fd.get(), 1).u32(UDPCR_A_QUEUE_COUNT) == 3);
  CHECK(payloads_of(talk.held(1)) == Strings{"1", "2", "3"});
  talk.put(1, UDPCR_POSITION_FRONT);
  CHECK(scene.read() == Strings{"1", "2", "3"});
}

TEST_CASE("take: an empty queue gives an empty list", "[smoke]") {
  const Scene scene;
  Talk talk;
  const Message reply = talk.take(scene.fd.get(), 1);
  CHECK(reply.u32(UDPCR_A_QUEUE_COUNT) == 0);
  CHECK(reply.u32(UDPCR_A_RMEM) == 0);
  CHECK(talk.held(1).empty());
  talk.put(1, UDPCR_POSITION_BEHIND);
  CHECK(scene.read().empty());
}

TEST_CASE("take: several lists of one socket, in any order", "[smoke]") {
  const Scene scene;
  Talk talk;
  for (std::uint32_t i = 1; i <= 3; ++i) {
    scene.send({std::to_string(i) + "a", std::to_string(i) + "b"});
    talk.take(scene.fd.get(), i);
  }
  CHECK(talk.record(scene.fd.get()).u32(UDPCR_A_HELD_COUNT) == 6);
  talk.put(2, UDPCR_POSITION_BEHIND);
  talk.put(3, UDPCR_POSITION_BEHIND);
  talk.put(1, UDPCR_POSITION_FRONT);
  CHECK_FALSE(talk.record(scene.fd.get()).has(UDPCR_A_HELD_COUNT));
  CHECK(scene.read() == Strings{"1a", "1b", "2a", "2b", "3a", "3b"});
}

TEST_CASE("stage: datagrams go into the queue at once, with the whole list", "[smoke]") {
  const Scene scene(GENERATE("127.0.0.1", "::1"));
  Talk talk;
  talk.stage(scene.fd.get(), 5);
  talk.add(5, plain("x"));
  talk.add(5, plain(""));
  talk.add(5, plain("z"));
  CHECK(scene.read().empty());
  CHECK(talk.record(scene.fd.get()).u32(UDPCR_A_HELD_COUNT) == 3);
  CHECK(payloads_of(talk.held(5)) == Strings{"x", "", "z"});
  scene.send({"arrived"});
  talk.put(5, UDPCR_POSITION_FRONT);
  CHECK(scene.read() == Strings{"x", "", "z", "arrived"});
  CHECK(charged(scene.fd.get()) == 0);
}

TEST_CASE("stage: a socket that is not bound can be filled before it is") {
  const UniqueFd fd = unbound(AF_INET);
  Talk talk;
  talk.stage(fd.get(), 1);
  talk.add(1, plain("early"));
  talk.put(1, UDPCR_POSITION_FRONT);
  bind_to(fd.get(), address("127.0.0.1"));
  CHECK(texts(receive_all(fd.get())) == Strings{"early"});
}

TEST_CASE("drop: what was taken or staged is gone, and its memory is given back", "[smoke]") {
  const bool taken = GENERATE(true, false);
  const Scene scene;
  Talk talk;
  if (taken) {
    scene.send({"1", "2"});
    talk.take(scene.fd.get(), 1);
  } else {
    talk.stage(scene.fd.get(), 1);
    talk.add(1, plain("1"));
  }
  REQUIRE(charged(scene.fd.get()) > 0);
  talk.drop(1);
  CHECK(charged(scene.fd.get()) == 0);
  CHECK(scene.read().empty());
  CHECK_FALSE(talk.record(scene.fd.get()).has(UDPCR_A_HELD_COUNT));
  scene.send({"goes on"});
  CHECK(scene.read() == Strings{"goes on"});
}

TEST_CASE("lists: a number that is taken, one that is not, and 0", "[smoke]") {
  const Scene scene;
  Talk talk;
  scene.send({"x"});
  talk.take(scene.fd.get(), 9);
  for (const std::uint8_t command : {UDPCR_CMD_TAKE, UDPCR_CMD_STAGE}) {
    const Request request(command);
    CHECK(unlike(talk.ask(Request(request).socket(scene.fd.get()).u32(UDPCR_A_HANDLE, 9)), EEXIST,
                 {"9"}) == "");
    CHECK(unlike(talk.ask(Request(request).socket(scene.fd.get()).u32(UDPCR_A_HANDLE, 0)), EINVAL,
                 {"0"}) == "");
  }
  CHECK(payloads_of(talk.held(9)) == Strings{"x"});
  talk.put(9, UDPCR_POSITION_FRONT);
  // It is gone.
  CHECK(unlike(talk.ask(with_handle(UDPCR_CMD_PUT, 9).u32(UDPCR_A_POSITION, 0)), ENOENT, {"9"}) ==
        "");
  CHECK(unlike(talk.ask(with_handle(UDPCR_CMD_DROP, 9)), ENOENT, {"9"}) == "");
  CHECK(unlike(talk.ask(with_handle(UDPCR_CMD_DATAGRAM, 9).bytes(UDPCR_A_PAYLOAD, {})), ENOENT,
               {"9"}) == "");
  CHECK(unlike(talk.dump(with_handle(UDPCR_CMD_QUEUE, 9)), ENOENT, {"9"}) == "");
  // And can be used again.
  talk.take(scene.fd.get(), 9);
  CHECK(payloads_of(talk.held(9)) == Strings{"x"});
  talk.drop(9);
}

TEST_CASE("lists: a number is known on its netlink socket only", "[smoke]") {
  const Scene scene;
  scene.send({"mine"});
  Talk mine;
  Talk other;
  mine.take(scene.fd.get(), 4);
  CHECK(unlike(other.dump(with_handle(UDPCR_CMD_QUEUE, 4)), ENOENT, {"4"}) == "");
  CHECK(unlike(other.ask(with_handle(UDPCR_CMD_DROP, 4)), ENOENT, {"4"}) == "");
  CHECK(unlike(other.ask(with_handle(UDPCR_CMD_PUT, 4).u32(UDPCR_A_POSITION, 0)), ENOENT) == "");
  other.take(scene.fd.get(), 4);
  other.drop(4);
  mine.put(4, UDPCR_POSITION_FRONT);
  CHECK(scene.read() == Strings{"mine"});
}

TEST_CASE("lists: what was taken does not grow: EBUSY", "[smoke]") {
  const Scene scene;
  scene.send({"x"});
  Talk talk;
  talk.take(scene.fd.get(), 3);
  CHECK(unlike(talk.ask(with_handle(UDPCR_CMD_DATAGRAM, 3).bytes(UDPCR_A_PAYLOAD, bytes("y"))),
               EBUSY, {"3"}) == "");
  talk.put(3, UDPCR_POSITION_FRONT);
  CHECK(scene.read() == Strings{"x"});
}

TEST_CASE("lists: a refused datagram leaves the list as it was") {
  const Scene scene;
  Talk talk;
  talk.stage(scene.fd.get(), 1);
  talk.add(1, plain("good 1"));
  const std::uint32_t charge = charged(scene.fd.get());
  Attrs six = plain("bad");
  six.all.push_back({UDPCR_A_SRC_ADDR, Bytes(16, 1)});
  CHECK(talk.ask(with_handle(UDPCR_CMD_DATAGRAM, 1).copy(six)).error == EINVAL);
  CHECK(charged(scene.fd.get()) == charge);
  talk.add(1, plain("good 2"));
  talk.put(1, UDPCR_POSITION_FRONT);
  CHECK(scene.read() == Strings{"good 1", "good 2"});
}

TEST_CASE("lists: a shut down socket's queue can be taken and put") {
  const Scene scene;
  connect_to(scene.fd.get(), address("127.0.0.1", 4003));
  Talk talk;
  talk.stage(scene.fd.get(), 1);
  talk.add(1, plain("kept"));
  REQUIRE(::shutdown(scene.fd.get(), SHUT_RD) == 0);
  talk.put(1, UDPCR_POSITION_FRONT);
  CHECK(talk.take(scene.fd.get(), 2).u32(UDPCR_A_QUEUE_COUNT) == 1);
  talk.put(2, UDPCR_POSITION_FRONT);
  CHECK(scene.read() == Strings{"kept"});
}
