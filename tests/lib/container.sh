#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: container.sh SHIM KEEPER DATA CODE COMMAND [ARGUMENT...]
#
# What a container runtime does, in namespaces that unshare(1) has made: a root of
# its own that holds programs and libraries, and of udpcr the three things that
# docs/container.md names.  There is no udpcr program in it, and no path of the
# host's.
set -euo pipefail
shim=$1 keeper=$2 data=$3 code=$4
shift 4
root=$(mktemp -d)
mount -t tmpfs container "$root"
cd "$root"
mkdir usr proc dev run run/udpcr opt opt/udpcr data code tmp old
mount --rbind /usr usr
ln -s usr/bin bin && ln -s usr/sbin sbin && ln -s usr/lib lib
[ ! -e /usr/lib64 ] || ln -s usr/lib64 lib64
mount -t proc proc proc
touch dev/null opt/udpcr/libudpcr_shim.so run/udpcr/keeper
mount --bind /dev/null dev/null
mount --bind "$shim" opt/udpcr/libudpcr_shim.so
mount --bind "$keeper" run/udpcr/keeper
mount --bind "$data" data
mount --bind "$code" code
ip link set lo up
pivot_root . old
cd /
umount -l old
exec "$@"
