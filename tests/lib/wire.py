# SPDX-License-Identifier: LGPL-2.1-or-later
"""Messages by hand, for tests that play a program, a keeper, or a liar."""

import array
import ctypes
import os
import platform
import re
import socket
import struct
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
DUP = {"x86_64": 32, "aarch64": 23}[platform.machine()]
WIRE = (Path(__file__).resolve().parents[2] / "common" / "protocol" / "header.h").read_text()
MAGIC = int(re.search(r"kMagic = (\w+)", WIRE)[1], 16)
VERSION = int(re.search(r"kVersion = (\d+)", WIRE)[1])
KINDS = re.findall(r"^  (\w+)(?: = 1)?,$", re.search(r"enum class Type.*?};", WIRE, re.S)[0], re.M)
HEADER = "IIII"  # wire::WireHeader


def message(kind, body=b"", version=VERSION, length=None):
    """A packet of that type."""
    whole = struct.calcsize(HEADER) + len(body) if length is None else length
    return struct.pack(HEADER, MAGIC, version, KINDS.index(kind) + 1, whole) + body


def kind_of(packet):
    magic, version, number, length = struct.unpack_from(HEADER, packet)
    assert (magic, length) == (MAGIC, len(packet)), (magic, length, len(packet))
    return KINDS[number - 1] if version == VERSION else None


def body_of(packet):
    return packet[struct.calcsize(HEADER):]


def send(channel, packet, fds=()):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    channel.sendmsg([packet], rights)


def pair():
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def channel_of():
    """Of a process under udpcr: its own end of the talk with its keeper, which the shim hides."""
    for number in sorted(map(int, os.listdir("/proc/self/fd")), reverse=True):
        try:
            if not os.readlink(f"/proc/self/fd/{number}").startswith("socket:"):
                continue
            end = socket.socket(fileno=LIBC.syscall(DUP, number))
        except OSError:
            continue
        if end.family == socket.AF_UNIX and end.type == socket.SOCK_SEQPACKET:
            return end
        end.close()
    raise AssertionError("the process has no channel")
