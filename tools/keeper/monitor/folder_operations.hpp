// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "network_operations.hpp"

namespace udpcr::keeper::monitor {

// Of the image's folder, which is said once, and there of the image's own names: the
// folder may be another user's than the keeper's.
class FolderOperations {
 public:
  // payload: folder and name, each with its NUL.  EPERM: it was said before.
  Result setup(const Asked& asked);
  Result serve(const Asked& asked);
  // Its path.
  [[nodiscard]] std::string image() const;

 private:
  bool open_folder();
  [[nodiscard]] bool is_ours(const std::string& name) const;

  std::string path_;
  std::string name_;
  std::string short_name_;  // in the names of temporary files
  UniqueFd folder_;
};

}  // namespace udpcr::keeper::monitor
