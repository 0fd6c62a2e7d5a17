// SPDX-License-Identifier: LGPL-2.1-or-later
//
// One socket, step by step: create it, fill its queue while it is nobody's, or
// later, give it device and options, bind it, connect it.
#pragma once

#include <udpcr/udpcr.hpp>

#include "fresh_socket.hpp"

namespace udpcr {

// What an engine does in between.  The first two are called when there is a
// queue to be put back.
class QueueFill {
 public:
  virtual ~QueueFill() = default;
  // The socket is neither bound nor connected, and must not be afterwards.
  virtual void before_bind(int fd, const SocketState& state, Restored& restored) = 0;
  // The socket is bound and connected; traffic arrives.
  virtual void bound(int fd, const SocketState& state, Restored& restored) = 0;
  // Makes the kernel treat the port as its own choice.  False: that is not possible.
  virtual bool forget_port(int /*fd*/, const SocketRecord& /*record*/) { return false; }
  // At the end: what no option sets.
  virtual void finish(int fd, const SocketState& state, Restored& restored) = 0;
};

Restored restore_socket(const SocketState& state, const RestoreOptions& options,
                        FreshSockets& fresh, QueueFill& fill);

}  // namespace udpcr
