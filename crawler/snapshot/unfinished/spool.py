"""Collect the records of one listing in any order and give its lines out sorted by name.

Costs: O(n log n) time. Records stay in memory until `put_aside` writes them to a temporary file without a name, as a
sorted run; runs are merged block by block, one block of each in memory.
"""

from __future__ import annotations

import marshal
import os
import tempfile
from bisect import bisect_right
from itertools import chain, islice
from operator import lt
from typing import IO, TYPE_CHECKING

from crawler.api.records import lines
from crawler.output.files import write_all, writing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK_BYTES = 32 * 1024
"""Records that are written, read and given out at a time; larger ones cost malloc fresh pages from the system."""
RECORD_OVERHEAD_BYTES = 200
"""What Python's objects around a record take."""

_Block = tuple[list[str], list[bytes]]  # names, and their records
_HEAD = 4
_MARSHAL_VERSION = 2  # without references: faster, and nothing is shared between records


class Spool:
    """The records of one listing.

    Args:
        folder: where runs are put aside, on the disk that the snapshot will be on.
        prefix: how each line begins.

    Attributes:
        count: records taken.
        bytes: memory that records take now.
    """

    def __init__(self, folder: Path, prefix: bytes) -> None:
        self.count = 0
        self.bytes = 0
        self._folder = folder
        self._prefix = prefix
        self._pages: list[_Block] = []
        self._file: IO[bytes] | None = None
        self._runs: list[tuple[int, int]] = []

    def add(self, names: list[str], records: list[bytes]) -> None:
        """Take records with their names; no name comes twice."""
        self.count += len(names)
        self.bytes += sum(map(len, records)) + RECORD_OVERHEAD_BYTES * len(names)
        self._pages.append((names, records))

    def put_aside(self) -> None:
        """Write what is in memory to the temporary file.

        Raises:
            OutputError: it cannot be written.
        """
        with writing(self._folder):
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - close() does
            start = self._file.tell()
            for block in self._blocks_in_memory():
                frame = marshal.dumps(block, _MARSHAL_VERSION)
                write_all(self._file.fileno(), len(frame).to_bytes(_HEAD) + frame)
            self._runs.append((start, self._file.tell()))
        self._pages, self.bytes = [], 0

    def sorted_chunks(self) -> Iterator[bytes]:
        """Yield whole lines in the order of their names (code points: that is UTF-8's order too), in chunks."""
        blocks = self._blocks_in_memory()
        if self._runs:
            blocks = _merged([blocks, *(self._blocks_of_run(*run) for run in self._runs)])
        for _, records in blocks:
            yield lines(self._prefix, records)

    def close(self) -> None:
        """Let go of everything."""
        if self._file is not None:
            self._file.close()
        self._file, self._pages, self._runs = None, [], []

    def _blocks_in_memory(self) -> Iterator[_Block]:
        self._pages.sort(key=lambda page: page[0][:1])
        names, records = _joined(self._pages)
        size = max(1, BLOCK_BYTES * len(names) // max(1, self.bytes))
        for start in range(0, len(names), size):
            yield names[start : start + size], records[start : start + size]

    def _blocks_of_run(self, position: int, end: int) -> Iterator[_Block]:
        assert self._file is not None
        while position < end:
            length = int.from_bytes(os.pread(self._file.fileno(), _HEAD, position))
            yield marshal.loads(os.pread(self._file.fileno(), length, position + _HEAD))  # noqa: S302 - our own
            position += _HEAD + length


def _joined(blocks: list[_Block]) -> _Block:
    """Return the records of several blocks as one block in order; most come in order already."""
    names = list(chain.from_iterable(names for names, _ in blocks))
    records = list(chain.from_iterable(records for _, records in blocks))
    if all(map(lt, names, islice(names, 1, None))):
        return names, records
    order = sorted(range(len(names)), key=names.__getitem__)
    return list(map(names.__getitem__, order)), list(map(records.__getitem__, order))


def _merged(runs: list[Iterator[_Block]]) -> Iterator[_Block]:
    """Merge sorted runs: what is not above the lowest of their blocks' last names can be sorted and given out.

    Sorting the ends of a few blocks, which are sorted in themselves, costs a tenth of `heapq.merge`. O(blocks * runs)
    beside that: there are few runs, unless hundreds of large listings are under way at once.
    """
    blocks: list[_Block] = [([], [])] * len(runs)
    while True:
        blocks = [block if block[0] else next(run, block) for block, run in zip(blocks, runs, strict=True)]
        lowest = min((names[-1] for names, _ in blocks if names), default=None)
        if lowest is None:
            return
        cuts = [bisect_right(names, lowest) for names, _ in blocks]
        pairs = list(zip(blocks, cuts, strict=True))
        yield _joined([(names[:cut], records[:cut]) for (names, records), cut in pairs if cut])
        blocks = [(names[cut:], records[cut:]) for (names, records), cut in pairs]
