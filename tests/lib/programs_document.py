#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/programs.md, from what the last run of `tests/run.sh --full programs` has left.

usage: programs_document.py --update
"""

import json
import re
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
RESULTS = SOURCE / "build" / "ci" / "programs"
DOCUMENT = SOURCE / "docs" / "programs.md"
HOW = ("preload", "run")

HEAD = """<!-- SPDX-License-Identifier: LGPL-2.1-or-later -->
# Real programs

Written by `tests/lib/programs_document.py --update` after `tests/run.sh --full programs`.
Run on commit {commit}, kernel {kernel}, userspace engine.

Each is the binary that Debian ships. It is started under a bare `LD_PRELOAD` and under `udpcr run`, answers
requests, is stopped while requests arrive, is checkpointed, killed (`kill -9`) and started again. What was queued is answered
by the new one, to the sender; the same without udpcr is the control, and there nothing is answered. A snapshot in
between changes nothing for it, its end by SIGTERM included.

| program | version | how it is run | processes, sockets | queued, answered | not kept, and named |
|---|---|---|---|---|---|
"""

TAIL = """
* **named** listens before all its threads know its zones: what was queued when it was killed may be answered
  SERVFAIL, as is what arrives in that moment without udpcr. Clients ask again.
* **avahi** answers for its own name only when it is sure of it, a second after its start. Queued queries for it are
  as lost as those that arrive in that second; queries for what it need not prove are answered.
* **openvpn**: its SIGUSR2 (statistics), and **dnsmasq**'s (a new log), are theirs again with another `UDPCR_SIGNAL`.
  The JVM's, which it sends to itself, is its own in any case.
"""


def run(*command):
    result = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, check=True)
    return result.stdout.strip()


def not_kept(result):
    """What was named: at the checkpoint in the image, at the restart in the log."""
    named = set(result["not_kept"])
    for line in result["complaints"]:
        found = re.search(r"not restored: \S+: ([^:]+):", line)
        named.add(found.group(1) if found else line.removeprefix("udpcr: "))
    return named


def row(name):
    results = [json.loads(path.read_text()) for how in HOW
               if (path := RESULTS / f"{name}.{how}.json").exists()]
    if len(results) != len(HOW):
        sys.exit(f"{RESULTS} has not both results of {name}: run tests/run.sh --full programs")
    first = results[0]
    version = re.search(r"\d+\.[\w.+-]*", first["version"])
    return (f"| {first['name']} | {version.group(0) if version else first['version']} | {first['tried']} | "
            f"{first['processes']}, {first['sockets']} | {first['datagrams']} | "
            f"{', '.join(sorted(set().union(*map(not_kept, results)))) or 'nothing'} |")


def main():
    if sys.argv[1:] != ["--update"]:
        sys.exit(__doc__)
    names = sorted({path.name.rsplit(".", 2)[0] for path in RESULTS.glob("*.json")})
    if not names:
        sys.exit(f"{RESULTS} is empty: run tests/run.sh --full programs")
    if run("git", "status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs"):
        sys.exit("there are changes that are not committed: the document carries the commit that it is of")
    DOCUMENT.write_text(HEAD.format(commit=run("git", "rev-parse", "--short", "HEAD"),
                                    kernel=run("uname", "-r").split("-")[0])
                        + "".join(f"{row(name)}\n" for name in names) + TAIL)
    print(f"docs/programs.md: {len(names)} programs")


main()
