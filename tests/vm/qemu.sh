#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Fetches a QEMU of 8.1 or later into $UDPCR_CACHE/kernels/qemu, without
# installing it; what it needs at run time comes with this machine's own QEMU.
#
# Debian 12's is 7.2, which reads the guest's code unlocked while it translates
# it: where one processor of the guest patches code (a static key, as each first
# and last SO_TIMESTAMP socket does) another may run into the breakpoint that
# stood there for a moment, and the guest's kernel dies of "Oops: int3".  Mended in
# 8.1, "accel/tcg: Always lock pages before translation".
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
source "$here/cache.sh"

suite=bookworm-backports
[ -x "$cache/qemu/usr/bin/qemu-system-x86_64" ] && exit
lock apt
[ -x "$cache/qemu/usr/bin/qemu-system-x86_64" ] && exit
apt_state "$suite"
rm -rf "$cache/qemu.new"
mkdir -p "$cache/qemu.new"
cd "$cache/qemu.new"
apt_in "$suite" apt-get download -qq "qemu-system-x86/$suite" "qemu-system-data/$suite"
for deb in *.deb; do dpkg -x "$deb" .; done
rm -- *.deb
rm -rf "$cache/qemu"
mv "$cache/qemu.new" "$cache/qemu"
