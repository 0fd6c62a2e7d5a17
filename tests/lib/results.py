# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the long tier's slices have found, kept outside of the checkout, and which of it holds.

A line of JSON for each part or slice that `--full` has run.  It holds while nothing that its part
looks at has changed since its commit.
"""

import json
import os
import subprocess
import time
from pathlib import Path

from slices import Slice

MOST_SECONDS = 3600
# Into how many slices a part is cut so that none takes longer on two cores; 1 where it is not here.
CUT = {"fuzz": 4, "transparency": 2, "conservation": 4, "security": 4, "module": 4, "fidelity": 2}

MACHINES = {"module", "systemd", "fidelity", "conservation", "security"}
# Who looks at what, the longest beginning first to be found.  `house` looks at everything, and
# what is not here counts for every part: a file that is forgotten costs a run, and hides nothing.
LOOKED_AT_BY = {
    "README.md": set(),
    "SECURITY.md": set(),
    "CHANGELOG.md": set(),
    "CONTRIBUTING.md": set(),
    ".clang-format": set(),
    ".clang-tidy": set(),
    ".ci/": set(),
    "bench/": set(),
    "demo/": set(),
    "docs/": set(),
    "docs/man/": {"package", "transparency"},
    "docs/container.md": {"systemd"},
    "docs/fidelity.md": {"fidelity"},
    "docs/conservation.md": {"conservation"},
    "kmod/": MACHINES | {"interface", "package"},
    "packaging/": {"package", "security", "systemd", "module"},
    "tests/conservation/": {"conservation"},
    "tests/engine/": {"engine", "asan", "module"},
    "tests/faults/": {"faults"},
    "tests/fidelity/": {"fidelity"},
    "tests/fuzz/": {"fuzz"},
    "tests/handover/": {"handover", "module"},
    "tests/interface/": {"interface"},
    "tests/module/": {"module", "interface"},
    "tests/package/": {"package"},
    "tests/programs/": {"programs"},
    "tests/programs/apps/": None,
    "tests/security/": {"security"},
    "tests/service/": {"service"},
    "tests/shim/": {"shim", "module"},
    "tests/systemd/": {"systemd"},
    "tests/transparency/": {"transparency"},
    "tests/unit/": {"unit", "asan", "fuzz"},
    "tests/vm/": MACHINES,
    "tests/lib/conservation": {"conservation"},
    "tests/lib/fidelity": {"fidelity"},
    "tests/lib/systemd_part.py": {"systemd"},
    "tests/lib/programs_document.py": set(),
    "tests/lib/slices_test.py": set(),
}


def looks_at(part, path):
    """Whether a change of that file says something about the part."""
    if part == "house":
        return True
    known = [begin for begin in LOOKED_AT_BY if path.startswith(begin)]
    parts = LOOKED_AT_BY[max(known, key=len)] if known else None
    return parts is None or part in parts


class Checkout:
    """The commit that is checked out, and what is different from it."""

    def __init__(self, folder):
        self.folder = folder
        self.commit = (self.git("rev-parse", "HEAD") or ["unknown"])[0]
        self._since = {}

    def git(self, *command):
        """Its output's entries; None when it fails."""
        done = subprocess.run(["git", *command], cwd=self.folder, capture_output=True, text=True)
        return [word for word in done.stdout.replace("\0", "\n").split("\n") if word] \
            if done.returncode == 0 else None

    def uncommitted(self):
        """Files that are not as the commit has them, new ones too; None: that is not known."""
        changed = self.git("diff", "--name-only", "-z", "HEAD")
        new = self.git("ls-files", "--others", "--exclude-standard", "-z")
        return None if changed is None or new is None else changed + new

    def changed_since(self, commit):
        """Files that differ between that commit and what is here now; None: that is not known."""
        if commit not in self._since:
            new = self.git("ls-files", "--others", "--exclude-standard", "-z")
            changed = self.git("diff", "--name-only", "--no-renames", "-z", commit)
            self._since[commit] = None if changed is None or new is None else changed + new
        return self._since[commit]


def file():
    """Where they are; UDPCR_RESULTS says otherwise."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(os.environ.get("UDPCR_RESULTS") or Path(state) / "udpcr" / "results")


def append(path, record):
    """One line, whoever else writes at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab", buffering=0) as out:
        out.write((json.dumps(record, sort_keys=True) + "\n").encode())


def load(path):
    """All records; a line that was cut off is none."""
    found = []
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        try:
            record = json.loads(line)
            Slice(*record["slice"])
            found.append(record)
        except (ValueError, KeyError, TypeError):
            print(f"{path}: this line is none of the runner's, and is passed over: {line[:80]}")
    return found


def record(part, own, seed, before, after, counts, seconds):
    """`before`, `after`: (commit, uncommitted files) when the slice began and when it ended."""
    clean = before == after and before[1] == []
    return {"part": part, "slice": [own.index, own.count], "commit": before[0], "dirty": not clean,
            "seed": seed, "seconds": round(seconds), **counts,
            "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def is_well(found):
    return found["passed"] > 0 and not (found["failed"] or found["refused"])


def tells_of(found, checkout):
    """Whether a record, good or bad, is of what is checked out now, as far as its part looks."""
    if found["dirty"]:
        return False
    changed = checkout.changed_since(found["commit"])
    return changed is not None and not any(looks_at(found["part"], path) for path in changed)


def of_part(part, records, checkout):
    """(slices in all, {slice: the record by which it holds}): of the cut that lacks least.

    The last word on a slice counts: one that has failed since does not hold."""
    cuts = {CUT.get(part, 1): {}}
    for one in records:
        if one["part"] != part or not tells_of(one, checkout):
            continue
        index, count = one["slice"]
        held = cuts.setdefault(count, {})
        if is_well(one):
            held[index] = one
        else:
            held.pop(index, None)
    count = min(cuts, key=lambda count: (1 - len(cuts[count]) / count, count != CUT.get(part, 1)))
    return count, cuts[count]


def status(parts, records, checkout):
    """Lines for each part, and whether all of them hold."""
    lines, all_hold = [], True
    for part in parts:
        count, held = of_part(part, records, checkout)
        missing = [f"{index}/{count}" for index in range(1, count + 1) if index not in held]
        all_hold &= not missing
        verdict = "holds" if not missing else f"lacks {' '.join(missing)}"
        lines.append(f"{part}: {verdict}")
        for index, one in sorted(held.items()):
            when = "this commit" if one["commit"] == checkout.commit else \
                "nothing that it looks at has changed since"
            lines.append(f"   {index}/{count} at {one['commit'][:9]} ({when}), seed {one['seed']}: "
                         f"{one['passed']} passed, {one['skipped']} skipped, "
                         f"{one['seconds'] / 60:.0f} min, {one['when']}")
    return lines, all_hold
