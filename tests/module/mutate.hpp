// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Requests to the module that are in order, and what can be made of them that is
// not: attributes dropped, doubled, resized, nested, with values at their limits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace udpcr::test {

using Octets = std::vector<std::uint8_t>;

// An attribute; of a nest `inner` instead of `value`.
struct Part {
  std::uint16_t type = 0;
  Octets value;
  std::vector<Part> inner;
};

struct Draft {
  std::uint8_t command = 0;
  std::uint8_t version = 1;
  std::uint16_t flags = 0;  // NLM_F_DUMP
  int length_lie = 0;       // added to nlmsg_len
  std::vector<Part> parts;
};

// What requests can speak of.  The list for the socket at place N has the number
// N + 1, and every third one is for its error queue.
struct Subject {
  int fd = -1;
  std::uint64_t inode = 0;
  std::uint64_t cookie = 0;
  int family = 0;
};

class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : random_(seed) {}

  // A request in order, most of them such that the module can do it.
  Draft valid(const std::vector<Subject>& subjects);
  // One to four changes.
  void mutate(Draft& draft);
  // Below `end`.
  std::uint64_t below(std::uint64_t end) { return random_() % end; }
  bool one_in(std::uint64_t count) { return below(count) == 0; }

 private:
  Part number(std::uint16_t type, std::uint64_t value, std::size_t size);
  Part bytes(std::uint16_t type, std::size_t size);
  std::uint64_t limit();
  std::vector<Part> socket(const Subject& subject);
  void datagram(std::vector<Part>& parts, bool v6, bool error);
  void report(std::vector<Part>& parts, bool v6);
  void mutate_one(Draft& draft, std::vector<Part>& parts, int depth);
  void resize(Octets& value);

  std::mt19937_64 random_;
};

// The whole message; what is too long for an attribute or a message is cut.
Octets encode(const Draft& draft, std::uint16_t family, std::uint32_t sequence);

}  // namespace udpcr::test
