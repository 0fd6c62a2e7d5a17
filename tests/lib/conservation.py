# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the scripts of tests/conservation share: how they are called, who keeps the sockets, the figures."""

import argparse
import json
import os
import statistics
from pathlib import Path

from harness import BUILD, check, keepers

MODULE = Path("/sys/module/udpcr")


def arguments(kinds, **defaults):
    parser = argparse.ArgumentParser()
    parser.add_argument("--holder", choices=("keeper", "module"), default="keeper",
                        help="who keeps the sockets open; module: which is loaded then")
    parser.add_argument("--results", type=Path, help="folder for the figures (docs/conservation.md)")
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("kinds", nargs="*", choices=[*kinds, []], metavar="KIND", help=" ".join(kinds))
    given = parser.parse_args()
    given.kinds = given.kinds or kinds
    given.results = (given.results or BUILD / "conservation" / given.holder).absolute()
    check(MODULE.exists() == (given.holder == "module"),
          f"--holder {given.holder}, and the module is{'' if MODULE.exists() else ' not'} loaded")
    return given


def still_held(holder):
    """While there is no program: the one who shall keep its sockets does."""
    if holder == "module":
        check(int((MODULE / "refcnt").read_text()) > 0, "the module keeps no socket")
    elif holder == "keeper":
        check(keepers(), "there is no keeper that could keep the sockets")


def counters(family):
    """What the kernel has counted in this network namespace."""
    if family == 6:
        rows = {key[4:]: value for key, value in
                (line.split() for line in Path("/proc/net/snmp6").read_text().splitlines())
                if key.startswith("Udp6")}
    else:
        names, values = (line.split()[1:] for line in Path("/proc/net/snmp").read_text().splitlines()
                         if line.startswith("Udp:"))
        rows = dict(zip(names, values))
    return {key: int(rows[key]) for key in ("NoPorts", "InErrors", "RcvbufErrors")}


def complaints(program):
    """What udpcr has complained of; the files of a program that was none of it are removed."""
    found = {line for line in program.complaints() if ": info:" not in line}
    if not found:
        program.err.unlink()
        program.out.unlink()
    return found


def down_ms(seconds):
    """Median and maximum."""
    return [round(1000 * value) for value in (statistics.median(seconds), max(seconds))]


def keep(given, figures):
    """Prints the figures, and leaves them for conservation_document.py."""
    figures = {**figures, "holder": given.holder, "kernel": os.uname().release}
    print(f"  {json.dumps(figures)}", flush=True)
    given.results.mkdir(parents=True, exist_ok=True)
    (given.results / f"{figures['kind']}.json").write_text(json.dumps(figures))
