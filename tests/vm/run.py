#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs a command on another kernel, in a virtual machine with this machine's files.

The guest's root is this machine's, read-only, under an overlay in memory: what
the command writes is gone afterwards; this checkout stands at the same path.
udpcr.ko is loaded before the command and unloaded after it.  The command runs
as root, in the current folder, with `lo` up and a process namespace of its own,
with the TEST_* variables of the caller and stdin empty; its output comes to
stdout as it is written.

With --systemd the guest has a root of its own instead, with Debian's systemd as
process 1 (tests/vm/systemd_root.sh makes it).  The command runs as a service; it
sees the host's files, read-only, in /host, and this checkout at its own path.

The status is the command's, or 1 with a sentence and the kernel's log on stderr
when the guest did not come to its end, the module could not be unloaded, the
kernel has complained (WARNING, BUG, lockdep, KASAN, ...) or is tainted, memory
was leaked (debug kernel), or the time is over.

Kernels: 6.1, 6.12, 7.3 and debug (tests/vm/build_module.sh KERNEL prepares one).
"""

import argparse
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import initramfs
import kernel_log
import machine

SOURCE = Path(__file__).resolve().parents[2]
KERNELS = ("6.1", "6.12", "7.3", "debug")
NOBODY = 65534


class Failure(Exception):
    """The run has failed, whatever the command says."""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kernel", metavar="KERNEL", choices=KERNELS)
    parser.add_argument("--memory", type=int, default=1536, metavar="MB")
    parser.add_argument("--seconds", type=float, default=300, metavar="N",
                        help="the whole run's limit (300)")
    parser.add_argument("--user", action="store_true", help="run the command as nobody")
    parser.add_argument("--no-module", action="store_true", help="do not load udpcr.ko")
    parser.add_argument("--systemd", action="store_true", help="systemd is process 1")
    parser.add_argument("--log", metavar="FILE", type=argparse.FileType("w"),
                        help="keep the guest's kernel log there in any case")
    parser.add_argument("--results", metavar="FOLDER", type=Path,
                        help="copy there what the command has put into /run/vm/results")
    parser.add_argument("command", nargs="+", metavar="COMMAND")
    return parser.parse_args()


def prepare(share, given, kernel, module):
    """Lays into the shared folder what guest_run.sh reads."""
    settings = {
        "modules": "" if given.kernel == "debug" else kernel / "root/lib/modules",
        "module": "" if given.no_module else module,
        "account": NOBODY if given.user else "",
        "debug": "1" if given.kernel == "debug" else "",
        "systemd": "1" if given.systemd else "",
        "source": SOURCE,
        "directory": Path.cwd(),
    }
    (share / "settings").write_text(
        "".join(f"{name}={shlex.quote(str(value))}\n" for name, value in settings.items()))
    passed = {key: value for key, value in os.environ.items() if key.startswith("TEST_")}
    passed.update(LC_ALL="C.UTF-8", PYTHONDONTWRITEBYTECODE="1")
    (share / "command").write_text(
        "".join(f"export {key}={shlex.quote(value)}\n" for key, value in passed.items())
        + "exec " + shlex.join(given.command) + "\n")
    shutil.copy(SOURCE / "tests/vm/guest_run.sh", share)
    (share / "results").mkdir()
    (share / "results").chmod(0o777)


def text(path):
    return path.read_text(errors="replace") if path.exists() else ""


def verdict(share, given, ended):
    """What the guest left behind: the command's status, or Failure."""
    log = max(text(share / "kmsg"), text(share / "console"), key=len)
    complaints = kernel_log.complaints(text(share / "kmsg")) or \
        kernel_log.complaints(text(share / "console"))
    if complaints:
        raise Failure(f"the guest's kernel complains:\n{complaints}")
    if trouble := text(share / "trouble").strip():
        raise Failure(trouble)
    if not ended.in_time:
        raise Failure(f"the guest was not done after {given.seconds:g} s")
    if ended.status != 0:
        raise Failure(f"QEMU has ended with status {ended.status}: {ended.words}")
    if not text(share / "word"):
        where = "while the command ran" if (share / "started").exists() else "before the command"
        if (share / "status").exists():
            where = "after the command"
        raise Failure(f"the guest ended without its last word, {where}")
    taint = kernel_log.taint(int(text(share / "taint")))
    if taint:
        raise Failure(f"the guest's kernel is tainted: {taint}")
    if given.kernel == "debug":
        if missing := kernel_log.missing_checkers(log):
            raise Failure(f"the debug kernel runs without {missing}: build it again")
        if leaks := kernel_log.leaks(text(share / "leaks"), text(share / "symbols")):
            raise Failure(f"udpcr has leaked memory:\n{leaks}")
    return int(text(share / "status"))


def main():
    given = arguments()
    kernel = machine.cached(given.kernel)
    module = SOURCE / "build/kmod" / given.kernel / "udpcr.ko"
    if not given.no_module and not module.exists():
        sys.exit(f"{module} is not there: run tests/vm/build_module.sh {given.kernel}")
    systemd = machine.CACHE / "kernels/systemd/root" if given.systemd else None
    if systemd and not systemd.exists():
        sys.exit(f"{systemd} is not there: run tests/vm/systemd_root.sh")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    share = Path(tempfile.mkdtemp(prefix="udpcr-vm-"))
    share.chmod(0o755)
    try:
        prepare(share, given, kernel, module.resolve())
        start = time.monotonic()
        initrd = initramfs.cached(kernel, given.kernel, systemd)
        ended = machine.run(kernel, initrd, share, given)
        try:
            status = verdict(share, given, ended)
        except Failure as failure:
            log = text(share / "kmsg") or text(share / "console")
            sys.stdout.flush()
            print("".join(f"guest's log| {line}\n" for line in log.splitlines()[-300:])
                  + f"vm {given.kernel}: {failure}", file=sys.stderr)
            status = 1
        if ended.boot_seconds:
            print(f"vm {given.kernel}: the command began after {ended.boot_seconds:.1f} s,"
                  f" {time.monotonic() - start:.1f} s in all", file=sys.stderr)
        if given.results:
            shutil.copytree(share / "results", given.results, dirs_exist_ok=True)
        if given.log:
            given.log.write(text(share / "kmsg") or text(share / "console"))
        return status
    finally:
        shutil.rmtree(share, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
