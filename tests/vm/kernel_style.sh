#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: tests/vm/kernel_style.sh
#
# The kernel's own judges of kmod/ and its uapi header: checkpatch,
# and sparse for kernel 6.1.  Any complaint is a failure.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
source=${here%/tests/vm}
source "$here/../lib/packages.sh"
source "$here/cache.sh"

# Only the kernel's full source has checkpatch.
fetch_checkpatch() {
  local new=$cache/checkpatch.new
  rm -rf "$new"
  mkdir -p "$new"
  apt_state bookworm
  (cd "$new" && apt_in bookworm apt-get download -qq linux-source-6.1)
  dpkg -x "$new"/*.deb "$new"
  tar -xf "$new/usr/src/linux-source-6.1.tar.xz" -C "$new" --strip-components=2 --wildcards \
    '*/scripts/checkpatch.pl' '*/scripts/spelling.txt' '*/scripts/const_structs.checkpatch'
  rm -rf "${new:?}"/*.deb "${new:?}/usr"
  mv "$new" "$cache/checkpatch"
}

need_packages "${kernel_style_packages[@]}"
(
  lock apt
  [ -e "$cache/checkpatch/checkpatch.pl" ] || fetch_checkpatch
)

status=0
cd "$source"
# A module outside of the kernel's tree has to ask for versions.
checkpatch=(perl "$cache/checkpatch/checkpatch.pl" --no-tree --terse --quiet --no-summary --show-types
            --ignore LINUX_VERSION_CODE,CONSTANT_COMPARISON)
"${checkpatch[@]}" --strict -f kmod/*.[ch] || status=1
# Not --strict: that asks for what user space does not have, BIT() for one.
"${checkpatch[@]}" -f include/udpcr/udpcr_netlink.h || status=1
"$here/build_module.sh" 6.1 C=2 || status=1
exit $status
