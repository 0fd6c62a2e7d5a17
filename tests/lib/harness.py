# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of programs share: cases, programs under udpcr, clients."""

import json
import os
import pwd
import random
import re
import signal
import socket
import subprocess
import sys
import time
import traceback
from pathlib import Path

from slices import Slice

SOURCE = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("TEST_BUILD", SOURCE / "build" / "ci"))
FULL = bool(os.environ.get("TEST_FULL"))
# Where a script has turns to share, it takes SLICE's, and says so by the word TEST_SLICE in a
# comment: then it belongs to every slice of its part.
SLICE = Slice.of_environment()
# For what is chosen at random; the same one makes the same choice again.
SEED = int(os.environ.get("TEST_SEED") or random.randrange(1, 10**9))
PYTHON = "/usr/bin/python3"
LOCAL = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
# `udpcr checkpoint` exits with it when the image stands and some things are
# named as not kept.
KEPT_IN_PART = 3


class Skip(Exception):
    """The case cannot run here; the reason is printed."""


class Cases:
    """Reports cases to the runner; a case is a function that raises when it fails."""

    def __init__(self):
        self.failed = 0

    def run(self, name, function, *arguments, **named):
        home = Path.cwd()
        folder = home / name
        folder.mkdir()
        folder.chmod(0o755)
        os.chdir(folder)
        try:
            function(*arguments, **named)
            print(f"ok {name}")
        except Skip as reason:
            print(f"skip {name} {reason}")
        except Exception as error:  # whatever it is, it is this case's failure
            self.failed += 1
            why = str(error) if isinstance(error, AssertionError) else repr(error)
            print(f"not ok {name} {' '.join(why.split())}")
            frames = traceback.extract_tb(error.__traceback__)
            print("".join(f"  {Path(f.filename).name}:{f.lineno}: {f.line}\n" for f in frames))
            for log in sorted(folder.rglob("*.err")):
                print(f"  {log.name}:", *log.read_text(errors="replace").splitlines()[-30:],
                      sep="\n    ")
        finally:
            Program.end_all()
            if os.environ.get("TEST_MACHINE"):
                drop_all()
            os.chdir(home)
            sys.stdout.flush()

    def finish(self):
        print("done")
        sys.exit(1 if self.failed else 0)


def check(holds, sentence):
    if not holds:
        raise AssertionError(sentence)


def equal(found, wanted, what):
    check(found == wanted, f"{what}: {found!r} instead of {wanted!r}")


def until(what, predicate, seconds=10):
    """Polls; returns the predicate's first true value."""
    deadline = time.monotonic() + seconds
    while True:
        value = predicate()
        if value:
            return value
        check(time.monotonic() < deadline, f"{what}: not within {seconds} s")
        time.sleep(0.02)


def need_root():
    """For cases that become another user."""
    mapped = Path("/proc/self/uid_map").read_text().split()
    if os.geteuid() != 0 or mapped[2] == "1":
        raise Skip("needs root: other users are not to be had here")


def drop_all():
    """What a case has left parked in the module: its port must be free for the next one."""
    tool = BUILD / "bin" / "udpcr"
    listed = subprocess.run([tool, "list", "--json"], capture_output=True, text=True, check=True)
    inodes = [str(one["inode"]) for one in json.loads(listed.stdout)["sockets"]
              if one["park"]]
    if inodes:
        subprocess.run([tool, "drop", *inodes], check=True, stdout=subprocess.DEVNULL)


def installed(folder):
    """Copies tool and shim to where every user can read them, as neighbours."""
    for part, name in (("bin", "udpcr"), ("lib", "libudpcr_shim.so")):
        (folder / part).mkdir()
        target = folder / part / name
        target.write_bytes((BUILD / part / name).read_bytes())
        target.chmod(0o755)
    return folder


class Program:
    """A program, plain, under a bare LD_PRELOAD, or under `udpcr run`.

    Its output goes to NAME.out, its and udpcr's complaints to NAME.err.
    """

    running = []

    def __init__(self, argv, how="preload", name="program", settings=None, environment=None,
                 user=None, home=BUILD, before=(), keep_fds=(), own_group=False,
                 piped=False):
        self.out, self.err = Path(f"{name}.out").absolute(), Path(f"{name}.err").absolute()
        self.tool = home / "bin" / "udpcr"
        env = {key: value for key, value in os.environ.items() if not key.startswith("UDPCR_")}
        env.update(environment or {})
        argv = [str(word) for word in argv]
        if how != "plain":
            env.update({f"UDPCR_{key}": str(value) for key, value in (settings or {}).items()})
        if how == "preload":
            argv = ["env", f"LD_PRELOAD={home / 'lib' / 'libudpcr_shim.so'}", *argv]
        elif how == "run":
            argv = [str(self.tool), "run", "--", *argv]
        # What is to run between the change of user and the program.
        argv = [*before, *argv]
        if user:
            argv = ["setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}",
                    "--clear-groups", *argv]
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(argv, stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
                                            stdout=out, stderr=err,
                                            env=env, pass_fds=keep_fds,
                                            process_group=0 if own_group else None)
        self.pid = self.process.pid
        Program.running.append(self)

    def tell(self, line):
        """A line on its stdin, where that is piped."""
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()

    def lines(self):
        """The whole lines that it has written so far."""
        return self.out.read_text().rpartition("\n")[0].splitlines()

    def complaints(self):
        whole = self.err.read_text(errors="replace").rpartition("\n")[0]
        return [line for line in whole.splitlines() if line.startswith("udpcr: ")]

    def await_line(self, pattern="ready", seconds=10):
        def found():
            status = self.process.poll()  # before its last words are read
            line = next((line for line in self.lines() if re.search(pattern, line)), None)
            check(line or status is None or seconds < 10,
                  f"the program ended with status {status} before it wrote {pattern!r}")
            return line
        return until(f"a line {pattern!r} of the program", found, seconds)

    def await_complaint(self, pattern, seconds=10):
        return until(f"a line of udpcr's that matches {pattern!r}; there are {self.complaints()}",
                     lambda: next((line for line in self.complaints()
                                   if re.search(pattern, line)), None), seconds)

    def signal(self, number):
        os.kill(self.pid, number)

    def checkpoint(self, statuses=(0,), timeout=30, pid=None):
        """`udpcr checkpoint`, of one process of the tree; returns what it said."""
        result = subprocess.run([self.tool, "checkpoint", str(pid or self.pid)], capture_output=True,
                                text=True, timeout=timeout)
        said = result.stdout + result.stderr
        check(result.returncode in statuses,
              f"udpcr checkpoint ended with status {result.returncode}: {said}")
        return said

    def status(self, field):
        """The first word of a line of /proc/PID/status."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return line.split()[1]
        return "?"

    def state(self):
        return self.status("State")

    def stop(self):
        self.signal(signal.SIGSTOP)
        until("the program's stop", lambda: self.state() == "T")

    def resume(self):
        self.signal(signal.SIGCONT)

    def kill(self):
        self.process.kill()
        return self.process.wait(10)

    def await_end(self, seconds=15):
        return self.process.wait(seconds)

    @classmethod
    def end_all(cls):
        for program in cls.running:
            program.kill()
        cls.running.clear()
        end_children()


def end_children():
    """Ends what the programs have left behind, in a test's own process namespace only."""
    if os.environ.get("TEST_ISOLATED") != "1" or os.getppid() != 1:
        return
    left = [int(entry.name) for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and int(entry.name) not in (1, os.getpid())]
    for pid in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    # Their ports are free when they are gone.
    until("the end of what was left behind", lambda: all(map(gone, left)))


def gone(pid):
    """Whether a process has ended; its parent may still have to ask for its status."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def keepers():
    """The keepers that run in this process namespace, as process ids."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "comm").read_text().strip() == "udpcr-keeper":
                found.append(int(entry.name))
        except OSError:
            pass
    return found


def show(image, tool=BUILD / "bin" / "udpcr"):
    """`udpcr show --json`."""
    result = subprocess.run([tool, "show", str(image), "--json"], capture_output=True, text=True)
    equal(result.returncode, 0, f"status of udpcr show, which said {result.stderr.strip()!r}")
    return json.loads(result.stdout)


def only_image(folder="."):
    images = list(Path(folder).glob("*.udpcr"))
    equal(len(images), 1, f"number of images in {folder}")
    return images[0]


class Clients:
    """Senders with addresses and ports of their own, which number what they send."""

    def __init__(self, port, ipv4=("127.0.0.2", "127.0.0.3"), ipv6=("::1",)):
        self.sockets = []
        for family, addresses in ((socket.AF_INET, ipv4), (socket.AF_INET6, ipv6)):
            for address in addresses:
                client = socket.socket(family, socket.SOCK_DGRAM)
                client.bind((address, 0))
                client.settimeout(5)
                self.sockets.append((client, (LOCAL[family], port)))
        self.sent = []  # (address, port, payload), in order
        self.number = 0

    def send(self, rounds=4):
        for _ in range(rounds):
            for client, server in self.sockets:
                self.number += 1
                payload = f"datagram-{self.number}"
                client.sendto(payload.encode(), server)
                self.sent.append((*client.getsockname()[:2], payload))

    def expect_replies(self, per_client, prefix="reply to "):
        """The answers to the last `per_client` datagrams of each, from the right place."""
        for client, server in self.sockets:
            own = client.getsockname()[:2]
            mine = [payload for address, port, payload in self.sent if (address, port) == own]
            for payload in mine[-per_client:]:
                try:
                    answer, sender = client.recvfrom(65536)
                except socket.timeout:
                    raise AssertionError(f"no reply to {payload} reached {own}") from None
                equal((sender[:2], answer.decode()), (server, prefix + payload), f"reply to {own}")

    def expect_silence(self):
        for client, _ in self.sockets:
            client.settimeout(0.2)
            try:
                answer = client.recv(65536)
            except socket.timeout:
                continue
            finally:
                client.settimeout(5)
            raise AssertionError(f"{answer!r} came where nothing was due")


def read_lines(program):
    """What a server of tests/programs/apps has read: (address, port, payload)."""
    rows = [line.split() for line in program.lines() if line.startswith("read ")]
    return [(row[1], int(row[2]), row[3]) for row in rows]


def all_read(program, sent):
    """Everything came, once, in order on each socket, from its true sender."""
    until(f"the reading of {len(sent)} datagrams", lambda: len(read_lines(program)) >= len(sent))
    equal(by_family(read_lines(program)), by_family(sent), "datagrams read")


def by_family(rows):
    return {family: [row for row in rows if (":" in row[0]) == (family == 6)] for family in (4, 6)}
