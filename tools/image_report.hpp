// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What every writer of an image puts into it and says of it.
#pragma once

#include <string>
#include <udpcr/image.hpp>
#include <vector>

namespace udpcr {

// This machine's since it was started.
std::string boot_id();

// Host, kernel, boot id, engine and time.
void describe_machine(Image& image, std::string_view engine);

// "image PATH: 2 sockets, 7 queued datagrams"
std::string summary_line(const Image& image, const std::string& path);

// "not kept: fd 5 (127.0.0.1:53): cork: ...", one for each loss.
std::vector<std::string> loss_lines(const Image& image);

}  // namespace udpcr
