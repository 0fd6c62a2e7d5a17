#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Serves the sockets that it finds at fds 7 and 8; makes them when there are none.

usage: inherit_server.py PORT; reads once ./gate exists.  Fd 8 is not bound.
"""

import os
import socket
import stat
import sys
import time

port = int(sys.argv[1])
SERVER, SPARE = 7, 8


def is_socket(fd):
    try:
        return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        return False


if is_socket(SERVER):
    print("found", SERVER, flush=True)
else:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", port))
    os.dup2(made.fileno(), SERVER)
    made.close()
if is_socket(SPARE):
    print("found", SPARE, flush=True)
else:
    made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 33)
    os.dup2(made.fileno(), SPARE)
    made.close()
server, spare = socket.socket(fileno=SERVER), socket.socket(fileno=SPARE)
hops = spare.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)
print("ready", server.getsockname()[1], spare.family.name, hops, flush=True)
while not os.path.exists("gate"):
    time.sleep(0.02)
while True:
    payload, sender = server.recvfrom(65536)
    print("read", sender[0], sender[1], payload.decode(), flush=True)
    server.sendto(b"reply to " + payload, sender)
