// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The file that an image is written into before it takes the image's place.
//
// It has no name (O_TMPFILE) until it is whole, where the file system can do
// that, so that it goes with the process that has it.  The name that it has then,
// or has from the beginning elsewhere, is one of two of its image: a writer that
// is killed leaves at most these, and the next writer or reader of the image
// removes them.  A writer has its file locked (flock(2)) as long as it lives, so
// that a locked one is never taken for a leftover.
#pragma once

#include <string>
#include <udpcr/udpcr.hpp>

namespace udpcr {

struct TemporaryFile {
  UniqueFd fd;       // empty: not to be had, and errno says why
  std::string name;  // empty: it has none
};

// A new, empty, locked file of mode 0600 for `image`, a name in `folder`.
TemporaryFile make_temporary(int folder, const std::string& image);
// The same, with a name.
TemporaryFile make_named_temporary(int folder, const std::string& image);
// Names one that has no name.  False with errno, and it is as it was.
bool name_temporary(int folder, const std::string& image, TemporaryFile& file);

// What stands for `image` in the names of its temporary files: ".STEM.N.tmp".
std::string temporary_stem(const std::string& image);

// Removes what writers of `image` have left that do not live any more: regular
// files that are root's or our own user's, at the image's names alone.
void remove_stale_temporaries(int folder, const std::string& image) noexcept;

}  // namespace udpcr
