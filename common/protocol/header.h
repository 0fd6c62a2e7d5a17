// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The one framing of all that udpcr's processes say to each other, over
// SOCK_SEQPACKET sockets and in memory that they share: a Header, then the
// message that its type names, then what that message says follows.  A packet
// is a message; `length` is the packet's.  Nothing is told apart by its size,
// and nothing is parsed out of sentences: text is for people.
//
//   program.h  a program and its keeper
//   service.h  a program and a keeper service
//   park.h     those who look for parked sockets, and keepers that have some
//   control.h  `udpcr checkpoint` and `restart`, a keeper, and its worker
//   outpost.h  a session of a service, and the process that it leaves behind
//   page.h     the page that a keeper shares with its program
//   table.h    the table of restored sockets
//
// Senders leave `length` 0; the two places that send fill it in
// (tools/keeper/packet.cpp, shim/packet.cpp), and the two that receive refuse a
// packet whose header is not right.  Which process has sent it is another
// question: tools/keeper/proof.hpp.
//
// **When the version rises**: with every change of a message's layout or meaning, of
// the page or of the table, and with every type that another process must
// understand.  Types are never numbered anew; a new one comes last.  Program and
// keeper come from one release and refuse another version by name.  Keepers that hold
// parked sockets live on across an upgrade: so the layout of Header never changes,
// and a message of another version is answered with `other_version`.
#pragma once

#include <stdint.h>

namespace udpcr::wire {

constexpr uint32_t kMagic = 0x72706475;  // "udpr" in memory, little-endian
constexpr uint32_t kVersion = 8;

// SCM_MAX_FD of include/net/scm.h, Linux 6.1.
constexpr unsigned kMaxFds = 253;
// Largest packet, header included.
constexpr unsigned kMaxPacket = 96 * 1024;

enum class Type : uint32_t {
  // program.h
  start = 1,
  hello,
  forked,
  checkpoint,
  claim,
  release,
  ready,
  inherit,
  claimed,
  option,
  give_back,
  exchange,
  exchanged,
  park,
  unpark,
  sweep,
  stored,
  identify,
  identified,
  // service.h
  accepted,
  make,
  made,
  probe,
  found,
  // program.h
  joined,
  // park.h
  park_ask,
  park_reply,
  // control.h
  order,
  report,
  // outpost.h
  outpost_ask,
  outpost_answer,
  // page.h, table.h
  page,
  table,
  // In answer to a message of another version: what the answerer speaks.
  other_version,
  // program.h
  others,
  knock,
  // park.h
  presence,
};
constexpr Type kLastType = Type::presence;

struct WireHeader {
  uint32_t magic = kMagic;
  uint32_t version = kVersion;
  Type type = Type{0};
  uint32_t length = 0;  // of the packet, or of what is shared, in bytes

  constexpr WireHeader() = default;
  constexpr WireHeader(Type message, uint32_t its_version) : version(its_version), type(message) {}
};
static_assert(sizeof(WireHeader) == 16);

enum class Soundness : uint8_t { sound, foreign, other_version, cut };

// Of a packet of `size` bytes that begins with `header`, as far as it has one.
constexpr Soundness soundness_of(const WireHeader& header, uint64_t size) {
  if (size < sizeof header || header.magic != kMagic) return Soundness::foreign;
  if (header.version != kVersion) return Soundness::other_version;
  if (header.length != size) return Soundness::cut;
  return header.type >= Type::start && header.type <= kLastType ? Soundness::sound
                                                                : Soundness::foreign;
}

}  // namespace udpcr::wire
