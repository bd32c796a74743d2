"""Which snapshots of a folder are to be pushed: every one that is not there, or those that nights left over."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from crawler.core.errors import NcrawlError, OutputError
from crawler.jobs.events import SnapshotPushed, Warned
from crawler.jobs.push.job import outgoing, push
from crawler.output.files import writing
from crawler.output.stores.opening import store_at
from crawler.snapshot.folder.names import started
from crawler.snapshot.folder.retention import snapshot_names
from crawler.snapshot.manifest import MANIFEST

if TYPE_CHECKING:
    from pathlib import Path

    from crawler.jobs.events import Observer
    from crawler.output.stores.interface import Store

LEAST_S = 10.0
"""How long a push may take where the run has used up its deadline: so much later it may end at most."""


def not_there(folder: Path, target: Store) -> list[str]:
    """Return the names of the snapshots of a folder that a store does not have, and of damaged ones, oldest first.

    Raises:
        OutputError: the folder or the store cannot be read.
    """
    return [name for name in sorted(snapshot_names(folder)) if not _has(target, folder / name)]


def left_over(folder: Path, target: Store, made: str) -> list[str]:
    """Return those that are newer than all that the store has, and the one just made: oldest first, and so no gaps.

    What is older may have been removed there on purpose.

    Raises:
        UsageError: the snapshot cannot be read.
        OutputError: the folder or the store cannot be read.
    """
    account = target.below(outgoing(folder / made).account)
    with writing(account.url):
        there = (name for name in sorted(account.folders(), reverse=True) if started(name) is not None)
        newest = next((name for name in there if account.find(f"{name}/{MANIFEST}") is not None), "")
    return sorted({made, *(name for name in snapshot_names(folder) if name > newest)})


async def push_made(folder: Path, url: str, made: str, *, within_s: float, observe: Observer) -> None:
    """Push the snapshot just made, and those that earlier runs could not push; what fails warns.

    How the run ends is not changed: the next one tries again, and goes on where this one was cut off.
    """
    work = partial(_push_all, folder, url, made, until_s=time.monotonic() + within_s)
    try:
        with anyio.fail_after(within_s):
            events = await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
    except TimeoutError:
        events = [Warned(f"{made} is not pushed to {url}: there was no time left; the next run goes on")]
    for event in events:
        observe(event)


def _push_all(folder: Path, url: str, made: str, *, until_s: float) -> list[SnapshotPushed | Warned]:
    """Push one after the other, and return what to tell of it; one that is damaged does not keep the others."""
    told: list[SnapshotPushed | Warned] = []
    try:
        target = store_at(url)
        for name in left_over(folder, target, made):
            told += _push_one(folder / name, target, until_s)
    except NcrawlError as error:
        told.append(Warned(f"--push: {error}; the next run tries again"))
    return told


def _push_one(snapshot: Path, target: Store, until_s: float) -> list[SnapshotPushed | Warned]:
    try:
        pushed = push(outgoing(snapshot), target, until_s=until_s)
    except OutputError:
        raise
    except NcrawlError as error:
        return [Warned(f"--push: {error}")]
    return [SnapshotPushed(pushed), *([] if pushed.is_safe else [Warned(unsafe(target.url))])]


def unsafe(url: str) -> str:
    """Return what there is to say of a storage that heeds no conditions."""
    return f"{url} heeds no conditions: let one run at a time push there, or latest.json may lag behind"


def _has(target: Store, snapshot: Path) -> bool:
    try:
        account = outgoing(snapshot).account
    except NcrawlError:
        return False
    with writing(target.url):
        return target.find(f"{account}/{snapshot.name}/{MANIFEST}") is not None
