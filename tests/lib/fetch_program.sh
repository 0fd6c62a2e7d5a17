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
  rm -rf "$folder"
  mkdir -p "$folder/archives/partial" "$folder/root/usr"
  apt_in bookworm apt-get install -qq --download-only --no-upgrade --no-install-recommends \
    -o Debug::NoLocking=1 -o "Dir::Cache::archives=$folder/archives" "$@" >/dev/null || return 1
  for package in "$folder"/archives/*.deb; do
    [ -e "$package" ] || continue
    dpkg -x "$package" "$folder/root" || return 1
  done
  # On the machine these are links into /usr.
  for part in bin sbin lib; do
    [ -d "$folder/root/$part" ] || continue
    cp -a "$folder/root/$part" "$folder/root/usr/" && rm -r "$folder/root/$part" || return 1
  done
  rm -r "$folder/archives"
  touch "$folder/complete"
}

programs=$(dirname "$cache")/programs
lock programs
for name in "$@"; do
  [ ! -e "$programs/$name/complete" ] || continue
  read -ra packages <<<"${program_packages[$name]:?"program_packages in packages.sh has no $name"}"
  echo "fetching ${packages[*]}"
  [ -d "$cache/apt/bookworm/lists/partial" ] || apt_state bookworm
  fetch "$programs/$name" "${packages[@]}" || {
    # The lists may be older than the archive.
    apt_state bookworm
    fetch "$programs/$name" "${packages[@]}"
  }
done
