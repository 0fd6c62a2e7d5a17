#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""In the virtual machine: the attacks of tests/security, with the module loaded.

usage: security_cases.py BUILD KERNEL

Each case's name gets the script's before it.  TEST_MACHINE=KERNEL tells a script where it is,
TEST_SLICE which of the scripts, or of their turns, are meant, and FEWER how many turns there are.
"""

import os
import sys
import tempfile

from module_cases import ISOLATED, TESTS, run
from security_part import FEWER, in_machine
from slices import Slice, chosen


def main():
    os.environ.update(TEST_BUILD=sys.argv[1], TEST_MACHINE=sys.argv[2])
    full = bool(os.environ.get("TEST_FULL"))
    os.environ.update({name: str(counts[full]) for name, counts in FEWER.items()})
    all_well = True
    for script, sharing in chosen(in_machine(TESTS / "security", full), Slice.of_environment()):
        if not sharing:
            os.environ.pop("TEST_SLICE", None)
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            all_well &= run(script.name, [*ISOLATED, folder, script], folder)
    print("done")
    return 0 if all_well else 1


if __name__ == "__main__":
    sys.exit(main())
