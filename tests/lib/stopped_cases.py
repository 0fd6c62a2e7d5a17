# SPDX-License-Identifier: LGPL-2.1-or-later
"""A program that waits for its keeper, and what stops or slows that keeper down."""

import fcntl
import os
import re
import signal
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path

from harness import PYTHON, SOURCE, Program, check, equal, gone, keepers, until

APP = SOURCE / "tests" / "security" / "programs" / "waiting_app.py"
PORT = 7700
OTHER = 7701
# What a program may take on a machine with much else to do.  Without a limit of its
# own it waits for ever, or 30 s, or longer than this for all calls together.
GENEROUS = 15
# So many calls are made of a keeper that was given up: a second each would be too much.
AGAIN = 40
GIVEN_UP = "keeper .process .* no sign of life for a second: it is given up"


def state_of(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def stop(pid):
    os.kill(pid, signal.SIGSTOP)
    until(f"process {pid} being stopped", lambda: state_of(pid) == "T")


def go_on(pid):
    os.kill(pid, signal.SIGCONT)


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def the_keeper():
    return until("there being one keeper", lambda: len(keepers()) == 1 and keepers())[0]


class App(Program):
    """waiting_app.py, which has bound `ports`."""

    def __init__(self, *ports, how="preload", name="first", settings=None, ready=True, **named):
        told = {"IMAGE": "app.udpcr", **(settings or {})}
        super().__init__([PYTHON, APP, *ports], how, name, told, piped=True, **named)
        self.asked = 0
        if ready:
            self.await_line("^ready", GENEROUS)

    def ask(self, line):
        self.tell(line)
        self.asked += 1

    def await_answer(self):
        found = self.await_line(f"^done {self.asked} ", GENEROUS)
        return found.split(" ", 3)[3]

    def does(self, line):
        """Asks, and what it answers."""
        self.ask(line)
        return self.await_answer()

    def said_given_up(self):
        """Once, with the remedy."""
        self.await_complaint(GIVEN_UP)
        lines = [line for line in self.complaints() if re.search(GIVEN_UP, line)]
        equal(len(lines), 1, f"lines in {self.complaints()}")
        check(re.search("the program goes on.*kill -KILL.*restart", lines[0]), lines[0])

    def said_nothing(self):
        bad = [line for line in self.complaints() if re.search("udpcr: (error|warning)", line)]
        equal(bad, [], "complaints")

    def reads(self, texts, port=PORT):
        """All of it, once, in order."""
        equal(self.does(f"read {port}").split(), texts, "what it reads")


def send(*texts, port=PORT):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for text in texts:
            client.sendto(text.encode(), ("127.0.0.1", port))
    return list(texts)


def is_free(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
        return True


def ends_when_continued(keeper):
    """One that was given up lets go of all that it has, and ends."""
    go_on(keeper)
    until("the end of the keeper that was given up", lambda: gone(keeper), GENEROUS)


@contextmanager
def locked(image="app.udpcr"):
    """As by a keeper that is still completing it: a start waits in the keeper."""
    with open(image, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def saved_image(*texts):
    """An image with them in its queue; the program that it was taken of is gone."""
    app = App(PORT, name="saved", settings={"AFTER": "exit"})
    keeper = the_keeper()
    send(*texts)
    app.checkpoint()
    app.await_end()
    until("the keeper's end", lambda: gone(keeper))
    return Path("app.udpcr").read_bytes()


class SlowDisk:
    """Each fsync of a keeper and its worker takes so long."""

    def __init__(self, keeper, seconds):
        self.log = Path("strace.log")
        self.tracer = subprocess.Popen(
            ["strace", "-f", "-q", "-o", self.log, "-p", str(keeper), "-e", "trace=fsync",
             "-e", f"inject=fsync:delay_enter={int(seconds * 1e6)}"], stderr=subprocess.DEVNULL)
        until("the tracer", lambda: self.tracer_of(keeper) == self.tracer.pid)

    @staticmethod
    def tracer_of(pid):
        status = Path(f"/proc/{pid}/status").read_text()
        return int(re.search(r"TracerPid:\s*(\d+)", status).group(1))

    def end(self):
        self.tracer.terminate()
        self.tracer.wait(10)


def worker_of(keeper):
    """The process that reads the sockets and writes the image."""
    def found():
        workers = [pid for pid in keepers() if pid != keeper and parent_of(pid) == keeper]
        return workers[0] if workers else None
    return until("the worker", found)


@contextmanager
def busy_machine(loops=10):
    """As many loops as a busy machine has, all before the keeper in their turn."""
    running = [subprocess.Popen([PYTHON, "-c", "while True: pass"]) for _ in range(loops)]
    try:
        yield
    finally:
        for one in running:
            one.kill()
            one.wait()
