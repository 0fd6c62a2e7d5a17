#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs a Catch2 (version 2) program and prints a line for each test case.

usage: catch_cases.py PROGRAM [ARGUMENT...]    (of Catch2's: '[tag]', a name, ...)

A crash cuts the report off: the case that was running is then a failure.
TEST_SLICE=I/N in the environment: of the cases that are chosen, every N-th.
"""

import re
import subprocess
import sys
import xml.sax.saxutils

from slices import Slice


def words(text):
    """A test case's name in one word, for the runner."""
    text = xml.sax.saxutils.unescape(text, {"&quot;": '"', "&apos;": "'"})
    return re.sub(r"\s+", "_", text.strip())


def share(program, arguments, own):
    """The names of that slice's cases."""
    # The status is the number of cases.
    listed = subprocess.run([program, *arguments, "--list-test-names-only"], stdout=subprocess.PIPE,
                            text=True).stdout.splitlines()
    return own.of(listed)


def chosen_by(names):
    """An argument of Catch2's that means these cases."""
    return ",".join(re.sub(r'([\\,"\[])', r"\\\1", name) for name in names)


def main():
    program, *arguments = sys.argv[1:]
    own, wanted = Slice.of_environment(), None
    if not own.is_whole:
        wanted = share(program, arguments, own)
        if not wanted:
            print("done")
            return 0
        arguments = [chosen_by(wanted)]
    result = subprocess.run([program, *arguments, "-r", "xml"], stdout=subprocess.PIPE, text=True,
                            errors="replace")
    failed, ran = False, set()
    for case in result.stdout.split("<TestCase ")[1:]:
        name = words(re.match(r'name="([^"]*)"', case).group(1))
        ran.add(name)
        passed = '<OverallResult success="true"' in case
        print(f"{'ok' if passed else 'not ok'} {name}")
        if not passed:
            failed = True
            print("\n".join("  " + line for line in case.splitlines() if line.strip()))
    missing = set(map(words, wanted or ())) - ran
    if missing:
        failed = True
        print(f"not ok slice {own}: these were to run: {' '.join(sorted(missing))}")
    if "</Catch>" in result.stdout or "<OverallResults" in result.stdout:
        print("done")
    return 1 if failed or result.returncode != 0 else 0


if __name__ == "__main__":
    sys.exit(main())
