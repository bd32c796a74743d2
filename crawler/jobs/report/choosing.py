"""Find the snapshot to report on, and those before it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from crawler.core.errors import OutputError, UsageError
from crawler.output.files import is_folder, mode_of
from crawler.output.stores.place import Place
from crawler.snapshot.comparing.opening import open_side
from crawler.snapshot.comparing.sides import Snapshot
from crawler.snapshot.folder.latest import LATEST, followed, target_of
from crawler.snapshot.folder.retention import readable_names, snapshot_names
from crawler.snapshot.manifest import MANIFEST


class Chosen(NamedTuple):
    """What a report is about.

    Attributes:
        snapshot: the one that is shown.
        earlier: folders of those before it, oldest first.
        latest: name of the snapshot that `latest` beside it means; empty if there is none.
    """

    snapshot: Snapshot
    earlier: list[Path]
    latest: str


def choose(path: Path) -> Chosen:
    """Open the snapshot that ``path`` is, or the newest one in it, and find those before it.

    Raises:
        UsageError: it is neither, or cannot be read.
        ManifestError: the manifest is damaged.
    """
    path = followed(path)
    if not is_folder(path):
        raise UsageError(f"{path} is no folder: name a snapshot, or the folder that snapshots are in")
    folder = path if mode_of(path / MANIFEST) else _newest(path)
    snapshot = open_side(folder)
    assert isinstance(snapshot, Snapshot)
    beside = folder.parent if isinstance(folder, Place) else Path(os.path.realpath(folder)).parent
    return Chosen(snapshot, _before(beside, snapshot), _latest(beside))


def _newest(folder: Path) -> Path:
    names = readable_names(folder)
    if not names:
        raise UsageError(f"{folder} holds no snapshot: make one with `ncrawl snapshot {folder}`")
    return folder / names[-1]


def _before(folder: Path, snapshot: Snapshot) -> list[Path]:
    """Return the snapshots of a folder that began before another one; a folder that cannot be read has none."""
    assert snapshot.manifest
    with suppress(OutputError):
        return [folder / name for name in sorted(snapshot_names(folder)) if name < snapshot.manifest.run.id]
    return []


def _latest(folder: Path) -> str:
    with suppress(OSError):
        return target_of(folder) if isinstance(folder, Place) or os.path.lexists(folder / LATEST) else ""
    return ""
