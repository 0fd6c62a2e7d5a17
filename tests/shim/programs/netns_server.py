#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The same address and port in its own network namespace and in another one.

usage: netns_server.py PATH [COMMAND...]; PATH: of the namespace, "new" for one of its own, or
"none".  Reads once ./gate exists.  With a command: executes that, with the socket away at fd 8.
"""

import ctypes
import os
import select
import socket
import sys
import time

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def bound(name):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 7400))
    print("bound", name, flush=True)
    return server


def enter(path):
    place = os.open(path, os.O_RDONLY)
    if libc.setns(place, CLONE_NEWNET) != 0:
        sys.exit(f"setns {path}: {os.strerror(ctypes.get_errno())}")
    os.close(place)


home = os.open("/proc/self/ns/net", os.O_RDONLY)
servers = {} if len(sys.argv) > 2 else {bound("home"): "home"}
if sys.argv[1] == "none":
    pass
elif sys.argv[1] == "new":
    if libc.unshare(CLONE_NEWNET) != 0:
        sys.exit(f"unshare: {os.strerror(ctypes.get_errno())}")
    os.system("ip link set lo up")
else:
    enter(sys.argv[1])
if sys.argv[1] != "none":
    servers[bound("away")] = "away"
    libc.setns(home, CLONE_NEWNET)
if len(sys.argv) > 2:
    os.dup2(next(iter(servers)).fileno(), 8, inheritable=True)
    os.execvp(sys.argv[2], sys.argv[2:])
print("ready", flush=True)
while not os.path.exists("gate"):
    time.sleep(0.02)
while True:
    for server in select.select(list(servers), [], [])[0]:
        print("read", servers[server], server.recv(65536).decode(), flush=True)
