# SPDX-License-Identifier: LGPL-2.1-or-later
"""The part `security`: attacks, here and in virtual machines with the module."""

import os
from concurrent.futures import ThreadPoolExecutor

import module_part
from slices import chosen

# Kernel, the virtual machine's seconds.
DEFAULT = [("6.1", 900)]
FULL = [("6.1", 3400), ("6.12", 3400), ("7.3", 3400)]
# MB: many cases have copies of the tool, which all users can read.
MEMORY = 4096
# How much of what is done many times is done there, where everything takes five times as long:
# by default, with --full.
FEWER = {"TEST_KILLS": (50, 1000)}
# They say nothing that depends on a kernel.
NATIVE_ONLY = {"hardened", "injections"}
# Long, and about our own processes: in a virtual machine with --full alone.
FULL_ONLY = {"image_memory", "stopped_keeper", "stopped_service"}


def in_machine(folder, full):
    """The scripts that are run in virtual machines as well."""
    without = NATIVE_ONLY if full else NATIVE_ONLY | FULL_ONLY
    return sorted(path for path in folder.iterdir() if path.is_file() and
                  os.access(path, os.X_OK) and path.name not in without)


def run(source, build, scripts, natively):
    """`natively` runs them here; beside it, in virtual machines."""
    def on(kernel, seconds):
        if module_part.built(source, kernel, scripts.tally):
            scripts.run(f"security/{kernel}",
                        [source / "tests/vm/run.py", kernel, "--memory", MEMORY,
                         "--seconds", seconds, "--",
                         source / "tests/lib/security_cases.py", build, kernel],
                        seconds + module_part.MARGIN, sharing=True)

    jobs = [(natively, scripts)]
    if chosen(in_machine(source / "tests/security", scripts.full), scripts.slice):
        jobs += [(on, *machine) for machine in (FULL if scripts.full else DEFAULT)]
    with ThreadPoolExecutor(2) as pool:
        for job in [pool.submit(*job) for job in jobs]:
            job.result()
