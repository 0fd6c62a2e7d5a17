#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""In a virtual machine with systemd: services, and a container, that are restarted under a sender.

usage: restarts.py BUILD [--full] [CASE...]

BUILD has bin/, lib/ and packaging/.  Each case is one who keeps the sockets while no
process of the service runs; the units are those that an installation holds.
TEST_SLICE in the environment: every N-th case."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
from container import Container, podman
from guest import Server, check, equal, run, udp_line, until
from slices import Slice

BUILD = Path(sys.argv[1])
FULL = "--full" in sys.argv
CHOSEN = [word for word in sys.argv[2:] if not word.startswith("-")]
UNITS = Path("/etc/systemd/system")
WORK = Path("/var/lib/flow")
IMAGES = Path("/var/lib/udpcr")
PREFIX = Path("/usr/local")
RESTARTS = 10 if FULL else 2
# `systemd-analyze security` of the keeper service, of 10.
MOST_EXPOSED = 3.0
# Of its unit, by number: SETGID, SETUID, SYS_PTRACE, SYS_ADMIN.
CAPABILITIES = (6, 7, 19, 21)
# As a service may have it that knows nothing of udpcr; it is restarted here more often than
# five times in ten seconds, which systemd refuses by default.
UNIT = """
[Unit]
StartLimitIntervalSec=0
[Service]
ExecStart=/usr/local/bin/flow serve {port} {work}/slots {work}/report
Restart=on-failure
RestartSec=0
User={user}
WorkingDirectory=/
"""
LOG = """
[Service]
Environment=UDPCR_LOG=debug UDPCR_LOG_FILE={work}/udpcr.log
"""


def install():
    """What `cmake --install` would leave at the places that were configured."""
    run("install", "-D", "-t", PREFIX / "bin", BUILD / "bin/udpcr")
    run("install", BUILD / "bin/systemd_flow", PREFIX / "bin/flow")
    run("install", "-D", "-t", PREFIX / "lib", BUILD / "lib/libudpcr_shim.so")
    run("install", "-m", "644", "-t", UNITS, BUILD / "packaging/udpcr-keeper.service")
    Path("/proc/sys/net/core/rmem_max").write_text(str(8 << 20))


def drop_in(without=(), put_in=(), instead=()):
    """The template as an administrator would edit it: lines by their beginnings, and
    (old, new)."""
    text = (BUILD / "packaging/udpcr.conf").read_text()
    edits = [(rf"^{re.escape(line)}.*\n", "") for line in without]
    edits += [(rf"^#(?={re.escape(line)})", "") for line in put_in]
    edits += [(rf"^{re.escape(old)}$", new) for old, new in instead]
    for pattern, new in edits:
        text, found = re.subn(pattern, new, text, count=1, flags=re.MULTILINE)
        equal(found, 1, f"lines of the template that match {pattern}")
    return text


class Service(Server):
    """A unit."""

    def __init__(self, name, port, user="root", settings="", extra=""):
        super().__init__(name, port, WORK / name)
        self.home = Path("/home") / name
        for folder in (self.work, self.home):
            folder.mkdir(parents=True)
            run("chown", user, folder)
        (UNITS / f"{name}.service").write_text(
            UNIT.format(port=port, work=self.work, user=user) + extra)
        folder = UNITS / f"{name}.service.d"
        folder.mkdir()
        (folder / "udpcr.conf").write_text(settings)
        (folder / "log.conf").write_text(LOG.format(work=self.work))

    def start(self):
        run("systemctl", "start", self.name)
        until("the service's socket", lambda: udp_line(self.port))

    def main_pid(self):
        return int(run("systemctl", "show", "-p", "MainPID", "--value", self.name))

    def restart(self):
        before = self.main_pid()
        run("systemctl", "restart", self.name)
        check(self.main_pid() != before, "the service was not restarted")

    def crash(self):
        before = self.main_pid()
        os.kill(before, signal.SIGKILL)
        until("a new start after the crash", lambda: self.main_pid() not in (0, before))

    def close(self):
        """The program closes its socket by itself."""
        run("systemctl", "kill", "-s", "USR1", "--kill-who=main", self.name)
        until("the end of the service",
              lambda: run("systemctl", "show", "-p", "ActiveState", "--value",
                          self.name).strip() == "inactive")

    def words(self):
        journal = subprocess.run(["journalctl", "-b", "--no-pager", "-u", self.name],
                                 capture_output=True, text=True).stdout
        log = self.work / "udpcr.log"
        return (journal + (log.read_text(errors="replace") if log.exists() else "")).splitlines()


def is_free(port):
    """A park that was left behind would be in the way."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", port))


def fd_store(service):
    service.conserve(RESTARTS)
    check(service.said("by the service manager"), "nothing tells that systemd has the socket")
    for line in service.report():
        check(line.endswith("LISTEN_FDS - LISTEN_FDNAMES -"), f"the program was told: {line}")
    # The store outlives systemd's own start anew.
    back = service.said("are back")
    run("systemctl", "daemon-reexec")
    service.restart()
    until("the socket from the fd store", lambda: service.said("are back") == back + 1)
    service.close()


def given_up(service):
    """A start that systemd refuses is the end of what its fd store holds."""
    service.start()
    again = subprocess.run(["systemctl", "restart", service.name], capture_output=True, text=True)
    check("attempted too often" in again.stderr, f"the start was not refused: {again}")
    until("the end of the socket", lambda: not udp_line(service.port))


def at_checkpoint(service):
    """Parked by ExecStop=; the service is handed down a socket of its own, too."""
    service.start()
    for starts in (2, 3):
        service.restart()
        service.await_starts(starts)
    equal(service.said("are back"), 2, "starts that have taken the socket from the fd store")
    check((IMAGES / service.name / "image.restored").exists(), "no image was written")
    for line in service.report():
        check("LISTEN_FDS 1 LISTEN_FDNAMES own 3:unix" in line, f"the program was told: {line}")
    service.close()
    run("systemctl", "stop", "at_checkpoint.socket")


def keeper_process(field):
    """Of the keeper service's main process: a field of /proc/PID/status."""
    pid = run("systemctl", "show", "-p", "MainPID", "--value", "udpcr-keeper").strip()
    status = Path(f"/proc/{pid}/status").read_text()
    return pid, re.search(rf"^{field}:\s*(\w+)$", status, re.MULTILINE)[1]


def exposure():
    """What is left open by the unit that is installed, and all of it in words."""
    words = run("systemd-analyze", "security", "--offline=true", "--no-pager",
                UNITS / "udpcr-keeper.service")
    return float(re.search(r"exposure level .*: ([\d.]+)", words)[1]), words


def sandboxed(service):
    """The keeper service has what it needs, and nothing else."""
    level, words = exposure()
    check(level <= MOST_EXPOSED, f"exposure {level}, more than {MOST_EXPOSED}:\n{words}")
    run("systemctl", "start", "udpcr-keeper")
    # Type=notify: no program that is started now misses it.
    check(Path("/run/udpcr/keeper").is_socket(), "it does not listen when its start has ended")
    pid, bounds = keeper_process("CapBnd")
    equal(int(bounds, 16), sum(1 << one for one in CAPABILITIES), "its capabilities at most")
    equal(keeper_process("CapEff")[1], bounds, "its capabilities")
    equal(keeper_process("NoNewPrivs")[1], "1", "no_new_privs")
    equal(keeper_process("Seccomp")[1], "2", "its mode of seccomp")
    seen = Path(f"/proc/{pid}/root")
    equal(list((seen / "home").iterdir()), [], "what it sees of /home")
    for place in ("etc", "usr", "var", "srv"):
        check(os.statvfs(seen / place).f_flag & os.ST_RDONLY, f"it may write below /{place}")
    # Namespaces that get a name while it runs.
    run("ip", "netns", "add", "later")
    equal((seen / "run/netns/later").stat().st_ino, Path("/run/netns/later").stat().st_ino,
          "inode of the namespace at its name")
    # All the same an image is written where the program's user may write.
    service.start()
    # Protected is the service, not what it holds for a program.
    sessions = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    equal([Path(f"/proc/{one}/oom_score_adj").read_text() for one in (pid, *sessions)],
          ["-900\n", "0\n"], "oom_score_adj of the service and its session")
    image = service.home / "image"
    run(PREFIX / "bin/udpcr", "checkpoint", service.main_pid())
    equal(image.owner(), "daemon", "owner of the image")
    service.crash()
    service.await_starts(2)
    equal(service.said("are back"), 1, "starts that have taken the socket from the service")
    service.close()
    run("systemctl", "stop", "udpcr-keeper")
    run("ip", "netns", "delete", "later")


def keeper_service(service):
    service.conserve(RESTARTS)
    service.close()
    run("systemctl", "stop", "udpcr-keeper")


def module(service):
    run("/vm/bin/busybox", "insmod", BUILD.parent / "kmod/6.1/udpcr.ko")
    try:
        service.conserve(RESTARTS)
        check(service.said("by the module"), "nothing tells that the module has the socket")
    finally:
        service.close()
        until("the module's last reference",
              lambda: Path("/sys/module/udpcr/refcnt").read_text() == "0\n")
        run("/vm/bin/busybox", "rmmod", "udpcr")


def keeper_in_the_unit(service):
    """It is stopped with the unit: what that costs is said, and the stop does not wait."""
    service.start()
    begin = time.monotonic()
    service.restart()
    check(time.monotonic() - begin < 10, "the keeper has held up the stop of its unit")
    service.await_starts(2)
    check(service.said("is closed: the program has ended and its keeper is told to"),
          "nothing tells that the socket is closed")
    check(not service.said("are back"), "the socket has survived; who has kept it?")
    service.close()


def keeper_left_over(service):
    """KillMode=process leaves it alone."""
    service.start()
    service.restart()
    service.await_starts(2)
    equal(service.said("are back"), 1, "starts that have taken the socket from the keeper")
    service.close()


def services():
    """Each case's."""
    no_store = {"without": ["FileDescriptorStoreMax=", "NotifyAccess="]}
    to_keeper = ["[Unit]", "Wants=udpcr-keeper", "After=udpcr-keeper", "[Service]",
                 "Environment=UDPCR_KEEPER="]
    (UNITS / "at_checkpoint.socket").write_text(
        "[Socket]\nListenStream=/run/at_checkpoint\nFileDescriptorName=own\n")
    return [
        (fd_store, Service("fd_store", 7001, "daemon", drop_in())),
        (given_up, Service("given_up", 7007, "daemon", drop_in(),
                           "[Unit]\nStartLimitIntervalSec=60\nStartLimitBurst=1\n")),
        (at_checkpoint, Service("at_checkpoint", 7002, "root",
                                drop_in(put_in=["ExecStop="], instead=[(
                                    "Environment=UDPCR_PARK=always",
                                    "Environment=UDPCR_PARK=checkpoint")]),
                                "[Unit]\nRequires=at_checkpoint.socket\n")),
        (sandboxed, Service("sandboxed", 7009, "daemon", drop_in(
            put_in=to_keeper, instead=[("Environment=UDPCR_IMAGE=%S/udpcr/%N/image",
                                        "Environment=UDPCR_IMAGE=/home/sandboxed/image")],
            **no_store))),
        (keeper_service, Service("keeper_service", 7003, "daemon",
                                 drop_in(put_in=to_keeper, **no_store))),
        (module, Service("module", 7004, "root", drop_in(**no_store))),
        (keeper_in_the_unit, Service("keeper_in_the_unit", 7005, "root", drop_in(**no_store))),
        (keeper_left_over, Service("keeper_left_over", 7006, "root", drop_in(**no_store),
                                   "KillMode=process\n")),
        (podman, Container(7008)),
    ]


def main():
    install()
    cases = services()
    run("systemctl", "daemon-reload")
    failed = 0
    for case, service in Slice.of_environment().of(cases):
        if CHOSEN and case.__name__ not in CHOSEN:
            continue
        try:
            case(service)
            is_free(service.port)
            print(f"ok {case.__name__}", flush=True)
        except Exception as error:  # whatever it is, it is this case's failure
            failed += 1
            why = str(error) if isinstance(error, AssertionError) else repr(error)
            print(f"not ok {case.__name__} {' '.join(why.split())}")
            traceback.print_exc(file=sys.stdout)
            print("report:", *service.report(), "said:", *service.words()[-80:], sep="\n  ",
                  flush=True)
    print("done")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
