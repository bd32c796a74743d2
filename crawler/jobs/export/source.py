"""What is exported: the tables of one snapshot, each as blocks of whole lines, proved while they are read."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from crawler.core.errors import UsageError
from crawler.core.text import visible
from crawler.jobs.export.tables import VERDICTS, tables
from crawler.jobs.export.verdicts import verdict_lines
from crawler.jobs.proving import damaged, proved_blocks
from crawler.snapshot.folder.latest import followed
from crawler.snapshot.manifest import ManifestError, load, read_bytes
from crawler.snapshot.reading.records import BadLineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from crawler.jobs.export.tables import Table
    from crawler.snapshot.manifest import Manifest, StoredFile

_BLOCK_LINES = 1_000


class Source(NamedTuple):
    """A snapshot.

    Attributes:
        folder: its folder.
        manifest: what it says of itself.
        mark: tells it from any other snapshot, also from one of the same second.
        watch: told how many bytes were read, each time some were.
    """

    folder: Path
    manifest: Manifest
    mark: str
    watch: Callable[[int], object]

    @property
    def tables(self) -> list[Table]:
        """The tables that it has, the verdicts last."""
        return [table for table in tables().values() if table.name == VERDICTS or self._stored(table)]

    @property
    def size_bytes(self) -> int:
        """How much there is to read."""
        return sum(file.bytes for table in self.tables if (file := self._stored(table)))

    def table(self, name: str) -> Table:
        """Return a table by name, whether the snapshot has it or not.

        Raises:
            UsageError: there is none of that name.
        """
        every = tables()
        if name not in every:
            raise UsageError(f"there is no table {visible(name, 60)}: there are {', '.join(every)}")
        return every[name]

    def blocks(self, table: Table) -> Iterator[bytes]:
        """Yield the lines of a table.

        Raises:
            DamagedError: the file is not what the manifest says.
        """
        if table.name == VERDICTS:
            lines = list(verdict_lines(self.manifest))
            for begin in range(0, len(lines), _BLOCK_LINES):
                yield b"".join(lines[begin : begin + _BLOCK_LINES])
        elif stored := self._stored(table):
            yield from proved_blocks(self.folder, stored, self.watch)

    def _stored(self, table: Table) -> StoredFile | None:
        return next((file for file in self.manifest.files if file.name.partition(".")[0] == table.name), None)

    @contextmanager
    def naming_lines(self, table: Table) -> Iterator[None]:
        """Say which line of the file is no record.

        Raises:
            DamagedError: a line is no record.
        """
        try:
            yield
        except BadLineError as error:
            stored = self._stored(table)
            name = stored.name if stored else table.name
            raise damaged(self.folder, name, f"line {error.index + 1:,} is no record: {error.problem}") from error


def open_source(folder: Path, watch: Callable[[int], object] = lambda _: None) -> Source:
    """Open a snapshot.

    Raises:
        UsageError: it is none, is of another format, or cannot be read.
        ManifestError: its manifest is damaged.
    """
    folder = followed(folder)
    data = read_bytes(folder)
    try:
        manifest = load(data)
    except (UsageError, ManifestError) as error:
        raise type(error)(f"{folder}: {error}") from error
    return Source(folder, manifest, hashlib.sha256(data).hexdigest()[:16], watch)
