#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/fidelity.md and tests/fidelity/expected, from what the columns have found.

usage: fidelity_document.py --update

takes over what the last run of `tests/run.sh fidelity` has found, columns and
modes that it did not run stay, and writes both files.
"""

import re
import subprocess
import sys
from pathlib import Path

import fidelity_cells as cells

SOURCE = Path(__file__).resolve().parents[2]
RESULTS = SOURCE / "build" / "ci" / "fidelity"
DOCUMENT = "docs/fidelity.md"
MODES = ("adopt", "inherit")
COMMIT = "Run on commit "

HEAD = """<!-- SPDX-License-Identifier: LGPL-2.1-or-later -->
# The fidelity matrix

Written by `tests/lib/fidelity_document.py --update` after `tests/run.sh fidelity`.
{commit}.

Each row is one piece of a socket's state, set to a value that is not the default. The program is
checkpointed, killed and restarted; then the restarted program asks the kernel, and sets nothing again.

* **kept**: the kernel's answers are what they are for a socket that was never checkpointed.
* **named**: they are not, and the loss stands in log, exit status and image. The reasons are below.
* -: this kernel, or this user, cannot have the state.

Where adopt and inherit differ, the cell says so. A loss without a word would fail the test.
The rows of `map` are restored with `UDPCR_MAP`, with inherit; `tests/shim/map` shows it with adopt.
Three things have no row, for no call of a program tells them: `SO_BUSY_POLL_BUDGET` (recorded: `tests/shim/untold_options`),
the security label (named where it changes: `tests/engine/error_restore_test.cpp`), being in a BPF sockmap (refused by name
with the module: `tests/module/record_test.cpp`).

"""


def merged(expected, found):
    """`expected` with what was found in its place: (row, column, mode) -> (verdict, reason)."""
    out = dict(expected)
    for cell in found:
        key = (cell.row, cell.column, cell.mode)
        reason = expected.get(key, ("", ""))[1]
        if cell.verdict == "reported" and not reason:
            # Numbers of this run are no reason.
            reason = re.sub(r"\b\d+\b", "N", cell.detail.split(": ", 1)[-1].split("; ")[0])
        out[key] = (cell.verdict, reason if cell.verdict in ("reported", "absent") else "")
    return out


def collapsed(table):
    """Lines of tests/fidelity/expected, the modes in one where they agree."""
    lines = []
    for row, column in sorted({key[:2] for key in table}):
        modes = {mode: table[row, column, mode] for mode in MODES if (row, column, mode) in table}
        if len(modes) == 2 and len({verdict for verdict, _ in modes.values()}) == 1:
            modes = {"both": modes["inherit"]}
        lines += [" ".join(filter(None, (row, column, mode, verdict, reason)))
                  for mode, (verdict, reason) in sorted(modes.items())]
    return lines


def word(verdict):
    return {"reported": "named", "absent": "-", "silent": "**lost**"}.get(verdict, verdict)


def cell_text(table, row, column):
    verdicts = {mode: word(table[row, column, mode][0]) for mode in MODES
                if (row, column, mode) in table}
    if not verdicts:
        return ""
    if len(set(verdicts.values())) == 1:
        return next(iter(verdicts.values()))
    return ", ".join(f"{mode} {verdict}" for mode, verdict in verdicts.items())


def document(table, commit):
    rows = sorted({key[0] for key in table})
    out = [HEAD.format(commit=commit)]
    for group in sorted({row.split("/")[0] for row in rows}):
        out.append(f"## {group}\n\n| row | " + " | ".join(cells.COLUMNS) + " |\n|"
                   + "---|" * (len(cells.COLUMNS) + 1) + "\n")
        for row in rows:
            if row.split("/")[0] == group:
                found = [cell_text(table, row, column) for column in cells.COLUMNS]
                out.append(f"| {row.split('/', 1)[1]} | " + " | ".join(found) + " |\n")
        out.append("\n")
    reasons = {}
    for (row, column, _), (verdict, reason) in sorted(table.items()):
        if verdict == "reported":
            reasons.setdefault((column, reason), set()).add(row)
    out.append("## Why\n\n| column | reason | rows |\n|---|---|---|\n")
    for (column, reason), named in sorted(reasons.items()):
        out.append(f"| {column} | {reason.replace('|', '/')} | {', '.join(sorted(named))} |\n")
    return "".join(out)


def commit_line(text):
    return next((line for line in text.splitlines() if line.startswith(COMMIT)), "")


def check(source, tally):
    """The document says what is expected, and each loss has its reason."""
    bare = [key for key, (verdict, reason) in cells.read_expected().items()
            if verdict == "reported" and not reason]
    if bare:
        tally.not_ok("fidelity/reasons", f"no reason in tests/fidelity/expected: {bare[:5]}")
    else:
        tally.ok("fidelity/reasons")
    text = (source / DOCUMENT).read_text()
    wanted = document(cells.read_expected(), commit_line(text).rstrip("."))
    if text == wanted and commit_line(text):
        tally.ok("fidelity/document")
    else:
        tally.not_ok("fidelity/document", f"{DOCUMENT} is not what tests/fidelity/expected says: "
                                          "run tests/lib/fidelity_document.py --update")


def update():
    found = [cell for column in cells.COLUMNS if (RESULTS / f"{column}.json").exists()
             for cell in cells.load(RESULTS / f"{column}.json")]
    silent = [cell for cell in found if cell.verdict == "silent"]
    for cell in silent:
        print(f"{cell.row} {cell.column} {cell.mode} is lost without a word: {cell.detail}")
    table = merged(cells.read_expected(), found)
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=SOURCE, check=True,
                            capture_output=True, text=True).stdout.strip()
    cells.EXPECTED.write_text(cells.HEAD + "\n".join(collapsed(table)) + "\n")
    (SOURCE / DOCUMENT).write_text(document(table, COMMIT + commit))
    return f"{len(silent)} cells fail every run: mend them" if silent else 0


if __name__ == "__main__":
    sys.exit(update() if sys.argv[1:] == ["--update"] else __doc__)
