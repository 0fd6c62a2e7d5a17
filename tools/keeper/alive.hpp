// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The keeper's signs of life (`progress` of wire::SharedPage).  It is the loop of the
// keeper that gives them, and each long step within the loop, so that a keeper that is
// stopped or hangs gives none.  Who waits for a disk does so beside the loop, which
// goes on meanwhile: a slow disk is no reason to give a keeper up.
#pragma once

#include <poll.h>

#include <cstdint>
#include <functional>

namespace udpcr::keeper {

// Who looks at them, and where; nullptr: nobody, as before the first call.
enum class Viewer { program, worker };
void show_life_to(Viewer viewer, std::uint32_t* counter) noexcept;
void show_life() noexcept;
void show_life(std::uint32_t& counter) noexcept;

// As poll(2), with signs of life.  -1 with errno, EINTR among them.
int poll_alive(pollfd* fds, nfds_t count, int timeout_ms);

// Runs `work` in a thread of its own, to its end, and shows life meanwhile.  What it
// throws comes out of here.  For work that waits for a disk, or takes long; how long
// it may take is for who waits to say.
void run_beside(const std::function<void()>& work);

}  // namespace udpcr::keeper
