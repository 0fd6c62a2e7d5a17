#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Fetches Debian's kernels and their headers for the virtual machines, without
# installing them:
#
#   tests/vm/kernels.sh [6.1] [6.12] [7.3]
#
# Each lands in $UDPCR_CACHE/kernels/VERSION (default ~/.cache/udpcr), outside
# of the checkout, so that a second run finds it:
#
#   vmlinuz    the kernel
#   root/      the unpacked packages: lib/modules, usr/src/linux-headers-*
#   release    what `uname -r` says on it
#   build      link to the headers for `make -C`
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
source "$here/../lib/packages.sh"
source "$here/cache.sh"
# depmod, for ordinary users.
PATH=$PATH:/usr/sbin:/sbin

# Changes when what fetch() leaves changes.
layout=2

# Kernel 6.1 is this distribution's own; the others come from later suites.
suite_of() {
  case $1 in
    6.1) echo bookworm ;;
    6.12) echo trixie ;;
    7.3) echo trixie-backports ;;
    *) echo "kernels.sh: kernel $1 is not one of 6.1, 6.12, 7.3" >&2; return 1 ;;
  esac
}

# depends SUITE PACKAGE PATTERN [RELEASE]: the packages that PACKAGE depends on,
# whose names match.
depends() {
  apt_in "$1" apt-cache show "$2${4:+/$4}" |
    sed -n 's/^Depends: //p' | head -1 | tr ',' '\n' | sed 's/^ *//; s/ .*//' | grep -E "$3"
}

# bring_libc FOLDER: the helpers of later headers want a newer C library than
# this machine has; each is started through the one that lies in FOLDER/libc.
bring_libc() {
  local folder=$1 helper where=$target/libc/usr/lib/x86_64-linux-gnu
  while read -r helper; do
    [ "$(head -c 4 "$helper" | tail -c 3)" = ELF ] || continue
    mv "$helper" "$helper.elf"
    printf '#!/bin/sh\nexec "%s" --library-path "%s" --argv0 "$0" "$0.elf" "$@"\n' \
      "$where/ld-linux-x86-64.so.2" "$where" > "$helper"
    chmod 755 "$helper"
  done < <(find "$folder"/root/usr/lib/linux-kbuild-* -type f -perm -100)
}

fetch() {
  local version=$1 suite target new image headers common kbuild extra deb kernel release
  suite=$(suite_of "$version")
  target=$cache/$version new=$cache/$version.new
  apt_state "$suite"
  rm -rf "$new"
  mkdir -p "$new/debs" "$new/root" "$new/libc"
  image=$(depends "$suite" linux-image-amd64 '^linux-image-[0-9]' "$suite")
  headers=$(depends "$suite" linux-headers-amd64 '^linux-headers-[0-9]' "$suite")
  common=$(depends "$suite" "$headers" '^linux-headers-.*-common$')
  kbuild=$(depends "$suite" "$headers" '^linux-kbuild-')
  # From 7.x on the modules may live in a package of their own.
  extra=$(depends "$suite" "$image" '^linux-(modules|binary|base)-[0-9]' || true)
  # shellcheck disable=SC2086
  (cd "$new/debs" && apt_in "$suite" apt-get download -qq "$image" "$headers" "$common" "$kbuild" $extra)
  for deb in "$new"/debs/*.deb; do dpkg -x "$deb" "$new/root"; done
  if [ "$version" != 6.1 ]; then
    rm "$new"/debs/*.deb
    (cd "$new/debs" && apt_in "$suite" apt-get download -qq libc6 libelf1t64 zlib1g libzstd1 libssl3t64)
    for deb in "$new"/debs/*.deb; do dpkg -x "$deb" "$new/libc"; done
    bring_libc "$new"
  fi
  rm -rf "$new/debs"

  # Up to 6.12 in /boot, from 7.x among the modules.
  kernel=$(cd "$new" && find root/boot root/usr/lib/modules -name 'vmlinuz*' 2> /dev/null | head -1 || true)
  release=$(basename "$(ls -d "$new"/root/usr/src/linux-headers-*-amd64)")
  release=${release#linux-headers-}
  ln -s "$kernel" "$new/vmlinuz"
  ln -s "root/usr/src/linux-headers-$release" "$new/build"
  sed -i "s|/usr/src/|$target/root/usr/src/|" "$new/build/Makefile"
  # Later packages put the modules under /usr.
  [ -d "$new/root/lib/modules" ] || { mkdir -p "$new/root/lib"; ln -s ../usr/lib/modules "$new/root/lib/modules"; }
  depmod -b "$new/root" "$release"
  echo "$layout" > "$new/layout"
  echo "$release" > "$new/release"
  rm -rf "$target"
  mv "$new" "$target"
}

[ $# -gt 0 ] || set -- 6.1 6.12 7.3
for version in "$@"; do suite_of "$version" > /dev/null; done
need_packages kmod xz-utils
lock apt
for version in "$@"; do
  if ! [ -e "$cache/$version/release" ] || [ "$(cat "$cache/$version/layout" 2> /dev/null)" != "$layout" ]; then
    echo "fetching kernel $version"
    fetch "$version"
  fi
  echo "kernel $version: $(cat "$cache/$version/release")"
done
