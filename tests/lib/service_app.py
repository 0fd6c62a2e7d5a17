# SPDX-License-Identifier: LGPL-2.1-or-later
"""Binds a port, sends itself what SEND says, and reads when the file `gate` is there."""

import os
import socket
import sys
import time

SO_COOKIE = 57

address = os.environ.get("ADDRESS", "127.0.0.1")
ours = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
ours.bind((address, int(sys.argv[1])))
cookie = int.from_bytes(ours.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8), sys.byteorder)
print(f"socket {cookie} of {os.fstat(ours.fileno()).st_uid}")
with socket.socket(ours.family, socket.SOCK_DGRAM) as sender:
    for number in range(int(os.environ.get("SEND", "0"))):
        sender.sendto(b"datagram-%d" % number, ours.getsockname())
print("ready", flush=True)
while not os.path.exists(os.environ.get("GATE", "gate")):
    time.sleep(0.02)
ours.settimeout(0.2)
while True:
    try:
        print("read", ours.recv(100).decode(), flush=True)
    except socket.timeout:
        print("silence", flush=True)
        ours.settimeout(None)
