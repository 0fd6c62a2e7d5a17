# SPDX-License-Identifier: LGPL-2.1-or-later
"""In the guest: what is asked of a server that is restarted, whoever starts it."""

import signal
import struct
import subprocess
import time
from pathlib import Path

PAUSE_US = 2000


def check(holds, sentence):
    if not holds:
        raise AssertionError(sentence)


def equal(found, wanted, what):
    check(found == wanted, f"{what}: {found!r} instead of {wanted!r}")


def until(what, predicate, seconds=60):
    deadline = time.monotonic() + seconds
    while not predicate():
        check(time.monotonic() < deadline, f"{what}: not within {seconds} s")
        time.sleep(0.05)


def run(*command):
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    check(result.returncode == 0, f"{command} ended with status {result.returncode}: "
                                  f"{result.stdout} {result.stderr}")
    return result.stdout


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


class Server:
    """One that receives at `port` and writes below `work`; `name` is for the report.

    A subclass has start(), restart(), crash(), close() and words()."""

    def __init__(self, name, port, work):
        self.name, self.port, self.work = name, port, work

    def await_starts(self, number):
        until(f"start number {number}", lambda: len(self.report()) >= number)

    def report(self):
        report = self.work / "report"
        return report.read_text().splitlines() if report.exists() else []

    def received(self):
        content = (self.work / "slots").read_bytes()
        numbers = struct.unpack(f"{len(content) // 8}Q", content)
        return list(numbers[:numbers.index(0)])

    def said(self, words):
        """How many lines of what udpcr has told."""
        return sum(words in line for line in self.words())

    def conserve(self, restarts):
        """Restarts and crashes under a sender; every datagram comes once, in order."""
        self.start()
        missed = nobody_there()
        sender = subprocess.Popen(["/usr/local/bin/flow", "send", str(self.port), str(PAUSE_US)],
                                  stdout=subprocess.PIPE, text=True)
        inode = udp_line(self.port)[9]
        starts = 1
        begin = time.monotonic()
        try:
            for _ in range(restarts):
                for again in (self.restart, self.crash):
                    again()
                    starts += 1
                    self.await_starts(starts)
            lasted = time.monotonic() - begin
            sender.send_signal(signal.SIGUSR1)
            sent = int(sender.communicate(timeout=60)[0])
        finally:
            sender.kill()
        until(f"the reading of {sent} datagrams; {len(self.received())} are here",
              lambda: len(self.received()) >= sent)
        line = udp_line(self.port)
        equal(line[9], inode, "inode of the socket")
        equal(int(line[12]), 0, "datagrams that the socket has dropped")
        equal(nobody_there() - missed, 0, "datagrams that found no socket")
        received = self.received()
        for place, number in enumerate(received, 1):
            if place != number:
                around = received[max(0, place - 5):place + 5]
                check(False, f"datagram {number} has come as number {place}; around it {around}")
        equal(len(received), sent, "datagrams received")
        print(f"  {self.name}: {sent} datagrams, {starts - 1} restarts in {lasted:.1f} s",
              flush=True)
