#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""An ordinary program with many sockets.  usage: sockets.py COUNT DATAGRAMS_EACH [take]

Binds COUNT UDP sockets and, unless told to take, puts datagrams into each;
with `take` it says how many were there already.
"""

import resource
import socket
import sys
import time

count, each, take = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:] == ["take"]
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
begin = time.perf_counter()
sockets = []
for number in range(count):
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.bind(("127.0.0.1", 20000 + number))
    sockets.append(one)
bound = (time.perf_counter() - begin) * 1000
found = 0
if take:
    for one in sockets:
        one.setblocking(False)
        try:
            while one.recv(65536):
                found += 1
        except BlockingIOError:
            pass
else:
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for one in sockets:
        for _ in range(each):
            sender.sendto(bytes(100), one.getsockname())
print(f"ready {bound:.1f} {found}", flush=True)
time.sleep(600)
