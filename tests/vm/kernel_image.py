# SPDX-License-Identifier: LGPL-2.1-or-later
"""A kernel in the form in which QEMU starts it soonest.

Unpacking itself costs an emulated kernel seconds; Debian's can be entered
unpacked (CONFIG_PVH), so that is done here, once."""

import os
import struct
import subprocess
import sys

# Offsets of the kernel's Documentation/arch/x86/boot.rst.
SETUP_SECTORS = 0x1F1
PAYLOAD = 0x248  # offset and length, u32 each
MAGICS = {b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


def unpacked(folder):
    """The ELF file within folder/vmlinuz; for another kind of kernel vmlinuz itself."""
    packed, target = folder / "vmlinuz", folder / "vmlinux"
    if target.exists():
        return target
    content = packed.read_bytes()
    offset, length = struct.unpack_from("<II", content, PAYLOAD)
    start = (content[SETUP_SECTORS] + 1) * 512 + offset
    # Its last four bytes are the unpacked size.
    payload = content[start:start + length - 4]
    tool = next((tool for magic, tool in MAGICS.items() if payload.startswith(magic)), None)
    if tool is None:
        return packed
    try:
        elf = subprocess.run([tool, "-dc"], input=payload, stdout=subprocess.PIPE, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"{packed} cannot be unpacked: {error}; apt-get install xz-utils zstd")
    new = target.with_name(f"{target.name}.{os.getpid()}")
    new.write_bytes(elf.stdout)
    new.rename(target)
    return target
