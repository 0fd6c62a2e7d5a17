# SPDX-License-Identifier: LGPL-2.1-or-later
"""A C program of tests/transparency/programs with and without udpcr: it says the same.

Three runs of each: plain; under udpcr with a checkpoint taken while datagrams
wait; and the restart, which must read those datagrams.  All that the program
says must be the same in all three, and udpcr has nothing to complain of.
"""

import functools
import socket
import subprocess
from pathlib import Path

from harness import SOURCE, Program, check, end_children, equal

PROGRAMS = SOURCE / "tests" / "transparency" / "programs"
SANITIZERS = {"plain": [], "asan": ["-fsanitize=address,undefined"], "tsan": ["-fsanitize=thread"]}
# A sanitizer's run time wants to be the first library; behind us it works as well.
ENVIRONMENT = {"ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0",
               "TSAN_OPTIONS": "report_signal_unsafe=0"}
PORT = 5300
SENDERS = [("127.0.0.2", 4002), ("127.0.0.3", 4003), ("127.0.0.2", 4002)]


@functools.cache
def build(name, sanitizer="plain"):
    """Once for all cases of a script; where the first of them lives."""
    program = Path(f"{name}_{sanitizer}").absolute()
    subprocess.run(["cc", "-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread",
                    *SANITIZERS[sanitizer], "-o", program, PROGRAMS / f"{name}.c"], check=True)
    return program


def send(port=PORT, senders=SENDERS):
    """One numbered datagram from each."""
    for number, sender in enumerate(senders):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            client.bind(sender)
            client.sendto(f"datagram {number}".encode(), ("127.0.0.1", port))


def end(program):
    """Lets the program go on from its wait, and awaits its end."""
    program.tell("go")
    equal(program.await_end(), 0, "the program's status")
    return program.lines()


def same(found, wanted, when):
    for number, (line, right) in enumerate(zip(found, wanted)):
        equal(line, right, f"line {number + 1} of the program {when}")
    equal(len(found), len(wanted), f"number of lines of the program {when}")


def transparent(name, sanitizer="plain", how="preload", port=PORT, arguments=(), settings=None,
                environment=None, complaints=(), checkpoint=Program.checkpoint, before=(),
                feed=None, first_environment=None, goes_on=False):
    """The three runs.  `complaints`: patterns of the lines that udpcr must write, in order.

    `feed(program)` sends what waits, if not to `port`.  `first_environment`: of the run that is
    checkpointed, where the program is to ask for something else than in the two others.
    `goes_on`: the first run is not killed; to its end it must say the same as well.
    """
    feed = feed or (lambda program: send(port))
    argv = [build(name, sanitizer), *arguments]
    settings = {"IMAGE": f"{name}.udpcr", **(settings or {})}
    environment = {**ENVIRONMENT, **(environment or {})}

    def start(how, run, more=None):
        program = Program(argv, how, name=run, settings=settings,
                          environment={**environment, **(more or {})}, piped=True, before=before)
        program.await_line("^ready$", 30)
        return program

    program = start("plain", "native")
    feed(program)
    native = end(program)
    until_ready = native[:native.index("ready") + 1]
    check(any(" says " in line for line in native), f"natively nothing is received: {native}")

    program = start(how, "first", first_environment)
    if first_environment is None:
        same(program.lines(), until_ready, "under udpcr")
    until_ready = program.lines()
    feed(program)
    checkpoint(program)
    same(program.lines(), until_ready, "after the checkpoint")
    if goes_on:
        same(end(program), native, "when it goes on after the checkpoint")
    program.kill()
    end_children()

    program = start(how, "restarted")
    same(end(program), native, "after the restart")
    equal(len(program.complaints()), len(complaints), f"number of lines in {program.complaints()}")
    for pattern in complaints:
        program.await_complaint(pattern)
