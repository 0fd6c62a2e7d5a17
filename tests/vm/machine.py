# SPDX-License-Identifier: LGPL-2.1-or-later
"""The virtual machine: QEMU's process, its limit, and the relay of the command's output."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import kernel_image

CACHE = Path(os.environ.get("UDPCR_CACHE") or Path.home() / ".cache/udpcr")
LOOK_EVERY = 0.02  # seconds
PR_SET_PDEATHSIG = 1
PREPARE = {"debug": "tests/vm/debug_kernel.sh"}
# Plain ACPI costs the debug kernel, which checks every step, most of a minute.
APPEND = {"debug": " acpi=off reboot=t"}


class Ended:
    """How a run went: in time or not, QEMU's status and words, seconds until the command."""

    def __init__(self):
        self.in_time = True
        self.status = None
        self.words = ""
        self.boot_seconds = None


def cached(kernel):
    """The folder of a prepared kernel."""
    folder = CACHE / "kernels" / kernel
    if not (folder / "release").exists():
        sys.exit(f"kernel {kernel} is not in {folder}: run "
                 f"{PREPARE.get(kernel, f'tests/vm/kernels.sh {kernel}')}")
    return folder


def command_line(folder, initrd, share, given):
    qemu = CACHE / "kernels/qemu"
    program = qemu / "usr/bin/qemu-system-x86_64"
    if not program.exists():
        sys.exit(f"{program} is not there: run tests/vm/qemu.sh")
    # A busy host may not give the guest the ticks by which it tests its timer, and it panics.
    append = ("console=ttyS0 quiet panic=-1 oops=panic log_buf_len=8M no_timer_check"
              + APPEND.get(given.kernel, ""))
    return [program, "-L", qemu / "usr/share/qemu", "-L", "/usr/share/seabios", "-nodefaults", "-accel", "tcg,thread=multi", "-cpu", "max",
            # In two sockets: without ACPI the guest finds no second core of one.
            "-smp", "2,sockets=2", "-m", str(given.memory), "-display", "none", "-no-reboot",
            "-serial", f"file:{share}/console",
            "-kernel", kernel_image.unpacked(folder), "-initrd", initrd, "-append", append,
            "-virtfs", "local,path=/,mount_tag=root,security_model=none,readonly=on,"
                       "multidevs=remap",
            "-virtfs", f"local,path={share},mount_tag=share,security_model=none",
            "-device", "virtio-rng-pci"]


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Relay:
    """Copies what is added to a file to stdout."""

    def __init__(self, path):
        self.path = path
        self.file = None

    def look(self):
        if self.file is None:
            if not self.path.exists():
                return
            self.file = open(self.path, "rb")
        while piece := self.file.read(1 << 16):
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()


def run(folder, initrd, share, given):
    """Boots, relays the command's output, and returns when QEMU has ended."""
    ended = Ended()
    output = Relay(share / "output")
    start = time.monotonic()
    with open(share / "qemu", "wb") as words:
        process = subprocess.Popen(command_line(folder, initrd, share, given),
                                   stdin=subprocess.DEVNULL, stdout=words, stderr=words,
                                   preexec_fn=die_with_parent)
    try:
        while process.poll() is None:
            output.look()
            if ended.boot_seconds is None and (share / "started").exists():
                ended.boot_seconds = time.monotonic() - start
            if time.monotonic() - start > given.seconds:
                ended.in_time = False
                break
            time.sleep(LOOK_EVERY)
    finally:
        process.kill()
        ended.status = process.wait()
    output.look()
    ended.words = (share / "qemu").read_text(errors="replace").strip()
    return ended
