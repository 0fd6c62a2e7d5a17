// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fcntl.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <udpcr/udpcr_netlink.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "errors.hpp"
#include "interface_indices.hpp"
#include "kernel_numbers.hpp"
#include "persist.hpp"
#include "refuse.hpp"
#include "socket_address.hpp"
#include "socket_restore.hpp"
#include "userspace_engine.hpp"
#include "userspace_fill.hpp"

namespace udpcr {
namespace {

// A queue longer than can be walked in this time is kept in part.
constexpr std::chrono::seconds kWalkLimit{10};
// ... where only the copy is.
constexpr std::chrono::seconds kCopyLimit{1};
// Rounds without a datagram, should the memory never be given back.
constexpr int kPatience = 50;

std::string fd_name(int fd) { return "fd " + std::to_string(fd); }

}  // namespace

bool is_udp_socket(int fd) {
  struct stat status {};
  if (persist([&] { return ::fstat(fd, &status); }) != 0) {
    // There is nothing at that number; any other failure leaves it open.
    if (errno == EBADF && ::fcntl(fd, F_GETFD) < 0 && errno == EBADF) return false;
    fail("look at " + fd_name(fd), errno, "");
  }
  if (!S_ISSOCK(status.st_mode)) return false;
  const int family = require_number(fd, SOL_SOCKET, SO_DOMAIN);
  const int type = require_number(fd, SOL_SOCKET, SO_TYPE);
  const int protocol = require_number(fd, SOL_SOCKET, SO_PROTOCOL);
  return (family == AF_INET || family == AF_INET6) && type == SOCK_DGRAM &&
         (protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE);
}

SocketRecord read_record(int fd, std::uint32_t origin_flags, const FreshSocket& fresh) {
  SocketRecord record;
  struct stat status {};
  if (persist([&] { return ::fstat(fd, &status); }) != 0) {
    fail("read the inode of " + fd_name(fd), errno, "");
  }
  record.inode = status.st_ino;
  record.uid = status.st_uid;
  record.cookie = read_cookie(fd, kSoCookie);
  record.family = static_cast<std::uint16_t>(fresh.family);
  record.protocol = static_cast<std::uint16_t>(fresh.protocol);
  const int file_flags = persist([fd] { return ::fcntl(fd, F_GETFL); });
  if (file_flags < 0) fail("read the flags of " + fd_name(fd), errno, "");
  record.file_flags = static_cast<std::uint32_t>(file_flags);

  record.local = local_address(fd);
  record.peer = peer_address(fd);
  if (record.peer) record.flags |= UDPCR_SOCK_CONNECTED;
  record.device = bound_device(fd);

  if ((origin_flags & UDPCR_SOCK_ORIGIN_KNOWN) != 0) {
    record.flags |= origin_flags;
  } else if (record.local.port != 0) {
    // The kernel does not tell.  A connected socket has a local address, asked
    // for or not; the port is taken to have been asked for.
    record.flags |= UDPCR_SOCK_BOUND | UDPCR_SOCK_BOUND_PORT;
    if (!record.local.is_wildcard() && !record.peer) record.flags |= UDPCR_SOCK_BOUND_ADDR;
  }

  const QueueMemory memory = queue_memory(fd);
  record.rmem = memory.rmem;
  record.drops = memory.drops;
  record.options = changed_options(read_by_getsockopt(fd, fresh.family, fresh.protocol), fresh,
                                   record.peer.has_value());
  return record;
}

SocketState UserspaceEngine::capture(int fd, const CaptureOptions& options) {
  SocketState state = read_state(fd, options);
  name_interfaces(fd, state);
  return state;
}

SocketState UserspaceEngine::read_state(int fd, const CaptureOptions& options) {
  if (!is_udp_socket(fd)) {
    throw Error("cannot capture " + fd_name(fd) +
                    ": it is not a UDP or UDP-Lite socket over IPv4 or IPv6; pass UDP sockets only",
                EPROTOTYPE);
  }
  const FreshSocket& fresh = fresh_.like(require_number(fd, SOL_SOCKET, SO_DOMAIN),
                                         require_number(fd, SOL_SOCKET, SO_PROTOCOL));
  SocketState state;
  state.record = read_record(fd, options.origin_flags, fresh);
  SocketRecord& record = state.record;
  read_facts(fd, record, sources_, state.losses);
  if (const std::uint64_t netns = read_cookie(fd, kSoNetnsCookie); netns != fresh.netns) {
    state.losses.push_back({"network namespace", "it lives in another one than the checkpointer",
                            "checkpoint and restart inside that namespace"});
  }
  const bool wanted = options.queues == Queues::both || options.queues == Queues::receive;
  if (record.rmem == 0) return state;
  if (!wanted) {
    state.losses.push_back({"receive queue",
                            std::to_string(record.rmem) + " bytes of memory are held by datagrams",
                            "set UDPCR_QUEUES=both to keep them"});
    return state;
  }

  Walk walk;
  const std::chrono::seconds limit = options.is_kept ? kCopyLimit : kWalkLimit;
  {
    ReadingOptions reading(fd, record.family);
    walk = reader_.walk(fd, record.cookie, record.local.port, limit);
    reading.put_back();
  }
  record.queue_count = static_cast<std::uint32_t>(walk.datagrams.count());
  state.receive_queue = std::move(walk.datagrams);
  if (!walk.complete) {
    state.losses.push_back(
        {"receive queue",
         "only the first " + std::to_string(record.queue_count) + " datagrams could be read in " +
             std::to_string(limit.count()) + " s",
         options.is_kept
             ? "all of them stay in the parked socket, for UDPCR_PARK_SECONDS; the kernel module "
               "reads more in that time"
             : "end the program with the checkpoint (UDPCR_AFTER=exit), which takes the rest as "
               "well"});
  }
  if (walk.empties_unsure) {
    state.losses.push_back({"empty datagrams",
                            "some that were peeked at before may stand in the queue unseen",
                            "load the kernel module, which keeps it"});
  }
  if (walk.error != 0) {
    state.losses.push_back({"pending error",
                            "reading the queue took the error \"" + errno_text(walk.error) + "\"",
                            "load the kernel module, which keeps it"});
  }
  return state;
}

MessageStream UserspaceEngine::take_rest(int fd, std::size_t already, QueueEnd end) {
  if (!is_udp_socket(fd)) {
    throw Error("cannot take the queue of " + fd_name(fd) + ": it is not a UDP socket", EPROTOTYPE);
  }
  const bool stays_open = end == QueueEnd::stays_open;
  if (!stays_open) refuse_datagrams(fd);
  write_number(fd, SOL_SOCKET, SO_PEEK_OFF, -1);
  const std::uint16_t port = local_address(fd).port;
  const ReadingOptions reading(fd, require_number(fd, SOL_SOCKET, SO_DOMAIN));
  MessageStream rest;
  std::size_t taken = 0;
  const auto take = [&](const Datagram& datagram) {
    if (taken++ >= already) rest.append(encode_datagram(datagram));
  };
  for (int idle = 0; idle < kPatience;) {
    const std::size_t before = taken;
    reader_.drain(fd, port, take);
    // What comes from here on is for the next time.
    if (stays_open) break;
    std::this_thread::sleep_for(kInFlight);
    if (queue_memory(fd).rmem == 0) break;
    idle = taken == before ? idle + 1 : 0;
  }
  return rest;
}

std::vector<Loss> UserspaceEngine::limits() const { return userspace_limits(); }

Restored UserspaceEngine::restore(const SocketState& state, const RestoreOptions& options) {
  UserspaceFill fill(senders_, sources_.diag);
  return restore_socket(state, options, fresh_, fill);
}

std::unique_ptr<Engine> make_userspace_engine() { return std::make_unique<UserspaceEngine>(); }

}  // namespace udpcr
