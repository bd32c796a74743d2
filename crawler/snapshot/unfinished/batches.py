"""Lists that are finished together: a line of the journal for many, and of a million the memory of their registries.

What a batch holds stands in its journal line, and is read there when it is wanted: a registry at a time.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from msgspec.structs import replace

from crawler.core.sums import Sums

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from crawler.core.model import ListingResult, Place
    from crawler.snapshot.unfinished.journal import Part
    from crawler.snapshot.unfinished.spool import Spool

MOST_LISTS = 1_000
MOST_BYTES = 1024 * 1024

Family: TypeAlias = "tuple[str, str, str]"
"""A collection's name, a region's code, and a registry: whose lists of that kind belong together."""


def family_of(place: Place) -> Family:
    """Return the family of a list."""
    return place[0], place[1], place[2][0]


class Stretch(NamedTuple):
    """Where the lines of one list are in ``parts``."""

    within: tuple[str, ...]
    offset: int
    length: int


class Batch:
    """Plain lists of one kind that ended, and are to be finished together.

    Mutable state: the lists with their records, what they come to, and the sum of their results.
    """

    def __init__(self) -> None:
        self.lists: list[tuple[tuple[str, ...], Spool]] = []
        self.bytes = 0
        self._sums = Sums()

    @property
    def result(self) -> ListingResult:
        """The sum of its results."""
        (result,) = self._sums
        return result

    @property
    def is_full(self) -> bool:
        """Whether it is worth its line."""
        return len(self.lists) >= MOST_LISTS or self.bytes >= MOST_BYTES

    def add(self, result: ListingResult, spool: Spool) -> None:
        """Take a list."""
        self._sums.add(result)
        self.lists.append((result.within[1:], spool))
        self.bytes += spool.bytes

    def close(self) -> None:
        """Let go of its records."""
        for _, spool in self.lists:
            spool.close()


class Batches:
    """What is finished in batches.

    Mutable state: for each family the sum of its results, and where its batches stand in the journal.

    Args:
        read: gives the part that a line of the journal tells of, by its place and size.
    """

    def __init__(self, read: Callable[[int, int], Part]) -> None:
        self._read = read
        self._sums: defaultdict[Family, Sums] = defaultdict(Sums)
        self._lines: defaultdict[Family, array[int]] = defaultdict(lambda: array("Q"))

    def __bool__(self) -> bool:
        return bool(self._lines)

    def __iter__(self) -> Iterator[Family]:
        return iter(self._lines)

    @property
    def results(self) -> list[ListingResult]:
        """The sums of all families."""
        return [one for sums in self._sums.values() for one in sums]

    def add(self, result: ListingResult, at: int, size: int) -> None:
        """Take in that a batch is finished.

        Args:
            result: its sum.
            at: where its line begins in the journal.
            size: of that line.
        """
        family = family_of(result.place)
        self._sums[family].add(result)
        self._lines[family].extend((at, size))

    def drop(self, family: Family) -> list[Part]:
        """Forget what is finished of a family, and return it as a part for each batch."""
        parts = list(self._parts(family))
        del self._sums[family], self._lines[family]
        return parts

    def names_of(self, family: Family) -> set[tuple[str, ...]]:
        """Return what the finished lists of a family are within."""
        return {one.within for one in self._lists(family)}

    def stretches_of(self, family: Family) -> Iterator[Stretch]:
        """Yield where the lines of each list of a family are, as far as it has any."""
        return (one for one in self._lists(family) if one.length)

    def find(self, place: Place) -> Stretch | None:
        """Return where the lines of a list are; None if it is in no batch. O(lists of its family)."""
        return next((one for one in self._lists(family_of(place)) if one.within == place[2]), None)

    def _lists(self, family: Family) -> Iterator[Stretch]:
        for part in self._parts(family):
            offset = part.offset
            for one in part.lists:
                yield Stretch((family[2], *one.within), offset, one.length)
                offset += one.length

    def _parts(self, family: Family) -> Iterator[Part]:
        lines = self._lines.get(family, ())
        for at, size in zip(lines[::2], lines[1::2], strict=True):
            yield self._read(at, size)


def each_alone(part: Part) -> Iterator[Part]:
    """Yield the lists of a batch as parts of their own; the first has what all of them cost."""
    offset, result = part.offset, part.result
    for one in part.lists:
        alone = replace(result, within=(*result.within, *one.within), records=one.lines, count=None, lists=1)
        yield replace(part, result=alone, offset=offset, length=one.length, lines=one.lines, lists=())
        offset += one.length
        result = replace(result, pages=0, requests=0, retries=0, throttled=0, refreshed=0, different=0)
