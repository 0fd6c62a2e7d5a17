// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Reading the receive queue of somebody else's socket.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <udpcr/udpcr.hpp>

namespace udpcr {

// Figures of a socket's receive queue (SO_MEMINFO).
struct QueueMemory {
  std::uint32_t rmem = 0;   // bytes charged, headers and slack included
  std::uint32_t drops = 0;  // datagrams that were refused
};
QueueMemory queue_memory(int fd);

// While it lives, the socket tells with each datagram where it came in, its TOS
// and TTL, and when it came where the kernel has taken the time.  Puts
// everything back as it was.
class ReadingOptions {
 public:
  // Throws Error when they cannot be read or set; then they are as they were.
  explicit ReadingOptions(int fd, int family);
  ~ReadingOptions();
  // The destructor does it too, but cannot throw when it fails.
  void put_back();
  ReadingOptions(const ReadingOptions&) = delete;
  ReadingOptions& operator=(const ReadingOptions&) = delete;

 private:
  int set_all(int family);

  int fd_;
  ReadingState state_;
  bool put_back_ = false;
};

// A batch of recvmmsg(2) with room for the largest datagrams.
class ReceiveBatch {
 public:
  ReceiveBatch();
  ~ReceiveBatch();
  ReceiveBatch(const ReceiveBatch&) = delete;
  ReceiveBatch& operator=(const ReceiveBatch&) = delete;

  // The number of datagrams, or -errno.  `limit`: at most so many.
  int receive(int fd, int flags, unsigned limit);
  // The same, where a lack of memory is outlasted and the end of the queue is
  // believed when it is told twice.
  int receive_persistently(int fd, int flags, unsigned limit);
  // Of the last receive().  `local_port` becomes the destination's port.
  [[nodiscard]] Datagram datagram(unsigned index, std::uint16_t local_port) const;

 private:
  struct Slots;
  std::unique_ptr<Slots> slots_;
};

// A queue as one walk has seen it.
struct Walk {
  MessageStream datagrams;
  std::size_t bytes = 0;        // of payloads
  bool complete = true;         // false: the time was up
  bool empties_unsure = false;  // empty datagrams may stand in the queue unseen
  int error = 0;                // errno that was pending on the socket, and was taken by reading
};

// Reads queues and consumes nothing.
//
// A peek at an offset passes over empty datagrams that were peeked at before
// (net/core/datagram.c, __skb_try_recv_from_queue: skb->peeked).  So the reader
// remembers, by socket cookie, what stood in a queue that had empty datagrams,
// and the next walk finds them again behind those that it does see.
class QueueReader {
 public:
  // At most `limit`; the work grows with the square of the queue's length.
  Walk walk(int fd, std::uint64_t cookie, std::uint16_t local_port,
            std::chrono::milliseconds limit);

  // Takes everything out; calls `take` for each datagram, oldest first.
  void drain(int fd, std::uint16_t local_port, const std::function<void(const Datagram&)>& take);

 private:
  struct Seen {
    std::uint64_t digest = 0;
    Bytes empty_message;  // encoded, when the datagram has no payload
  };
  struct History {
    std::vector<Seen> seen;
    std::uint32_t rmem = 0;  // memory charged then
  };

  // Puts the empty datagrams that the walk could not see back into `now` and
  // `messages`.  False: there are several ways to do so, and the one that
  // supposes the least to have been read was taken.
  static bool recall(const History& last_walk, std::uint32_t rmem, bool head_is_empty,
                     std::vector<Seen>& now, std::vector<Bytes>& messages);

  ReceiveBatch batch_;
  std::map<std::uint64_t, History> histories_;
};

}  // namespace udpcr
