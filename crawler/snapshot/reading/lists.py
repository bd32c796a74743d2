"""A registry's lines of a level below images, list by list."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

import msgspec

from crawler.snapshot.reading.chunks import whole_lines
from crawler.snapshot.reading.records import key_type, parse_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from crawler.core.collection import Collection


def lines_within(
    chunks: Iterable[bytes], path: Path, collection: Collection
) -> Iterator[tuple[tuple[str, ...], bytes]]:
    """Yield each line with what its list is within, from the registry down."""
    for chunk in whole_lines(chunks, path):
        keys = parse_keys(chunk, key_type(collection))
        for key, line in zip(keys, chunk.splitlines(keepends=True), strict=True):
            yield msgspec.structs.astuple(key)[2:-1], line


class Lists:
    """The lists that a registry's lines are of, taken in order."""

    def __init__(self, lines: Iterable[tuple[tuple[str, ...], bytes]]) -> None:
        self._groups = groupby(lines, key=itemgetter(0))
        self._next = next(self._groups, None)

    def of(self, within: tuple[str, ...]) -> list[bytes]:
        """Return the lines of a list; what comes before it is of none that was asked for."""
        while self._next is not None and self._next[0] < within:
            self._next = next(self._groups, None)
        if self._next is None or self._next[0] != within:
            return []
        lines = [line for _, line in self._next[1]]
        self._next = next(self._groups, None)
        return lines
