// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Joining a keeper: who we are, and what it brings back.
#pragma once

namespace udpcr {

// Notes executable and arguments before the program can overwrite them.
void note_identity(int argc, const char* const* argv);

// Whether an image stands that this program might take: then the start waits
// for the keeper to bring its sockets back.
bool image_stands();

// Uses `channel` and `page` from here on and says hello; with `await_ready`
// waits for the sockets of the image.
void join_keeper(int channel, int page, bool await_ready);

// In the child of fork: a channel of its own.
void rejoin_after_fork();

}  // namespace udpcr
