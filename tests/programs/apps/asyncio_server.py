#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""asyncio endpoints, IPv4 and IPv6.  usage: asyncio_server.py PORT; reads once ./gate exists."""

import asyncio
import os
import sys
import time


class Server(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        print("read", addr[0], addr[1], data.decode(), flush=True)
        self.transport.sendto(b"reply to " + data, addr)


async def main():
    loop = asyncio.get_running_loop()
    port = int(sys.argv[1])
    for address in ("127.0.0.1", "::1"):
        await loop.create_datagram_endpoint(Server, local_addr=(address, port))
    print("ready", flush=True)
    # The loop itself is busy: its sockets are registered, and nobody reads them.
    while not os.path.exists("gate"):
        time.sleep(0.02)
    await asyncio.Event().wait()


asyncio.run(main())
