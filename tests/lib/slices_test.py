#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which cases a slice has, and which results hold: slices.py and results.py."""

import io
import json
import os
import subprocess
import tempfile
import unittest
from contextlib import redirect_stdout
from pathlib import Path
from unittest import mock

import fidelity_part
import results
import runner
import slices
from slices import Slice

WELL = {"passed": 3, "failed": 0, "skipped": 1, "refused": 0}


class SliceTest(unittest.TestCase):
    def test_slices_are_the_whole_and_share_nothing(self):
        for count in (1, 2, 3, 7):
            own = [Slice(index, count) for index in range(1, count + 1)]
            self.assertEqual(sorted(sum((one.of(range(20)) for one in own), [])), list(range(20)))
            for total in (0, 1, 5, 10_000):
                spans = [one.span(total) for one in own]
                turns = [turn for first, many in spans for turn in range(first, first + many)]
                self.assertEqual(turns, list(range(total)))
                many = [many for _, many in spans]
                self.assertLessEqual(max(many) - min(many), 1)

    def test_case_k_is_in_slice_k_modulo_n(self):
        self.assertEqual(Slice(2, 3).of("abcdefg"), ["b", "e"])

    def test_what_is_no_slice(self):
        for text in ("0/2", "3/2", "1/0", "1", "a/b", "1/2/3", "/", "-1/2", "1/"):
            with self.subTest(text), self.assertRaises(ValueError):
                Slice.parse(text)
        self.assertTrue(Slice.parse("").is_whole)
        self.assertEqual(str(Slice.parse("2/4")), "2/4")

    def test_scripts_that_share_are_in_every_slice(self):
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for name, text in (("a", "x"), ("b", "# TEST_SLICE"), ("c", "x"), ("d", "x")):
                paths.append(Path(folder) / name)
                paths[-1].write_text(text)
            a, b, c, d = paths
            self.assertEqual(slices.chosen(paths, Slice(1, 2)), [(b, True), (a, False), (d, False)])
            self.assertEqual(slices.chosen(paths, Slice(2, 2)), [(b, True), (c, False)])
            self.assertEqual(len(slices.chosen(paths, Slice())), 4)


class LookedAtTest(unittest.TestCase):
    def test_what_is_not_known_counts_for_all(self):
        for path in ("lib/packet.cpp", "new/room.cpp", "CMakeLists.txt", "tests/lib/harness.py",
                     "tests/programs/apps/plain_server.py", "tests/allowed-skips"):
            for part in runner.PARTS:
                self.assertTrue(results.looks_at(part, path), (part, path))

    def test_the_longest_beginning_decides(self):
        self.assertFalse(results.looks_at("systemd", "docs/park.md"))
        self.assertTrue(results.looks_at("systemd", "docs/container.md"))
        self.assertTrue(results.looks_at("module", "kmod/park.c"))
        self.assertTrue(results.looks_at("security", "kmod/park.c"))
        self.assertFalse(results.looks_at("shim", "kmod/park.c"))
        self.assertTrue(results.looks_at("house", "docs/park.md"))

    def test_the_table_names_parts_that_there_are(self):
        for begin, parts in results.LOOKED_AT_BY.items():
            self.assertLessEqual(parts or set(), runner.PARTS.keys(), begin)
        self.assertLessEqual(results.CUT.keys(), runner.PARTS.keys())

    def test_each_folder_of_tests_is_looked_at_by_its_part(self):
        for folder in runner.TESTS.iterdir():
            if folder.is_dir() and folder.name in runner.PARTS:
                self.assertTrue(results.looks_at(folder.name, f"tests/{folder.name}/x"), folder)


class StatusTest(unittest.TestCase):
    """In a repository of its own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        # Not where a hook or a worktree of the caller would be.
        environment = {key: value for key, value in os.environ.items()
                       if not key.startswith("GIT_")}
        patch = mock.patch.dict(os.environ, environment, clear=True)
        patch.start()
        self.addCleanup(patch.stop)
        self.git("init", "-q")
        self.first = self.commit("lib/a.cpp")

    def git(self, *command):
        return subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.org",
                               "-c", "commit.gpgsign=false", *command], cwd=self.folder,
                              check=True, capture_output=True, text=True).stdout.strip()

    def write(self, path, text="x"):
        path = self.folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def commit(self, path):
        self.write(path, os.urandom(8).hex())
        self.git("add", "-A")
        self.git("commit", "-q", "-m", path)
        return self.git("rev-parse", "HEAD")

    def record(self, part, own=Slice(), counts=WELL, commit=None, uncommitted=()):
        state = (commit or results.Checkout(self.folder).commit, list(uncommitted))
        return results.record(part, own, 5, state, state, counts, 60)

    def status(self, part, *records):
        lines, holds = results.status([part], records, results.Checkout(self.folder))
        return holds, "\n".join(lines)

    def test_holds_at_its_commit(self):
        self.assertTrue(self.status("shim", self.record("shim"))[0])
        self.assertFalse(self.status("unit", self.record("shim"))[0])
        self.assertFalse(self.status("shim")[0])

    def test_all_slices_of_one_cut(self):
        one, two, other = (self.record("shim", Slice(1, 2)), self.record("shim", Slice(2, 2)),
                           self.record("shim", Slice(2, 3)))
        holds, lines = self.status("shim", one, other)
        self.assertFalse(holds)
        self.assertIn("lacks 2/2", lines)
        self.assertTrue(self.status("shim", one, other, two)[0])

    def test_nothing_ran_yet_names_the_advised_cut(self):
        self.assertIn("module: lacks 1/4 2/4 3/4 4/4", self.status("module")[1])

    def test_a_later_commit_that_concerns_it_or_not(self):
        shim, module = self.record("shim"), self.record("module")
        self.commit("kmod/park.c")
        holds, lines = self.status("shim", shim)
        self.assertTrue(holds)
        self.assertIn("nothing that it looks at has changed since", lines)
        self.assertFalse(self.status("module", module)[0])
        self.git("revert", "--no-edit", "HEAD")
        self.assertTrue(self.status("module", module)[0])

    def test_a_file_that_is_gone_or_moved_concerns_it(self):
        shim = self.record("shim")
        self.git("mv", "lib/a.cpp", "docs-a.cpp")
        (self.folder / "docs").mkdir()
        self.git("mv", "docs-a.cpp", "docs/a.cpp")
        self.git("commit", "-q", "-m", "moved")
        self.assertFalse(self.status("shim", shim)[0])

    def test_changes_that_are_not_committed(self):
        shim = self.record("shim")
        self.write("docs/page.md")
        self.assertTrue(self.status("shim", shim)[0])
        self.write("lib/new.cpp")
        self.assertFalse(self.status("shim", shim)[0])
        self.assertEqual(sorted(results.Checkout(self.folder).uncommitted()),
                         ["docs/page.md", "lib/new.cpp"])

    def test_what_ran_on_a_dirty_tree_never_holds(self):
        dirty = self.record("shim", uncommitted=["docs/page.md"])
        self.assertTrue(dirty["dirty"])
        self.assertFalse(self.status("shim", dirty)[0])
        clean, later = (self.first, []), (self.first, ["lib/a.cpp"])
        self.assertTrue(results.record("shim", Slice(), 5, clean, later, WELL, 1)["dirty"])
        self.assertTrue(results.record("shim", Slice(), 5, ("unknown", None), ("unknown", None),
                                       WELL, 1)["dirty"])

    def test_failures_and_unforeseen_skips_do_not_hold(self):
        for wrong in ({"failed": 1}, {"refused": 1}, {"passed": 0}):
            self.assertFalse(self.status("shim", self.record("shim", counts={**WELL, **wrong}))[0])

    def test_the_last_word_counts(self):
        well, ill = self.record("shim"), self.record("shim", counts={**WELL, "failed": 1})
        self.assertFalse(self.status("shim", well, ill)[0])
        self.assertTrue(self.status("shim", well, ill, well)[0])
        self.assertTrue(self.status("shim", well, {**ill, "dirty": True})[0])

    def test_a_commit_that_is_not_there(self):
        self.assertFalse(self.status("shim", self.record("shim", commit="0" * 40))[0])

    def test_no_repository(self):
        with tempfile.TemporaryDirectory() as folder:
            checkout = results.Checkout(folder)
            self.assertEqual((checkout.commit, checkout.uncommitted()), ("unknown", None))

    def test_the_file(self):
        path = self.folder / "state" / "udpcr" / "results"
        with mock.patch.dict(os.environ, {"XDG_STATE_HOME": str(self.folder / "state")}):
            self.assertEqual(results.file(), path)
        with mock.patch.dict(os.environ, {"UDPCR_RESULTS": "/elsewhere"}):
            self.assertEqual(results.file(), Path("/elsewhere"))
        for part in ("shim", "unit"):
            results.append(path, self.record(part))
        with open(path, "a") as out:
            out.write('{"part": "half\n[]\n{}\n')
        with redirect_stdout(io.StringIO()) as said:
            found = results.load(path)
        self.assertEqual([one["part"] for one in found], ["shim", "unit"])
        self.assertEqual(said.getvalue().count("passed over"), 3)
        self.assertLessEqual({"commit", "seed", "passed", "failed", "skipped", "dirty"},
                             json.loads(path.read_text().splitlines()[0]).keys())


class PartsTest(unittest.TestCase):
    def chosen(self, *words, full=True):
        given = mock.Mock(parts=list(words), full=full)
        return [(part, str(own)) for part, own in runner.parts_of(given)]

    def test_words_of_the_command_line(self):
        self.assertEqual(self.chosen("shim", "module/2/4"), [("shim", "1/1"), ("module", "2/4")])
        self.assertEqual([part for part, _ in self.chosen()], list(runner.PARTS))
        for words in (["nothing"], ["shim/0/2"], ["shim/2"], ["shim/x"]):
            with self.subTest(words), self.assertRaises(SystemExit):
                self.chosen(*words)
        with self.assertRaises(SystemExit):
            self.chosen("shim/1/2", full=False)

    def test_columns_of_fidelity(self):
        def columns(own):
            return fidelity_part.chains(mock.Mock(full=True, slice=own))
        native, machines = columns(Slice())
        parts = [columns(Slice(index, 2)) for index in (1, 2)]
        self.assertEqual(sorted(map(str, machines)), sorted(str(one) for _, many in parts
                                                            for one in many))
        self.assertEqual([one for few, _ in parts for one in few], native)
        for _, many in parts:
            had = set()
            for column, _, _, others, _ in many:
                self.assertLessEqual(set(others), had, "images of a column that has not run")
                had.add(column)


if __name__ == "__main__":
    unittest.main()
