#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""One column of the fidelity matrix, on this kernel.

usage: fidelity_column.py COLUMN RESULTS [--modes [MODE...]] [--group GROUP] [--from FOLDER...]

The program runs four times a mode, or two: `control` sets the state and says
what the kernel tells of it; `blank` opens the same sockets without the state,
and must get other answers; `first` sets it and is checkpointed and killed;
`second` is restarted with the same command line.  What it then says is
compared with what `control` has said.

Then images are carried: its own one to a network whose interfaces have other
numbers, and those of other columns, which have left them in FOLDER, to here.
Nothing may be lost in silence there either, and what both columns keep must
be kept.

RESULTS gets the cells, and the image.  With no mode only images of others are restored.
"""

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import fidelity_broken  # noqa: E402
import fidelity_cells as cells  # noqa: E402
import fidelity_mapped  # noqa: E402
import fidelity_network as network  # noqa: E402
from harness import BUILD, KEPT_IN_PART, Program, Skip, check, equal, installed, keepers, need_root, \
    only_image, show, until  # noqa: E402

WIRE = 200  # the packet socket's number in the program
SECONDS = 240  # of one run of the program, on the debug kernel and a busy machine too
DEBUG = "module-debug"  # a 6.1 whose checkers are on; no column of its own


class Column:
    def __init__(self, name, group):
        self.name = name
        self.group = group
        self.matrix_name = "module-6.1" if name == DEBUG else name
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

    def start(self, folder, phase, mode, how, argument=None, settings=None):
        os.chdir(folder)
        packets = network.wire() if Path("/run/netns/wire").exists() else None
        if packets:
            os.dup2(packets.fileno(), WIRE)
            packets.close()
        try:
            return Program([self.program, argument or self.group], how, phase,
                           {"ENGINE": self.engine, "FDS": mode, "KEEP_IMAGE": 1, **(settings or {})},
                           {"FIDELITY_PHASE": phase, "FIDELITY_MODE": mode,
                            "FIDELITY_WIRE": str(WIRE)},
                           self.user, self.home, keep_fds=(WIRE,) if packets else (),
                           own_group=True)
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

    def checkpoint(self, mode, name=None):
        """Folder, image, process and what the first run has noted."""
        folder = self.folder(name or mode)
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
        until("the keeper's end", lambda: not keepers(), SECONDS)
        return folder, image, first.pid, cells.parse(first.lines())

    def restart(self, folder, mode, settings=None):
        second = self.start(folder, "second", mode, "run", settings=settings)
        answers = self.finish(second)
        until("the keeper's end", lambda: not keepers(), SECONDS)
        return answers[0], second.complaints()

    def abort(self, folder):
        """Status and complaints of a restart with UDPCR_ON_ERROR=abort."""
        second = self.start(folder, "second", "inherit", "run", settings={"ON_ERROR": "abort"})
        return second.await_end(SECONDS), second.complaints()


def judge(column, mode, control, first, named, answers, writer=None):
    """The cells of one mode; `writer`: what the kernel that the image is from has said."""
    for row in first:
        if row not in control:
            continue  # told already
        fds = [int(fd) for fd in first[row].get("fds", "").split(",") if fd]
        why = named.find(fds, column.named[row])
        found = answers.get(row, {"row": "gone"})
        kept = found == control[row] or (writer and found == writer.get(row))
        verdict = "kept" if kept else "reported" if why else "silent"
        what = cells.differences(control[row], found)
        # A datagram that was begun leaves whole or not at all.
        if row.startswith("cork/") and verdict == "reported" and found.get("datagrams", "0") != "0":
            verdict, why = "silent", f"something left nevertheless: {what}"
        detail = {"kept": f"and yet {why}" if why else "", "reported": why}.get(verdict, what)
        yield cells.Cell(row, column.matrix_name, mode, verdict, detail)


class Carried:
    """What a column leaves for others: the image, the notes, and what was named at the checkpoint."""

    @staticmethod
    def leave(folder, image, pid, first, control, target):
        target.mkdir(parents=True, exist_ok=True)
        (folder / "carried.json").write_text(
            json.dumps({"pid": pid, "first": first, "control": control, "image": image}))
        shutil.copy(folder / "notes", target)
        shutil.copy(folder / "carried.json", target)
        shutil.copy(only_image(folder), target / "fidelity_program.udpcr")

    @staticmethod
    def restore(column, source, control, expected):
        """Whether nothing of the image in `source` is lost in silence here."""
        name = f"carried_from_{source.name}"
        folder = column.folder(name)
        for file in ("notes", "carried.json", "fidelity_program.udpcr"):
            shutil.copy(source / file, folder)
        if column.user:
            shutil.chown(folder / "fidelity_program.udpcr", column.user)
        carried = json.loads((folder / "carried.json").read_text())
        answers, log = column.restart(folder, "inherit", {"MATCH": "any", "QUEUE_MAX_AGE": 0})
        named = cells.Named(carried["image"], carried["pid"], log)
        counts, all_well = {"kept": 0, "reported": 0, "silent": 0}, True
        # What this kernel or user cannot have is to be named, too.
        wanted = {**carried["control"], **control}
        for cell in judge(column, "inherit", wanted, carried["first"], named, answers,
                          carried["control"]):
            counts[cell.verdict] += 1
            both = cell.row in control and all(
                expected.get((cell.row, at, "inherit"), ("kept",))[0] == "kept"
                for at in (source.name, column.matrix_name))
            if cell.verdict == "silent" or (cell.verdict == "reported" and both):
                print(f"not ok {name}/{cell.row} {cell.verdict}: {cell.detail}")
                all_well = False
        print(f"# {name}: {counts}")
        if counts["silent"]:
            print("".join(f"# {name}: {line}\n" for line in log[:10]), end="")
        if all_well:
            print(f"ok {name}")
        return all_well


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
    arguments.add_argument("column", choices=[*cells.COLUMNS, DEBUG])
    arguments.add_argument("results", type=Path)
    arguments.add_argument("--modes", nargs="*", default=["adopt", "inherit"])
    arguments.add_argument("--group", default="all")
    arguments.add_argument("--from", dest="sources", nargs="+", type=Path, default=[])
    given = arguments.parse_args()
    sys.stdout.reconfigure(line_buffering=True)
    os.umask(0o022)
    given.results.mkdir(parents=True, exist_ok=True)
    try:
        need_root()
    except Skip as reason:
        print(f"skip {given.column} {reason}\ndone")
        return 0
    network.build()
    column = Column(given.column, given.group)
    expected = cells.read_expected()
    all_well = True

    if given.modes:
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
            # The kernel here may be any; those of the module's columns are given.
            other_kernel = column.engine == "userspace"
            print(f"{'#' if other_kernel else 'not ok'} {cell.row}/{cell.mode} cannot be set any more: "
                  f"{cell.detail}")
            all_well = all_well and other_kernel
    for mode in given.modes:
        start = time.monotonic()
        folder, image, pid, (first, _, _) = column.checkpoint(mode)
        answers, log = column.restart(folder, mode)
        for cell in judge(column, mode, control, first, cells.Named(image, pid, log), answers):
            found.append(cell)
            all_well &= compare(cell, expected)
        if mode == "inherit":
            own = given.results / "images" / column.name
            Carried.leave(folder, image, pid, first, control, own)
        print(f"# {mode}: {time.monotonic() - start:.1f} s")
    for source in given.sources:
        all_well &= Carried.restore(column, source, control, expected)
    if "inherit" in given.modes:
        network.build_link_again()
        all_well &= Carried.restore(column, own, control, expected)
        if given.group in ("all", fidelity_broken.GROUP):
            for cell in fidelity_mapped.run(column, "inherit", control):
                found.append(cell)
                all_well &= compare(cell, expected)
            all_well &= fidelity_broken.run(column, control)
    counts = {verdict: sum(cell.verdict == verdict for cell in found)
              for verdict in ("kept", "reported", "silent", "absent")}
    print(f"# {column.name}: " + ", ".join(f"{number} {what}" for what, number in counts.items()))
    if given.group == "all" and given.modes:
        cells.save(found, given.results / f"{column.name}.json")
    print("done")
    return 0 if all_well else 1


if __name__ == "__main__":
    sys.exit(main())
