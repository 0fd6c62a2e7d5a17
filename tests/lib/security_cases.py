#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""In the virtual machine: the attacks of tests/security, with the module loaded.

usage: security_cases.py BUILD KERNEL

Each case's name gets the script's before it.  TEST_MACHINE=KERNEL tells a script where it is,
TEST_SLICE which of the scripts, or of their turns, are meant, and FEWER how many turns there are.
"""

import os
import sys

from module_cases import TESTS, run_scripts
from security_part import FEWER, in_machine


def main():
    os.environ.update(TEST_BUILD=sys.argv[1], TEST_MACHINE=sys.argv[2])
    full = bool(os.environ.get("TEST_FULL"))
    os.environ.update({name: str(counts[full]) for name, counts in FEWER.items()})
    all_well = run_scripts(in_machine(TESTS / "security", full))
    print("done")
    return 0 if all_well else 1


if __name__ == "__main__":
    sys.exit(main())
