#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plain sockets, IPv4 and IPv6.  usage: plain_server.py PORT; reads once ./gate exists.

LATE_SECONDS in the environment: how long after its start it binds.
"""

import os
import select
import socket
import sys
import time

port = int(sys.argv[1])
v4 = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
time.sleep(float(os.environ.get("LATE_SECONDS", "0")))
v4.bind(("0.0.0.0", port))
v6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
v6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
v6.bind(("::", port))
print("ready", flush=True)
while not os.path.exists("gate"):
    time.sleep(0.02)
while True:
    for server in select.select([v4, v6], [], [])[0]:
        payload, sender = server.recvfrom(65536)
        print("read", sender[0], sender[1], payload.decode(), flush=True)
        server.sendto(b"reply to " + payload, sender)
