// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The folder that the image lives in, and the image's name there; fixed when
// the keeper starts.
#pragma once

#include <string>
#include <udpcr/image.hpp>

namespace udpcr::keeper {

class ImageFolder {
 public:
  // `path`: absolute.  A folder that is missing now may appear later.
  explicit ImageFolder(const std::string& path);
  // Of a program whose paths are not ours: `folder` is the open folder (O_PATH),
  // or none, if there was none.  It is opened anew, with our rights.
  ImageFolder(const std::string& path, const UniqueFd& folder);

  // Throws Error when the folder cannot be opened.
  [[nodiscard]] int fd() const;
  // Its path, as it was given.
  [[nodiscard]] const std::string& folder() const noexcept { return folder_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

  // A handover writes its image in two steps.  The writer keeps each of the two
  // locked until it is done (ImageFile::write()); the reader waits for that.
  // Throws Error when that takes more than `patience_ms`.  No image: no wait.
  void await_completion(int patience_ms) const;

  // Removes what killed writers of the image have left.
  void clean() const noexcept;

  // IMAGE -> IMAGE.restored.  Throws Error.
  void set_aside() const;

 private:
  void open_folder() const;

  std::string path_;
  std::string folder_;
  std::string name_;
  bool by_path_ = true;
  mutable UniqueFd fd_;
};

}  // namespace udpcr::keeper
