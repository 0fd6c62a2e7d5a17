# SPDX-License-Identifier: LGPL-2.1-or-later
"""An unmodified daemon, asked while it is stopped, killed, and started again.

Each daemon is tried three times: without udpcr, where what is queued dies with
it; under a bare LD_PRELOAD; and under `udpcr run`.
"""

import json
import os
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

from harness import BUILD, Cases, Program, check, end_children, equal, only_image, show, until

CACHE = Path(os.environ.get("UDPCR_CACHE", Path.home() / ".cache" / "udpcr")) / "programs"
# Where docs/programs.md takes its rows from.
RESULTS = BUILD / "programs"
SECONDS = 60  # for the start of a daemon on a busy machine


def lay_over(name, users=()):
    """What fetch_program.sh has fetched, over /usr and /etc, for this test alone.

    The users that the package would have made are added to those of the machine.
    """
    check(os.environ.get("TEST_ISOLATED") == "1", "this changes mounts: run it by tests/run.sh")
    own = Path("machine/etc").absolute()
    own.mkdir(parents=True)
    for file, line in (("passwd", "{0}:x:{1}:{1}::/nonexistent:/usr/sbin/nologin\n"),
                       ("group", "{0}:x:{1}:\n")):
        text = (Path("/etc") / file).read_text()
        missing = [user for user in users if f"\n{user}:" not in text]
        lines = [line.format(user, 64100 + number) for number, user in enumerate(missing)]
        (own / file).write_text(text + "".join(lines))
    root = CACHE / name / "root"
    check((root.parent / "complete").exists(),
          f"{root} is not there: tests/lib/fetch_program.sh {name} fetches it")
    for folder, above in (("etc", [own]), ("usr", [])):
        layers = [*above, *([root / folder] if (root / folder).is_dir() else []), f"/{folder}"]
        if len(layers) > 1:
            mount("-t", "overlay", "overlay", "-o", "lowerdir=" + ":".join(map(str, layers)),
                  f"/{folder}")
    # Process id files, sockets, leases.
    for folder in ("run", "var/lib"):
        (own.parent / folder).mkdir(parents=True)
        mount("--bind", str(own.parent / folder), f"/{folder}")


def mount(*words):
    result = subprocess.run(["mount", *words], capture_output=True, text=True)
    equal(result.returncode, 0, f"status of mount {' '.join(words)}, which said {result.stderr!r}")


def may_change_user():
    """Where no other user is mapped nobody can become one."""
    return Path("/proc/self/uid_map").read_text().split()[2] != "1"


class Daemon:
    """What a script tells of its daemon; it overrides what is different."""

    name = ""
    port = 0
    version = ()  # the command that tells it
    tried = ""  # for docs/programs.md: how it is run
    family = socket.AF_INET
    server = "127.0.0.1"
    clients = [(f"127.0.0.{number}", 0) for number in range(2, 8)]
    started = ""  # what its log says when it serves
    drops_root = False
    complaints = ()  # pieces of the lines that udpcr must write at the restart, all of them

    def argv(self):
        raise NotImplementedError

    def prepare(self):
        """Its configuration, in the folder of the case."""

    def request(self, number):
        """The payload of a request."""
        raise NotImplementedError

    def right(self, number, answer):
        """Whether these bytes answer request `number`."""
        raise NotImplementedError

    def right_at_start(self, number, answer):
        """The same of an answer to a request that was queued before it started."""
        return self.right(number, answer)

    # What follows is the same for all.

    def start(self, how, name, **settings):
        program = Program(self.argv(), how, name, settings)
        self.await_start(program)
        self.prove(program)
        return program

    def prove(self, program):
        """That it is confined as it should be."""
        if self.drops_root and may_change_user():
            check(program.status("Uid") != "0", f"{self.name} is still root")

    def await_start(self, program):
        def serves():
            check(program.process.poll() is None,
                  f"{self.name} has ended with status {program.process.poll()}")
            return bound(self.port) and self.started in program.err.read_text() + program.out.read_text()
        until(f"{self.name}'s start", serves, SECONDS)

    def client(self, place):
        client = socket.socket(self.family, socket.SOCK_DGRAM)
        client.bind(place)
        client.settimeout(20)
        return client

    def asked_at(self, number):
        """Who is asked by request `number`, and must answer it."""
        return self.server, self.port

    def send(self, client, number):
        client.sendto(self.request(number), self.asked_at(number))

    def ask(self):
        """Requests from all clients; returns them with the numbers of theirs."""
        asked = []
        for number, place in enumerate(self.clients, 1):
            client = self.client(place)
            self.send(client, number)
            asked.append((number, client))
        return asked

    def answered(self, asked, right=None):
        right = right or self.right
        for number, client in asked:
            place = client.getsockname()
            deadline = time.monotonic() + 20
            while True:
                try:
                    answer, sender = client.recvfrom(65536)
                except socket.timeout:
                    raise AssertionError(f"no answer to request {number} of {place}") from None
                if right(number, answer):
                    break
                # Something else that the daemon tells everybody.
                check(time.monotonic() < deadline,
                      f"{place} got {answer!r} for an answer to request {number}")
            equal(sender[:2], self.asked_at(number), f"who answered {place}")

    def serves(self):
        self.answered(self.ask())

    def silent(self, asked):
        for number, client in asked:
            client.settimeout(0.2)
            try:
                answer = client.recv(65536)
            except (socket.timeout, ConnectionRefusedError):
                continue
            check(not self.right(number, answer), f"{answer!r} answers a request that was lost")


def bound(port):
    """Whether somebody has bound the port."""
    return any(f":{port:04X} " in row for table in ("udp", "udp6")
               for row in Path(f"/proc/net/{table}").read_text().splitlines())


def dns_query(number, name, kind=1):
    """RFC 1035, 4.1: one question; kind 1: for an address."""
    labels = b"".join(bytes([len(label)]) + label for label in name.encode().split(b"."))
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!B2H", 0, kind, 1)


def threads_of(pid):
    return [int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir()]


def checkpoint_stopped(program):
    """`udpcr checkpoint` of a stopped program: it goes on when each thread has the signal."""
    tool = subprocess.Popen([program.tool, "checkpoint", str(program.pid)], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def signalled():
        pending = [Path(f"/proc/{program.pid}/task/{thread}/status").read_text()
                   for thread in threads_of(program.pid)]
        return all(int(text.partition("SigPnd:")[2].split()[0], 16) for text in pending)
    deadline = time.monotonic() + 1
    while not signalled() and time.monotonic() < deadline:
        time.sleep(0.01)
    program.resume()
    said, _ = tool.communicate(timeout=60)
    equal(tool.returncode, 0, f"status of udpcr checkpoint, which said {said!r}")


def control(daemon):
    """It works, and what is queued when it is killed is lost."""
    first = daemon.start("plain", "first")
    daemon.serves()
    first.stop()
    asked = daemon.ask()
    first.kill()
    end_children()
    daemon.start("plain", "second")
    daemon.silent(asked)
    daemon.serves()


def comes_back(daemon, how):
    """What is queued when it is killed is answered by the next one."""
    first = daemon.start(how, "first", AFTER="stop")
    daemon.serves()
    first.stop()
    asked = daemon.ask()
    checkpoint_stopped(first)
    image = show(only_image())
    until("the stop after the checkpoint", lambda: first.state() == "T")
    first.kill()
    end_children()
    second = daemon.start(how, "second", AFTER="stop")
    daemon.answered(asked, daemon.right_at_start)
    daemon.serves()
    until("the image's renaming", lambda: list(Path(".").glob("*.udpcr.restored")))
    judge(first.complaints(), ())
    judge(second.complaints(), daemon.complaints)
    remember(daemon, how, image, first.complaints() + second.complaints())


def judge(complaints, wanted):
    equal(len(complaints), len(wanted), f"number of lines in {complaints}")
    for piece, line in zip(wanted, complaints):
        check(piece in line, f"{line!r} without {piece!r}")


def lives_on(daemon, how):
    """A snapshot changes nothing for it, and it ends as it does without udpcr."""
    program = daemon.start("plain", "plain")
    program.signal(signal.SIGTERM)
    wanted = program.await_end(SECONDS)
    end_children()
    program = daemon.start(how, "first")
    program.checkpoint()
    daemon.serves()
    program.checkpoint()
    daemon.serves()
    program.signal(signal.SIGTERM)
    equal(program.await_end(SECONDS), wanted, "its exit status on SIGTERM")
    judge(program.complaints(), ())


def remember(daemon, how, image, complaints):
    """For docs/programs.md."""
    version = subprocess.run(daemon.version, capture_output=True, text=True)
    sockets = image["sockets"]
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{daemon.name.replace(' ', '_')}.{how}.json").write_text(json.dumps({
        "name": daemon.name, "version": (version.stdout + version.stderr).partition("\n")[0], "tried": daemon.tried,
        "sockets": len(sockets), "processes": len(image["processes"]),
        "datagrams": sum(record["receive_queue"]["datagrams"] for record in sockets),
        "not_kept": sorted({loss["what"] for record in sockets for loss in record["losses"]}),
        "complaints": complaints}))


def main(daemon, *more):
    """All of it; `more`: (name, function, arguments) of the daemon's own."""
    cases = Cases()

    def case(function, *arguments):
        daemon.prepare()
        function(*arguments)
    cases.run("control", case, control, daemon)
    for how in ("preload", "run"):
        cases.run(how, case, comes_back, daemon, how)
        cases.run(f"{how}_lives_on", case, lives_on, daemon, how)
    for name, function, *arguments in more:
        cases.run(name, case, function, *arguments)
    cases.finish()
