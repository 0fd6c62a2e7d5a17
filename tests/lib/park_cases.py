# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a restart with parked sockets means, with whoever holds them: the keeper, or the module."""

import os
import signal
import socket
from pathlib import Path

from fault_cases import PORT, SERVER, start
from harness import (PYTHON, SOURCE, Clients, Program, all_read, check, drop_all, equal, read_lines,
                     until)

MANY = SOURCE / "tests" / "programs" / "apps" / "many_sockets.py"


def ended(program, how):
    """The program's end, in one of the ways that a restart begins with."""
    if how == "checkpoint":
        said = program.checkpoint()
        program.await_end()
        return said
    program.signal(getattr(signal, how))
    program.await_end()
    return ""


def parking(how):
    return {"PARK": "checkpoint" if how == "checkpoint" else "always", "AFTER": "exit",
            "LOG": "info"}


def left_parked(**more):
    """A program was killed with datagrams in its sockets: its settings, and who has sent them."""
    settings = {**parking("SIGKILL"), **more}
    program = start(settings=settings)
    clients = Clients(PORT)
    clients.send(2)
    program.kill()
    return settings, clients


def refused(program):
    """It found its port taken, as without udpcr."""
    equal(program.await_end(), 1, f"status of {program.out.stem}")
    check("Address already in use" in program.err.read_text(), program.err.read_text())


def carried_over(how, started):
    """What is queued, and what comes while nobody is there, is read once by the next start."""
    settings = parking(how)
    program = start(how=started, settings=settings)
    clients = Clients(PORT)
    clients.send(2)
    ended(program, how)
    clients.send(3)
    second = start("second", how=started, settings=settings)
    clients.send(1)
    Path("gate").touch()
    all_read(second, clients.sent)
    clients.expect_replies(6)
    equal([line for line in second.complaints() if "warning" in line or "error" in line], [],
          "complaints")
    if how == "checkpoint":
        check(not list(Path(".").glob("*.udpcr")), "the image was not set aside")


def inherited():
    """UDPCR_FDS=inherit: they stand at their old fds before main."""
    settings = {**parking("checkpoint"), "FDS": "inherit", "IMAGE": "app.udpcr"}
    script = SOURCE / "tests" / "programs" / "apps" / "inherit_server.py"
    program = Program([PYTHON, script, PORT], "preload", "first", settings)
    program.await_line()
    clients = Clients(PORT, ipv6=())
    clients.send(2)
    ended(program, "checkpoint")
    clients.send(1)
    second = Program([PYTHON, script, PORT], "preload", "second", settings)
    second.await_line()
    Path("gate").touch()
    all_read(second, clients.sent)


def many_restarts():
    """The sockets outlive 20 starts, each killed."""
    settings = parking("SIGKILL")
    program = start(settings=settings)
    clients = Clients(PORT)
    read = []
    for number in range(20):
        clients.send(1)
        Path("gate").touch()
        until("the reading", lambda: len(read) + len(read_lines(program)) >= len(clients.sent))
        read += read_lines(program)
        Path("gate").unlink()
        program.kill()
        clients.send(1)
        program = start(f"next-{number}", settings=settings)
    Path("gate").touch()
    until("the last reading", lambda: len(read) + len(read_lines(program)) >= len(clients.sent))
    read += read_lines(program)
    equal(sorted(read), sorted(clients.sent), "what was read")


def killed_starts_lose_nothing():
    """A start that ends before it has bound leaves the sockets to the next."""
    settings, clients = left_parked()
    for number in range(3):
        # It has UDP sockets, its keeper has taken what was parked, and it binds nothing.
        late = Program([PYTHON, SERVER, PORT], "preload", f"late-{number}",
                       {"IMAGE": "app.udpcr", **settings, "MATCH": "argv"}, {"LATE_SECONDS": "30"})
        late.await_complaint("parked sockets that are back: 2")
        late.kill()
        clients.send(1)
    third = start("third", settings=settings)
    Path("gate").touch()
    all_read(third, clients.sent)


def expires():
    """Unclaimed they are closed; what the image has is restored then."""
    settings = {**parking("checkpoint"), "PARK_SECONDS": 1}
    program = start(settings=settings)
    clients = Clients(PORT)
    clients.send(2)
    ended(program, "checkpoint")
    before = list(clients.sent)
    until("the end of the sockets", lambda: not bound(PORT), 10)
    second = start("second", settings=parking("checkpoint"))
    Path("gate").touch()
    all_read(second, before)


def expires_during_start():
    """The program takes longer to bind than they are kept: one line, and it binds afresh."""
    settings, _ = left_parked(PARK_SECONDS=2)
    second = Program([PYTHON, SERVER, PORT], "preload", "second", {"IMAGE": "app.udpcr", **settings},
                     {"LATE_SECONDS": "4"})
    second.await_line(seconds=15)
    lost = [line for line in second.complaints() if "did not ask for it" in line]
    equal(len(lost), 2, f"lines about sockets that were not asked for in {second.complaints()}")
    check("UDPCR_PARK_SECONDS" in lost[0] and "lost" in lost[0], lost[0])
    clients = Clients(PORT)
    clients.send(1)
    Path("gate").touch()
    all_read(second, clients.sent)


def bound(port):
    wanted = f":{port:04X}"
    return any(line.split()[1].endswith(wanted)
               for table in ("udp", "udp6")
               for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:])


def two_starts_race():
    """One gets them; the other is told, and cannot bind, as without udpcr."""
    settings, clients = left_parked()
    both = [Program([PYTHON, SERVER, PORT], "preload", name, {"IMAGE": "app.udpcr", **settings})
            for name in ("one", "other")]
    until("one that is ready", lambda: any("ready" in one.lines() for one in both))
    winner = next(one for one in both if "ready" in one.lines())
    loser = both[1 - both.index(winner)]
    refused(loser)
    check(any("left alone" in line for line in loser.complaints()),
          f"the other was not told: {loser.complaints()}")
    Path("gate").touch()
    all_read(winner, clients.sent)


def others_do_not_get_them():
    """Other arguments, another image: the sockets wait for their own program."""
    settings, clients = left_parked()
    for name, arguments in (("arguments", ["extra"]), ("image", [])):
        image = "app.udpcr" if name == "arguments" else "other.udpcr"
        other = Program([PYTHON, SERVER, PORT, *arguments], "preload", name,
                        {"IMAGE": image, **settings})
        refused(other)
    second = start("second", settings=settings)
    Path("gate").touch()
    all_read(second, clients.sent)


def a_second_instance_is_told():
    """While the program lives its sockets are its own."""
    settings = parking("SIGKILL")
    program = start(settings=settings)
    clients = Clients(PORT)
    clients.send(2)
    other = Program([PYTHON, SERVER, PORT], "preload", "other", {"IMAGE": "app.udpcr", **settings})
    refused(other)
    Path("gate").touch()
    all_read(program, clients.sent)


def with_park_off_they_come_all_the_same():
    """A start without UDPCR_PARK takes what stands in its way, and parks no more."""
    _, clients = left_parked()
    second = start("second", settings={"LOG": "info"})
    Path("gate").touch()
    all_read(second, clients.sent)
    second.kill()
    until("the port's being free", lambda: not bound(PORT))


def a_worker_of_a_group():
    """Its parked socket is closed when the others of its SO_REUSEPORT group go on, and named."""
    settings = {**parking("SIGKILL"), "IMAGE": "app.udpcr"}
    script = SOURCE / "tests" / "programs" / "apps" / "reuseport_workers.py"
    program = Program([PYTHON, script, PORT], "preload", "workers", settings)
    workers = until("three workers", lambda: len(program.lines()) == 3 and
                    [int(line.split()[1]) for line in program.lines()])
    os.kill(workers[0], signal.SIGKILL)
    line = program.await_complaint("not parked any more", 15)
    check("SO_REUSEPORT" in line and str(workers[0]) in line, line)


def many(count, settings, limit=16384, name="many"):
    """A program with `count` sockets, which it says when it has bound them."""
    before = ("prlimit", f"--nofile={limit}:{limit}")
    program = Program([PYTHON, MANY, PORT, count], "preload", name,
                      {"IMAGE": "app.udpcr", **settings}, before=before)
    return program


def thousands(count):
    """All of them come back with what was in them."""
    settings = {**parking("SIGKILL")}
    program = many(count, settings)
    program.await_line(seconds=60)
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for number in range(count):
        sender.sendto(str(number).encode(), ("127.0.0.1", PORT + number))
    program.kill()
    Path("gate").touch()
    second = many(count, settings, name="second")
    line = second.await_line("^read ", seconds=60)
    equal(line, f"read {count} of {count}", "what the next start has read")


def few_fds():
    """RLIMIT_NOFILE of 64: what cannot be kept is named, the program runs, nothing hangs."""
    settings = parking("SIGKILL")
    program = many(50, settings, 64)
    program.await_line()
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for number in range(50):
        sender.sendto(str(number).encode(), ("127.0.0.1", PORT + number))
    program.kill()
    Path("gate").touch()
    second = many(50, settings, 64, "second")
    line = second.await_line("^read ", seconds=30)
    kept = int(line.split()[1])
    missing = [one for one in program.complaints() + second.complaints()
               if "RLIMIT_NOFILE" in one]
    check(kept == 50 or missing, f"{line}, and no line names RLIMIT_NOFILE: "
          f"{program.complaints() + second.complaints()}")
    return kept


def run_one(cases, name, case, *arguments):
    cases.run(name, case, *arguments)
    drop_all()


def run(cases, few=False):
    """All cases that do not depend on who holds the sockets; `few`: a choice of them."""
    ways = [(how, started) for how in ("checkpoint", "SIGKILL", "SIGSEGV")
            for started in ("preload", "run")]
    others = [inherited, many_restarts, killed_starts_lose_nothing, expires, expires_during_start,
              two_starts_race, others_do_not_get_them, a_second_instance_is_told,
              with_park_off_they_come_all_the_same, a_worker_of_a_group, few_fds]
    if few:
        ways = [("checkpoint", "run"), ("SIGKILL", "preload")]
        others = [killed_starts_lose_nothing, expires, two_starts_race, a_worker_of_a_group]
    for how, started in ways:
        run_one(cases, f"carried_over_{how}_{started}", carried_over, how, started)
    for case in others:
        run_one(cases, case.__name__, case)
