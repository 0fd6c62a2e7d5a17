#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A server on one port: `ready`, then `read PAYLOAD from ADDRESS PORT` and its SO_MARK.

usage: server.py PORT ask|set   set: SO_RCVBUFFORCE and SO_MARK, as only root may; and
it reads nothing until a line comes on its stdin.
"""

import socket
import sys

SO_MARK, SO_RCVBUFFORCE = 36, 33

own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
if sys.argv[2] == "set":
    own.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
    own.setsockopt(socket.SOL_SOCKET, SO_MARK, 77)
own.bind(("0.0.0.0", int(sys.argv[1])))
print("ready", own.getsockopt(socket.SOL_SOCKET, SO_MARK),
      own.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF), flush=True)
if sys.argv[2] == "set":
    sys.stdin.readline()
while True:
    data, sender = own.recvfrom(2000)
    print("read", data.decode(), "from", *sender, flush=True)
