"""The folder of snapshots: whether it can be written, linked, locked and synced."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from crawler.core.errors import LockedError, OutputError, UsageError
from crawler.jobs.doctor.checks import failed, ok, refused, warning
from crawler.snapshot.folder.abilities import check_folder, find_out
from crawler.snapshot.folder.lock import locked

if TYPE_CHECKING:
    from pathlib import Path

    from crawler.jobs.doctor.checks import Check

_PLENTY_BYTES = 1_000_000_000


def of_folder(folder: Path, now: str) -> Check:
    """Do on a small scale in ``folder`` what a run does in it, and leave nothing but the lock's file.

    Args:
        folder: where snapshots are.
        now: for whoever finds it locked meanwhile.
    """
    try:
        check_folder(folder)
        with locked(folder, started=now):
            able = find_out(folder)
    except LockedError as error:
        return warning("folder", str(error), "nothing, if a run is under way: what it can do was not tried")
    except UsageError as error:
        return refused("folder", error)
    except OutputError as error:
        return failed("folder", str(error), "free some space, mend the disk or its permissions, or name another folder")
    return _told(folder, able.has_links, able.syncs_folders)


def _told(folder: Path, has_links: bool, syncs_folders: bool) -> Check:  # noqa: FBT001 - as it was found out
    free_bytes = shutil.disk_usage(folder).free
    detail = f"{folder} can be written and locked, {free_bytes / 1e9:,.1f} GB free"
    if not syncs_folders:
        mend = "keep snapshots on another file system if power may fail"
        return warning("folder", f"{detail}, but not synced: a power loss may undo what is published", mend)
    if free_bytes < _PLENTY_BYTES:
        return warning("folder", detail, "free some space: `ncrawl prune`")
    return ok("folder", f"{detail}; {'linked' if has_links else 'latest is a file, for there are no links'}; synced")
