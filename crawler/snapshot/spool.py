"""Collect the records of one listing in any order and give its lines out sorted by name.

Costs: O(n log n) time. Records stay in memory until `put_aside` writes them to a temporary file without a name, as a
sorted run; runs are merged block by block, one block of each in memory.
"""

from __future__ import annotations

import marshal
import os
import tempfile
from bisect import bisect_right
from operator import itemgetter
from typing import IO, TYPE_CHECKING

from crawler.decoding import lines
from crawler.snapshot.files import write_all, writing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK_BYTES = 32 * 1024
"""Records that are written, read and given out at a time; larger ones cost malloc fresh pages from the system."""
RECORD_OVERHEAD_BYTES = 200
"""What Python's objects around a record take."""

_Record = tuple[str, bytes]
_NAME = itemgetter(0)
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
        self._records: list[_Record] = []
        self._file: IO[bytes] | None = None
        self._runs: list[tuple[int, int]] = []

    def add(self, names: list[str], records: list[bytes]) -> None:
        """Take records with their names; no name comes twice."""
        self.count += len(names)
        # Joining is the fastest way to measure records that have no len(), such as msgspec.Raw.
        self.bytes += len(b"".join(records)) + RECORD_OVERHEAD_BYTES * len(names)
        self._records += zip(names, records, strict=True)

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
        self._records, self.bytes = [], 0

    def sorted_lumps(self) -> Iterator[bytes]:
        """Yield whole lines in the order of their names (code points: that is UTF-8's order too), in lumps."""
        blocks = self._blocks_in_memory()
        if self._runs:
            blocks = _merged([blocks, *(self._blocks_of_run(*run) for run in self._runs)])
        for block in blocks:
            yield lines(self._prefix, [record for _, record in block])

    def close(self) -> None:
        """Let go of everything."""
        if self._file is not None:
            self._file.close()
        self._file, self._records, self._runs = None, [], []

    def _blocks_in_memory(self) -> Iterator[list[_Record]]:
        self._records.sort(key=_NAME)
        size = max(1, BLOCK_BYTES * len(self._records) // max(1, self.bytes))
        for start in range(0, len(self._records), size):
            yield self._records[start : start + size]

    def _blocks_of_run(self, position: int, end: int) -> Iterator[list[_Record]]:
        assert self._file is not None
        while position < end:
            length = int.from_bytes(os.pread(self._file.fileno(), _HEAD, position))
            yield marshal.loads(os.pread(self._file.fileno(), length, position + _HEAD))  # noqa: S302 - our own
            position += _HEAD + length


def _merged(runs: list[Iterator[list[_Record]]]) -> Iterator[list[_Record]]:
    """Merge sorted runs: what is not above the lowest of their blocks' last names can be sorted and given out.

    Sorting the ends of a few blocks, which are sorted in themselves, costs a tenth of `heapq.merge`.
    """
    blocks: dict[int, list[_Record]] = {}
    while True:
        for number in range(len(runs)):
            if not blocks.get(number):
                blocks[number] = next(runs[number], [])
        lowest = min((block[-1][0] for block in blocks.values() if block), default=None)
        if lowest is None:
            return
        ready: list[_Record] = []
        for number, block in blocks.items():
            cut = bisect_right(block, lowest, key=_NAME)
            ready += block[:cut]
            blocks[number] = block[cut:]
        ready.sort(key=_NAME)
        yield ready
