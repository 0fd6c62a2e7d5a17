// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What can be told beforehand of a program under udpcr.
#pragma once

#include <string>
#include <vector>

namespace udpcr {

struct Finding {
  enum class Kind {
    not_run,     // it cannot be executed at all
    not_loaded,  // it runs, but the loader leaves the shim out
    unseen,      // the shim is there and does not see what the program does with sockets
    note,        // it works; this is to be known
  };
  Kind kind;
  std::string what;
  std::string remedy;  // may be empty
};

struct ProgramCheck {
  std::vector<std::string> files;  // a script, its interpreter, the latter's; the last is ELF
  std::vector<Finding> findings;   // none of a later kind hides one of an earlier

  [[nodiscard]] bool has(Finding::Kind kind) const;
  [[nodiscard]] bool works() const;
};

// Of `name`, as execvp would find it, for this user.  `shim`: what would be
// preloaded; empty: it is not installed.
ProgramCheck check_program(const std::string& name, const std::string& shim);

}  // namespace udpcr
