"""What a folder of snapshots has to be, and what its file system can do: found out before the first request."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import NamedTuple

from crawler.core.errors import UsageError
from crawler.output.files import replace_file, sync_folder, writing
from crawler.snapshot.folder.latest import DISK_TROUBLE, LATEST, can_be_latest
from crawler.snapshot.unfinished.run import PREFIX


class Abilities(NamedTuple):
    """What not every file system can do, and a snapshot can do without."""

    has_links: bool
    syncs_folders: bool


def check_folder(folder: Path) -> None:
    """Refuse a folder that cannot hold snapshots, before anything is requested.

    Raises:
        UsageError: it is missing, no folder, a symbolic link, or has a `latest` of somebody else's.
    """
    try:
        _check_folder(folder)
    except OSError as error:
        raise UsageError(f"{folder} cannot be used: {error.strerror}; name another folder") from None


def _check_folder(folder: Path) -> None:
    latest = folder / LATEST
    if folder.is_symlink():
        raise UsageError(f"{folder} is a symbolic link: name the folder itself, {folder.resolve()}")
    try:
        mode = folder.stat().st_mode  # not `exists()`: from Python 3.14 on, it is silent about every error
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{folder} does not exist: make it with `mkdir -p {folder}`") from None
    if not stat.S_ISDIR(mode):
        raise UsageError(f"{folder} is a file: name a folder")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise UsageError(f"{folder} cannot be read and written by this user: mend its permissions or name another")
    if not can_be_latest(latest):
        raise UsageError(
            f"{latest} is neither a symbolic link nor a file with a snapshot's name in it, so not ncrawl's: "
            "move it away, or name another folder"
        )


def find_out(folder: Path) -> Abilities:
    """Do in ``folder`` what a run does in it, on a small scale, and return what could be done; leaves nothing.

    What a kill leaves of it goes with the next run's remains.

    Raises:
        OutputError: it can do less than a snapshot takes.
    """
    with writing(folder):
        probe = Path(tempfile.mkdtemp(prefix=f"{PREFIX}probe-", dir=folder))
        moved = probe.with_name(f"{probe.name}-moved")
        try:
            _publish_something(probe, moved)
            return Abilities(has_links=_has_links(probe), syncs_folders=sync_folder(folder))
        finally:
            for path in (probe, moved):
                shutil.rmtree(path, ignore_errors=True)


def _publish_something(probe: Path, moved: Path) -> None:
    """Write, sync and replace a file, and move a folder with something in it to where snapshots stand."""
    folder = probe / "folder"
    folder.mkdir()
    for data in (b"", b"data"):
        replace_file(folder / "file", data)
    folder.rename(moved)


def _has_links(probe: Path) -> bool:
    link = probe / LATEST
    try:
        link.symlink_to("folder")
        return os.readlink(link) == "folder"  # noqa: PTH115 - nothing more than what it says
    except OSError as error:
        if error.errno in DISK_TROUBLE:
            raise
        return False
