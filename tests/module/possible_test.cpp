// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Only what UDP itself could have put on a socket is taken.  An errno from 512
// on is the kernel's own: out of read(2) it is a BUG of the kernel.
#include <time.h>

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <limits>
#include <set>

#include "receive.hpp"
#include "refusal.hpp"
#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

// Of ICMP (net/ipv4/icmp.c, icmp_err_convert), of ICMPv6 (net/ipv6/icmp.c,
// icmpv6_err_convert), and of SOCK_DESTROY.
const std::set<std::uint32_t> kOfIpv4 = {ENETUNREACH,  EHOSTUNREACH, ENOPROTOOPT,
                                         ECONNREFUSED, EMSGSIZE,     EOPNOTSUPP,
                                         EHOSTDOWN,    ENONET,       EPROTO};
const std::set<std::uint32_t> kOfIpv6 = {ENETUNREACH, EHOSTUNREACH, ECONNREFUSED,
                                         EMSGSIZE,    EACCES,       EPROTO};
constexpr std::uint32_t kMost = std::numeric_limits<std::uint32_t>::max();

UniqueFd v6_only() {
  UniqueFd fd = unbound(AF_INET6);
  set(fd.get(), SOL_IPV6, IPV6_V6ONLY, 1);
  return fd;
}

struct Report {
  std::uint32_t error;
  std::uint8_t origin, type = 0, code = 0;
  std::uint32_t info = 0, data = 0;
};

// A message for an error queue, with all that its origin wants.
Request message(const Report& one, std::size_t payload = 0) {
  Request inner(UDPCR_CMD_DATAGRAM);
  inner.u32(UDPCR_ERRMSG_ERRNO, one.error).u8(UDPCR_ERRMSG_ORIGIN, one.origin);
  inner.u8(UDPCR_ERRMSG_TYPE, one.type).u8(UDPCR_ERRMSG_CODE, one.code);
  inner.u32(UDPCR_ERRMSG_INFO, one.info).u32(UDPCR_ERRMSG_DATA, one.data);
  Bytes source(one.origin == SO_EE_ORIGIN_ICMP6 ? 16 : 4, 0);
  source[0] = one.origin == SO_EE_ORIGIN_ICMP6 ? 0xfd : 10;
  if (one.origin == SO_EE_ORIGIN_ICMP || one.origin == SO_EE_ORIGIN_ICMP6)
    inner.bytes(UDPCR_ERRMSG_OFFENDER, source);
  return Request(UDPCR_CMD_DATAGRAM)
      .u32(UDPCR_A_HANDLE, 1)
      .bytes(UDPCR_A_PAYLOAD, Bytes(payload, 'p'))
      .nest(UDPCR_A_ERRMSG, inner);
}

Request datagram(std::size_t payload = 1) {
  return Request(UDPCR_CMD_DATAGRAM)
      .u32(UDPCR_A_HANDLE, 1)
      .bytes(UDPCR_A_PAYLOAD, Bytes(payload, 'p'));
}

Bytes ip_of(const std::string& text) {
  const Address one = address(text);
  return Bytes(one.bytes, one.bytes + (one.family == AF_INET ? 4 : 16));
}

// A list that takes what is possible, and nothing else.
class Judge {
 public:
  explicit Judge(int family, std::uint32_t queue = UDPCR_QUEUE_RECEIVE) : fd_(unbound(family)) {
    set(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20);
    talk_.stage(fd_.get(), 1, queue);
  }
  std::string taken(const Request& request) { return text(talk_.ask(request), 0, {}); }
  std::string refused(const Request& request, std::initializer_list<std::string> words) {
    return text(talk_.ask(request), EINVAL, words);
  }
  std::size_t count() { return talk_.held(1).size(); }

 private:
  static std::string text(const Answer& answer, int error,
                          std::initializer_list<std::string> words) {
    if (error == 0) return answer.error == 0 ? "" : to_string(answer);
    return unlike(answer, error, words);
  }
  UniqueFd fd_;
  Talk talk_;
};

}  // namespace

TEST_CASE("possible: a pending error is one that UDP reports on this socket", "[smoke]") {
  struct Case {
    UniqueFd fd;
    std::set<std::uint32_t> errors;
  };
  std::vector<Case> cases;
  std::set<std::uint32_t> both = kOfIpv4;
  both.insert(kOfIpv6.begin(), kOfIpv6.end());
  cases.push_back({unbound(AF_INET), kOfIpv4});
  cases.push_back({unbound(AF_INET6), both});
  cases.push_back({v6_only(), kOfIpv6});
  Talk talk;
  for (Case& one : cases) {
    one.errors.insert({0, ECONNABORTED});
    const auto attempt = [&](std::uint32_t error) {
      INFO("error " << error);
      const Answer answer =
          talk.ask(Request(UDPCR_CMD_SET).socket(one.fd.get()).u32(UDPCR_A_ERROR, error));
      char byte = 0;
      if (one.errors.count(error) == 0) {
        CHECK(unlike(answer, EINVAL, {"UDPCR_A_ERROR " + std::to_string(error) + " "}) == "");
        error = 0;
      } else {
        CHECK(answer.error == 0);
      }
      // read(2), where the kernel falls over what is its own.
      REQUIRE(::recv(one.fd.get(), &byte, 1, MSG_DONTWAIT) == -1);
      CHECK(errno == static_cast<int>(error != 0 ? error : EAGAIN));
    };
    for (std::uint32_t error = 0; error < 700; ++error) attempt(error);
    for (const std::uint32_t error : {4095U, 4096U, 0x7fffffffU, 0x80000000U, kMost - 10, kMost})
      attempt(error);
  }
}

TEST_CASE("possible: nothing is set by a request of which one value is not", "[smoke]") {
  const UniqueFd fd = socket_at(address("127.0.0.1"));
  Talk talk;
  CHECK(unlike(talk.ask(Request(UDPCR_CMD_SET)
                            .socket(fd.get())
                            .u32(UDPCR_A_ERROR, 529)
                            .u32(UDPCR_A_DROPS, 7)
                            .u32(UDPCR_A_TSKEY, 7)
                            .u32(UDPCR_A_SOCK_FLAGS, 0)),
               EINVAL, {"529"}) == "");
  const Message record = talk.record(fd.get());
  CHECK(record.u32(UDPCR_A_DROPS) == 0);
  CHECK_FALSE(record.has(UDPCR_A_TSKEY));
  CHECK((record.u32(UDPCR_A_SOCK_FLAGS) & UDPCR_SOCK_BOUND) != 0);
  // Counters may have any value.
  for (const std::uint32_t value : {kMost, 0x80000000U, 0U}) {
    talk.must(Request(UDPCR_CMD_SET)
                  .socket(fd.get())
                  .u32(UDPCR_A_DROPS, value)
                  .u32(UDPCR_A_TSKEY, value));
    CHECK(talk.record(fd.get()).u32(UDPCR_A_DROPS) == value);
  }
}

TEST_CASE("possible: an ICMP error's errno is what type and code give", "[smoke]") {
  Judge four(AF_INET, UDPCR_QUEUE_ERROR);
  Judge six(AF_INET6, UDPCR_QUEUE_ERROR);
  std::size_t taken = 0;
  // Each errno that there is, for each kind of message: one fits, or none.
  for (const bool v6 : {false, true}) {
    const std::uint8_t origin = v6 ? SO_EE_ORIGIN_ICMP6 : SO_EE_ORIGIN_ICMP;
    for (const int type : {0, 1, 2, 3, 4, 5, 8, 11, 12, 13, 127, 128, 137, 255}) {
      for (const int code : {0, 1, 3, 4, 6, 7, 13, 15, 16, 255}) {
        std::set<std::uint32_t> fits;
        for (const std::uint32_t error :
             {0U, unsigned{EPERM}, unsigned{EACCES}, unsigned{ENETUNREACH}, unsigned{EHOSTUNREACH},
              unsigned{ENOPROTOOPT}, unsigned{ECONNREFUSED}, unsigned{EMSGSIZE},
              unsigned{EOPNOTSUPP}, unsigned{EHOSTDOWN}, unsigned{ENONET}, unsigned{EPROTO}, 512U,
              529U, 4095U, kMost}) {
          const Request request = message(
              {error, origin, static_cast<std::uint8_t>(type), static_cast<std::uint8_t>(code)});
          if ((v6 ? six : four).taken(request).empty()) fits.insert(error);
        }
        INFO("ICMP" << (v6 ? "v6" : "") << " type " << type << ", code " << code);
        const bool known = v6 ? type < 128 : type == 11 || type == 12 || (type == 3 && code < 16);
        REQUIRE(fits.size() == (known ? 1 : 0));
        CHECK((fits.empty() || *fits.begin() < 512));
        taken += fits.size();
      }
    }
  }
  CHECK(four.count() + six.count() == taken);
  CHECK(four.refused(message({529, SO_EE_ORIGIN_ICMP, 3, 3}), {"529", "gives 111"}) == "");
  CHECK(four.refused(message({EMSGSIZE, SO_EE_ORIGIN_ICMP, 3, 4, 65536}), {"65536"}) == "");
  CHECK(four.taken(message({EMSGSIZE, SO_EE_ORIGIN_ICMP, 3, 4, 65535})) == "");
  CHECK(four.refused(message({ECONNREFUSED, SO_EE_ORIGIN_ICMP, 3, 3, 1}), {"INFO 1 "}) == "");
  CHECK(six.taken(message({EMSGSIZE, SO_EE_ORIGIN_ICMP6, 2, 0, kMost})) == "");
}

TEST_CASE("possible: extensions of an ICMP error lie in its payload") {
  Judge four(AF_INET, UDPCR_QUEUE_ERROR);
  const auto with = [](std::uint16_t length, std::uint8_t flags, std::uint8_t reserved,
                       std::size_t payload) {
    Report one{ECONNREFUSED, SO_EE_ORIGIN_ICMP, 3, 3};
    sock_ee_data_rfc4884 data{length, flags, reserved};
    std::memcpy(&one.data, &data, sizeof data);
    return message(one, payload);
  };
  CHECK(four.taken(with(100, 0, 0, 104)) == "");
  CHECK(four.taken(with(0, SO_EE_RFC4884_FLAG_INVALID, 0, 4)) == "");
  CHECK(four.refused(with(100, 0, 0, 103), {"UDPCR_ERRMSG_DATA", "103 bytes"}) == "");
  CHECK(four.refused(with(65535, 0, 0, 65507), {"UDPCR_ERRMSG_DATA"}) == "");
  CHECK(four.refused(with(100, 2, 0, 104), {"UDPCR_ERRMSG_DATA"}) == "");
  CHECK(four.refused(with(100, 0, 1, 104), {"UDPCR_ERRMSG_DATA"}) == "");
}

TEST_CASE("possible: other messages of the error queue have what their origin has", "[smoke]") {
  Judge queue(AF_INET, UDPCR_QUEUE_ERROR);
  const std::uint8_t local = SO_EE_ORIGIN_LOCAL;
  const std::uint8_t sent = SO_EE_ORIGIN_TIMESTAMPING;
  const std::uint8_t copied = SO_EE_ORIGIN_ZEROCOPY;
  const std::uint8_t late = 6;  // SO_EE_ORIGIN_TXTIME
  for (const Report& one : {Report{EMSGSIZE, local, 0, 0, 1500, 0},
                            {EMSGSIZE, local, 0, 0, 65575, 0},
                            {ENOMSG, sent, 0, 0, 0, kMost},
                            {ENOMSG, sent, 0, 0, 1, 0},
                            {0, copied, 0, 0, 5, 9},
                            {0, copied, 0, 1, 0, 0x7fffffff},
                            {0, copied, 0, 0, kMost, 0},
                            {ECANCELED, late, 0, 2, kMost, kMost},
                            {EINVAL, late, 0, 1, 0, 0}}) {
    INFO("origin " << int{one.origin} << ", errno " << one.error);
    CHECK(queue.taken(message(one)) == "");
  }
  for (const Report& one : {Report{EMSGSIZE, 0},
                            {EMSGSIZE, 7},
                            {EMSGSIZE, 255},
                            {529, local},
                            {EACCES, local},
                            {0, local},
                            {EMSGSIZE, local, 1},
                            {EMSGSIZE, local, 0, 1},
                            {529, sent},
                            {0, sent},
                            {ENOMSG, sent, 1},
                            {ENOMSG, sent, 0, 1},
                            {529, copied},
                            {0, copied, 1},
                            {0, copied, 0, 2},
                            {529, late, 0, 1},
                            {EINVAL, late, 0, 2},
                            {ECANCELED, late, 0, 1},
                            {ECANCELED, late, 3, 2}}) {
    const std::string origin = "ORIGIN " + std::to_string(one.origin);
    INFO(origin << ", errno " << one.error);
    CHECK(queue.refused(message(one), {origin}) == "");
  }
  // An MTU, a kind of time, a range.
  CHECK(queue.refused(message({EMSGSIZE, local, 0, 0, 65576}), {"65576"}) == "");
  CHECK(queue.refused(message({EMSGSIZE, local, 0, 0, 1500, 1}), {"_DATA 1:"}) == "");
  CHECK(queue.refused(message({ENOMSG, sent, 0, 0, 2}), {"INFO 2 "}) == "");
  CHECK(queue.refused(message({0, copied, 0, 0, 9, 5}), {"INFO 9,", "_DATA 5:"}) == "");
  CHECK(queue.refused(message({0, copied, 0, 0, 0, 0x80000000}), {"2147483648"}) == "");
  // Of no packet.
  for (const Report& one : {Report{EMSGSIZE, local}, Report{0, copied}}) {
    CHECK(queue.refused(message(one, 3), {"3 bytes"}) == "");
    CHECK(queue.refused(message(one).u32(UDPCR_A_IFINDEX, 1), {"interface"}) == "");
    CHECK(queue.refused(message(one).bytes(UDPCR_A_SRC_ADDR, Bytes(4, 1)), {"source"}) == "");
  }
  CHECK(queue.refused(message({0, copied}).bytes(UDPCR_A_DST_ADDR, Bytes(4, 1)), {"destination"}) ==
        "");
  // What only received datagrams have.
  const auto some = [&] { return message({ENOMSG, sent}, 10); };
  CHECK(queue.refused(some().u32(UDPCR_A_MARK, 1), {"UDPCR_A_MARK"}) == "");
  CHECK(queue.refused(some().u16(UDPCR_A_GSO_SIZE, 1), {"UDPCR_A_GSO_SIZE"}) == "");
  CHECK(queue.refused(some().u16(UDPCR_A_FRAG_SIZE, 40), {"UDPCR_A_FRAG_SIZE"}) == "");
  CHECK(queue.refused(some().u32(UDPCR_A_PRIORITY, 1), {"UDPCR_A_PRIORITY"}) == "");
  CHECK(queue.refused(some().bytes(UDPCR_A_SPEC_DST, Bytes(4, 1)), {"UDPCR_A_SPEC_DST"}) == "");
  CHECK(queue.refused(some().bytes(UDPCR_A_PEEKED, {}), {"UDPCR_A_PEEKED"}) == "");
  CHECK(queue.count() == 9);
}

TEST_CASE("possible: an ICMP error's offender is somebody") {
  const auto from = [](bool v6, const std::string& offender) {
    Request inner(UDPCR_CMD_DATAGRAM);
    inner.u32(UDPCR_ERRMSG_ERRNO, ECONNREFUSED)
        .u8(UDPCR_ERRMSG_ORIGIN, v6 ? SO_EE_ORIGIN_ICMP6 : SO_EE_ORIGIN_ICMP)
        .u8(UDPCR_ERRMSG_TYPE, v6 ? 1 : 3)
        .u8(UDPCR_ERRMSG_CODE, v6 ? 4 : 3)
        .bytes(UDPCR_ERRMSG_OFFENDER, ip_of(offender));
    return datagram().nest(UDPCR_A_ERRMSG, inner);
  };
  Judge four(AF_INET, UDPCR_QUEUE_ERROR);
  Judge six(AF_INET6, UDPCR_QUEUE_ERROR);
  CHECK(four.taken(from(false, "198.51.100.7")) == "");
  CHECK(six.taken(from(true, "fd00::1")) == "");
  for (const char* nobody : {"224.0.0.1", "239.255.255.255", "255.255.255.255"})
    CHECK(four.refused(from(false, nobody), {"UDPCR_ERRMSG_OFFENDER", nobody}) == "");
  for (const char* nobody : {"ff02::1", "::ffff:10.0.0.1"})
    CHECK(six.refused(from(true, nobody), {"UDPCR_ERRMSG_OFFENDER", nobody}) == "");
}

TEST_CASE("possible: a received datagram has what the network could have brought", "[smoke]") {
  Judge four(AF_INET);
  Judge six(AF_INET6);
  for (const char* source : {"0.0.0.0", "127.0.0.1", "223.255.255.255", "240.0.0.1"})
    CHECK(four.taken(datagram().bytes(UDPCR_A_SRC_ADDR, ip_of(source))) == "");
  for (const char* source : {"224.0.0.0", "239.1.2.3", "255.255.255.255"})
    CHECK(four.refused(datagram().bytes(UDPCR_A_SRC_ADDR, ip_of(source)),
                       {"UDPCR_A_SRC_ADDR", source}) == "");
  for (const char* source : {"ff02::1", "::ffff:1.2.3.4"})
    CHECK(six.refused(datagram().bytes(UDPCR_A_SRC_ADDR, ip_of(source)),
                      {"UDPCR_A_SRC_ADDR", source}) == "");
  CHECK(six.refused(datagram().bytes(UDPCR_A_DST_ADDR, ip_of("::ffff:1.2.3.4")),
                    {"UDPCR_A_DST_ADDR"}) == "");
  CHECK(six.taken(datagram().bytes(UDPCR_A_DST_ADDR, ip_of("ff02::1"))) == "");
  // The interface of a source, where it has one.
  const auto scoped = [](const char* source) {
    return datagram().bytes(UDPCR_A_SRC_ADDR, ip_of(source)).u32(UDPCR_A_SRC_SCOPE, 3);
  };
  CHECK(six.taken(scoped("fe80::1")) == "");
  CHECK(six.refused(scoped("fd00::1"), {"UDPCR_A_SRC_SCOPE 3"}) == "");
  CHECK(four.refused(scoped("169.254.0.1"), {"UDPCR_A_SRC_SCOPE 3"}) == "");
  CHECK(six.refused(datagram().bytes(UDPCR_A_SPEC_DST, ip_of("10.0.0.1")), {"UDPCR_A_SPEC_DST"}) ==
        "");
  // A time that the kernel can tell.
  const auto at = [](std::uint64_t time) { return datagram().u64(UDPCR_A_TSTAMP, time); };
  CHECK(four.taken(at(0x7fffffffffffffff)) == "");
  for (const std::uint64_t time : {0x8000000000000000U, ~std::uint64_t{0}})
    CHECK(four.refused(at(time), {"UDPCR_A_TSTAMP", std::to_string(time)}) == "");
  // The kernel notes a peek of empty ones only.
  CHECK(four.taken(datagram(0).bytes(UDPCR_A_PEEKED, {})) == "");
  CHECK(four.refused(datagram(5).bytes(UDPCR_A_PEEKED, {}), {"UDPCR_A_PEEKED", "5 bytes"}) == "");
  // What fits into a packet.
  CHECK(four.taken(datagram(65507)) == "");
  CHECK(four.refused(datagram(65508), {"65508", "65536"}) == "");
  CHECK(four.refused(datagram(65507).bytes(UDPCR_A_IP_OPTIONS, Bytes(4, 1)), {"65539"}) == "");
  CHECK(six.taken(datagram(65527)) == "");
  CHECK(six.refused(datagram(65527)
                        .u8(UDPCR_A_NEXT_HEADER, IPPROTO_HOPOPTS)
                        .bytes(UDPCR_A_IP_OPTIONS, {IPPROTO_UDP, 0, 1, 4, 0, 0, 0, 0}),
                    {"65543"}) == "");
  // Fragments of it.
  const auto in_fragments = [](std::size_t payload, std::uint16_t largest) {
    return datagram(payload).u16(UDPCR_A_FRAG_SIZE, largest);
  };
  CHECK(four.taken(in_fragments(4000, 1500)) == "");
  CHECK(four.taken(in_fragments(1, 28)) == "");
  CHECK(four.taken(in_fragments(1, 69)) == "");
  CHECK(four.refused(in_fragments(1, 70), {"UDPCR_A_FRAG_SIZE 70", "69"}) == "");
  CHECK(four.refused(in_fragments(1, 27), {"UDPCR_A_FRAG_SIZE 27", "28"}) == "");
  CHECK(six.taken(in_fragments(1, 65535)) == "");
  CHECK(six.refused(in_fragments(1, 55), {"UDPCR_A_FRAG_SIZE 55", "56"}) == "");
}

TEST_CASE("possible: options inside of extension headers end where their header ends") {
  Judge six(AF_INET6);
  const auto with = [](std::uint8_t first, const Bytes& headers) {
    return datagram().u8(UDPCR_A_NEXT_HEADER, first).bytes(UDPCR_A_IP_OPTIONS, headers);
  };
  const std::uint8_t udp = IPPROTO_UDP;
  for (const std::uint8_t first : {IPPROTO_HOPOPTS, IPPROTO_DSTOPTS}) {
    CHECK(six.taken(with(first, {udp, 0, 1, 4, 0, 0, 0, 0})) == "");
    CHECK(six.taken(with(first, {udp, 0, 0, 0, 0, 0, 0, 0})) == "");
    CHECK(six.taken(with(first, {udp, 0, 0, 0x1e, 3, 1, 2, 3})) == "");
    CHECK(six.refused(with(first, {udp, 0, 1, 5, 0, 0, 0, 0}), {"byte 2"}) == "");
    CHECK(six.refused(with(first, {udp, 0, 1, 255, 0, 0, 0, 0}), {"byte 2"}) == "");
    CHECK(six.refused(with(first, {udp, 0, 1, 3, 0, 0, 0, 0x1e}), {"byte 7"}) == "");
  }
  // A route that is not at its end would have been forwarded.
  CHECK(six.taken(with(IPPROTO_ROUTING, {udp, 0, 0, 0, 0, 0, 0, 0})) == "");
  CHECK(six.refused(with(IPPROTO_ROUTING, {udp, 0, 0, 1, 0, 0, 0, 0}), {"header 43", "byte 3"}) ==
        "");
}
