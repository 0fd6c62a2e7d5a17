# SPDX-License-Identifier: LGPL-2.1-or-later
"""The part `conservation`: restarts under load, with the keeper here and with the module on other kernels."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import conservation_document
import module_part

GUEST_RESULTS = "/run/vm/results"
SCRIPTS = ("streams", "programs")
# Kernel, the arguments of each script, seconds.
DEFAULT = [("6.1", {"streams": ["--count", 2400, "--restarts", 6],
                    "programs": ["--restarts", 3, "--rate", 50]}, 300)]
FULL = [("6.1", {"streams": [], "programs": ["--rate", 50]}, 900),
        ("6.12", DEFAULT[0][1], 300), ("7.3", DEFAULT[0][1], 300)]
NATIVE_SECONDS = 600


def run(source, build, scripts):
    """Natively the scripts, one after another; beside them the virtual machines."""
    results = build / "conservation"
    shutil.rmtree(results, ignore_errors=True)
    here = source / "tests/conservation"

    def natively():
        for name in SCRIPTS:
            scripts.run(f"conservation/{name}", [here / name, "--results", results / "keeper"],
                        NATIVE_SECONDS)

    def in_machines():
        for kernel, given, seconds in FULL if scripts.full else DEFAULT:
            if not module_part.built(source, kernel, scripts.tally):
                continue
            column = f"module-{kernel}"
            inside = [source / "tests/lib/conservation_cases.py", GUEST_RESULTS, json.dumps(given)]
            scripts.run(f"conservation/{column}",
                        [source / "tests/vm/run.py", kernel, "--seconds", seconds, "--results",
                         results / column, "--", *inside], seconds + module_part.MARGIN)

    with ThreadPoolExecutor(2) as pool:
        for job in [pool.submit(natively), pool.submit(in_machines)]:
            job.result()
    conservation_document.check(source, results, scripts.tally)
