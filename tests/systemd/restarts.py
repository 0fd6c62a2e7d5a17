#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""In a virtual machine with systemd: services that are restarted under a sender.

usage: restarts.py BUILD [--full]

BUILD has bin/, lib/ and packaging/.  Each case is one who keeps the sockets while no
process of the service runs; the units are those that an installation holds."""

import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
import traceback
from pathlib import Path

BUILD = Path(sys.argv[1])
FULL = "--full" in sys.argv
UNITS = Path("/etc/systemd/system")
WORK = Path("/var/lib/flow")
PREFIX = Path("/usr/local")
PAUSE_US = 2000
RESTARTS = 10 if FULL else 2
DATAGRAMS = 20000 if FULL else 2000
# As a service may have it that knows nothing of udpcr.
UNIT = """
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


def check(holds, sentence):
    if not holds:
        raise AssertionError(sentence)


def equal(found, wanted, what):
    check(found == wanted, f"{what}: {found!r} instead of {wanted!r}")


def until(what, predicate, seconds=30):
    deadline = time.monotonic() + seconds
    while not predicate():
        check(time.monotonic() < deadline, f"{what}: not within {seconds} s")
        time.sleep(0.05)


def run(*command):
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    check(result.returncode == 0, f"{command} ended with status {result.returncode}: "
                                  f"{result.stdout} {result.stderr}")
    return result.stdout


def install():
    """What `cmake --install` would leave at the places that were configured."""
    run("install", "-D", "-t", PREFIX / "bin", BUILD / "bin/udpcr")
    run("install", BUILD / "bin/systemd_flow", PREFIX / "bin/flow")
    run("install", "-D", "-t", PREFIX / "lib", BUILD / "lib/libudpcr_shim.so")
    run("install", "-m", "644", "-t", UNITS, BUILD / "packaging/udpcr-keeper.service")
    Path("/proc/sys/net/core/rmem_max").write_text(str(8 << 20))


def drop_in(holder):
    """The template as an administrator would edit it."""
    text = (BUILD / "packaging/udpcr.conf").read_text()
    if holder != "fd_store":
        text = re.sub(r"^(FileDescriptorStoreMax|NotifyAccess)=.*\n", "", text, flags=re.MULTILINE)
    if holder == "keeper_service":
        for line in ("[Unit]", "Wants=udpcr-keeper.service", "After=udpcr-keeper.service",
                     "[Service]", "Environment=UDPCR_KEEPER=/run/udpcr/keeper"):
            check(f"#{line}\n" in text, f"the template has no line #{line}")
            text = text.replace(f"#{line}\n", f"{line}\n", 1)
    return text


def udp_line(port):
    """The kernel's line of the socket on a port, as fields; None: there is none."""
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) == port:
            return fields
    return None


def nobody_there():
    """Datagrams that no socket has accepted."""
    rows = [line.split() for line in Path("/proc/net/snmp").read_text().splitlines()
            if line.startswith("Udp:")]
    counters = dict(zip(rows[0][1:], map(int, rows[1][1:])))
    return counters["NoPorts"]


class Service:
    def __init__(self, name, port, user="root", settings="", extra=""):
        self.name, self.port = name, port
        self.work = WORK / name
        self.work.mkdir(parents=True)
        run("chown", user, self.work)
        unit = UNIT.format(port=port, work=self.work, user=user) + extra
        (UNITS / f"{name}.service").write_text(unit)
        folder = UNITS / f"{name}.service.d"
        folder.mkdir()
        (folder / "udpcr.conf").write_text(settings)
        (folder / "log.conf").write_text(LOG.format(work=self.work))
        run("systemctl", "daemon-reload")

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

    def await_starts(self, number):
        until(f"start number {number}", lambda: len(self.report()) >= number)

    def report(self):
        report = self.work / "report"
        return report.read_text().splitlines() if report.exists() else []

    def received(self):
        content = (self.work / "slots").read_bytes()
        numbers = struct.unpack(f"{len(content) // 8}Q", content)
        return list(numbers[:numbers.index(0)])

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


def said(service, words):
    return any(words in line for line in service.words())


def conserve(service):
    """Restarts and crashes under a sender; every datagram comes once, in order."""
    service.start()
    missed = nobody_there()
    sender = subprocess.Popen(["/usr/local/bin/flow", "send", str(service.port), str(DATAGRAMS),
                               str(PAUSE_US)])
    inode = udp_line(service.port)[9]
    starts = 1
    begin = time.monotonic()
    for _ in range(RESTARTS):
        for again in (service.restart, service.crash):
            again()
            starts += 1
            service.await_starts(starts)
    lasted = time.monotonic() - begin
    check(sender.poll() is None, f"the sender was done before the last of {starts - 1} restarts")
    equal(sender.wait(120), 0, "status of the sender")
    until(f"the reading of {DATAGRAMS} datagrams; {len(service.received())} are here",
          lambda: len(service.received()) >= DATAGRAMS, 10)
    line = udp_line(service.port)
    equal(line[9], inode, "inode of the socket")
    equal(int(line[12]), 0, "datagrams that the socket has dropped")
    equal(nobody_there() - missed, 0, "datagrams that found no socket")
    check(service.received() == list(range(1, DATAGRAMS + 1)), "the numbers are not 1 to the last")
    print(f"  {service.name}: {DATAGRAMS} datagrams, {starts - 1} restarts in {lasted:.1f} s",
          flush=True)


def is_free(port):
    """A park that was left behind would be in the way."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", port))


def fd_store(port):
    service = Service("fd-store", port, "daemon", drop_in("fd_store"))
    conserve(service)
    check(said(service, "by the service manager"), "nothing tells that systemd has the socket")
    for line in service.report():
        check("LISTEN_FDS - LISTEN_FDNAMES - " in line + " ", f"the program was told: {line}")
    service.close()
    is_free(port)


def fd_store_with_activation(port):
    """A service that is handed down sockets of its own, too."""
    (UNITS / "activated.socket").write_text(
        "[Socket]\nListenStream=/run/activated\nFileDescriptorName=own\n")
    service = Service("activated", port, "root", drop_in("fd_store"),
                      "[Unit]\nRequires=activated.socket\n")
    service.start()
    service.restart()
    service.await_starts(2)
    service.restart()
    service.await_starts(3)
    check(said(service, "are back"), "the socket was not taken from the fd store")
    for line in service.report():
        check("LISTEN_FDS 1 LISTEN_FDNAMES own 3:unix" in line, f"the program was told: {line}")
    service.close()
    run("systemctl", "stop", "activated.socket")
    is_free(port)


def keeper_service(port):
    service = Service("keeper-service", port, "root", drop_in("keeper_service"))
    conserve(service)
    service.close()
    run("systemctl", "stop", "udpcr-keeper")
    is_free(port)


def module(port):
    run("/vm/bin/busybox", "insmod", BUILD.parent / "kmod/6.1/udpcr.ko")
    service = Service("module", port, "root", drop_in("module"))
    conserve(service)
    check(said(service, "by the module"), "nothing tells that the module has the socket")
    service.close()
    is_free(port)
    until("the module's last reference",
          lambda: Path("/sys/module/udpcr/refcnt").read_text() == "0\n")
    run("/vm/bin/busybox", "rmmod", "udpcr")


def main():
    install()
    failed = 0
    for number, case in enumerate((fd_store, fd_store_with_activation, keeper_service, module)):
        try:
            case(7001 + number)
            print(f"ok {case.__name__}", flush=True)
        except Exception as error:  # whatever it is, it is this case's failure
            failed += 1
            why = str(error) if isinstance(error, AssertionError) else repr(error)
            print(f"not ok {case.__name__} {' '.join(why.split())}")
            traceback.print_exc(file=sys.stdout)
            for name in (WORK.iterdir() if WORK.exists() else ()):
                print(f"  {name.name}:")
                for log in ("report", "udpcr.log"):
                    if (name / log).exists():
                        print(*(name / log).read_text(errors="replace").splitlines()[-40:],
                              sep="\n    ")
            print(subprocess.run(["journalctl", "-b", "--no-pager", "-n", "60"],
                                 capture_output=True, text=True).stdout, flush=True)
    print("done")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
