"""Where an export goes: each table's part for a snapshot appears whole or not at all, the verdicts' last.

    OUT/images/snapshot=20261123T020000Z/region=kr/0123456789abcdef.parquet

The file's name is the snapshot's mark, so a part tells which snapshot it is of, also from another account's of the same
second. Until all is written it stands in a folder of OUT that no reader takes for a table.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from crawler.core.errors import UsageError
from crawler.output.files import remove_tree, sync_folder, writing
from crawler.snapshot.unfinished.run import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from crawler.jobs.export.source import Source

STAGE = f"{PREFIX}export"


class Partition(NamedTuple):
    """A table's part for one snapshot, while it is written.

    Attributes:
        folder: where it is.
        file_name: of each region's file.
    """

    folder: Path
    file_name: str

    def file(self, region: str) -> Path:
        """Return the path of a region's file, whose folder is made."""
        folder = self.folder / f"region={quote(region, safe='')}"
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder / self.file_name


class Place(NamedTuple):
    """A folder of exports, and what goes there.

    Attributes:
        out: the folder.
        source: the snapshot.
        suffix: of the files.
    """

    out: Path
    source: Source
    suffix: str

    @property
    def _snapshot(self) -> str:
        return f"snapshot={quote(self.source.manifest.run.id, safe='')}"

    @property
    def _file_name(self) -> str:
        return f"{self.source.mark}.{self.suffix}"

    def is_filled(self) -> bool:
        """Whether all of this very snapshot is there.

        Raises:
            UsageError: something else is there, which would be lost.
        """
        parts = [self.out / table.name / self._snapshot for table in self.source.tables]
        for part in parts:
            if others := sorted({path.name for path in part.rglob("*.*") if path.is_file()} - {self._file_name}):
                raise UsageError(
                    f"{part} holds {others[0]}, of another format or another snapshot of that name, such as another "
                    "account's: export to a folder of its own"
                )
        return all(map(os.path.isdir, parts))

    @contextmanager
    def stage(self) -> Iterator[list[Partition]]:
        """Give a place to write each table to, and publish all of them in the end, if nothing was raised.

        Raises:
            OutputError: they cannot be written.
        """
        staged = self.out / STAGE
        remove_tree(staged)
        try:
            folders = [staged / "new" / table.name / self._snapshot for table in self.source.tables]
            with writing(staged):
                for folder in folders:
                    folder.mkdir(parents=True)
            yield [Partition(folder, self._file_name) for folder in folders]
            self._publish(staged, folders)
        finally:
            remove_tree(staged)

    def _publish(self, staged: Path, folders: Sequence[Path]) -> None:
        _sync(staged)
        for folder in folders:
            table = self.out / folder.parent.name
            with writing(table):
                table.mkdir(exist_ok=True)
                if (place := table / folder.name).exists():
                    place.rename(staged / f"old-{table.name}")
                folder.rename(place)
            sync_folder(table)
        sync_folder(self.out)


def _sync(folder: Path) -> None:
    """Let all that is below a folder last."""
    for name, _, files in os.walk(folder):
        for file in files:
            path = folder.__class__(name, file)
            with writing(path), path.open("rb") as opened:
                os.fsync(opened.fileno())
        sync_folder(folder.__class__(name))
