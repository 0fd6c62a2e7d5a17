# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the fault tests share: a server with a queue, and what must hold after a fault."""

import re
from pathlib import Path

from harness import (BUILD, PYTHON, SOURCE, Clients, Program, all_read, check, equal, read_lines,
                     until)

PORT = 7500
SERVER = SOURCE / "tests" / "programs" / "apps" / "plain_server.py"


def start(name="first", how="preload", image="app.udpcr", settings=None, arguments=(), **named):
    """A server that reads nothing until the gate is opened."""
    Path("gate").unlink(missing_ok=True)
    program = Program([PYTHON, SERVER, PORT, *arguments], how, name,
                      {"IMAGE": image, **(settings or {})}, **named)
    program.await_line()
    return program


def lives(program, clients):
    """The program reads all that waits, in order, and answers."""
    clients.send(1)
    already = read_lines(program)
    Path("gate").touch()
    all_read(program, clients.sent)
    equal(read_lines(program)[:len(already)], already, "what was read before")
    clients.expect_replies(1 if already else len(clients.sent) // len(clients.sockets))


def sentence(lines, thing, value, remedy):
    """Exactly one line, which names the thing, the value and the remedy."""
    equal(len(lines), 1, f"number of lines in {lines}")
    for what, pattern in (("thing", thing), ("value", value), ("remedy", remedy)):
        check(re.search(pattern, lines[0]), f"the line names no {what} ({pattern!r}): {lines[0]}")
    return lines[0]


def refused(program, thing, value, remedy):
    """`udpcr checkpoint` fails, and both it and the program's stderr give the line."""
    before = len(program.complaints())
    said = program.checkpoint(statuses=(1,))
    sentence(said.strip().splitlines(), thing, value, remedy)
    until("the line on the program's stderr", lambda: len(program.complaints()) > before)
    sentence(program.complaints()[before:], thing, value, remedy)


def no_leftovers(folder):
    left = [path.name for path in Path(folder).iterdir() if ".tmp" in path.name]
    equal(left, [], f"temporary files in {folder}")


def saved_image(image="app.udpcr", **named):
    """An image with a queue, of a program that is gone; and what was sent to it."""
    program = start(image=image, **named)
    clients = Clients(PORT)
    clients.send(3)
    program.checkpoint()
    program.kill()
    return Path(image), clients


__all__ = ["BUILD", "PORT", "SERVER", "lives", "no_leftovers", "refused", "saved_image",
           "sentence", "start"]
