"""Where each name of a listing was seen last, and in which passes: what is new, what came twice, how pages overlap.

The hot path of a listing: names are taken in a page at a time; one by one only where a page holds something new in a
later pass, or something twice. A name's mark is one integer that all names of a page share: the bits of the passes
that held it, and the page of the last one. Costs: O(1) a name; memory is the names, once.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise, repeat
from typing import TYPE_CHECKING

from crawler.engine.passes import Overlap

if TYPE_CHECKING:
    from crawler.engine.passes import Pass

_BITS = 8
_PASSES = (1 << _BITS) - 1


class Sightings:
    """The names of one listing. Mutable state: their marks."""

    def __init__(self) -> None:
        self._marks: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._marks)

    def held_by(self) -> Counter[int]:
        """Return how many names were held by just the passes of each set of bits. O(names)."""
        return Counter(mark & _PASSES for mark in self._marks.values())

    def forget(self) -> None:
        """Let the names go."""
        self._marks = {}

    def take(self, names: list[str], *, into: Pass, page: int) -> list[int] | None:
        """Take in the names of a page of a pass.

        Returns:
            Where the names stand that no page held before; None if that are all of them.
        """
        if into.bit == 1:
            if self._are_new(names, into.bit | page << _BITS):
                into.names += len(names)
                return None
        elif self._are_known(names, into, page):
            return []
        return self._take_one_by_one(names, into, page)

    def _are_new(self, names: list[str], mark: int) -> bool:
        """Take names of the first pass in if none came before, nor twice now; else none of them."""
        marks, before = self._marks, len(self._marks)
        marks.update(zip(names, repeat(mark)))
        if len(marks) == before + len(names):
            return True
        while len(marks) > before:
            marks.popitem()  # the latest first
        return False

    def _are_known(self, names: list[str], into: Pass, page: int) -> bool:
        """Take names of a later pass in if the pass before held all of them, and this one none yet; else none."""
        marks = [*map(self._marks.get, names, repeat(0))]
        kinds = set(marks)
        before, here = into.bit >> 1, into.bit | page << _BITS
        if len(set(names)) < len(names) or not all(mark & before and not mark & into.bit for mark in kinds):
            return False
        news = {mark: (mark & _PASSES) | here for mark in kinds}
        self._marks.update(zip(names, map(news.__getitem__, marks), strict=True))
        into.names += len(names)
        into.shared += len(names)
        if marks:
            into.overlaps[page] = _overlap(marks)
        return True

    def _take_one_by_one(self, names: list[str], into: Pass, page: int) -> list[int]:
        marks, bit, before = self._marks, into.bit, into.bit >> 1
        new: list[int] = []
        known: list[int] = []
        for place, name in enumerate(names):
            mark = marks.get(name, 0)
            if mark & bit:
                into.twice.add(name)
                continue
            marks[name] = (mark & _PASSES) | bit | page << _BITS
            into.names += 1
            if mark & before:
                into.shared += 1
                known.append(mark)
            if not mark:
                new.append(place)
        if known:
            into.overlaps[page] = _overlap(known)
        return new


def _overlap(marks: list[int]) -> Overlap:
    whole = (marks[0] >> _BITS, marks[-1] >> _BITS)
    descents = _descents(marks)
    if not descents:
        return Overlap(head=whole, tail=whole, is_ordered=True)
    ends, begins = marks[descents[0] - 1] >> _BITS, marks[descents[-1]] >> _BITS
    return Overlap(head=(whole[0], ends), tail=(begins, whole[1]), is_ordered=False)


def _descents(marks: list[int]) -> list[int]:
    """Return the places of the marks whose page is before that of the one in front of them."""
    if marks == sorted(marks):  # then so are the pages, which are the larger part of a mark
        return []
    pages = [mark >> _BITS for mark in marks]
    return [place for place, (one, other) in enumerate(pairwise(pages), start=1) if other < one]
