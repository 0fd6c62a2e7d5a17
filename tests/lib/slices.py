# SPDX-License-Identifier: LGPL-2.1-or-later
"""A slice of a part of the long tier: which cases and how many turns are its own."""

import os


class Slice:
    """Slice `index` of `count`, from 1 on: together they are the whole, and none has what another has."""

    def __init__(self, index=1, count=1):
        if not 1 <= index <= count:
            raise ValueError(f"slice {index}/{count}: give I/N with 1 <= I <= N")
        self.index, self.count = index, count

    @classmethod
    def parse(cls, text):
        """`I/N`; the whole where there is nothing."""
        if not text:
            return cls()
        index, _, count = text.partition("/")
        if not (index.isdecimal() and count.isdecimal()):
            raise ValueError(f"slice {text!r}: give I/N, two numbers")
        return cls(int(index), int(count))

    @classmethod
    def of_environment(cls):
        """What TEST_SLICE says to a script."""
        return cls.parse(os.environ.get("TEST_SLICE", ""))

    def __str__(self):
        return f"{self.index}/{self.count}"

    @property
    def is_whole(self):
        return self.count == 1

    def has(self, number):
        """Whether case `number`, from 0 on, belongs to it."""
        return number % self.count == self.index - 1

    def of(self, items):
        """Its items, in their order."""
        return [item for number, item in enumerate(items) if self.has(number)]

    def span(self, total):
        """Its part of `total` turns in a row: (first, how many); spans follow one another."""
        first, end = (total * number // self.count for number in (self.index - 1, self.index))
        return first, end - first


def slices_itself(script):
    """Whether a script takes a share of its own turns, and so belongs to every slice."""
    return b"TEST_SLICE" in script.read_bytes()


def chosen(scripts, own):
    """Scripts that slice `own` runs: (path, whether it is told of the slice)."""
    sharing = [(path, True) for path in scripts if slices_itself(path)]
    in_turn = [path for path in scripts if not slices_itself(path)]
    return sharing + [(path, False) for path in own.of(in_turn)]
