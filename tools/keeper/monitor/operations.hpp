// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What a keeper's monitor does for it: a fixed list, each a structure of fixed size
// and at most kMostPayload bytes.  One answer to each request, in order.
#pragma once

#include <cstddef>
#include <cstdint>

namespace udpcr::keeper::monitor {

enum class Operation : std::uint32_t {
  // Once, first.  number: the checkpoint signal; payload: the image's folder and
  // name, each with its NUL; fd: a socket that listens at a monitor's name (presence.hpp),
  // the monitor's until it ends.
  setup = 1,
  // fd: a channel for the requests of a process that the keeper has forked.  Not
  // answered: by its end when there are too many.
  channel,

  // number: family, type, protocol.  Answer: the fd.
  socket,
  // fd: a UDP socket.  Answer: its network namespace.
  place_of,
  // payload: the file's name, of a fixed list.  Answer: the fd.
  proc_net,
  // number: level, name; payload: the value; fd: a UDP socket.
  option,
  // payload: the address; fd: a UDP socket.
  bind,
  // number: the user; fd: a UDP socket.
  chown,
  // number: sizes of address and control messages; payload: those and the data; fd: a
  // UDP socket, which keeps it (MSG_MORE).
  send_more,
  // number: family, count; payload: a RawPacket and its bytes, for each; fd: the
  // socket that is being filled.  Answer: how many were sent, before the first that was
  // refused; an error when that is the first of all.
  raw,
  // number: the fd that the message names, or -1; payload: the netlink message;
  // fds: the netlink socket, that fd.
  module,

  // value: the inode; payload: the cookie (uint64_t) and the key, whose image is the
  // one of `setup`.  Answer: the socket, which the module has parked.
  claim,

  // fds: a pidfd, the end of the process's channel.  number: pid.
  join,
  // number: pid of one that has joined, thread or 0, signal; value: si_value.
  signal,
  // number: pid of one that has joined.  Answer: a memfd with the inodes of its
  // sockets (uint64_t), and their number.
  sockets,
  // number: pid of a child of one that has joined, and of that.  Answer:
  // kChildReadable, kChildHasUdp.
  child,

  // Answer: the image's folder.
  folder,
  // Of the image's folder.  payload: the name; number: flags of open(2).  Answer:
  // the fd.
  open_file,
  // payload: both names, each with its NUL.
  rename_file,
  // payload: the name.
  unlink_file,
};

struct Request {
  Operation operation;
  std::uint32_t in_place;  // 1: the last fd is the network namespace to act in
  std::int32_t number[3];
  std::uint32_t size;  // of the payload
  std::uint64_t value;
};

struct Answer {
  std::int32_t error;  // errno; 0: done
  std::int32_t value;
  std::uint64_t count;
};

struct RawPacket {
  std::uint32_t size;       // bytes that follow; the next one begins at a multiple of 4
  std::uint32_t interface;  // to leave by; 0: as routed
  std::uint32_t scope;      // of a link-local destination
  std::uint32_t mark;
  std::uint32_t priority;
};

constexpr std::size_t kMostPayload = std::size_t{96} << 10;
constexpr std::size_t kMostFds = 3;

constexpr std::int32_t kChildReadable = 1;
constexpr std::int32_t kChildHasUdp = 2;

constexpr std::size_t align(std::size_t size) { return (size + 3) & ~std::size_t{3}; }

}  // namespace udpcr::keeper::monitor
