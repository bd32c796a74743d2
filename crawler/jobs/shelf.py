"""What a folder of snapshots holds: each snapshot, each damaged one, each run that is not finished. Changes nothing."""

from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from crawler.core.errors import NcrawlError, UsageError
from crawler.core.text import iso
from crawler.output.stores.place import Place
from crawler.snapshot.folder.latest import target_of
from crawler.snapshot.folder.names import started
from crawler.snapshot.manifest import MANIFEST, read
from crawler.snapshot.unfinished.journal import read_header, read_journal
from crawler.snapshot.unfinished.run import PREFIX
from crawler.snapshot.unfinished.runs import unfinished_runs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from crawler.snapshot.manifest import Manifest


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot, or an unfinished run; what nobody knows is None.

    Attributes:
        verdict: None of what is unfinished or damaged.
        registries: that were listed, whatever became of it; those that were found where none were.
        images: None where only registries were listed. Likewise ``tags``, where they were not.
        bytes: of the data files, as they are stored.
    """

    id: str
    started: str
    verdict: str | None = None
    registries: int | None = None
    images: int | None = None
    tags: int | None = None
    bytes: int | None = None
    is_latest: bool = False
    unfinished: bool = False

    @property
    def started_at(self) -> datetime:
        """When its run started."""
        return datetime.fromisoformat(self.started)


class Shelf(msgspec.Struct, frozen=True):
    """Everything in a folder, oldest first.

    Attributes:
        damages: a sentence for each thing that cannot be relied on.
        strangers: what is named like a snapshot and has no manifest: no snapshot.
    """

    entries: list[Entry]
    damages: list[str]
    strangers: list[str]


def look_at(folder: Path) -> Shelf:
    """Return what a folder of snapshots holds. Reads every manifest once.

    Raises:
        UsageError: it is no folder, or cannot be read.
    """
    try:
        folders = _folders(folder)
    except OSError as error:
        raise UsageError(f"{folder} cannot be read: {error.strerror}; name a folder of snapshots") from None
    strangers = [path.name for path in folders if not _has_manifest(path)]
    damages: list[str] = []
    latest = _latest(folder, damages)
    entries = [_snapshot(path, latest, damages) for path in folders if path.name not in strangers]
    entries += _unfinished(folder, damages)
    return Shelf(sorted(entries, key=lambda one: (one.id, one.unfinished)), damages, strangers)


def _folders(folder: Path) -> list[Path]:
    """Return the folders that are named like snapshots.

    Raises:
        OSError: they cannot be listed.
    """
    if isinstance(folder, Place):
        return [folder / name for name in folder.store.folders(folder.key) if started(name) is not None]
    named = sorted(name for name in os.listdir(folder) if started(name) is not None)  # noqa: PTH208 - names do
    return [folder / name for name in named if (folder / name).is_dir() and not (folder / name).is_symlink()]


def _has_manifest(path: Path) -> bool:
    """Whether a folder has a manifest; also where nobody can tell, for whoever reads it then says why."""
    try:
        if isinstance(path, Place):
            return path.store.find((path / MANIFEST).key) is not None
        (path / MANIFEST).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _latest(folder: Path, damages: list[str]) -> str:
    try:
        return target_of(folder)
    except OSError as error:
        damages.append(f"{folder / 'latest'} cannot be read: {error.strerror}")
        return ""


def _snapshot(path: Path, latest: str, damages: list[str]) -> Entry:
    start = started(path.name)
    assert start is not None
    bare = Entry(id=path.name, started=iso(start.timestamp() * 1000), is_latest=path.name == latest)
    try:
        return _filled(bare, read(path))
    except NcrawlError as error:
        damages.append(str(error))
        return bare


def _filled(bare: Entry, made: Manifest) -> Entry:
    return msgspec.structs.replace(
        bare,
        started=made.run.started,
        verdict=made.verdict,
        registries=len(made.registries) or sum(one.registries for one in made.regions),
        images=made.totals.images if made.has_images else None,
        tags=getattr(made.totals, "tags", None),
        bytes=made.totals.bytes,
    )


def _unfinished(folder: Path, damages: list[str]) -> Iterator[Entry]:
    """Yield the runs that can be taken up, or are under way, with what they have finished."""
    for path in [] if isinstance(folder, Place) else unfinished_runs(folder):
        try:
            header, parts = read_header(path), [entry.part for entry in read_journal(path)]
        except NcrawlError as error:
            damages.append(str(error))
            continue
        listed = [part for part in parts if part.result.depth == 1]
        yield Entry(
            id=path.name.removeprefix(PREFIX),
            started=iso(header.started_ms),
            registries=len(listed),
            images=sum(part.lines for part in listed),
            bytes=sum(part.length for part in parts),
            unfinished=True,
        )
