// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What came of a checkpoint (protocol/control.h): from the worker to its keeper, and
// from that to who has asked.
#pragma once

#include <cstdint>
#include <string>

#include "packet.hpp"
#include "protocol/control.h"

namespace udpcr::keeper {

// Exit statuses of `udpcr checkpoint`; `captured` comes before one of the
// others: the sockets have been read and need not be held any longer.
enum class Outcome : std::uint8_t { kept = 0, failed = 1, kept_in_part = 3, captured = 0xff };

struct Report {
  Outcome outcome = Outcome::failed;
  std::string text;    // lines for the person who asked
  std::string path{};  // of the image; empty: there is none
  std::uint32_t sockets = 0;
  std::uint64_t datagrams = 0;
  std::uint32_t losses = 0;

  // False, with errno: the other end is gone or does not read.
  bool send(int channel) const;
  // `nothing`: not yet, or it could not be read just now; `end`: the other end has
  // ended, or failed, before it could tell.
  static Received receive(int channel, Report& report);
  // Throws Error when the packet is none.
  static Report from(const Packet& packet);
};

}  // namespace udpcr::keeper
