# SPDX-License-Identifier: LGPL-2.1-or-later
"""The part `module`: udpcr.ko on other kernels, in virtual machines."""

import os
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# Kernel, the tests run there by default, the virtual machine's seconds.
DEFAULT = [("6.1", [], 600), ("6.12", ["[smoke]"], 300), ("7.3", ["[smoke]"], 300)]
FULL = [("debug", [], 5400), ("6.1", [], 900), ("6.12", [], 900), ("7.3", [], 900)]
# What QEMU's end and the judging take beyond the virtual machine's own limit.
MARGIN = 60
SELF_TEST_KERNEL = "6.12"
SELF_TEST_SECONDS = 600
MACHINES = 2  # side by side


def built(source, kernel, tally):
    """Whether the module could be built; fetches and builds the kernel first."""
    result = subprocess.run(["tests/vm/build_module.sh", kernel], cwd=source, capture_output=True,
                            text=True)
    if result.returncode == 0:
        tally.ok(f"module/build/{kernel}")
        return True
    tally.not_ok(f"module/build/{kernel}", f"status {result.returncode}")
    print("".join(f"    | {line}\n" for line in (result.stdout + result.stderr).splitlines()[-60:]),
          end="", flush=True)
    return False


def installed_builds(build, tally):
    """Whether what `cmake --install` leaves of the module's source builds, as DKMS would do it."""
    name = "module/installed_source"
    cache = Path(os.environ.get("UDPCR_CACHE", Path.home() / ".cache" / "udpcr"))
    with tempfile.TemporaryDirectory() as folder:
        installed = subprocess.run(["cmake", "--install", build, "--prefix", folder],
                                   capture_output=True, text=True)
        trees = list(Path(folder).glob("src/udpcr-*"))
        if len(trees) != 1 or not (trees[0] / "dkms.conf").is_file():
            tally.not_ok(name, f"no src/udpcr-VERSION with dkms.conf: {installed.stderr.strip()}")
            return
        made = subprocess.run(["make", "-s", "-C", trees[0] / "kmod",
                               f"KDIR={cache}/kernels/6.1/build"], capture_output=True, text=True)
        if made.returncode == 0 and (trees[0] / "kmod" / "udpcr.ko").is_file():
            tally.ok(name)
        else:
            tally.not_ok(name, (made.stdout + made.stderr)[-2000:])


def run(source, programs, scripts):
    """The module's tests on each kernel, each in one machine, and the harness's own test."""
    cases = source / "tests/lib/module_cases.py"
    machine = source / "tests/vm/run.py"
    jobs = []
    for kernel, selection, seconds in FULL if scripts.full else DEFAULT:
        if built(source, kernel, scripts.tally):
            command = [machine, kernel, "--seconds", seconds, "--", cases, programs, *selection]
            jobs.append((f"module/{kernel}", command, seconds + MARGIN))
    installed_builds(programs.parent, scripts.tally)
    jobs.append(("module/harness", [source / "tests/vm/self_test.py", SELF_TEST_KERNEL],
                 SELF_TEST_SECONDS))
    with ThreadPoolExecutor(MACHINES) as pool:
        list(pool.map(lambda job: scripts.run(*job), jobs))
