#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sets options that the kernel does not tell again, and says what they do.

usage: untold_options.py set|use|inherited

`use` binds the same sockets and sets nothing; `inherited` finds them at fds 10
to 13, where `set` and `use` put them.
"""

import ctypes
import os
import socket
import struct
import sys
import time

IPV6_MTU, IPV6_JOIN_ANYCAST, IPV6_PKTINFO, IPV6_FLOWLABEL_MGR = 24, 27, 50, 32
SO_ATTACH_REUSEPORT_CBPF = 51
SO_BUSY_POLL_BUDGET = 70
DGRAM = socket.SOCK_DGRAM


def index(name):
    return socket.if_nametoindex(name)


def bound(fd, family, address):
    made = socket.socket(family, DGRAM)
    if address[1] == 7504:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if sys.argv[1] == "set" and fd != 13:
        set_options(made, fd)
    made.bind(address)
    if sys.argv[1] == "set" and fd == 13:
        set_options(made, fd)  # a group of its own could not join the first's
    os.dup2(made.fileno(), fd, inheritable=False)
    made.close()
    return socket.socket(family, DGRAM, fileno=fd)


def set_options(made, fd):
    if fd == 10:
        # At another fd of the socket.
        copy = made.dup()
        copy.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU, 1300)
        copy.close()
        made.setsockopt(socket.IPPROTO_IPV6, IPV6_PKTINFO,
                        struct.pack("16sI", b"", index("east")))
        made.setsockopt(socket.IPPROTO_IPV6, IPV6_JOIN_ANYCAST,
                        struct.pack("16sI", socket.inet_pton(socket.AF_INET6, "2001:db8:1::aa"),
                                    index("east")))
        made.setsockopt(socket.SOL_SOCKET, SO_BUSY_POLL_BUDGET, 4)
    elif fd == 11:
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
                        struct.pack("4s4si", b"", b"", index("west")))
    elif fd == 13:
        # BPF_RET | BPF_K, 1: always the second of the group.
        code = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 1))
        made.setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF,
                        struct.pack("HxxxxxxQ", 1, ctypes.addressof(code)))


def lease_flow_label(made):
    """Label 12345 of our own choice: IPV6_FL_A_GET, IPV6_FL_S_EXCL, IPV6_FL_F_CREATE."""
    request = struct.pack("16s4sBBHHHI", socket.inet_pton(socket.AF_INET6, "2001:db8::9"),
                          (0x12345).to_bytes(4, "big"), 0, 1, 1, 0, 0, 0)
    made.setsockopt(socket.IPPROTO_IPV6, IPV6_FLOWLABEL_MGR, request)


def fragments(made):
    """Of 2800 bytes to a group: three of IPV6_MTU=1300, by the interface of the sticky IPV6_PKTINFO."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x86DD)) as wire:
        wire.bind(("east-peer", 0x86DD))
        wire.settimeout(0.5)
        count = 0
        try:
            made.sendto(b"x" * 2800, ("ff02::77", 7501))
            while True:
                packet = wire.recv(65536)
                # A fragment header, to that group.
                count += packet[6] == 44 and packet[24:40] == socket.inet_pton(socket.AF_INET6,
                                                                               "ff02::77")
        except OSError:  # no more came, or there is no route without the interface
            return count


def sent_by(name):
    with open("/proc/net/dev") as counters:
        return next(int(line.split(":")[1].split()[9]) for line in counters
                    if line.strip().startswith(name + ":"))


def say(name, value):
    print(name, value, flush=True)


if sys.argv[1] == "inherited":
    v6, v4, first, second = (socket.socket(family, DGRAM, fileno=fd) for fd, family in
                             ((10, socket.AF_INET6), (11, socket.AF_INET), (12, socket.AF_INET),
                              (13, socket.AF_INET)))
else:
    v6 = bound(10, socket.AF_INET6, ("::", 7500))
    v4 = bound(11, socket.AF_INET, ("0.0.0.0", 7502))
    first = bound(12, socket.AF_INET, ("127.0.0.1", 7504))
    second = bound(13, socket.AF_INET, ("127.0.0.1", 7504))
if len(sys.argv) > 2:
    lease_flow_label(v6)

say("fragments", fragments(v6))
with open("/proc/net/anycast6") as table:
    say("anycast", sum("20010db80001000000000000000000aa" in line for line in table))

before = sent_by("west")
try:
    v4.sendto(b"to a group", ("239.1.1.1", 7503))
except OSError:
    pass  # there is no route without the interface
say("west", sent_by("west") - before)

for _ in range(5):
    with socket.socket(socket.AF_INET, DGRAM) as sender:
        sender.sendto(b"steered", ("127.0.0.1", 7504))
second.settimeout(5)
say("steered", sum(second.recv(100) == b"steered" for _ in range(5)))
say("ready", "")
while True:
    time.sleep(1)
