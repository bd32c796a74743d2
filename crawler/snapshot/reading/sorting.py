"""Records in any order to a sorted stream, in bounded memory."""

from __future__ import annotations

import heapq
import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING

import msgspec

from crawler.core.errors import OutputError
from crawler.snapshot.reading.chunks import stored_chunks
from crawler.snapshot.reading.records import DisorderError, keyed_chunks, paired_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import IO

    from crawler.core.collection import Collection
    from crawler.snapshot.reading.records import Record

RUN_BYTES = 32 * 1024 * 1024
RUN_CHUNK_BYTES = 64 * 1024  # one of each run is in memory at once


def sorted_records(chunks: Iterable[bytes], path: Path, collection: Collection) -> Iterator[Record]:
    """Yield the records of chunks in any order, sorted, after all have been read: a pipe cannot be read twice.

    Runs of `RUN_BYTES` are sorted in memory, kept in temporary files and merged: O(n log n), memory O(runs).

    Raises:
        DisorderError: one is there twice.
        UnreadableError: a line is no record.
        OutputError: the temporary files cannot be written.
    """
    with ExitStack() as stack:
        runs = [stack.enter_context(_stored_run(run)) for run in _sorted_runs(chunks, path, collection)]
        yield from _each_once(heapq.merge(*(_read_run(run, path, collection) for run in runs)), path, collection)


def _each_once(records: Iterable[Record], path: Path, collection: Collection) -> Iterator[Record]:
    """Let sorted records pass unless one is there twice."""
    last = None
    for record in records:
        if record[0] == last:
            where = "/".join(msgspec.structs.astuple(last)[1:])
            raise DisorderError(path, f"{collection.singular} {where} is there twice")
        yield record
        last = record[0]


def _sorted_runs(chunks: Iterable[bytes], path: Path, collection: Collection) -> Iterator[list[Record]]:
    """Yield runs, each of which is looked through for what is there twice: what unpacks to much repeats itself."""
    run: list[Record] = []
    size = 0
    for chunk, keys in keyed_chunks(chunks, path, collection):
        run.extend(paired_records(chunk, keys))
        size += len(chunk)
        if size >= RUN_BYTES:
            yield list(_each_once(sorted(run), path, collection))
            run, size = [], 0
    yield list(_each_once(sorted(run), path, collection))


def _stored_run(run: list[Record]) -> IO[bytes]:
    try:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
        file.writelines(line + b"\n" for _, line in run)
        file.seek(0)
    except OSError as error:
        raise OutputError(tempfile.gettempdir(), error) from error
    return file


def _read_run(file: IO[bytes], path: Path, collection: Collection) -> Iterator[Record]:
    for chunk, keys in keyed_chunks(stored_chunks(file, None, RUN_CHUNK_BYTES), path, collection):
        yield from paired_records(chunk, keys)
