// SPDX-License-Identifier: LGPL-2.1-or-later
#include "patience.h"

#include "channel.h"

namespace udpcr {

namespace {

// Until the keeper has run for the first time: its program is read from a disk.
constexpr int kBirthSlices = 5 * wire::kPatienceSlices;

uint32_t progress() { return __atomic_load_n(&channel::page()->progress, __ATOMIC_RELAXED); }

constexpr int slices_after(uint32_t seen) {
  return seen == 0 ? kBirthSlices : wire::kPatienceSlices;
}

}  // namespace

Patience::Patience(int limit_ms)
    : seen_(progress()),
      slices_(slices_after(seen_)),
      all_slices_(limit_ms == kNoLimit ? -1 : limit_ms / wire::kSliceMs) {}

bool Patience::go_on() {
  if (all_slices_ == 0) return false;
  if (all_slices_ > 0) --all_slices_;
  const uint32_t now = progress();
  if (now != seen_) {
    seen_ = now;
    slices_ = slices_after(now);
    return true;
  }
  if (--slices_ == 0) return false;
  channel::knock();
  return true;
}

}  // namespace udpcr
