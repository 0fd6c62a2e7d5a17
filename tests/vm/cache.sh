# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Where the kernels lie, and how Debian's packages of any suite come there
# without being installed; sourced.  No root is needed: each suite has an apt
# state of its own, made from the configured mirrors.

cache=${UDPCR_CACHE:-$HOME/.cache/udpcr}/kernels

# lock NAME: waits until nobody else works on it; held until the script ends.
lock() {
  mkdir -p "$cache"
  exec {lock_fd}> "$cache/$1.lock"
  flock -n "$lock_fd" || {
    echo "waiting for another run that prepares $1" >&2
    flock "$lock_fd"
  }
}

# apt_state SUITE: fresh package lists of that suite.
apt_state() {
  local suite=$1 release=${1%-backports} state=$cache/apt/$1 file
  rm -rf "$state/sources"
  mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$state/sources"
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
    if grep -qsw bookworm "$file"; then cp "$file" "$state/sources/"; fi
  done
  [ -n "$(ls "$state/sources")" ] || {
    echo "no apt source in /etc/apt names bookworm: run this on Debian 12" >&2
    return 1
  }
  # sourceparts reads names that end so.
  [ ! -e "$state/sources/sources.list" ] || mv "$state/sources/sources.list" "$state/sources/main.list"
  sed -i "s/bookworm/$release/g" "$state"/sources/*
  if [ "$suite" != "$release" ]; then
    for file in "$state"/sources/*.sources; do
      [ ! -e "$file" ] || sed -i "s/^\(Suites:.* \?$release-updates\)/\1 $suite/" "$file"
    done
    for file in "$state"/sources/*.list; do
      [ ! -e "$file" ] || sed -i "s/^\(deb .*\) $release-updates \(.*\)/&\n\1 $suite \2/" "$file"
    done
  fi
  apt_in "$suite" apt-get update -qq -o APT::Update::Error-Mode=any
}

# apt_in SUITE COMMAND...: apt-get or apt-cache with that suite's lists.
apt_in() {
  local state=$cache/apt/$1 command=$2
  shift 2
  "$command" -o "Dir::State::Lists=$state/lists" -o Dir::Etc::sourcelist=/dev/null \
    -o "Dir::Etc::sourceparts=$state/sources" -o "Dir::Cache=$state/cache" \
    -o APT::Sandbox::User=root "$@"
}
