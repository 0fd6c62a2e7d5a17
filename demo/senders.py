#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Three clients of the echo server, each with an address and a port of its own.

usage: senders.py PORT ADDRESSES REPLIES

They send 60 datagrams in turn, write who they are to ADDRESSES, and wait for
their answers; what each got goes to REPLIES.
"""

import os
import selectors
import socket
import sys
import time

EACH = 20
SECONDS = 60
CLIENTS = (
    ("alice", socket.AF_INET, "127.0.0.2", "127.0.0.1"),
    ("bob", socket.AF_INET, "127.0.0.3", "127.0.0.1"),
    ("carol", socket.AF_INET6, "::1", "::1"),
)


def whole(name, lines):
    """Writes a file that is seen complete or not at all."""
    with open(name + ".part", "w") as file:
        file.writelines(line + "\n" for line in lines)
    os.rename(name + ".part", name)


def main():
    port, addresses, replies = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    clients = []
    for name, family, own, server in CLIENTS:
        client = socket.socket(family, socket.SOCK_DGRAM)
        client.bind((own, 0))
        clients.append((name, client, (server, port)))
    for number in range(1, EACH + 1):
        for name, client, server in clients:
            client.sendto(f"{name}-{number}".encode(), server)
    whole(addresses, (f"{name} {client.getsockname()[0]} {client.getsockname()[1]}"
                      for name, client, _ in clients))

    selector = selectors.DefaultSelector()
    for name, client, server in clients:
        selector.register(client, selectors.EVENT_READ, (name, server))
    got, deadline = [], time.monotonic() + SECONDS
    while len(got) < EACH * len(clients) and time.monotonic() < deadline:
        for key, _ in selector.select(timeout=0.5):
            name, server = key.data
            payload, sender = key.fileobj.recvfrom(65536)
            place = "server" if sender[:2] == server else f"{sender[0]}:{sender[1]}"
            got.append(f"{name} from {place}: {payload.decode()}")
        if os.path.exists(replies + ".stop"):
            break
    whole(replies, got)


main()
