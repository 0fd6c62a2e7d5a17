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
import tempfile
import xml.sax.saxutils

from slices import Slice


def words(text):
    """A test case's name in one word, for the runner."""
    text = xml.sax.saxutils.unescape(text, {"&quot;": '"', "&apos;": "'"})
    return re.sub(r"\s+", "_", text.strip())


def share(program, arguments, own):
    """Arguments that choose the cases of that slice; none where it has none."""
    # The status is the number of cases.
    listed = subprocess.run([program, *arguments, "--list-test-names-only"], stdout=subprocess.PIPE,
                            text=True).stdout.splitlines()
    names = own.of(listed)
    if not names:
        return []
    # Catch2 reads the file line by line, each a whole name.
    with tempfile.NamedTemporaryFile("w", suffix=".cases", delete=False) as file:
        file.write("".join(f"{name}\n" for name in names))
    return ["--input-file", file.name]


def main():
    program, *arguments = sys.argv[1:]
    own = Slice.of_environment()
    if not own.is_whole:
        arguments = share(program, arguments, own)
        if not arguments:
            print("done")
            return 0
    result = subprocess.run([program, *arguments, "-r", "xml"], stdout=subprocess.PIPE, text=True,
                            errors="replace")
    failed = False
    for case in result.stdout.split("<TestCase ")[1:]:
        name = words(re.match(r'name="([^"]*)"', case).group(1))
        passed = '<OverallResult success="true"' in case
        print(f"{'ok' if passed else 'not ok'} {name}")
        if not passed:
            failed = True
            print("\n".join("  " + line for line in case.splitlines() if line.strip()))
    if "</Catch>" in result.stdout or "<OverallResults" in result.stdout:
        print("done")
    return 1 if failed or result.returncode != 0 else 0


if __name__ == "__main__":
    sys.exit(main())
