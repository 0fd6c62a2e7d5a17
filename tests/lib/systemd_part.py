# SPDX-License-Identifier: LGPL-2.1-or-later
"""The part `systemd`: services that are restarted, in a virtual machine with systemd."""

import subprocess

import module_part

KERNEL = "6.1"  # of systemd's own distribution
SECONDS, FULL_SECONDS = 600, 1800


def run(source, build, scripts):
    root = subprocess.run([source / "tests/vm/systemd_root.sh"], capture_output=True, text=True)
    if root.returncode != 0:
        raise RuntimeError(f"the guest's root cannot be made:\n{root.stdout}{root.stderr}")
    if not module_part.built(source, KERNEL, scripts.tally):
        return
    seconds = FULL_SECONDS if scripts.full else SECONDS
    # The test loads the module when it is its turn.
    scripts.run("systemd", [source / "tests/vm/run.py", KERNEL, "--systemd", "--no-module",
                            "--seconds", seconds, "--", source / "tests/systemd/restarts.py",
                            build, *(["--full"] if scripts.full else [])],
                seconds + module_part.MARGIN, sharing=True)
