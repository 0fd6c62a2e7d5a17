# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cells of the fidelity matrix: kept, reported, silent, or absent, and what is expected of them."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

COLUMNS = ["module-6.1", "module-6.12", "module-7.3", "userspace-root", "userspace-user"]
EXPECTED = Path(__file__).resolve().parents[1] / "fidelity" / "expected"
HEAD = """# SPDX-License-Identifier: LGPL-2.1-or-later
#
# ROW COLUMN MODE VERDICT [REASON]: the least that a cell of the fidelity matrix must be.
# Written by tests/lib/fidelity_document.py --update; a reason that was written by hand stays.
"""
# The better one has the higher number.
RANK = {"silent": 0, "reported": 1, "kept": 2}


@dataclass
class Cell:
    row: str
    column: str
    mode: str
    verdict: str  # kept, reported, silent; absent: this kernel or user cannot have the state
    detail: str = ""


def save(cells, path):
    Path(path).write_text(json.dumps([asdict(cell) for cell in cells], indent=0))


def load(path):
    return [Cell(**cell) for cell in json.loads(Path(path).read_text())]


def read_expected(path=EXPECTED):
    """(row, column, mode) -> (verdict, reason)."""
    expected = {}
    for line in Path(path).read_text().splitlines() if Path(path).exists() else []:
        if line and not line.startswith("#"):
            row, column, mode, verdict, *reason = line.split(None, 4)
            for one in ("adopt", "inherit") if mode == "both" else (mode,):
                expected[row, column, one] = (verdict, " ".join(reason))
    return expected


def parse(lines):
    """What a run of the program has printed: row -> answers; absent and broken rows by reason."""
    rows, absent, broken = {}, {}, {}
    for line in lines:
        kind, _, rest = line.partition(" ")
        name, _, text = rest.partition(" ")
        if kind == "row":
            rows[name] = dict(word.split("=", 1) for word in text.split())
        elif kind == "absent":
            absent[name] = text
        elif kind == "broken":
            broken[name] = text
    return rows, absent, broken


def differences(wanted, found):
    keys = [key for key in {**wanted, **found} if wanted.get(key) != found.get(key)]
    return ", ".join(f"{key}: {found.get(key)} instead of {wanted.get(key)}" for key in keys)


# Said of a whole socket, at the restart.
WHOLE = re.compile("cannot |gives way|is closed: the program did not ask|cannot be told apart")


def place(address):
    """A pattern of what udpcr's lines call it."""
    if not address:
        return None
    host, port = re.escape(address["address"]), address["port"]
    return rf"\[{host}(%\w+)?\]:{port}\b" if ":" in host else rf"\b{host}:{port}\b"


class Named:
    """The losses that are named for the sockets of one image, there and at the restart."""

    def __init__(self, image, pid, log):
        self.by_fd = {fd["fd"]: socket for socket in image["sockets"] for fd in socket["fds"]
                      if fd["pid"] == pid}
        self.log = [line for line in log if "not restored: " in line]

    def find(self, fds, pattern):
        for fd in fds:
            socket = self.by_fd.get(fd)
            if socket is None:
                continue
            for loss in socket["losses"]:
                if re.search(pattern, loss["what"]):
                    return f"image: {loss['what']}: {loss['why']}"
            for line in self.log:
                at = re.search(place(socket["local"]), line)
                if at and (re.search(pattern, line[at.end():]) or WHOLE.search(line)):
                    return "log: " + line[at.end():].lstrip(": ")
        return None
