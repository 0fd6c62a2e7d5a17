# SPDX-License-Identifier: LGPL-2.1-or-later
"""What must hold of every tracked file: format, licence line, length, no traces of a machine."""

import collections
import json
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CPP = {".c", ".h", ".cpp", ".hpp"}
LONGEST = 600  # lines
# Files that cannot carry a comment, or are somebody else's text.
NO_SPDX = re.compile(r"^LICENSES/|\.json$|^\.gitignore$")
# Written by a command, a line for each cell.
AS_LONG_AS_IT_IS = re.compile(r"^LICENSES/|^tests/fidelity/expected$|^docs/fidelity\.md$")
# Kernel style, not Google's.
NOT_OURS_TO_FORMAT = re.compile(r"^include/udpcr/udpcr_netlink\.h$|^kmod/")
# Written so that this file does not match itself.
TRACES = [
    (re.compile(r"(?<![\w.])/wor[k]/|/tmp/bash_job[s]"), "a path of one machine"),
    (re.compile(r"deb[.]debian[.]or[g]|pypi[.]or[g]|archive[.]ubunt[u]|registry[.]npmj[s]"),
     "the host of a package archive"),
]


def tracked(source):
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=source, capture_output=True, check=True)
    names = [name.decode() for name in listing.stdout.split(b"\0") if name]
    return [name for name in names if (source / name).is_file()]


def check_format(source, names):
    files = [name for name in names
             if Path(name).suffix in CPP and not NOT_OURS_TO_FORMAT.search(name)]
    result = subprocess.run(["clang-format", "--dry-run", "-Werror", *files], cwd=source,
                            capture_output=True, text=True)
    places = collections.Counter(re.findall(r"^(\S+?):\d+:\d+: error", result.stderr,
                                            re.MULTILINE))
    if result.returncode != 0 and not places:
        return [result.stderr.strip()]
    return [f"{name}: {count} places; run clang-format -i {name}"
            for name, count in sorted(places.items())]


def check_spdx(source, names):
    for name in names:
        if NO_SPDX.search(name):
            continue
        head = (source / name).read_text(errors="replace").splitlines()[:2]
        if not any("SPDX-License-Identifier: " in line for line in head):
            yield f"{name}: no SPDX line in its first two lines"


def check_length(source, names):
    for name in names:
        lines = (source / name).read_bytes().count(b"\n")
        if lines > LONGEST and not AS_LONG_AS_IT_IS.search(name):
            yield f"{name}: {lines} lines, more than {LONGEST}: split it"


def check_traces(source, names):
    for name in names:
        for number, line in enumerate((source / name).read_text(errors="replace").splitlines(), 1):
            for pattern, what in TRACES:
                if pattern.search(line):
                    yield f"{name}:{number}: {what}"


def check_own_tests(source):
    """What decides which slices hold."""
    result = subprocess.run(["/usr/bin/python3", "tests/lib/slices_test.py"], cwd=source,
                            capture_output=True, text=True)
    return [] if result.returncode == 0 else (result.stdout + result.stderr).splitlines()


def check_security_page(source, names):
    """Each test that it names is there, and no promise stands without one."""
    page = "docs/security.md"
    for number, line in enumerate((source / page).read_text().splitlines(), 1):
        tests = re.findall(r"`(tests/[^` ]+)`", line)
        for test in tests:
            if not any(name == test or name.startswith(test + "/") for name in names):
                yield f"{page}:{number}: there is no {test}"
        cells = line.strip("|").split("|")
        if line.startswith("| ") and cells[0].strip() != "promise" and not tests:
            yield f"{page}:{number}: a promise that no test shows"


def check_tidy(source, build, names, own):
    # What this preset compiles; the fuzz targets are another's.
    database = json.loads((build / "compile_commands.json").read_text())
    compiled = {str(Path(entry["file"]).resolve()) for entry in database}
    files = own.of(name for name in names if str((source / name).resolve()) in compiled)

    def tidy(name):
        result = subprocess.run(["clang-tidy", "-p", str(build), "--quiet", name], cwd=source,
                                capture_output=True, text=True)
        return [] if result.returncode == 0 else [result.stdout.strip() or result.stderr.strip()]

    with ThreadPoolExecutor(2) as pool:
        return [line for lines in pool.map(tidy, files) for line in lines]


def check_kernel_style(source):
    result = subprocess.run(["tests/vm/kernel_style.sh"], cwd=source, capture_output=True, text=True)
    return [] if result.returncode == 0 else (result.stdout + result.stderr).splitlines()


def run(source, build, tally, full, own):
    """`own`: its slice, of the checks in turn and of what clang-tidy reads."""
    names = tracked(source)
    checks = own.of([
        ("format", lambda: check_format(source, names)),
        ("licence_lines", lambda: check_spdx(source, names)),
        ("file_lengths", lambda: check_length(source, names)),
        ("no_traces", lambda: check_traces(source, names)),
        ("kernel_style", lambda: check_kernel_style(source)),
        ("security_page", lambda: check_security_page(source, names)),
        ("own_tests", lambda: check_own_tests(source)),
    ])
    if full:
        checks.append(("clang_tidy", lambda: check_tidy(source, build, names, own)))
    for name, check in checks:
        complaints = list(check())
        if complaints:
            tally.not_ok(f"house/{name}", f"{len(complaints)} complaints")
            print("".join(f"    | {complaint}\n" for complaint in complaints[:50]), end="")
        else:
            tally.ok(f"house/{name}")
