#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: tests/run.sh [--seed N] [PART...]
#        tests/run.sh --full [--seed N] [PART[/I/N]...]    the long tier, or slice I of N of a part
#        tests/run.sh --full --status [PART...]            which slices of it hold
#
# Installs what is missing, builds preset `ci`, runs the parts and ends with
# a line "N passed, N failed, N skipped".  docs/tests.md tells the rest.
set -u
cd "$(dirname "$0")/.." || exit 1
source tests/lib/packages.sh

for word in "$@"; do
  # Nothing runs, so nothing is built.
  [[ $word == --status || $word == --help || $word == -h ]] && exec /usr/bin/python3 tests/lib/runner.py "$@"
done
need_packages "${build_packages[@]}" "${test_packages[@]}" || exit 1
echo "building preset ci"
build_preset ci || exit 1
exec /usr/bin/python3 tests/lib/runner.py "$@"
