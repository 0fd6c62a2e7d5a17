#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""DNS clients that ask once, and wait.

usage: dns_clients.py PORT ASKED ANSWERS

Ten sockets, IPv4 and IPv6, send one query each; the file ASKED appears when all
are sent.  ANSWERS gets one line for each answer that came.
"""

import os
import selectors
import socket
import struct
import sys
import time

CLIENTS = 10
SECONDS = 30
QUIET = 1.0  # for answers that come twice
TYPE_A, CLASS_IN = 1, 1


def query(number):
    """RFC 1035, 4.1: header with the number as its id, one question."""
    name = b"".join(bytes([len(label)]) + label
                    for label in (b"host%d" % number, b"demo", b"example"))
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + name + struct.pack("!BHH", 0, TYPE_A,
                                                                               CLASS_IN)


def address_in(answer):
    """The address at the end of an answer with a single A record."""
    number, flags, _, answers, _, _ = struct.unpack("!6H", answer[:12])
    if flags & 0x800F != 0x8000 or answers != 1:
        return number, "no address"
    start = len(query(number)) + 2 + 2 + 2 + 4 + 2  # question; name, type, class, TTL, length
    return number, socket.inet_ntoa(answer[start:start + 4])


def main():
    port, asked, answers = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    selector = selectors.DefaultSelector()
    for number in range(1, CLIENTS + 1):
        family, server = ((socket.AF_INET, "127.0.0.1") if number % 2 else (socket.AF_INET6, "::1"))
        client = socket.socket(family, socket.SOCK_DGRAM)
        client.connect((server, port))
        client.send(query(number))
        selector.register(client, selectors.EVENT_READ, number)
    open(asked, "w").close()

    lines, deadline = [], time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        for key, _ in selector.select(timeout=0.1):
            number, address = address_in(key.fileobj.recv(65536))
            lines.append(f"client {key.data} asked {key.data} got {number}: {address}\n")
            if len(lines) == CLIENTS:
                deadline = time.monotonic() + QUIET
    with open(answers + ".part", "w") as file:
        file.writelines(lines)
    os.rename(answers + ".part", answers)


main()
