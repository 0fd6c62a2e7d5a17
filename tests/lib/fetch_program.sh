#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: fetch_program.sh NAME...
#
# Fetches what tests/programs/NAME needs into ~/.cache/udpcr/programs/NAME/root,
# where real_program.py lays it over the test's own view of /usr and /etc: a
# daemon that is installed would be started, and be in the way of the user's.
# What is installed already is not fetched.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/lib/packages.sh
source tests/vm/cache.sh

# fetch FOLDER PACKAGE...: the packages and what they depend on, unpacked.
fetch() {
  local folder=$1 package part
  shift
  [ -d "$cache/apt/bookworm/lists/partial" ] || apt_state bookworm
  mkdir -p "$folder/archives/partial" "$folder/root/usr"
  apt_in bookworm apt-get install -qq --download-only --no-upgrade --no-install-recommends \
    -o Debug::NoLocking=1 -o "Dir::Cache::archives=$folder/archives" "$@" >/dev/null
  for package in "$folder"/archives/*.deb; do
    [ ! -e "$package" ] || dpkg -x "$package" "$folder/root"
  done
  # On the machine these are links into /usr.
  for part in bin sbin lib; do
    [ ! -d "$folder/root/$part" ] || cp -a "$folder/root/$part" "$folder/root/usr/"
    rm -rf "${folder:?}/root/$part"
  done
  rm -rf "$folder/archives"
}

programs=$(dirname "$cache")/programs
lock programs
for name in "$@"; do
  [ ! -e "$programs/$name/complete" ] || continue
  [ -n "${program_packages[$name]:-}" ] || continue
  rm -rf "${programs:?}/$name"
  read -ra packages <<<"${program_packages[$name]}"
  echo "fetching ${packages[*]}"
  fetch "$programs/$name" "${packages[@]}" || {
    # The lists may be older than the archive.
    apt_state bookworm
    fetch "$programs/$name" "${packages[@]}"
  }
  touch "$programs/$name/complete"
done
