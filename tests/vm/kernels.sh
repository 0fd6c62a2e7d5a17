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

cache=${UDPCR_CACHE:-$HOME/.cache/udpcr}/kernels

# Kernel 6.1 is this distribution's own; the others come from later suites,
# through an apt state of their own.
suite_of() {
  case $1 in
    6.1) echo bookworm ;;
    6.12) echo trixie ;;
    7.3) echo trixie-backports ;;
    *) echo "kernels.sh: kernel $1 is not one of 6.1, 6.12, 7.3" >&2; return 1 ;;
  esac
}

# apt with the configured mirrors, but suite $1.
apt_state() {
  local suite=$1 release=${1%-backports} state=$cache/apt/$1
  mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$state/sources"
  if [ ! -e "$state/updated" ]; then
    cp /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list /etc/apt/sources.list \
      "$state/sources/" 2>/dev/null || true
    sed -i "s/bookworm/$release/g" "$state"/sources/*
    if [ "$suite" != "$release" ]; then
      sed -i "s/^\(Suites:.* \?$release-updates\)/\1 $suite/" "$state"/sources/*.sources 2>/dev/null || true
      sed -i "s/^\(deb .*\) $release-updates \(.*\)/&\n\1 $suite \2/" "$state"/sources/*.list 2>/dev/null || true
    fi
    apt_in "$state" update -qq
    touch "$state/updated"
  fi
}

apt_in() {
  local state=$1
  shift
  apt-get -o "Dir::State::Lists=$state/lists" -o Dir::Etc::sourcelist=/dev/null \
    -o "Dir::Etc::sourceparts=$state/sources" -o "Dir::Cache=$state/cache" \
    -o APT::Sandbox::User=root "$@"
}

# The packages that package $2 of suite state $1 depends on, whose names match $3.
depends() {
  apt-cache -o "Dir::State::Lists=$1/lists" -o Dir::Etc::sourcelist=/dev/null \
    -o "Dir::Etc::sourceparts=$1/sources" -o "Dir::Cache=$1/cache" show "$2${4:+/$4}" |
    sed -n 's/^Depends: //p' | head -1 | tr ',' '\n' | sed 's/^ *//; s/ .*//' | grep -E "$3"
}

fetch() {
  local version=$1 suite state target image headers
  target=$cache/$version
  [ -e "$target/release" ] && return
  suite=$(suite_of "$version")
  state=$cache/apt/$suite
  apt_state "$suite"
  rm -rf "$target.new"
  mkdir -p "$target.new/debs" "$target.new/root"
  image=$(depends "$state" linux-image-amd64 '^linux-image-[0-9]' "$suite")
  headers=$(depends "$state" linux-headers-amd64 '^linux-headers-[0-9]' "$suite")
  (
    cd "$target.new/debs"
    local common kbuild
    common=$(depends "$state" "$headers" '^linux-headers-.*-common$')
    kbuild=$(depends "$state" "$headers" '^linux-kbuild-')
    apt_in "$state" download -qq "$image" "$headers" "$common" "$kbuild"
    # From 7.x on the modules may live in a package of their own.
    for extra in $(depends "$state" "$image" '^linux-(modules|binary|base)-[0-9]' || true); do
      apt_in "$state" download -qq "$extra"
    done
    for deb in ./*.deb; do dpkg -x "$deb" ../root; done
  )
  # Their helpers want a newer C library than this machine has: bring its own.
  if [ "$version" != 6.1 ]; then
    (cd "$target.new/debs" && apt_in "$state" download -qq libc6 libelf1t64 zlib1g libzstd1 libssl3t64 &&
      mkdir -p ../libc && for deb in libc6_* libelf1* zlib1g* libzstd1* libssl3*; do dpkg -x "$deb" ../libc; done)
  fi
  rm -rf "$target.new/debs"
  # Up to 6.12 in /boot, from 7.x among the modules.
  local kernel release
  kernel=$(cd "$target.new" && find root/boot root/usr/lib/modules -name 'vmlinuz*' 2> /dev/null | head -1 || true)
  release=$(basename "$(ls -d "$target.new"/root/usr/src/linux-headers-*-amd64)")
  release=${release#linux-headers-}
  ln -s "$kernel" "$target.new/vmlinuz"
  ln -s "root/usr/src/linux-headers-$release" "$target.new/build"
  # Headers of later releases put modules under /usr.
  [ -d "$target.new/root/lib/modules" ] || { mkdir -p "$target.new/root/lib"; ln -s ../usr/lib/modules "$target.new/root/lib/modules"; }
  depmod -b "$target.new/root" "$release"
  echo "$release" > "$target.new/release"
  rm -rf "$target"
  mv "$target.new" "$target"
}

[ $# -gt 0 ] || set -- 6.1 6.12 7.3
for version in "$@"; do
  suite_of "$version" > /dev/null
  fetch "$version"
  echo "kernel $version: $(cat "$cache/$version/release")"
done
