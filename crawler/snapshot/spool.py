"""Collect the records of one listing in any order and give its lines out sorted by name.

Costs: O(n log n) time. Memory is bounded by RUN_BYTES of records and a buffer for each run that was put aside; a run is
a sorted part of the listing in a temporary file without a name.
"""

from __future__ import annotations

import heapq
import tempfile
from operator import itemgetter
from typing import IO, TYPE_CHECKING

from crawler.decoding import lines
from crawler.snapshot.files import writing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

RUN_BYTES = 2 * 1024 * 1024
LUMP_BYTES = 256 * 1024
_HEAD = 8


class Spool:
    """The records of one listing.

    Args:
        folder: where runs are put aside, on the disk that the snapshot will be on.
        prefix: how each line begins.
    """

    def __init__(self, folder: Path, prefix: bytes) -> None:
        self.count = 0
        self._folder = folder
        self._prefix = prefix
        self._records: list[tuple[str, bytes]] = []
        self._bytes = 0
        self._runs: list[IO[bytes]] = []

    def add(self, names: list[str], records: list[bytes]) -> None:
        """Take records with their names; no name comes twice.

        Raises:
            OutputError: a run cannot be put aside.
        """
        self.count += len(names)
        self._records += zip(names, records, strict=True)
        self._bytes += sum(memoryview(record).nbytes for record in records)
        if self._bytes > RUN_BYTES:
            self._put_aside()

    def sorted_lumps(self) -> Iterator[bytes]:
        """Yield whole lines in the order of their names (code points: that is UTF-8's order too), in lumps."""
        self._records.sort(key=itemgetter(0))
        if not self._runs:
            yield from _lumps(self._prefix, (record for _, record in self._records))
            return
        runs: list[Iterable[tuple[str, bytes]]] = [_read_run(run) for run in self._runs]
        merged = heapq.merge(*runs, self._records, key=itemgetter(0))
        yield from _lumps(self._prefix, (record for _, record in merged))

    def close(self) -> None:
        """Let go of everything."""
        for run in self._runs:
            run.close()
        self._runs, self._records = [], []

    def _put_aside(self) -> None:
        self._records.sort(key=itemgetter(0))
        with writing(self._folder):
            run = tempfile.TemporaryFile(dir=self._folder, buffering=LUMP_BYTES)  # noqa: SIM115 - closed in close()
            self._runs.append(run)
            for name, record in self._records:
                key, body = name.encode("utf-8", "surrogatepass"), bytes(record)
                run.write(len(key).to_bytes(4) + len(body).to_bytes(4) + key + body)
            run.seek(0)
        self._records, self._bytes = [], 0


def _read_run(run: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    while head := run.read(_HEAD):
        key = run.read(int.from_bytes(head[:4]))
        yield key.decode("utf-8", "surrogatepass"), run.read(int.from_bytes(head[4:]))


def _lumps(prefix: bytes, records: Iterable[bytes]) -> Iterator[bytes]:
    batch: list[bytes] = []
    size = 0
    for record in records:
        batch.append(record)
        size += memoryview(record).nbytes
        if size >= LUMP_BYTES:
            yield lines(prefix, batch)
            batch, size = [], 0
    if batch:
        yield lines(prefix, batch)
