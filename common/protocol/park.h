// SPDX-License-Identifier: LGPL-2.1-or-later
//
// How those who look for parked sockets talk to a keeper that has some, at an
// abstract Unix socket in the keeper's network namespace (kParkName).
//
//   probe       is there anything for this program? (ProbeMessage); `found` answers
//   park_ask    ParkRequest; park_reply answers (ParkReply), `other_version` does
//               where the asker is of another release
//     list      all that it has, from number `first` on, a batch a reply
//               (fds: the sockets, in the order of the entries)
//     take      those that the key `mine` may have; or, with `inode`, that one.
//               EBUSY while their program lives, or another one is taking them.
//               They stay the keeper's until `taken`, or for good if the
//               connection ends before
//     taken     what this connection was given is the asker's
//     drop      the one with `inode` is closed; ENOENT
#pragma once

#include <stdint.h>
#include <udpcr/image_header.h>

#include "protocol/header.h"
#include "settings.h"

namespace udpcr::wire {

// A keeper that keeps sockets open for the next start of its program listens at
// an abstract Unix socket (tools/keeper/park/talk.hpp) with this name, a hash of
// the image's path and of its user (park_hash) in 16 hexadecimal digits, '/' and the
// first number below kFixedNames that is free; where others hold them all, a random
// one, until one of these is free again.
constexpr char kParkName[] = "udpcr-park/";
constexpr unsigned kFixedNames = 8;

// Whose names these are: others' do not stand in their way by accident.
struct NameOwner {
  uint64_t network = 0;         // SO_NETNS_COOKIE, where that is not the keeper's own; else 0
  uint64_t user_namespace = 0;  // inode
  uint64_t uid = 0;             // effective, of the program at its start
};

inline uint64_t park_hash(uint64_t image, const NameOwner& owner) {
  return udpcr_identity_hash(image, &owner, sizeof owner);
}

// Every keeper listens at a name of this kind too, and sends whoever connects a
// PresenceMessage (tools/keeper/presence.hpp).
constexpr char kPresenceName[] = "udpcr-keeper/";
// A worker listens at one of these, and answers nobody.
constexpr char kWorkerName[] = "udpcr-worker/";
// Of the monitors of keepers, which may have a socket open when their keeper has been
// killed.  Its next one asks for them where a port is taken.
constexpr char kMonitorName[] = "udpcr-monitor/";

struct PresenceMessage {
  WireHeader header{Type::presence, kVersion};
  // 1: it has sockets of a program that has ended, which it is about to close.
  uint32_t ending = 0;
  uint32_t pad = 0;
};

// Who a parked socket is for, as the module keeps it beside the socket.
struct ParkKey {
  uint32_t version = 1;
  uint32_t flags = 0;       // kFd*: how it was bound, close-on-exec
  uint64_t image = 0;       // udpcr_identity_hash of the image's path
  uint64_t executable = 0;  // udpcr_identity_hash of its path
  uint64_t arguments = 0;   // of all, each with its NUL
  int32_t number = -1;      // fd
  int32_t pid = 0;          // of the process that had it, as its keeper saw it
  uint32_t sequence = 0;    // in the order in which they were bound
  uint32_t seconds = 0;     // UDPCR_PARK_SECONDS of the program

  // Whether a program with the key `mine` may have it.
  [[nodiscard]] bool is_for(const ParkKey& mine, Match match) const {
    if (version != mine.version || image != mine.image) return false;
    if (match == Match::any) return true;
    return executable == mine.executable && (match == Match::exe || arguments == mine.arguments);
  }
};

constexpr unsigned kParkKeySize = sizeof(ParkKey);

struct ProbeMessage {
  WireHeader header;
  Match match;
  ParkKey mine;
};

enum class ParkQuestion : uint32_t { list = 1, take, taken, drop };

struct ParkRequest {
  WireHeader header{Type::park_ask, kVersion};
  ParkQuestion question = ParkQuestion::list;
  Match match = Match::argv;
  ParkKey mine;
  uint32_t first = 0;
  uint64_t inode = 0;  // 0: by key
};

struct ParkedEntry {
  ParkKey key;
  uint64_t inode = 0;
  uint64_t since = 0;  // ns of CLOCK_BOOTTIME; 0: its program lives
  uint32_t alive = 0;
  uint32_t seconds = 0;
};

// Entries of a reply, and fds.
constexpr unsigned kParkBatch = 250;

struct ParkReply {
  WireHeader header{Type::park_reply, kVersion};
  int32_t status = 0;  // errno
  uint32_t count = 0;  // entries of this reply
  uint32_t total = 0;  // that there are, to be asked for batch by batch
  int32_t pid = 0;     // of the process that has them, or takes them, for messages
  char executable[1024] = {};
  ParkedEntry entries[kParkBatch];
};

}  // namespace udpcr::wire
