# SPDX-License-Identifier: LGPL-2.1-or-later
"""The part `conservation`: restarts under load, with the keeper here and with the module on other kernels."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import conservation_document
import module_part

GUEST_RESULTS = "/run/vm/results"
SCRIPTS = ("streams", "programs")
SMALL = {"streams": ["--count", 2400, "--restarts", 6], "programs": ["--restarts", 3, "--rate", 50]}
LARGE = {"streams": [], "programs": ["--rate", 50]}
NATIVE_SECONDS = 1800


def run(source, build, scripts):
    """Two at a time: here, and beside it in virtual machines."""
    results = build / "conservation"
    # What other slices have left is for the document.
    if scripts.slice.is_whole:
        shutil.rmtree(results, ignore_errors=True)
    here = source / "tests/conservation"

    def natively(*names):
        for name in names:
            scripts.run(f"conservation/{name}", [here / name, "--results", results / "keeper"],
                        NATIVE_SECONDS)

    def in_machine(kernel, given, seconds):
        if not module_part.built(source, kernel, scripts.tally):
            return
        column = f"module-{kernel}"
        inside = [source / "tests/lib/conservation_cases.py", GUEST_RESULTS, json.dumps(given)]
        scripts.run(f"conservation/{column}",
                    [source / "tests/vm/run.py", kernel, "--seconds", seconds, "--results",
                     results / column, "--", *inside], seconds + module_part.MARGIN)

    jobs = [(natively, *SCRIPTS), (in_machine, "6.1", SMALL, 300)]
    if scripts.full:
        jobs = scripts.slice.of([(in_machine, "6.1", LARGE, 3600),
                                 *([natively, name] for name in SCRIPTS),
                                 (in_machine, "6.12", SMALL, 300), (in_machine, "7.3", SMALL, 300)])
    if not jobs:
        return
    with ThreadPoolExecutor(2) as pool:
        for job in [pool.submit(*job) for job in jobs]:
            job.result()
    conservation_document.check(source, results, scripts.tally)
