"""Export a snapshot, or every snapshot of a folder, as tables that SQL, data frames and spreadsheets read."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from crawler.core.errors import UsageError
from crawler.core.text import iso
from crawler.jobs.export.publishing import Place
from crawler.output.files import is_folder, mode_of, writing
from crawler.snapshot.folder.latest import LATEST
from crawler.snapshot.folder.lock import locked
from crawler.snapshot.folder.retention import readable_names
from crawler.snapshot.manifest import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from crawler.jobs.export.publishing import Partition
    from crawler.jobs.export.source import Source
    from crawler.jobs.export.tables import Table


class Format(StrEnum):
    """What an export is written as, and how its files end."""

    PARQUET = "parquet"
    CSV = "csv"


class Exported(NamedTuple):
    """What an export wrote: rows by table; None if it was there already."""

    rows: dict[str, int] | None


def snapshots_at(place: Path, *, every: bool = False) -> list[Path]:
    """Return the snapshot at a place, or of a folder of snapshots its `latest`, or every one, oldest first.

    Raises:
        UsageError: there is none, or it cannot be read.
    """
    if mode_of(place / MANIFEST) or not is_folder(place):
        return [place]  # whoever reads it says what is wrong with it
    if not every and mode_of(place / LATEST):
        return [place / LATEST]
    names = readable_names(place)
    if every and names:
        return [place / name for name in names]
    hint = f": name one of its {len(names):,} snapshots, such as {place / names[-1]}, or take --all" if names else ""
    raise UsageError(f"{place} is no snapshot, and has no {LATEST}{hint}")


def export(source: Source, out: Path, file_format: Format) -> Exported:
    """Export one snapshot: all of it, or nothing.

    Args:
        source: the snapshot.
        out: the folder to export to; created.
        file_format: what to write.

    Raises:
        UsageError: a library is missing, or something else is in the place of what would be written.
        DamagedError: the snapshot is damaged.
        LockedError: another export is writing there.
        OutputError: it cannot be written.
    """
    write = _writer(file_format)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    with locked(out, started=iso(time.time() * 1000)):
        place = Place(out, source, file_format)
        if place.is_filled():
            return Exported(None)
        with place.stage() as partitions:
            return Exported(
                {
                    table.name: write(source, table, partition)
                    for table, partition in zip(source.tables, partitions, strict=True)
                }
            )


def _writer(file_format: Format) -> Callable[[Source, Table, Partition], int]:
    if file_format is Format.PARQUET:
        from crawler.jobs.export.parquet import write_parquet  # noqa: PLC0415 - it takes a library that may be missing

        return write_parquet
    from crawler.jobs.export.spreadsheet import write_csv  # noqa: PLC0415 - who wants Parquet should not wait for it

    return write_csv
