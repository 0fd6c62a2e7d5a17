#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the parts of the test suite, counts, and says what was skipped and why.

A script test is an executable file.  Exit status 0 is a pass, 77 a skip (the
last line of its output is the reason), anything else a failure.  A script of
many cases prints `ok NAME`, `not ok NAME` or `skip NAME REASON` for each, and
`done` at its end; without that word it has died, which is one failure more.
"""

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import conservation_part
import fidelity_part
import house_checks
import module_part
import results
import security_part
import slices
import systemd_part
from slices import Slice

SOURCE = Path(__file__).resolve().parents[2]
TESTS = SOURCE / "tests"
BUILD = SOURCE / "build" / "ci"
SKIPPED = 77
AT_ONCE = 2  # scripts, in parts whose scripts wait for time to pass
SECONDS = 120
LONGER = {"fuzz": 600, "fuzz --full": 7200, "handover": 240, "handover --full": 1200, "engine": 300,
          "programs": 300, "programs --full": 600, "security": 300, "security --full": 3600,
          "transparency": 300, "transparency --full": 1800}


# Of tests/programs, those that take turns.
DAEMONS = ["avahi", "chronyd", "java", "named", "openvpn", "snmpd"]


class Tally:
    """What has happened so far."""

    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = []  # (name, reason)
        self.refused = []  # names of the latter that tests/allowed-skips does not foresee

    def ok(self, name):
        self.passed += 1

    def not_ok(self, name, why=""):
        self.failed.append(name)
        print(f"FAILED {name}{': ' + why if why else ''}", flush=True)

    def skip(self, name, reason):
        self.skipped.append((name, reason))
        if not is_allowed(name, reason):
            self.refused.append(name)
        print(f"skipped {name}: {reason}", flush=True)


def isolation():
    """The command prefix that gives a test its own network and processes."""
    flags = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0:
        flags = ["--user", "--map-root-user"] + flags
    command = ["unshare", *flags, "--"]
    probe = subprocess.run([*command, "true"], capture_output=True, text=True)
    if probe.returncode != 0:
        sys.exit(f"tests need network namespaces of their own, and unshare says "
                 f"{probe.stderr.strip()!r}: run as root, or allow unprivileged user namespaces")
    return command


class Scripts:
    """Runs script tests, each in its own folder and namespaces."""

    def __init__(self, tally, full, seed):
        self.tally = tally
        self.full = full
        self.seed = seed
        self.slice = Slice()  # of the part that runs
        self.took = {}  # part -> seconds
        self.prefix = isolation()
        self.judging = threading.Lock()

    def run(self, name, command, seconds, build=BUILD, sharing=False):
        """`sharing`: the script takes a share of its own, and is told which slice it is in."""
        folder = tempfile.mkdtemp(prefix="udpcr-test-")
        os.chmod(folder, 0o755)
        environment = {key: value for key, value in os.environ.items()
                       if not key.startswith("UDPCR_") and key != "LD_PRELOAD"}
        environment.update(TEST_BUILD=str(build), TEST_FULL="1" if self.full else "",
                           TEST_SEED=str(self.seed),
                           TMPDIR=folder, PYTHONDONTWRITEBYTECODE="1", LC_ALL="C.UTF-8")
        environment.pop("TEST_SLICE", None)
        if sharing:
            environment["TEST_SLICE"] = str(self.slice)
        log = Path(folder + ".log")
        inside = [str(TESTS / "lib" / "in_namespace.sh"), folder]
        try:
            with open(log, "wb") as output:
                process = subprocess.Popen([*self.prefix, *inside, *map(str, command)],
                                           stdin=subprocess.DEVNULL, stdout=output,
                                           stderr=subprocess.STDOUT, env=environment, cwd=SOURCE)
                try:
                    status = process.wait(seconds)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    status = None
            with self.judging:
                self.judge(name, status, seconds, log.read_text(errors="replace"))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            log.unlink(missing_ok=True)

    def judge(self, name, status, seconds, output):
        tally = self.tally
        before = len(tally.failed)
        cases = re.findall(r"^(ok|not ok|skip) (\S+) ?(.*)$", output, re.MULTILINE)
        for verdict, case, rest in cases:
            case = f"{name}/{case}"
            if verdict == "ok":
                tally.ok(case)
            elif verdict == "skip":
                tally.skip(case, rest or "no reason given")
            else:
                tally.not_ok(case, rest)
        lines = output.strip().splitlines()
        finished = bool(re.search(r"^done$", output, re.MULTILINE))
        if status is None:
            tally.not_ok(name, f"it did not end within its {seconds} s")
        elif cases:
            if not finished:
                tally.not_ok(name, f"it died after {len(cases)} cases with status {status}")
            elif status != 0 and len(tally.failed) == before:
                tally.not_ok(name, f"all its cases passed, yet its status is {status}")
        elif status == SKIPPED:
            tally.skip(name, lines[-1] if lines else "no reason given")
        elif status == 0:
            tally.ok(name)
        else:
            tally.not_ok(name, f"status {status}")
        if len(tally.failed) > before:
            # What passed would hide the rest.
            telling = [line for line in lines if not re.match(r"ok \S", line)]
            print("".join(f"    | {line}\n" for line in telling[-200:]), end="", flush=True)


def executables(folder):
    """The script tests of a part."""
    found = sorted(path for path in folder.glob("*") if path.is_file() and os.access(path, os.X_OK))
    if not found:
        raise RuntimeError(f"{folder.relative_to(SOURCE)} holds no executable test")
    return found


def catch(scripts, name, build=BUILD, seconds=SECONDS):
    """All test cases of a Catch2 program."""
    program = build / "bin" / name
    if not os.access(program, os.X_OK):
        raise RuntimeError(f"{program.relative_to(SOURCE)} was not built")
    scripts.run(name, [TESTS / "lib" / "catch_cases.py", program], seconds, build, sharing=True)


def build(preset, *targets):
    for command in (["cmake", "--preset", preset],
                    ["cmake", "--build", "--preset", preset, "--target", *targets]):
        result = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True)
        if result.returncode != 0:
            print(result.stdout[-8000:] + result.stderr[-8000:])
            raise RuntimeError(f"preset {preset} does not build")
    return SOURCE / "build" / preset


def part_house(scripts):
    house_checks.run(SOURCE, BUILD, scripts.tally, scripts.full, scripts.slice)


def part_unit(scripts):
    catch(scripts, "unit_tests")


def part_engine(scripts):
    catch(scripts, "engine_tests", seconds=LONGER["engine"])


def part_fuzz(scripts):
    # Of each target.
    executions, limit = (2_000_000, LONGER["fuzz --full"]) if scripts.full else (50_000, LONGER["fuzz"])
    executions = scripts.slice.span(executions)[1]
    scripts.run(f"fuzz_{executions}", [TESTS / "fuzz" / "run.sh", executions], limit)


def part_module(scripts):
    module_part.run(SOURCE, BUILD / "bin", scripts)


def part_conservation(scripts):
    conservation_part.run(SOURCE, BUILD, scripts)


def part_systemd(scripts):
    systemd_part.run(SOURCE, BUILD, scripts)


def part_fidelity(scripts):
    fidelity_part.run(SOURCE, BUILD, scripts)


def part_programs(scripts):
    """Each of the daemons is fetched for it, so a third of them a day, unless all are asked for."""
    today = time.gmtime().tm_yday % 3
    turn = DAEMONS if scripts.full else DAEMONS[today::3]
    if not scripts.full:
        print(f"   in turn today: {' '.join(turn)}; --full runs {' '.join(DAEMONS)}", flush=True)
    fetched = subprocess.run([TESTS / "lib" / "fetch_program.sh", *turn], cwd=SOURCE)
    if fetched.returncode != 0:
        raise RuntimeError("fetch_program.sh could not fetch a program: see above")
    part_scripts("programs", set(DAEMONS) - set(turn), AT_ONCE)(scripts)


def part_scripts(name, without=(), at_once=1):
    """`at_once`: more where scripts wait most of the time."""
    def part(scripts):
        seconds = LONGER.get(f"{name} --full" if scripts.full else name, SECONDS)
        all_of_it = [path for path in executables(TESTS / name) if path.name not in without]
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(lambda job: scripts.run(f"{name}/{job[0].name}", [job[0]], seconds,
                                                  sharing=job[1]),
                          slices.chosen(all_of_it, scripts.slice)))
    return part


def part_security(scripts):
    # Its findings that are not mended yet are named in docs/security.md.
    without = () if scripts.full else ("injections",)
    security_part.run(SOURCE, BUILD, scripts, part_scripts("security", without, at_once=AT_ONCE))


def part_asan(scripts):
    where = build("asan", "unit_tests", "engine_tests")
    catch(scripts, "unit_tests", where, 3 * SECONDS)
    catch(scripts, "engine_tests", where, 3 * LONGER["engine"])


PARTS = {
    "house": part_house,
    "unit": part_unit,
    "engine": part_engine,
    "interface": part_scripts("interface"),
    "fuzz": part_fuzz,
    "shim": part_scripts("shim", at_once=AT_ONCE),
    "package": part_scripts("package"),
    "transparency": part_scripts("transparency", at_once=AT_ONCE),
    "programs": part_programs,
    "handover": part_scripts("handover", at_once=AT_ONCE),
    "conservation": part_conservation,
    "faults": part_scripts("faults", at_once=AT_ONCE),
    "service": part_scripts("service", at_once=AT_ONCE),
    "security": part_security,
    "module": part_module,
    "systemd": part_systemd,
    "fidelity": part_fidelity,
    "asan": part_asan,
}


def allowed_skips():
    for line in (TESTS / "allowed-skips").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            name, pattern = line.split(None, 1)
            yield name, pattern.strip()


def is_allowed(name, reason):
    return any(name.split("/")[-1] == allowed and re.fullmatch(pattern, reason)
               for allowed, pattern in allowed_skips())


def parts_of(given):
    """(part, slice) for each word of the command line; what cannot be meant ends the run."""
    found = []
    for word in given.parts or PARTS:
        part, _, text = word.partition("/")
        if part not in PARTS:
            sys.exit(f"there is no part {part!r}; the parts are {' '.join(PARTS)}")
        if text and not given.full:
            sys.exit(f"{word}: only the long tier has slices; say --full {word}")
        try:
            found.append((part, Slice.parse(text)))
        except ValueError as error:
            sys.exit(f"{word}: {error}")
    return found


def show_status(parts):
    """Of the long tier; 0 when all of it holds."""
    where = results.file()
    lines, all_hold = results.status(parts, results.load(where), results.Checkout(SOURCE))
    print(f"{where}:", *lines, sep="\n")
    return 0 if all_hold else 1


def state():
    checkout = results.Checkout(SOURCE)
    return checkout.commit, checkout.uncommitted()


def run_part(scripts, part, own):
    """One part, or a slice of it; with --full it is recorded what came of it."""
    tally, scripts.slice = scripts.tally, own
    before, start = state(), time.monotonic()
    counts = (tally.passed, len(tally.failed), len(tally.skipped), len(tally.refused))
    print(f"-- {part}" + ("" if own.is_whole else f", slice {own}"), flush=True)
    try:
        PARTS[part](scripts)
    except (RuntimeError, OSError) as error:
        tally.not_ok(part, str(error))
    after = (tally.passed, len(tally.failed), len(tally.skipped), len(tally.refused))
    passed, failed, skipped, refused = (now - then for now, then in zip(after, counts))
    if passed + failed + skipped == 0:
        tally.not_ok(part, f"nothing ran in slice {own}: the part has fewer cases; use less slices")
        failed += 1
    seconds = time.monotonic() - start
    print(f"   {part}: {passed} passed, {failed} failed, {seconds:.1f} s", flush=True)
    scripts.took[part] = scripts.took.get(part, 0) + seconds
    if not scripts.full:
        return
    if seconds > results.MOST_SECONDS:
        print(f"   {part}: longer than {results.MOST_SECONDS / 60:.0f} min; use more slices "
              f"({part}/1/{own.count + 1} and so on)")
    found = {"passed": passed, "failed": failed, "skipped": skipped, "refused": refused}
    results.append(results.file(), results.record(part, own, scripts.seed, before, state(), found,
                                                  seconds))


def main():
    arguments = argparse.ArgumentParser(description="runs the test suite")
    arguments.add_argument("--full", action="store_true", help="the long tier as well")
    arguments.add_argument("--status", action="store_true",
                           help="with --full: run nothing, say which slices hold")
    arguments.add_argument("--seed", type=int, metavar="N",
                           help="for what is chosen at random; another one each time otherwise")
    arguments.add_argument("parts", nargs="*", metavar="PART[/I/N]",
                           help=f"{' '.join(PARTS)}; with --full slice I of N")
    given = arguments.parse_args()
    chosen = parts_of(given)
    if given.status:
        if not given.full:
            sys.exit("--status tells of the long tier; say --full --status")
        return show_status(list(dict.fromkeys(part for part, _ in chosen)))

    seed = random.randrange(1, 10**9) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    tally = Tally()
    scripts = Scripts(tally, given.full, seed)
    for part, own in chosen:
        run_part(scripts, part, own)

    for name in tally.failed:
        print(f"failed: {name}")
    for name, reason in tally.skipped:
        print(f"skipped: {name}: {reason}")
    for name in tally.refused:
        print(f"skip not foreseen in tests/allowed-skips: {name}")
    longest = sorted(scripts.took.items(), key=lambda one: -one[1])
    print(f"took {sum(scripts.took.values()) / 60:.1f} min: "
          + ", ".join(f"{part} {seconds:.0f} s" for part, seconds in longest))
    nothing = tally.passed + len(tally.failed) == 0
    if nothing:
        print("nothing ran")
    print(f"{tally.passed} passed, {len(tally.failed)} failed, {len(tally.skipped)} skipped")
    return 1 if tally.failed or tally.refused or nothing else 0


if __name__ == "__main__":
    sys.exit(main())
