#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The parent binds, two children serve one socket each.  usage: fork_server.py PORT"""

import os
import socket
import sys
import time

port = int(sys.argv[1])
v4 = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
v4.bind(("127.0.0.1", port))
v6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
v6.bind(("::1", port))


def serve(server):
    os.write(1, f"child {os.getpid()}\n".encode())
    while not os.path.exists("gate"):
        time.sleep(0.02)
    while True:
        payload, sender = server.recvfrom(65536)
        os.write(1, f"read {sender[0]} {sender[1]} {payload.decode()}\n".encode())
        server.sendto(b"reply to " + payload, sender)


for server in (v4, v6):
    if os.fork() == 0:
        serve(server)
os.write(1, b"ready\n")
while True:
    os.wait()
