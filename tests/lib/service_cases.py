# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of the keeper service share."""

import os
import pwd
import re
import signal
import socket
import subprocess
from pathlib import Path

from harness import (PYTHON, SOURCE, Program, check, equal, gone, installed, keepers, until)

APP = SOURCE / "tests" / "lib" / "service_app.py"
PORT = 7600


def home():
    """Tool and shim where every user can read them."""
    folder = Path("home").absolute()
    if not folder.exists():
        folder.mkdir()
        installed(folder)
    return folder


class Service:
    """`udpcr keeper --listen`."""

    def __init__(self, path="keeper", user=None, name="service"):
        self.path = Path(path).absolute()
        self.err = Path(f"{name}.err").absolute()
        command = [home() / "bin" / "udpcr", "keeper", "--listen", self.path]
        if user:
            command = ["setpriv", f"--reuid={user}", "--regid", str(pwd.getpwnam(user).pw_gid),
                       "--clear-groups", *command]
        with open(self.err, "wb") as err:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=err,
                                            stdout=subprocess.DEVNULL)
        self.pid = self.process.pid

    def await_start(self):
        until(f"the service; it says {self.err.read_text()!r}", self.answers)
        return self

    def answers(self):
        probe = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with probe:
            return probe.connect_ex(str(self.path)) == 0

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(10)

    def sessions(self):
        return [pid for pid in keepers() if not gone(pid)]

    def session(self):
        return until("there being one session", lambda: len(self.sessions()) == 1
                     and self.sessions())[0]


def folder_of(user):
    """The current folder, where `user` may write."""
    if user:
        os.chown(".", pwd.getpwnam(user).pw_uid, -1)


def start(service, name="first", how="preload", user=None, sends=0, settings=None,
          address="127.0.0.1", **named):
    """The program; the gate is closed."""
    Path("gate").unlink(missing_ok=True)
    folder_of(user)
    told = {"IMAGE": "app.udpcr", **(settings or {})}
    if service:
        told["KEEPER"] = service.path
    environment = {"SEND": str(sends), "GATE": str(Path("gate").absolute()), "ADDRESS": address}
    program = Program([PYTHON, APP, PORT], how, name, told, environment, user=user, home=home(),
                      **named)
    program.await_line("^ready")
    return program


def socket_of(program):
    """Its cookie and its owner."""
    return re.search(r"socket (\d+) of (\d+)", program.await_line("^socket")).groups()


def reads(program, count):
    """Exactly those, once, in order."""
    Path("gate").touch()
    program.await_line("^silence")
    equal([line for line in program.lines() if line.startswith("read ")],
          [f"read datagram-{number}" for number in range(count)], "what was read")


def quiet(program):
    equal(program.complaints(), [], "complaints")


def status_of(pid, field):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return line.split()[1]
    raise AssertionError(f"/proc/{pid}/status has no {field}")


def served_by(service, program):
    """The session that is the program's keeper; it is a child of the service."""
    session = service.session()
    equal(status_of(session, "PPid"), str(service.pid), "parent of the session")
    equal(status_of(session, "Uid"), status_of(program.pid, "Uid"), "user of the session")
    return session


__all__ = ["APP", "PORT", "Service", "folder_of", "home", "quiet", "reads", "served_by",
           "socket_of", "start", "status_of", "check", "equal", "until"]
