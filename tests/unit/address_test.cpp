// SPDX-License-Identifier: LGPL-2.1-or-later
#include <catch2/catch.hpp>

#include "image_sample.hpp"

using namespace udpcr;
using test::v4;
using test::v6;

TEST_CASE("an address survives the way through a sockaddr", "[address]") {
  for (const Address& address :
       {v4("192.0.2.1", 53), v6("2001:db8::1", 65535), v6("fe80::1", 1, 4)}) {
    socklen_t length = 0;
    const sockaddr_storage storage = address.to_sockaddr(length);
    CHECK(length == (address.family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6)));
    CHECK(Address::from_sockaddr(storage) == address);
  }
}

TEST_CASE("another family gives no address", "[address]") {
  sockaddr_storage storage{};
  storage.ss_family = AF_UNIX;
  CHECK(Address::from_sockaddr(storage).family == AF_UNSPEC);
  socklen_t length = 99;
  CHECK(Address{}.to_sockaddr(length).ss_family == AF_UNSPEC);
  CHECK(length == sizeof(sa_family_t));
}

TEST_CASE("addresses are written as people write them", "[address]") {
  CHECK(to_string(v4("192.0.2.1", 53)) == "192.0.2.1:53");
  CHECK(to_string(v6("2001:db8::1", 53)) == "[2001:db8::1]:53");
  CHECK(to_string(v6("fe80::1", 53, 2)) == "[fe80::1%2]:53");
  CHECK(to_string(Address{}) == "(no address)");
}

TEST_CASE("wildcards and groups are told from other addresses", "[address]") {
  CHECK(v4("0.0.0.0", 53).is_wildcard());
  CHECK(v6("::", 53).is_wildcard());
  CHECK_FALSE(v4("0.0.0.1", 53).is_wildcard());
  CHECK_FALSE(v6("::1", 53).is_wildcard());
  CHECK(v4("224.0.0.251", 53).is_multicast());
  CHECK(v4("239.255.255.255", 53).is_multicast());
  CHECK_FALSE(v4("240.0.0.1", 53).is_multicast());
  CHECK_FALSE(v4("223.255.255.255", 53).is_multicast());
  CHECK(v6("ff02::fb", 53).is_multicast());
  CHECK_FALSE(v6("fe80::1", 53).is_multicast());
}
