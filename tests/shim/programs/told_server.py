#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Says of each datagram where it came from and where it was sent to.

usage: told_server.py ADDRESS PORT DEVICE; reads once ./gate exists.
"""

import os
import socket
import sys
import time

IP_PKTINFO = 8  # linux/in.h; python 3.11 does not have it
address, port, device = sys.argv[1], int(sys.argv[2]), sys.argv[3]
IPV6 = ":" in address
server = socket.socket(socket.AF_INET6 if IPV6 else socket.AF_INET, socket.SOCK_DGRAM)
if IPV6:
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
else:
    server.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
if device:
    server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b"\0")
server.bind((address, port))
print("ready", server.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).rstrip(b"\0"),
      flush=True)
while not os.path.exists("gate"):
    time.sleep(0.02)
while True:
    payload, control, _, sender = server.recvmsg(65536, 256)
    (_, _, info), = control
    told = (socket.inet_ntop(socket.AF_INET6, info[:16]) if IPV6
            else socket.inet_ntop(socket.AF_INET, info[8:12]))
    print("read", payload.decode(), "from", sender[0], sender[1], "to", told, flush=True)
