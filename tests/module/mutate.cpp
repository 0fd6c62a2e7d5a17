// SPDX-License-Identifier: LGPL-2.1-or-later
#include "mutate.hpp"

#include <linux/errqueue.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <udpcr/udpcr_netlink.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace udpcr::test {
namespace {

constexpr std::uint64_t kLimits[] = {0,
                                     1,
                                     2,
                                     3,
                                     4,
                                     15,
                                     16,
                                     0x7f,
                                     0x80,
                                     0xff,
                                     0x100,
                                     511,
                                     512,
                                     513,
                                     516,
                                     529,
                                     4095,
                                     4096,
                                     65507,
                                     65508,
                                     65527,
                                     0x7fff,
                                     0x8000,
                                     0xffff,
                                     0x10000,
                                     0x100000,
                                     0x7fffffff,
                                     0x80000000,
                                     0xfffffff0,
                                     0xffffffff,
                                     0x1ffffffff,
                                     0x7fffffffffffffff,
                                     0x8000000000000000,
                                     0xffffffffffffffff};
constexpr std::size_t kSizes[] = {0,    1,    2,     3,     4,     5,     7,    8,  9,
                                  15,   16,   17,    40,    44,    63,    64,   65, 2047,
                                  2048, 2049, 65507, 65508, 65527, 65528, 65531};
constexpr std::size_t kMostOfAttribute = 65531;
constexpr std::size_t kMostOfMessage = 200000;

template <std::size_t N, typename T>
T one_of(const T (&list)[N], std::uint64_t number) {
  return list[number % N];
}

void append(Octets& to, const void* data, std::size_t size) {
  const auto* from = static_cast<const std::uint8_t*>(data);
  to.insert(to.end(), from, from + size);
}

void append_parts(Octets& to, const std::vector<Part>& parts) {
  for (const Part& part : parts) {
    Octets value = part.value;
    if (!part.inner.empty()) append_parts(value, part.inner);
    value.resize(std::min(value.size(), kMostOfAttribute));
    if (to.size() + value.size() > kMostOfMessage) return;
    const nlattr head{static_cast<std::uint16_t>(sizeof(nlattr) + value.size()), part.type};
    append(to, &head, sizeof head);
    append(to, value.data(), value.size());
    to.resize(NLA_ALIGN(to.size()));
  }
}

}  // namespace

Octets encode(const Draft& draft, std::uint16_t family, std::uint32_t sequence) {
  Octets payload;
  const genlmsghdr generic{draft.command, draft.version, 0};
  append(payload, &generic, sizeof generic);
  append_parts(payload, draft.parts);
  nlmsghdr head{};
  const auto length = static_cast<std::int64_t>(sizeof head + payload.size()) + draft.length_lie;
  head.nlmsg_len = static_cast<std::uint32_t>(std::max<std::int64_t>(length, 0));
  head.nlmsg_type = family;
  head.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | draft.flags);
  head.nlmsg_seq = sequence;
  Octets message;
  append(message, &head, sizeof head);
  append(message, payload.data(), payload.size());
  return message;
}

Part Mutator::number(std::uint16_t type, std::uint64_t value, std::size_t size) {
  Part part{type, Octets(size), {}};
  std::memcpy(part.value.data(), &value, size);
  return part;
}

Part Mutator::bytes(std::uint16_t type, std::size_t size) {
  Part part{type, Octets(size), {}};
  for (std::size_t i = 0; i < std::min<std::size_t>(size, 64); ++i)
    part.value[i] = static_cast<std::uint8_t>(random_());
  return part;
}

std::uint64_t Mutator::limit() { return one_of(kLimits, random_()); }

std::vector<Part> Mutator::socket(const Subject& subject) {
  std::vector<Part> parts = {number(UDPCR_A_INO, subject.inode, 8)};
  if (subject.fd >= 0 && !one_in(4))
    parts.push_back(number(UDPCR_A_FD, static_cast<std::uint32_t>(subject.fd), 4));
  if (subject.cookie != 0 && one_in(3)) parts.push_back(number(UDPCR_A_COOKIE, subject.cookie, 8));
  return parts;
}

void Mutator::report(std::vector<Part>& parts, bool v6) {
  const std::uint8_t origin = one_in(4) ? static_cast<std::uint8_t>(below(8))
                                        : (v6 ? SO_EE_ORIGIN_ICMP6 : SO_EE_ORIGIN_ICMP);
  const bool icmp = origin == SO_EE_ORIGIN_ICMP || origin == SO_EE_ORIGIN_ICMP6;
  constexpr std::uint32_t kErrors[] = {ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EMSGSIZE, ENOMSG, 0,
                                       EPROTO,       EACCES,       529};
  Part nest{UDPCR_A_ERRMSG | NLA_F_NESTED, {}, {}};
  nest.inner = {number(UDPCR_ERRMSG_ERRNO, icmp ? ECONNREFUSED : one_of(kErrors, random_()), 4),
                number(UDPCR_ERRMSG_ORIGIN, origin, 1)};
  if (icmp) {
    const bool six = origin == SO_EE_ORIGIN_ICMP6;
    nest.inner.push_back(number(UDPCR_ERRMSG_TYPE, six ? 1 : 3, 1));
    nest.inner.push_back(number(UDPCR_ERRMSG_CODE, six ? 4 : 3, 1));
    nest.inner.push_back(bytes(UDPCR_ERRMSG_OFFENDER, six ? 16 : 4));
    nest.inner.back().value[0] = 10;
  }
  if (one_in(3)) nest.inner.push_back(number(UDPCR_ERRMSG_INFO, below(2), 4));
  if (one_in(3)) nest.inner.push_back(number(UDPCR_ERRMSG_DATA, below(2), 4));
  parts.push_back(nest);
}

void Mutator::datagram(std::vector<Part>& parts, bool v6, bool error) {
  const std::size_t address = v6 ? 16 : 4;
  const auto maybe = [&](const Part& part) {
    if (one_in(3)) parts.push_back(part);
  };
  if (one_in(2)) {
    parts.push_back(bytes(UDPCR_A_SRC_ADDR, address));
    parts.back().value[0] = v6 ? 0xfd : 10;
    parts.push_back(number(UDPCR_A_SRC_PORT, random_(), 2));
  }
  if (one_in(2)) {
    parts.push_back(bytes(UDPCR_A_DST_ADDR, address));
    parts.back().value[0] = v6 ? 0xfd : 10;
    parts.push_back(number(UDPCR_A_DST_PORT, random_(), 2));
  }
  maybe(number(UDPCR_A_IFINDEX, below(4), 4));
  maybe(number(UDPCR_A_TSTAMP, 1'700'000'000'000'000'000, 8));
  maybe(number(UDPCR_A_TOS, random_(), 1));
  maybe(number(UDPCR_A_TTL, random_(), 1));
  std::size_t size = below(2000);
  if (one_in(40)) size = one_of(kSizes, random_());
  if (error) {
    report(parts, v6);
  } else {
    maybe(number(UDPCR_A_MARK, random_(), 4));
    maybe(number(UDPCR_A_GSO_SIZE, below(1500), 2));
    maybe(number(UDPCR_A_PRIORITY, below(8), 4));
    if (one_in(8)) parts.push_back(number(UDPCR_A_FRAG_SIZE, 60, 2));
    if (one_in(8)) {
      size = 0;
      parts.push_back({UDPCR_A_PEEKED, {}, {}});
    }
    if (v6 && one_in(3)) {
      // Headers of the kinds that there are, the last one before UDP.
      constexpr std::uint8_t kHeaders[] = {0, 60, 43, 44, 60};
      const std::size_t count = 1 + below(4);
      std::uint8_t next = one_of(kHeaders, random_());
      parts.push_back(number(UDPCR_A_NEXT_HEADER, next, 1));
      Part options{UDPCR_A_IP_OPTIONS, {}, {}};
      for (std::size_t i = 0; i < count; ++i) {
        next = i + 1 == count ? std::uint8_t{IPPROTO_UDP} : one_of(kHeaders, 1 + below(4));
        const std::uint8_t header[8] = {next, 0, 0, 0, 0, 0, 0, 0};
        append(options.value, header, sizeof header);
      }
      parts.push_back(options);
      parts.push_back(number(UDPCR_A_FLOW_LABEL, below(1 << 20), 4));
    } else if (!v6 && one_in(3)) {
      constexpr std::uint8_t kOptions[][8] = {{7, 7, 4, 0, 0, 0, 0, 0},
                                              {148, 4, 0, 0, 1, 1, 1, 1},
                                              {68, 8, 5, 0, 0, 0, 0, 0},
                                              {131, 7, 8, 10, 0, 0, 1, 0}};
      Part options{UDPCR_A_IP_OPTIONS, {}, {}};
      append(options.value, kOptions[below(4)], 8);
      parts.push_back(options);
    }
  }
  parts.push_back(bytes(UDPCR_A_PAYLOAD, size));
}

Draft Mutator::valid(const std::vector<Subject>& subjects) {
  const std::size_t place = below(subjects.size());
  const Subject& subject = subjects[place];
  const std::uint64_t handle = place + 1;
  const bool for_errors = handle % 3 == 0;
  Draft draft;
  // Half of them datagrams, which have most to be wrong.
  draft.command = static_cast<std::uint8_t>(one_in(2) ? std::uint64_t{UDPCR_CMD_DATAGRAM}
                                                      : 1 + below(UDPCR_CMD_MAX));
  std::vector<Part>& parts = draft.parts;
  const auto key = [&] {
    Part part{UDPCR_A_KEY, Octets(below(3), 'k'), {}};
    return part;
  };
  switch (draft.command) {
    case UDPCR_CMD_SOCKET:
      if (one_in(8)) {
        draft.flags = NLM_F_DUMP;
        break;
      }
      parts = socket(subject);
      break;
    case UDPCR_CMD_OPEN:
      parts = socket(subject);
      break;
    case UDPCR_CMD_QUEUE:
      draft.flags = NLM_F_DUMP;
      if (one_in(2)) {
        parts = {number(UDPCR_A_HANDLE, handle, 4)};
      } else {
        parts = socket(subject);
        parts.push_back(number(UDPCR_A_QUEUE, below(3), 4));
      }
      break;
    case UDPCR_CMD_TAKE:
    case UDPCR_CMD_STAGE:
      parts = socket(subject);
      parts.push_back(number(UDPCR_A_HANDLE, handle, 4));
      if (draft.command == UDPCR_CMD_STAGE)
        parts.push_back(number(UDPCR_A_QUEUE, for_errors ? 1 : 0, 4));
      break;
    case UDPCR_CMD_DATAGRAM:
      parts = {number(UDPCR_A_HANDLE, handle, 4)};
      // Now and then of IPv4 on an IPv6 socket.
      datagram(parts, subject.family == AF_INET6 && !one_in(6), for_errors);
      break;
    case UDPCR_CMD_PUT:
      parts = {number(UDPCR_A_HANDLE, handle, 4), number(UDPCR_A_POSITION, below(2), 4)};
      break;
    case UDPCR_CMD_DROP:
      parts = {number(UDPCR_A_HANDLE, handle, 4)};
      break;
    case UDPCR_CMD_SET: {
      constexpr std::uint32_t kErrors[] = {0, ECONNREFUSED, EHOSTUNREACH, EPROTO, 529};
      parts = socket(subject);
      if (one_in(2)) parts.push_back(number(UDPCR_A_DROPS, random_(), 4));
      if (one_in(2)) parts.push_back(number(UDPCR_A_ERROR, one_of(kErrors, random_()), 4));
      if (one_in(2)) parts.push_back(number(UDPCR_A_TSKEY, random_(), 4));
      if (one_in(3)) parts.push_back(number(UDPCR_A_SOCK_FLAGS, below(4), 4));
      break;
    }
    case UDPCR_CMD_PARK:
      parts = socket(subject);
      parts.push_back(key());
      parts.push_back(number(UDPCR_A_SECONDS, 1 + below(3), 4));
      break;
    case UDPCR_CMD_CLAIM:
      parts = {number(UDPCR_A_INO, subject.inode, 8), key()};
      break;
    case UDPCR_CMD_UNPARK:
      parts = {number(UDPCR_A_INO, subject.inode, 8)};
      break;
    default:
      draft.flags = NLM_F_DUMP;
      if (one_in(2)) parts = {{UDPCR_A_ALL_NETNS, {}, {}}};
  }
  return draft;
}

void Mutator::resize(Octets& value) {
  switch (below(4)) {
    case 0:
      value.resize(one_of(kSizes, random_()));
      break;
    case 1:
      if (!value.empty()) value.pop_back();
      break;
    case 2:
      value.push_back(static_cast<std::uint8_t>(random_()));
      break;
    default:
      value.resize(below(24));
  }
}

void Mutator::mutate_one(Draft& draft, std::vector<Part>& parts, int depth) {
  if (parts.empty()) {
    parts.push_back(bytes(static_cast<std::uint16_t>(below(UDPCR_A_MAX + 8)), below(12)));
    return;
  }
  const std::size_t at = below(parts.size());
  Part& part = parts[at];
  if (!part.inner.empty() && depth < 4 && !one_in(4))
    return mutate_one(draft, part.inner, depth + 1);
  switch (below(14)) {
    case 0:
      parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(at));
      break;
    case 1:
      parts.push_back(Part(part));
      break;
    case 2:
      resize(part.value);
      break;
    case 3:
    case 4:
    case 5:
    case 6: {
      const std::uint64_t value = limit();
      std::memcpy(part.value.data(), &value, std::min(sizeof value, part.value.size()));
      break;
    }
    case 7:
      if (!part.value.empty())
        part.value[below(part.value.size())] ^= static_cast<std::uint8_t>(1U << below(8));
      break;
    case 8:
      part.type = static_cast<std::uint16_t>(one_in(4) ? random_() : below(UDPCR_A_MAX + 8));
      break;
    case 9: {
      Part nest{static_cast<std::uint16_t>(UDPCR_A_ERRMSG | NLA_F_NESTED), {}, {Part(part)}};
      if (one_in(2)) nest.type = part.type;
      part = nest;
      break;
    }
    case 10:
      part.type ^= static_cast<std::uint16_t>(one_in(2) ? NLA_F_NESTED : NLA_F_NET_BYTEORDER);
      break;
    case 11:
      std::shuffle(parts.begin(), parts.end(), random_);
      break;
    case 12:
      parts.push_back(
          bytes(static_cast<std::uint16_t>(1 + below(UDPCR_A_MAX)), one_of(kSizes, random_())));
      break;
    default:
      if (one_in(4))
        draft.length_lie = static_cast<int>(below(80)) - 40;
      else if (one_in(3))
        draft.command = static_cast<std::uint8_t>(below(UDPCR_CMD_MAX + 3));
      else if (one_in(2))
        draft.flags ^= NLM_F_DUMP;
      else
        draft.version = static_cast<std::uint8_t>(random_());
  }
}

void Mutator::mutate(Draft& draft) {
  for (std::uint64_t count = 1 + below(4); count > 0; --count) mutate_one(draft, draft.parts, 0);
}

}  // namespace udpcr::test
