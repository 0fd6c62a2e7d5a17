#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Is signalled when a datagram comes (F_SETOWN, F_SETSIG, O_ASYNC), and says at which fd.

usage: signalled.py set|use|inherited [PID]; PID: the owner, instead of itself.
"""

import ctypes
import fcntl
import os
import signal
import socket
import struct
import sys
import time

F_SETSIG, F_GETSIG, F_SETOWN_EX, F_GETOWN_EX = 10, 11, 15, 16
SIGNAL = signal.SIGRTMIN + 1
FD = 9


def wait_for_signal():
    """si_fd of siginfo_t, x86-64 and arm64; None within 3 s."""
    libc = ctypes.CDLL(None)
    wanted = ctypes.create_string_buffer(128)
    libc.sigemptyset(wanted)
    libc.sigaddset(wanted, SIGNAL)
    info = ctypes.create_string_buffer(128)
    timeout = struct.pack("qq", 3, 0)
    got = libc.sigtimedwait(wanted, info, timeout)
    return struct.unpack_from("i", info, 24)[0] if got == SIGNAL else None


signal.pthread_sigmask(signal.SIG_BLOCK, [SIGNAL])
if sys.argv[1] == "inherited":
    own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, fileno=FD)
else:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    os.dup2(made.fileno(), FD, inheritable=sys.argv[1] == "use")
    made.close()
    own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, fileno=FD)
    os.set_blocking(FD, sys.argv[1] == "use")
    own.bind(("127.0.0.1", 7600))
if sys.argv[1] == "set":
    owner = int(sys.argv[2]) if len(sys.argv) > 2 else os.getpid()
    fcntl.fcntl(FD, F_SETOWN_EX, struct.pack("ii", 1, owner))
    fcntl.fcntl(FD, F_SETSIG, SIGNAL)
    fcntl.fcntl(FD, fcntl.F_SETFL, fcntl.fcntl(FD, fcntl.F_GETFL) | os.O_ASYNC)
owner = struct.unpack("ii", fcntl.fcntl(FD, F_GETOWN_EX, bytes(8)))[1]
print("owner", "self" if owner == os.getpid() else owner, flush=True)
print("blocking", os.get_blocking(FD), "inheritable", os.get_inheritable(FD), flush=True)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.sendto(b"x", ("127.0.0.1", 7600))
if owner == os.getpid():
    print("signalled at fd", wait_for_signal(), flush=True)
own.recv(100)
print("ready", flush=True)
while True:
    time.sleep(1)
