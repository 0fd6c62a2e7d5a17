# SPDX-License-Identifier: LGPL-2.1-or-later
"""UDPCR_MAP: an image that is restored to another address, port and interface."""

import shutil

import fidelity_cells as cells
import fidelity_network as network

GROUP = "address"
MOVED = network.LINK.replace("left", "moved")


def hexadecimal(name):
    """A device as the program tells it."""
    return name.encode().hex() + "00"


# Row, the row that it is like, what is made, how it is undone, what is mapped to what.
CASES = [
    ("map/address", "address/bound/v4", "ip addr add 192.0.2.8/32 dev lo",
     "ip addr del 192.0.2.8/32 dev lo", "192.0.2.7", "192.0.2.8"),
    ("map/address6", "address/bound/v6", "ip addr add 2001:db8::8/128 dev lo nodad",
     "ip addr del 2001:db8::8/128 dev lo", "2001:db8::7", "2001:db8::8"),
    ("map/port", "address/bound/v4", "true", "true", "10000", "10001"),
    ("map/interface", "address/link_local", "ip link del left\n" + MOVED,
     "ip link del moved\n" + network.LINK, "left", "moved"),
]


def run(column, mode, control):
    """The cells."""
    column.group = GROUP
    folder, image, pid, (first, _, _) = column.checkpoint(mode, f"mapped_{mode}")
    for row, like, make, undo, old, new in CASES:
        wanted = {key: value.replace(old, new).replace(hexadecimal(old), hexadecimal(new))
                  for key, value in control[like].items()}
        network.shell(make)
        try:
            answers, log = column.restart(folder, mode, {"MAP": f"{old}={new}"})
        finally:
            network.shell(undo)
        found = answers.get(like, {"row": "gone"})
        fds = [int(fd) for fd in first[like]["fds"].split(",")]
        why = cells.Named(image, pid, log).find(fds, column.named[like])
        verdict = "kept" if found == wanted else "reported" if why else "silent"
        detail = "" if verdict == "kept" else f"{why or ''} {cells.differences(wanted, found)}"
        yield cells.Cell(row, column.matrix_name, mode, verdict, detail)
    shutil.rmtree(folder)
