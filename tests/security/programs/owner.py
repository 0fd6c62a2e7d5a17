#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A server that drops its rights, and may then have somebody else signalled for its input.

usage: owner.py PORT keep|early|late PID|0

keep: it keeps its rights; early, late: it becomes user 65534 before, after its bind.
PID: who is to be killed by the next datagram (F_SETOWN_EX, F_SETSIG 9, O_ASYNC).
It says `ready`, then `read N` for the Nth datagram.
"""

import fcntl
import os
import signal
import socket
import struct
import sys

F_SETSIG, F_SETOWN_EX, F_OWNER_PID = 10, 15, 1
NOBODY = 65534

port, drop, owner = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])


def give_up_rights():
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


try:
    own = socket.socket(fileno=9)  # UDPCR_FDS=inherit has put it there
except OSError:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    os.dup2(made.fileno(), 9)
    made.close()
    own = socket.socket(fileno=9)
    if drop == "early":
        give_up_rights()
    own.bind(("127.0.0.1", port))
if drop != "keep" and os.getuid() != NOBODY:
    give_up_rights()
if owner:
    fcntl.fcntl(9, F_SETOWN_EX, struct.pack("ii", F_OWNER_PID, owner))
    fcntl.fcntl(9, F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(9, fcntl.F_SETFL, fcntl.fcntl(9, fcntl.F_GETFL) | os.O_ASYNC)
print("ready", flush=True)
number = 0
while True:
    own.recv(2000)
    number += 1
    print("read", number, flush=True)
