// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Something to be done if, and only if, this process becomes another program.
#pragma once

#include <functional>
#include <udpcr/udpcr.hpp>

namespace udpcr {

class ExecWatch {
 public:
  // `executed` runs in a forked copy of this process, which is nobody's child.
  // Not when this process fails to execute anything, or is killed before.  Uses
  // no fd below `lowest` in this process.  Throws Error.
  ExecWatch(int lowest, const std::function<void()>& executed);
  ~ExecWatch();
  // The next call is execv.
  void about_to_execute();
  ExecWatch(const ExecWatch&) = delete;
  ExecWatch& operator=(const ExecWatch&) = delete;

 private:
  UniqueFd tell_;
};

// A copy that is close-on-exec.  Throws Error.
UniqueFd duplicate_above(int fd, int lowest);

}  // namespace udpcr
