# SPDX-License-Identifier: LGPL-2.1-or-later
"""The part `fidelity`: the matrix of what is kept, on this kernel and on others."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import fidelity_document
import module_part

BOTH, SMOKE, IMAGES = ["adopt", "inherit"], ["inherit"], []
# Column, the virtual machine's kernel (None: here), modes, the columns whose
# images are restored here too, seconds.  In order: each leaves its image.  NATIVE
# runs beside the others.
NATIVE = [("userspace-root", None, BOTH, [], 120),
          ("userspace-user", None, BOTH, ["userspace-root"], 120)]
DEFAULT = [("module-6.1", "6.1", BOTH, [], 400),
           ("module-7.3", "7.3", SMOKE, ["module-6.1"], 400)]
# Every pair of kernels; the last two take the images of newer ones.
FULL = [("module-6.1", "6.1", BOTH, [], 600),
        ("module-6.12", "6.12", BOTH, ["module-6.1"], 600),
        ("module-7.3", "7.3", BOTH, ["module-6.1", "module-6.12"], 600),
        ("module-debug", "debug", BOTH, [], 2400),
        ("module-6.12", "6.12", IMAGES, ["module-7.3"], 600),
        ("module-6.1", "6.1", IMAGES, ["module-6.12", "module-7.3"], 600)]
# Gives no image to another, and takes none: with NATIVE it is the second of two slices.
ALONE = "module-debug"
GUEST_RESULTS = "/run/vm/results"


def command(source, results, column, kernel, modes, others, seconds):
    inside = [source / "tests/lib/fidelity_column.py", column,
              GUEST_RESULTS if kernel else results, "--modes", *modes]
    if others:
        inside += ["--from", *(results / "images" / other for other in others)]
    if not kernel:
        return inside
    return [source / "tests/vm/run.py", kernel, "--seconds", seconds, "--results", results,
            "--", *inside]


def chains(scripts):
    """Two lists of columns, which run side by side."""
    if not scripts.full:
        return NATIVE, DEFAULT
    if scripts.slice.is_whole:
        return NATIVE, FULL
    own = [column for column in FULL if scripts.slice.has(int(column[0] == ALONE))]
    return NATIVE if scripts.slice.has(1) else [], own


def run(source, build, scripts):
    results = build / "fidelity"
    # What other slices have left is for the document.
    if scripts.slice.is_whole:
        shutil.rmtree(results, ignore_errors=True)

    def chain(columns):
        for column, kernel, modes, others, seconds in columns:
            if kernel and not module_part.built(source, kernel, scripts.tally):
                continue
            scripts.run(f"fidelity/{column}" + (f"_{'_'.join(others)}" if others else ""),
                        command(source, results, column, kernel, modes, others, seconds),
                        seconds + module_part.MARGIN)

    lists = chains(scripts)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(chain, lists))
    if any(lists):
        fidelity_document.check(source, scripts.tally)
