#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""In the virtual machine: the scripts of tests/conservation, the module keeping the sockets.

usage: conservation_cases.py RESULTS '{"SCRIPT": [ARGUMENT...], ...}'
"""

import json
import os
import sys
import tempfile
from pathlib import Path

from module_cases import ISOLATED, TESTS, run


def main():
    results, scripts = Path(sys.argv[1]), json.loads(sys.argv[2])
    all_well = True
    for name, given in scripts.items():
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            command = [*ISOLATED, folder, TESTS / "conservation" / name, "--holder", "module",
                       "--results", results, *map(str, given)]
            all_well &= run(name, command, folder)
    print("done")
    return 0 if all_well else 1


if __name__ == "__main__":
    sys.exit(main())
