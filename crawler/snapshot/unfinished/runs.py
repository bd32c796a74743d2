"""The runs of a folder of snapshots: those that can be taken up, and what becomes of the others."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from crawler.output.files import remove_tree, sync_folder, writing
from crawler.snapshot.manifest import MANIFEST
from crawler.snapshot.unfinished.journal import HEADER
from crawler.snapshot.unfinished.run import PREFIX

if TYPE_CHECKING:
    from pathlib import Path

ASIDE = ".ncrawl.aside-"
"""How the folder of a run is called that could not be taken up: no command takes it for a run or for remains."""


def unfinished_runs(folder: Path) -> list[Path]:
    """Return the folders of unfinished runs that can be taken up, oldest first."""
    return [path for path in _runs(folder) if not _is_published(path)]


def published_runs(folder: Path) -> list[Path]:
    """Return the folders of runs whose snapshot has its name, and that left something undone then, oldest first."""
    return [path for path in _runs(folder) if _is_published(path)]


def _runs(folder: Path) -> list[Path]:
    with writing(folder):
        runs = sorted(path.parent for path in folder.glob(f"{PREFIX}*/{HEADER}"))
        return [path for path in runs if not path.is_symlink()]  # a run makes folders; a link was planted


def _is_published(path: Path) -> bool:
    return os.path.exists(path.with_name(path.name.removeprefix(PREFIX)) / MANIFEST)  # noqa: PTH110 - never raises


def remove_superseded(folder: Path, *, newest: Path | None = None) -> None:
    """Remove unfinished runs but the newest: none of the others is ever taken up again, and they may fill the disk.

    One that cannot be removed is left to the next night.
    """
    runs = unfinished_runs(folder)
    for path in runs:
        if path != (newest or runs[-1]):
            shutil.rmtree(path, ignore_errors=True)


def set_aside(path: Path) -> Path:
    """Give a run that cannot be taken up a name under which it is left alone, and return its path.

    Of those in a folder only the latest stays, so that they do not fill the disk.

    Raises:
        OutputError: it cannot be renamed.
    """
    for earlier in path.parent.glob(f"{ASIDE}*"):
        shutil.rmtree(earlier, ignore_errors=True)
    aside = path.with_name(f"{ASIDE}{path.name.removeprefix(PREFIX)}")
    with writing(path):
        path.rename(aside)
    sync_folder(path.parent)
    return aside


def keep_header_only(path: Path) -> None:
    """Remove all of a run but what says that there was one: its snapshot is published, and `latest` waits for it.

    Raises:
        OutputError: something cannot be removed.
    """
    with writing(path):
        for each in path.iterdir():
            if each.name != HEADER:
                remove_tree(each)
