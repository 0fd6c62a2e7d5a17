#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/conservation.md, from what the last run of `tests/run.sh --full conservation` has left.

usage: conservation_document.py --update
"""

import json
import re
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
RESULTS = SOURCE / "build" / "ci" / "conservation"
DOCUMENT = SOURCE / "docs" / "conservation.md"
STREAMS = ("ipv4", "ipv6", "group", "workers", "multicast", "connected")
PROGRAMS = ("dnsmasq", "asyncio")
# What must be 0 in every row.
STREAM_FAULTS = ("lost", "doubled", "misordered", "wrong_source", "damaged", "no_ports", "dropped")
PROGRAM_FAULTS = ("unanswered", "twice", "no_ports", "dropped")
WHAT = {
    "ipv4": "IPv4",
    "ipv6": "IPv6",
    "group": "SO_REUSEPORT, 4 threads",
    "workers": "SO_REUSEPORT, 4 processes",
    "multicast": "multicast",
    "connected": "connected",
    "dnsmasq": "dnsmasq",
    "asyncio": "python3, asyncio",
}

HEAD = """<!-- SPDX-License-Identifier: LGPL-2.1-or-later -->
# No datagram lost and none twice

Written by `tests/lib/conservation_document.py --update` after `tests/run.sh --full conservation`.
Run on commit {commit}.

A sender puts numbered datagrams through a server that is restarted all the time, from eight ports (one, where the server is
connected), and never more than the receive buffer holds. The server ends in turn by a checkpoint (`UDPCR_PARK=checkpoint`,
`UDPCR_AFTER=exit`), by `kill -9`, and by a crash (SIGSEGV or SIGABRT; both with `UDPCR_PARK=always`), in the middle of the traffic; every fourth
time the next one is killed as well, somewhere in its start. Starts alternate between a bare `LD_PRELOAD` and `udpcr run`. The server receives
straight into slots of a file in memory: a datagram that the kernel has handed out is recorded, whatever becomes of the server.

Kept by the module is in a virtual machine without KVM, so times are not those of a machine; the small rows are a smoke test. All was run on two cores
with much else to do.

* **lost**: sent, less what is in the slots, less what the kernel has counted as dropped (of the sockets, of the network namespace, of `lo`).
* **twice**, **out of order** (of one sender), **wrong source** (each datagram carries its sender's address and port).
* **dropped**, **no socket**: the kernel's counters; with sockets that stay open both are 0.
* **by lo**: dropped by the loopback interface, whose queue for a processor was full, before a socket was looked for.
* **while down**: sent while there was no server. **down**: from its end until the next one has bound, median and longest.

The same run without `UDPCR_PARK` is the control: there the kernel counts datagrams that met no socket, and numbers are missing.

"""

PROGRAMS_HEAD = """
## Programs

Unmodified, restarted under a client that asks 500 times a second (50 in a virtual machine) and never twice: every query gets its answer, late where it met no
program. They end by a checkpoint, by `kill -9`, and (dnsmasq) by SIGTERM. What a program has read and not answered when it is killed is lost
with it, whoever keeps the socket; so for checkpoint and `kill -9` it is caught while it waits for the next query. SIGTERM comes at any moment.

"""


def holder(figures):
    """Who kept the sockets: the column of a result."""
    kernel = ".".join(figures["kernel"].split(".")[:2])
    return f"{figures['holder']}, {kernel}"


def number(value):
    return f"{value:,}"


def restarts(figures):
    ways = {**figures["restarts"], "in the start": figures.get("false_starts", 0)}
    return ", ".join(f"{times} {way}" for way, times in ways.items() if times)


def down(figures):
    return "{} / {} ms".format(*figures["down_ms"])


STREAM_COLUMNS = (
    ("kept by", holder), ("server", lambda f: WHAT[f["kind"]]), ("restarts", restarts),
    ("sent", lambda f: number(f["sent"])), ("received", lambda f: number(f["distinct"])),
    ("lost", lambda f: number(f["lost"])), ("twice", lambda f: number(f["doubled"])),
    ("out of order", lambda f: number(f["misordered"])),
    ("wrong source", lambda f: number(f["wrong_source"])),
    ("dropped", lambda f: number(f["dropped"])), ("no socket", lambda f: number(f["no_ports"])),
    ("by lo", lambda f: number(f["dropped_by_lo"])),
    ("while down", lambda f: number(f["while_down"])), ("down", down))
PROGRAM_COLUMNS = (
    ("kept by", holder), ("program", lambda f: WHAT[f["kind"]]), ("restarts", restarts),
    ("asked", lambda f: number(f["asked"])), ("answered", lambda f: number(f["answered"])),
    ("without an answer", lambda f: number(f["unanswered"])), ("answered twice", lambda f: number(f["twice"])),
    ("dropped", lambda f: number(f["dropped"])), ("no socket", lambda f: number(f["no_ports"])),
    ("while down", lambda f: number(f["while_down"])), ("down", down))


def table(columns, rows):
    lines = [[name for name, _ in columns], ["---"] * len(columns)]
    lines += [[value(row) for _, value in columns] for row in rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def load(results):
    """All results, a folder for each holder: the keeper's first, in the order of the kinds."""
    found = []
    for folder in sorted(path for path in results.glob("*") if path.is_dir()):
        found += [json.loads((folder / f"{kind}.json").read_text())
                  for kind in STREAMS + PROGRAMS if (folder / f"{kind}.json").exists()]
    return found


def faults(figures):
    wanted = STREAM_FAULTS if figures["kind"] in STREAMS else PROGRAM_FAULTS
    return [f"{fault} {figures[fault]}" for fault in wanted if figures[fault] != 0]


def cells(text):
    """The rows of the document: (kept by, what) -> {column: text}."""
    rows, names = {}, []
    for line in text.splitlines():
        if not line.startswith("| "):
            continue
        row = [cell.strip() for cell in line.strip("|").split("|")]
        if row[0] == "kept by":
            names = row
        elif not row[0].startswith("---"):
            rows[row[0].split(",")[0], row[1]] = dict(zip(names, row))
    return rows


def check(source, results, tally):
    """The document has a row without fault for all that ran, and for each kind with either holder."""
    text = (source / "docs/conservation.md").read_text()
    documented = cells(text)
    wanted = {(who, WHAT[kind]) for who in ("keeper", "module") for kind in STREAMS + PROGRAMS}
    wanted |= {(figures["holder"], WHAT[figures["kind"]]) for figures in load(results)}
    missing = sorted(wanted - documented.keys())
    zero = ("lost", "twice", "out of order", "wrong source", "dropped", "no socket",
            "without an answer", "answered twice")
    faulty = [key for key, row in documented.items() if any(row.get(column, "0") != "0" for column in zero)]
    if missing or faulty or not re.search(r"^Run on commit [0-9a-f]{7,}\.$", text, re.MULTILINE):
        tally.not_ok("conservation/document", f"docs/conservation.md: no row for {missing}, faults in "
                     f"{faulty}: run tests/run.sh --full conservation and "
                     "tests/lib/conservation_document.py --update")
    else:
        tally.ok("conservation/document")


def git(*command):
    return subprocess.run(["git", *command], cwd=SOURCE, capture_output=True, text=True,
                          check=True).stdout.strip()


def update():
    found = load(RESULTS)
    have = {(figures["holder"], figures["kind"]) for figures in found}
    missing = sorted({(who, kind) for who in ("keeper", "module") for kind in STREAMS + PROGRAMS} - have)
    if missing:
        sys.exit(f"{RESULTS} has no result of {missing}: run tests/run.sh --full conservation")
    faulty = [f"{figures['holder']} {figures['kind']}: {', '.join(faults(figures))}"
              for figures in found if faults(figures)]
    if faulty:
        sys.exit(f"not without fault: {'; '.join(faulty)}")
    if git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs"):
        sys.exit("there are changes that are not committed: the document carries the commit that it is of")
    streams = [figures for figures in found if figures["kind"] in STREAMS]
    programs = [figures for figures in found if figures["kind"] in PROGRAMS]
    DOCUMENT.write_text(HEAD.format(commit=git("rev-parse", "--short", "HEAD"))
                        + table(STREAM_COLUMNS, streams) + PROGRAMS_HEAD
                        + table(PROGRAM_COLUMNS, programs))
    print(f"docs/conservation.md: {len(streams)} streams, {len(programs)} programs")


if __name__ == "__main__":
    if sys.argv[1:] != ["--update"]:
        sys.exit(__doc__)
    update()
