// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What every keeper is told first, whoever made it.
#pragma once

#include <stddef.h>

#include "settings.h"
#include "sys.h"

namespace udpcr {

// An fd that is closed on the way out, unless released.
class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) sys::close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;

  [[nodiscard]] int get() const { return fd_; }
  int release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }
  // Out of the way of programs that have closed, and will use again, the low
  // numbers.
  bool move_high() {
    const int high = sys::dup_high(fd_);
    if (high < 0) return false;
    sys::close(fd_);
    fd_ = high;
    return true;
  }

 private:
  int fd_;
};

// A memfd of wire::SharedPage; -1 with errno.
int make_page();

// `fds`: the page, then what `kinds` names (wire::kStart*).  0 or errno.
int send_start(int channel, const Settings& settings, uint32_t kinds, const int* fds, size_t count);

}  // namespace udpcr
