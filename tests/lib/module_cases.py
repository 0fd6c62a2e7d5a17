#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""In the virtual machine: a Catch2 program's cases, then the script tests of tests/module.

usage: module_cases.py PROGRAM [SELECTION...]

Tells one `done` when each of them has ended with its own.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


def run(command, folder):
    """Whether it ended in order; its lines but the last go on."""
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace")
    done = False
    for line in process.stdout:
        done = line == "done\n"
        if not done:
            print(line, end="", flush=True)
    return done, process.wait()


def main():
    program, *selection = sys.argv[1:]
    scripts = sorted(path for path in (TESTS / "module").iterdir()
                     if path.is_file() and os.access(path, os.X_OK))
    assert scripts, "tests/module holds no script test"
    commands = [[TESTS / "lib" / "catch_cases.py", program, *selection], *([one] for one in scripts)]
    status, all_done = 0, True
    for command in commands:
        with tempfile.TemporaryDirectory() as folder:
            done, ended = run(command, folder)
        if not done:
            print(f"not ok {Path(command[0]).name} it died with status {ended}", flush=True)
        status = status or ended or (0 if done else 1)
        all_done = all_done and done
    if all_done:
        print("done")
    return status


if __name__ == "__main__":
    sys.exit(main())
