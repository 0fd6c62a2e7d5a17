#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many sockets.  usage: many_sockets.py PORT COUNT; each reads one datagram once ./gate exists."""

import os
import select
import socket
import sys
import time

port, count = map(int, sys.argv[1:])
servers = []
for number in range(count):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", port + number))
    servers.append(server)
print("ready", flush=True)
while not os.path.exists("gate"):
    time.sleep(0.02)
by_fd = {server.fileno(): server for server in servers}
poll = select.epoll()
for fd in by_fd:
    poll.register(fd, select.EPOLLIN)
read = set()
deadline = time.monotonic() + 3
while len(read) < count and time.monotonic() < deadline:
    for fd, _ in poll.poll(0.5):
        read.add(int(by_fd[fd].recv(99)))
print(f"read {len(read)} of {count}", flush=True)
time.sleep(60)
