// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Processes that come of this one: children of vfork, which have our memory but
// signal handling of their own, and programs that are executed.  They get from
// the kernel what the program believes.
#pragma once

namespace udpcr::signals::children {

// False in the program's own process.  In any other the kernel's state is set,
// once, to what the program believes, and its calls pass through from then on.
bool settle();
// Some child has settled, here or while its memory was ours.
bool are_any();
// In the child of fork.
void forget();

// An exec stands before: while it lives, the kernel's state is the one that the
// new program shall inherit.  It lives on when the exec has failed.
class Handover {
 public:
  enum class Of { exec, spawn };
  explicit Handover(Of of);
  ~Handover();
  Handover(const Handover&) = delete;
  Handover& operator=(const Handover&) = delete;

 private:
  bool child_ = false;
  bool blocked_ = false;
  bool ignored_ = false;
};

}  // namespace udpcr::signals::children
