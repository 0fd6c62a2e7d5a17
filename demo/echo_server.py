#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""An ordinary UDP server that knows nothing of udpcr.

usage: echo_server.py PORT LOG GATE

Binds one IPv4 and one IPv6 socket.  It is busy, and reads nothing, until the
file GATE exists; then it logs each datagram with its sender and answers.
"""

import os
import selectors
import socket
import sys
import time


def bound(family, address, port):
    server = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    server.bind((address, port))
    return server


def main():
    port, log_name, gate = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    selector = selectors.DefaultSelector()
    selector.register(bound(socket.AF_INET, "0.0.0.0", port), selectors.EVENT_READ, "IPv4")
    selector.register(bound(socket.AF_INET6, "::", port), selectors.EVENT_READ, "IPv6")
    with open(log_name, "w", buffering=1) as log:
        log.write("ready\n")
        while not os.path.exists(gate):
            time.sleep(0.05)
        while True:
            for key, _ in selector.select():
                payload, sender = key.fileobj.recvfrom(65536)
                log.write(f"{key.data} {sender[0]} {sender[1]} {payload.decode()}\n")
                key.fileobj.sendto(b"reply to " + payload, sender)


main()
