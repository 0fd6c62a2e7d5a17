# SPDX-License-Identifier: LGPL-2.1-or-later
"""The part `fidelity`: the matrix of what is kept, on this kernel and on others."""

import fidelity_document
import module_part

# Column: the virtual machine's kernel (None: here), modes, seconds.
BOTH, SMOKE = ["adopt", "inherit"], ["inherit"]
NATIVE = [("userspace-root", None, BOTH, 120), ("userspace-user", None, BOTH, 120)]
DEFAULT = [("module-6.1", "6.1", BOTH, 400), ("module-6.12", "6.12", SMOKE, 300),
           ("module-7.3", "7.3", SMOKE, 300)]
FULL = [("module-6.1", "6.1", BOTH, 600), ("module-6.12", "6.12", BOTH, 600),
        ("module-7.3", "7.3", BOTH, 600)]
GUEST_RESULTS = "/run/vm/results"


def command(source, results, column, kernel, modes, seconds):
    inside = [source / "tests/lib/fidelity_column.py", column,
              GUEST_RESULTS if kernel else results, "--modes", *modes]
    if not kernel:
        return inside
    return [source / "tests/vm/run.py", kernel, "--seconds", seconds, "--results", results,
            "--", *inside]


def run(source, build, scripts):
    results = build / "fidelity"
    for column, kernel, modes, seconds in NATIVE + (FULL if scripts.full else DEFAULT):
        if kernel and not module_part.built(source, kernel, scripts.tally):
            continue
        (results / f"{column}.json").unlink(missing_ok=True)
        scripts.run(f"fidelity/{column}", command(source, results, column, kernel, modes, seconds),
                    seconds + module_part.MARGIN)
    fidelity_document.check(source, scripts.tally)
