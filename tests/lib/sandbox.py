# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: sandbox.py fork|fstat|ipv6|pidfd|seccomp COMMAND [ARGUMENT...]

Executes COMMAND under a seccomp filter that allows no new process, or no fstat(2) (glibc
calls newfstatat), or no IPv6 socket, or knows no SO_PASSPIDFD and SO_PEERPIDFD, as kernels
before 6.5, or allows no other filter.
"""

import ctypes
import os
import platform
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06  # linux/bpf_common.h
ALLOW, FAIL_WITH_EPERM = 0x7fff0000, 0x00050000 | 1
# fork, vfork, clone, clone3
FORKS = {"x86_64": (57, 58, 56, 435), "aarch64": (220, 435)}[platform.machine()]

PRCTL = {"x86_64": 157, "aarch64": 167}[platform.machine()]
FSTAT = {"x86_64": 5, "aarch64": 80}[platform.machine()]
SOCKET = {"x86_64": 41, "aarch64": 198}[platform.machine()]
SETSOCKOPT, GETSOCKOPT = {"x86_64": (54, 55), "aarch64": (208, 209)}[platform.machine()]
SO_PASSPIDFD, SO_PEERPIDFD, ENOPROTOOPT = 76, 77, 92
AF_INET6 = 10
NUMBER, FIRST_ARGUMENT, THIRD_ARGUMENT = 0, 16, 32  # in struct seccomp_data

steps = [(LOAD, 0, 0, NUMBER)]
if sys.argv[1] == "fork":
    for place, number in enumerate(FORKS):
        steps.append((JUMP_EQUAL, len(FORKS) - place, 0, number))
elif sys.argv[1] == "fstat":
    steps.append((JUMP_EQUAL, 1, 0, FSTAT))
elif sys.argv[1] == "seccomp":
    steps += [(JUMP_EQUAL, 0, 2, PRCTL), (LOAD, 0, 0, FIRST_ARGUMENT),
              (JUMP_EQUAL, 1, 0, PR_SET_SECCOMP)]
elif sys.argv[1] == "pidfd":
    steps += [(JUMP_EQUAL, 1, 0, SETSOCKOPT), (JUMP_EQUAL, 0, 3, GETSOCKOPT),
              (LOAD, 0, 0, THIRD_ARGUMENT), (JUMP_EQUAL, 2, 0, SO_PASSPIDFD),
              (JUMP_EQUAL, 1, 0, SO_PEERPIDFD)]
else:
    steps += [(JUMP_EQUAL, 0, 2, SOCKET), (LOAD, 0, 0, FIRST_ARGUMENT),
              (JUMP_EQUAL, 1, 0, AF_INET6)]
refusal = FAIL_WITH_EPERM & ~0xffff | ENOPROTOOPT if sys.argv[1] == "pidfd" else FAIL_WITH_EPERM
steps += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, refusal)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]


libc = ctypes.CDLL(None, use_errno=True)
program = Program(len(steps), ctypes.addressof(code))
assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
assert libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0
os.execvp(sys.argv[2], sys.argv[2:])
