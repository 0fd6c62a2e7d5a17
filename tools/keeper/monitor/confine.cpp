// SPDX-License-Identifier: LGPL-2.1-or-later
#include "confine.hpp"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include <cerrno>
#include <span>

#include "errors.hpp"

namespace udpcr::keeper::monitor {

namespace {

// Made by make_filters.cpp.
#include "filters.inc"

bool load(std::span<const sock_filter> filter) {
  const sock_fprog program{static_cast<unsigned short>(filter.size()),
                           const_cast<sock_filter*>(filter.data())};
  // no_new_privs is set already.
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0) return true;
  if (errno == EINVAL || errno == ENOSYS || errno == EPERM || errno == EACCES) return false;
  fail("load a seccomp filter", errno, "");
}

}  // namespace

bool confine_keeper() { return load(kKeeperFilter); }

bool confine_monitor() { return load(kMonitorFilter); }

}  // namespace udpcr::keeper::monitor
