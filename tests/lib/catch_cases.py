#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs a Catch2 (version 2) program and prints a line for each test case.

usage: catch_cases.py PROGRAM [ARGUMENT...]    (of Catch2's: '[tag]', a name, ...)

A crash cuts the report off: the case that was running is then a failure.
"""

import re
import subprocess
import sys
import xml.sax.saxutils


def words(text):
    """A test case's name in one word, for the runner."""
    text = xml.sax.saxutils.unescape(text, {"&quot;": '"', "&apos;": "'"})
    return re.sub(r"\s+", "_", text.strip())


def main():
    program, *arguments = sys.argv[1:]
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
