#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""In the virtual machine: all tests that need the module, one program after another.

usage: module_cases.py BIN [SELECTION...]

BIN has the Catch2 programs; SELECTION is for module_tests, and leaves the slow
scripts out.  TEST_SLICE in the environment: every N-th case and script.  Each case's name gets the program's before it.  Tells one `done` when each program has told its own.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from slices import Slice, chosen

TESTS = Path(__file__).resolve().parents[1]
CATCH = TESTS / "lib" / "catch_cases.py"
SLOW = {"handover", "parked", "unload"}
# Tried with the keeper as well, natively.
FULL_ONLY = {"parked_commands", "restart"}
# A script has network, files and processes of its own, as the runner gives it.
ISOLATED = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--",
            TESTS / "lib" / "in_namespace.sh"]


def run(name, command, folder):
    """Whether it ended in order; its lines but the last go on."""
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace",
                               env={**os.environ, "TMPDIR": folder})
    done = False
    for line in process.stdout:
        done = line == "done\n"
        if not done:
            print(re.sub(r"^(ok|not ok|skip) (?=\S)", rf"\1 {name}/", line), end="", flush=True)
    status = process.wait()
    if not done:
        print(f"not ok {name} it died with status {status}", flush=True)
    return done and status == 0


def main():
    programs, *selection = sys.argv[1:]
    programs = Path(programs)
    os.environ.update(TEST_ENGINE="module", TEST_BUILD=str(programs.parent))
    jobs = [("module_tests", [CATCH, programs / "module_tests", *selection])]
    jobs += [(f"engine_tests{tag}", [CATCH, programs / "engine_tests", tag])
             for tag in (("[module]",) if selection else ("~[module]", "[module]"))]
    scripts = sorted(path for path in (TESTS / "module").iterdir()
                     if path.is_file() and os.access(path, os.X_OK))
    assert scripts, "tests/module holds no script test"
    all_well = True
    for name, command in jobs:
        with tempfile.TemporaryDirectory() as folder:
            all_well &= run(name, command, folder)
    scripts = [script for script in scripts
               if not (selection and script.name in SLOW)
               and (script.name not in FULL_ONLY or os.environ.get("TEST_FULL"))]
    for script, sharing in chosen(scripts, Slice.of_environment()):
        if not sharing:
            os.environ.pop("TEST_SLICE", None)
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            all_well &= run(script.name, [*ISOLATED, folder, script], folder)
    print("done")
    return 0 if all_well else 1


if __name__ == "__main__":
    sys.exit(main())
