#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Three forked workers, each with a socket of its own on one port.

usage: reuseport_workers.py PORT; they read once ./gate exists
"""

import os
import socket
import sys
import time

port = int(sys.argv[1])


def serve():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    server.bind(("127.0.0.1", port))
    os.write(1, f"worker {os.getpid()}\n".encode())
    while not os.path.exists("gate"):
        time.sleep(0.02)
    while True:
        payload, sender = server.recvfrom(65536)
        os.write(1, f"read {sender[0]} {sender[1]} {payload.decode()}\n".encode())
        server.sendto(b"reply to " + payload, sender)


for _ in range(3):
    if os.fork() == 0:
        serve()
while True:
    os.wait()
