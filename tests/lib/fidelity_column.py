#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""One column of the fidelity matrix, on this kernel.

usage: fidelity_column.py COLUMN RESULTS [--modes MODE...] [--group GROUP]

The program runs four times a mode, or two: `control` sets the state and says
what the kernel tells of it; `blank` opens the same sockets without the state,
and must get other answers; `first` sets it and is checkpointed and killed;
`second` is restarted with the same command line.  What it then says is
compared with what `control` has said.  A cell is a line `ok`, `not ok` or, for
what the kernel or the user cannot have, nothing; RESULTS gets all of them.
"""

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import fidelity_cells as cells  # noqa: E402
import fidelity_network as network  # noqa: E402
from harness import BUILD, KEPT_IN_PART, Program, check, equal, installed, keepers, need_root, \
    only_image, show, until  # noqa: E402

WIRE = 200  # the packet socket's number in the program
SECONDS = 60


class Column:
    def __init__(self, name, group):
        self.name = name
        self.group = group
        self.engine = name.split("-")[0]
        self.user = "nobody" if name == "userspace-user" else None
        self.home = Path("home").absolute()
        self.home.mkdir()
        self.home.chmod(0o755)
        installed(self.home)
        self.program = self.home / "bin" / "fidelity_program"
        shutil.copy(BUILD / "bin" / "fidelity_program", self.program)
        self.named = dict(line.split(None, 1) for line in self.run_plain("--rows").lines())

    def folder(self, name):
        folder = Path(name).absolute()
        folder.mkdir()
        folder.chmod(0o777)
        return folder

    def start(self, folder, phase, mode, how, argument=None):
        os.chdir(folder)
        packets = network.wire() if Path("/run/netns/wire").exists() else None
        if packets:
            os.dup2(packets.fileno(), WIRE)
            packets.close()
        try:
            return Program([self.program, argument or self.group], how, phase,
                           {"ENGINE": self.engine, "FDS": mode, "KEEP_IMAGE": 1},
                           {"FIDELITY_PHASE": phase, "FIDELITY_MODE": mode,
                            "FIDELITY_WIRE": str(WIRE)},
                           self.user, self.home, keep_fds=(WIRE,) if packets else ())
        finally:
            if packets:
                os.close(WIRE)
            os.chdir(folder.parent)

    def run_plain(self, argument):
        folder = self.folder("plain" + argument)
        program = self.start(folder, "plain", "inherit", "plain", argument)
        equal(program.await_end(), 0, f"status of {argument}")
        return program

    def finish(self, program):
        equal(program.await_end(SECONDS), 0, "status of the program")
        equal(program.lines()[-1:], ["ready"], "the program's last line")
        return cells.parse(program.lines())

    def uncheckpointed(self, phase):
        return self.finish(self.start(self.folder(phase), phase, "inherit", "plain"))

    def checkpoint(self, mode):
        """The folder with the image and what the first run has noted."""
        folder = self.folder(mode)
        first = self.start(folder, "first", mode, "run")
        first.await_line("^ready$", SECONDS)
        said = first.checkpoint((0, KEPT_IN_PART), SECONDS)
        image = show(only_image(folder), self.home / "bin" / "udpcr")
        losses = [loss for socket in image["sockets"] for loss in socket["losses"]] + image["losses"]
        complaints = first.complaints()
        for loss in losses:
            check(any(f"{loss['what']}: {loss['why']}" in line for line in complaints),
                  f"the image names {loss}, the log does not")
        check(bool(losses) == ("not kept: " in said), f"losses {losses}, yet checkpoint says {said}")
        first.kill()
        until("the keeper's end", lambda: not keepers())
        return folder, image, first.pid, cells.parse(first.lines())

    def restart(self, folder, mode):
        second = self.start(folder, "second", mode, "run")
        answers = self.finish(second)
        until("the keeper's end", lambda: not keepers())
        return answers[0], second.complaints()


def judge(column, mode, control, blank, checkpointed, restarted):
    """The cells of one mode; broken ones raise."""
    folder, image, pid, (first, _, _) = checkpointed
    found, log = restarted
    named = cells.Named(image, pid, log)
    for row in first:
        if row not in control:
            continue  # told already
        fds = [int(fd) for fd in first[row].get("fds", "").split(",") if fd]
        why = named.find(fds, column.named[row])
        if found.get(row) == control[row]:
            yield cells.Cell(row, column.name, mode, "kept", f"and yet {why}" if why else "")
        else:
            what = cells.differences(control[row], found.get(row, {"row": "gone"}))
            yield cells.Cell(row, column.name, mode, "reported" if why else "silent",
                             why if why else what)


def compare(cell, expected):
    """Prints the case; true when it is as good as expected."""
    name = f"{cell.row}/{cell.mode}"
    wanted, _ = expected.get((cell.row, cell.column, cell.mode), ("kept", ""))
    rank = cells.RANK[cell.verdict]
    if cell.verdict == "silent":
        print(f"not ok {name} lost without a word: {cell.detail}")
    elif rank < cells.RANK.get(wanted, 0):
        print(f"not ok {name} {cell.verdict}, expected is {wanted}: {cell.detail}")
    else:
        print(f"ok {name}" + (" better than expected: tests/lib/fidelity_document.py --update takes it over"
                              if rank > cells.RANK.get(wanted, 0) else ""))
        return True
    return False


def walk(column):
    """Every option that this kernel lets one set has its row."""
    folder = column.folder("walk")
    program = column.start(folder, "walk", "inherit", "plain", "--walk")
    status = program.await_end(SECONDS)
    unknown = [line for line in program.lines() if line.startswith("unknown ")]
    settable = [int(line.split()[1]) for line in program.lines() if line.startswith("settable ")]
    # Some 70 of IPv4 and 130 of IPv6 on Linux 6.1.
    if status == 0 and not unknown and settable and settable[0] > 150:
        print("ok options_walk")
        return True
    print(f"not ok options_walk status {status}, settable {settable}, without a row: {unknown}")
    return False


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("column", choices=cells.COLUMNS)
    arguments.add_argument("results", type=Path)
    arguments.add_argument("--modes", nargs="+", default=["adopt", "inherit"])
    arguments.add_argument("--group", default="all")
    given = arguments.parse_args()
    os.umask(0o022)
    network.build()
    column = Column(given.column, given.group)
    expected = cells.read_expected()
    all_well = True

    all_well &= walk(column)
    control, absent, broken = column.uncheckpointed("control")
    blank, _, _ = column.uncheckpointed("blank")
    for row, why in broken.items():
        print(f"not ok {row} it cannot be set up: {why}")
        all_well = False
    for row in control:
        if blank.get(row) == control[row]:
            print(f"not ok {row}/blank it is the same without the state: {control[row]}")
            all_well = False
    found = [cells.Cell(row, column.name, mode, "absent", why)
             for row, why in absent.items() for mode in given.modes]
    for cell in found:
        if expected.get((cell.row, cell.column, cell.mode), ("absent",))[0] != "absent":
            print(f"not ok {cell.row}/{cell.mode} it cannot be set any more: {cell.detail}")
            all_well = False
    for mode in given.modes:
        start = time.monotonic()
        checkpointed = column.checkpoint(mode)
        restarted = column.restart(checkpointed[0], mode)
        for cell in judge(column, mode, control, blank, checkpointed, restarted):
            found.append(cell)
            all_well &= compare(cell, expected)
        print(f"# {mode}: {time.monotonic() - start:.1f} s")
    counts = {verdict: sum(cell.verdict == verdict for cell in found)
              for verdict in ("kept", "reported", "silent", "absent")}
    print(f"# {column.name}: " + ", ".join(f"{number} {what}" for what, number in counts.items()))
    if given.group == "all":
        given.results.mkdir(parents=True, exist_ok=True)
        cells.save(found, given.results / f"{column.name}.json")
    print("done")
    return 0 if all_well else 1


if __name__ == "__main__":
    sys.exit(main())
