#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Makes the root of a guest that runs systemd, of this distribution's packages:
# $UDPCR_CACHE/kernels/systemd/root (cpio).  run.py --systemd starts it.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
source "$here/../lib/packages.sh"
source "$here/cache.sh"

suite=bookworm
# Those that udpcr links with, and what the tests call.
packages=systemd-sysv,python3-minimal,iproute2,libboost-serialization1.74.0,libnl-3-200
packages+=,libnl-genl-3-200,libstdc++6,podman,crun
# The guest keeps all that is left in memory.
unneeded=('/usr/share/doc/*' '/usr/share/man/*' '/usr/share/locale/*' '/usr/share/i18n/*'
          '/usr/share/info/*' '/usr/share/perl/*' '/usr/lib/*/perl/*' '/usr/share/bash-completion/*'
          '/usr/lib/cni/*' '/usr/lib/podman/*')

is_made() { cmp -s "$cache/systemd/recipe" "${BASH_SOURCE[0]}"; }

is_made && exit
lock apt
is_made && exit
need_packages "${systemd_packages[@]}"
apt_state "$suite"
new=$cache/systemd.new
rm -rf "$new"
mkdir -p "$new/tree"
options=()
for path in "${unneeded[@]}"; do options+=(--dpkgopt="path-exclude=$path"); done
mmdebstrap --variant=essential --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
  --include="$packages" "${options[@]}" \
  "$suite" "$new/root.tar" "$cache/apt/$suite"/sources/* > "$new/log" 2>&1 || {
  cat "$new/log" >&2
  echo "systemd_root.sh: mmdebstrap has failed: see above" >&2
  exit 1
}
# devtmpfs has the devices.
tar -C "$new/tree" --exclude './dev/*' -xpf "$new/root.tar"
(cd "$new/tree" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) > "$new/root"
rm -rf "$new/tree" "$new/root.tar"
cp "${BASH_SOURCE[0]}" "$new/recipe"
rm -rf "$cache/systemd"
mv "$new" "$cache/systemd"
