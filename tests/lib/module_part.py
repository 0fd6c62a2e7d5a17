# SPDX-License-Identifier: LGPL-2.1-or-later
"""The part `module`: udpcr.ko on other kernels, in virtual machines."""

import os
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# Kernel, the tests run there by default, the virtual machine's seconds.
DEFAULT = [("6.1", [], 600), ("6.12", ["[smoke]"], 300), ("7.3", ["[smoke]"], 300)]
FULL = [("debug", [], 7200), ("6.1", [], 1800), ("6.12", [], 1800), ("7.3", [], 1800)]
# Broken requests (tests/module/mutations.cpp): kernel, how many, in how many
# machines, a machine's seconds.  By default a minute of them.
MUTATIONS = [("6.1", 1_000_000, 4, 3600), ("debug", 200_000, 4, 3600)]
MUTATIONS_DEFAULT = ("6.1", 10_000_000, 60, 300)
# What QEMU's end and the judging take beyond the virtual machine's own limit.
MARGIN = 60
DKMS_KERNEL = "6.1"
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


def dkms_installs(build, tally):
    """Whether DKMS adds, builds and installs what `cmake --install` leaves of the module's source."""
    name = "module/dkms"
    cache = Path(os.environ.get("UDPCR_CACHE", Path.home() / ".cache" / "udpcr"))
    kernel = cache / "kernels" / DKMS_KERNEL
    release = (kernel / "release").read_text().strip()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        installed = folder / "lib/modules" / release
        installed.mkdir(parents=True)
        (folder / "tree").mkdir()
        commands = [["cmake", "--install", build, "--prefix", folder]]
        for action in ("add", "build", "install"):
            commands.append(
                ["dkms", action, f"udpcr/{version(build)}", "-k", release, "--no-depmod",
                 "--kernelsourcedir", (kernel / "build").resolve(), "--dkmstree", folder / "tree",
                 "--sourcetree", folder / "src", "--installtree", folder / "lib/modules"])
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                said = (done.stdout + done.stderr)[-2000:]
                tally.not_ok(name, f"{command[0]} {command[1]}: status {done.returncode}: {said}")
                return
        if list(installed.rglob("udpcr.ko*")):
            tally.ok(name)
        else:
            tally.not_ok(name, f"no udpcr.ko below lib/modules/{release}")


def version(build):
    """The project's, as CMake knows it."""
    cache = (build / "CMakeCache.txt").read_text()
    return next(line.split("=", 1)[1] for line in cache.splitlines()
                if line.startswith("CMAKE_PROJECT_VERSION:"))


def mutations(source, programs, full, seed):
    """[(name, command, seconds, sharing)]; a run is done again by the count and seed that it prints."""
    program = programs / "module_mutations"
    machine = source / "tests/vm/run.py"
    if not full:
        kernel, count, seconds, limit = MUTATIONS_DEFAULT
        return [(f"module/mutations/{kernel}", [machine, kernel, "--seconds", limit, "--", program,
                                                count, seed, seconds], limit + MARGIN, False)]
    return [(f"module/mutations/{kernel}/{part}",
             [machine, kernel, "--seconds", limit, "--", program, count // parts, seed + part],
             limit + MARGIN, False)
            for kernel, count, parts, limit in MUTATIONS for part in range(parts)]


def run(source, programs, scripts):
    """The module's tests on each kernel, each in one machine, and the harness's own test."""
    cases = source / "tests/lib/module_cases.py"
    machine = source / "tests/vm/run.py"
    jobs = []
    for kernel, selection, seconds in FULL if scripts.full else DEFAULT:
        if built(source, kernel, scripts.tally):
            command = [machine, kernel, "--seconds", seconds, "--", cases, programs, *selection]
            jobs.append((f"module/{kernel}", command, seconds + MARGIN, True))
    jobs += scripts.slice.of(mutations(source, programs, scripts.full, scripts.seed))
    # A slice has every kernel, and a share of what is tried there.
    if scripts.slice.has(0):
        dkms_installs(programs.parent, scripts.tally)
    if scripts.slice.has(1 % scripts.slice.count):
        jobs.append(("module/harness", [source / "tests/vm/self_test.py", SELF_TEST_KERNEL],
                     SELF_TEST_SECONDS, False))
    with ThreadPoolExecutor(MACHINES) as pool:
        list(pool.map(lambda job: scripts.run(*job[:3], sharing=job[3]), jobs))
