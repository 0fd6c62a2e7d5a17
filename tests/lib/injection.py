# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs whose system calls are counted, or fail, for tests/security/injections.

A scenario is a few steps with tests/security/programs/injected.c; some of its commands are
stages, which run under tests/security/programs/inject.c.  A Fault names the call of a stage
that fails.  What a scenario raises as Finding is a fault of udpcr's.
"""

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from harness import BUILD, SOURCE, until

TOOL = BUILD / "bin" / "udpcr"
SHIM = BUILD / "lib" / "libudpcr_shim.so"
PROGRAMS = SOURCE / "tests" / "security" / "programs"
# Nothing that udpcr waits for may take longer than its own bounds and a busy machine need.
SECONDS = 60
EACH = 3  # datagrams a socket
PLACES = [(socket.AF_INET, "127.0.0.1", 0), (socket.AF_INET6, "::1", 0),
          (socket.AF_INET, "127.0.0.1", 1)]


class Finding(Exception):
    """udpcr has lost something without a word, hangs, or harms the program."""


@dataclass(frozen=True)
class Fault:
    stage: str
    role: str
    call: str
    nth: int
    error: str
    times: int

    def words(self):
        return [self.role, self.call, str(self.nth), str(getattr(errno, self.error)),
                str(self.times)]

    def __str__(self):
        often = "" if self.times == 1 else " and all after it"
        return f"{self.stage}: {self.role} {self.call} #{self.nth} {self.error}{often}"


def build(folder):
    """Compiles the two programs; returns nothing: they lie in `folder`."""
    for name in ("inject", "injected"):
        subprocess.run(["cc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-o",
                        folder / name, PROGRAMS / f"{name}.c"], check=True)


def expect(holds, sentence):
    if not holds:
        raise Finding(sentence)


def wait_for(what, predicate, seconds=SECONDS):
    try:
        return until(what, predicate, seconds)
    except AssertionError as error:
        raise Finding(str(error)) from None


def ended_lines(path):
    """The whole lines of a file; none when it is not there."""
    try:
        return path.read_text(errors="replace").rpartition("\n")[0].splitlines()
    except FileNotFoundError:
        return []


class Traced:
    """A command under `inject`."""

    def __init__(self, run, stage, command, environment, piped=False):
        self.stage, self.run = stage, run
        self.log, self.out, self.err = (run.folder / f"{stage}.{end}" for end in ("log", "out", "err"))
        fault = run.fault if run.fault and run.fault.stage == stage else None
        words = [str(run.programs / "inject"), str(self.log), *(fault.words() if fault else []), "--"]
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(
                [*words, *map(str, command)], stdout=out, stderr=err, cwd=run.folder,
                stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
                env={key: value for key, value in os.environ.items()
                     if not key.startswith("UDPCR_")} | environment, process_group=0)
        run.traced.append(self)

    def pid(self):
        """Of the program itself, once it is ready; None when it has ended before."""
        def ready():
            status = self.status()
            line = next((line for line in reversed(ended_lines(self.out))
                         if line.startswith("ready ")), None)
            return (int(line.split()[1]),) if line else (None,) if status is not None else None
        return wait_for(f"{self.stage}: the program's start", ready)[0]

    def status(self):
        """wait(2)'s, of the command itself; None while it runs."""
        line = next((line for line in ended_lines(self.log) if line.startswith("ended ")), None)
        return int(line.split()[1]) if line else None

    def await_status(self, seconds=SECONDS):
        status = wait_for(f"{self.stage}: the command's end",
                          lambda: (self.status(),) if self.status() is not None else None, seconds)
        return status[0]

    def tell(self, word):
        try:
            self.process.stdin.write(f"{word}\n".encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            pass

    def read(self):
        """What waits in the program's sockets: [(socket, payload)]; None when it has ended."""
        before = len(ended_lines(self.out))
        self.tell("read")
        def answer():
            lines = ended_lines(self.out)[before:]
            if "end" in lines:
                return (lines[:lines.index("end")],)
            return (None,) if self.status() is not None else None
        lines = wait_for(f"{self.stage}: the program's answer", answer)[0]
        return None if lines is None else [(int(line.split()[0]), line.split()[1]) for line in lines]

    def complaints(self):
        return [line for line in self.err.read_text(errors="replace").splitlines() if line]

    def counts(self):
        """{(role, call): number}, of a tree that has ended."""
        return {tuple(line.split()[1:3]): int(line.split()[3])
                for line in ended_lines(self.log) if line.startswith("count ")}

    def was_injected(self):
        return any(line.startswith("injected ") for line in ended_lines(self.log))


class Run:
    """One run of a scenario, in a folder of its own, with ports of its own."""

    number = 0

    def __init__(self, programs, fault=None, settings=None):
        Run.number += 1
        self.programs, self.fault = programs, fault
        self.folder = (Path.cwd() / f"run-{Run.number}").absolute()
        self.folder.mkdir()
        self.port = 10000 + 2 * (Run.number % 10000)
        self.traced = []
        self.settings = {"IMAGE": str(self.folder / "app.udpcr"), "ENGINE": "userspace",
                         **(settings or {})}
        self.expected = []

    @property
    def image(self):
        return self.folder / "app.udpcr"

    def environment(self):
        return {f"UDPCR_{key}": value for key, value in self.settings.items()}

    def start(self, stage, *arguments):
        """The program."""
        return Traced(self, stage, ["env", f"LD_PRELOAD={SHIM}", self.programs / "injected",
                                    str(self.port), *arguments], self.environment(), piped=True)

    def tool(self, stage, *words):
        """A command of the tool, to its end; returns its status, negative for a signal."""
        command = Traced(self, stage, [TOOL, *words], self.environment())
        status = command.await_status()
        return command, os.waitstatus_to_exitcode(status)

    def send(self, mark):
        for index, (family, address, more) in enumerate(PLACES):
            with socket.socket(family, socket.SOCK_DGRAM) as sender:
                for number in range(EACH):
                    payload = f"{mark}{index}.{number}"
                    sender.sendto(payload.encode(), (address, self.port + more))
                    self.expected.append((index, payload))
        self.expected.sort(key=lambda row: row[0])

    def in_image(self):
        """(sockets, datagrams) of the image; None when there is none."""
        if not self.image.exists():
            return None
        result = subprocess.run([TOOL, "show", str(self.image), "--json"], capture_output=True,
                                text=True, timeout=SECONDS)
        expect(result.returncode == 0, f"the image is broken: {result.stderr.strip()}")
        sockets = json.loads(result.stdout)["sockets"]
        return len(sockets), sum(one["receive_queue"]["datagrams"] for one in sockets)

    def finish(self):
        """Ends the programs; nothing of udpcr's may stay."""
        for traced in self.traced:
            if traced.process.stdin:
                traced.tell("quit")
                try:
                    traced.process.stdin.close()
                except BrokenPipeError:
                    pass
        for traced in self.traced:
            wait_for(f"{traced.stage}: the end of all its processes",
                     lambda one=traced: one.process.poll() is not None)

    def was_injected(self):
        return any(traced.was_injected() for traced in self.traced)

    def said(self):
        return [line for traced in self.traced for line in traced.complaints()]

    def end(self, keep=False):
        for traced in self.traced:
            if traced.process.poll() is None:
                traced.process.send_signal(signal.SIGKILL)
                traced.process.wait()
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)
