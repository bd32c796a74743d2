"""One account's part where the snapshots are in an object storage: taken in a local folder under a lease, and sent."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import anyio.to_thread
import msgspec

from crawler.engine.spec import StopReason
from crawler.jobs.fleet.held_keys import find_while_held
from crawler.jobs.fleet.keeping import leased
from crawler.jobs.fleet.layout import opened
from crawler.jobs.fleet.lease import GOOD_FOR_S, Lease
from crawler.jobs.fleet.parts import find_part
from crawler.jobs.fleet.task import take_account
from crawler.jobs.push.job import outgoing, push
from crawler.jobs.snapshot.result import result_of, stop_of
from crawler.output.files import remove_tree, writing
from crawler.snapshot.folder.latest import LATEST
from crawler.snapshot.manifest import MANIFEST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from crawler.engine.crawl import Crawl
    from crawler.jobs.caller import Caller
    from crawler.jobs.fleet.keeping import Keeper
    from crawler.jobs.fleet.parts import Part
    from crawler.jobs.fleet.task import TaskOrder
    from crawler.jobs.progress import Progress
    from crawler.jobs.snapshot.result import SnapshotResult
    from crawler.output.stores.interface import Store
    from crawler.snapshot.manifest import Manifest


@dataclass(frozen=True, slots=True)
class FarPlace:
    """Where the snapshots of a fleet go.

    Attributes:
        url: of the storage.
        scratch: local folder that holds a snapshot until it was sent; a run that was cut off is taken up there. It may
            be that of other fleets as well, which may call their accounts and runs the same.
        has_lease: an account is taken under a lease; if not, whoever calls sees to it that nobody else takes it.
        good_for_s: how long a lease holds others off that nobody renews.
    """

    url: str
    scratch: Path
    has_lease: bool = True
    good_for_s: float = GOOD_FOR_S

    @property
    def own_scratch(self) -> Path:
        """The folder in there that is of this storage only."""
        return self.scratch / hashlib.sha256(self.url.rstrip("/").encode()).hexdigest()[:16]


async def take_account_far(place: FarPlace, order: TaskOrder, caller: Caller) -> SnapshotResult:
    """Take the snapshot of an account and send it; what was sent in this run is returned.

    Raises:
        LockedError: somebody else is at it, or took the lease because this task could not renew it.
        UsageError: the storage has no compare-and-swap, and a lease was asked for.
        NcrawlError: it cannot be begun, or cannot be written.
    """
    store = await anyio.to_thread.run_sync(opened, place.url)
    if (done := await _done(store, order)) is not None:
        return done
    with ExitStack() as stack:
        keeper: Keeper | None = None
        if place.has_lease:
            lease = leased(Lease(store, order.account, order.run_id, good_for_s=place.good_for_s), store)
            keeper = await anyio.to_thread.run_sync(stack.enter_context, lease)
            if (done := await _done(store, order)) is not None:
                return done
        return await _take(place, store, order, caller=caller, keeper=keeper)


async def _done(store: Store, order: TaskOrder) -> SnapshotResult | None:
    """Return what there is of this run already, unless what it lacks is asked for."""
    part = await _find(store, order)
    if part.made is None or (order.retries_failed and part.made.verdict != "complete"):
        return None
    return _sent(part.made, store, order)


async def _find(store: Store, order: TaskOrder) -> Part:
    return await anyio.to_thread.run_sync(find_part, store, order.account, order.run_id)


def _sent(made: Manifest, store: Store, order: TaskOrder) -> SnapshotResult:
    result = result_of(made, None, stop_of(made))
    return msgspec.structs.replace(result, path=f"{store.url}/{order.account}/{made.run.id}")


async def _take(
    place: FarPlace, store: Store, order: TaskOrder, *, caller: Caller, keeper: Keeper | None
) -> SnapshotResult:
    scratch = place.own_scratch
    with writing(scratch):
        scratch.mkdir(mode=0o700, exist_ok=True)
    if order.retries_failed:
        await anyio.to_thread.run_sync(_fetch, await _find(store, order), store, scratch)
    if keeper is not None:
        find_keys = partial(find_while_held, caller.find_keys, keeper=keeper)
        caller = replace(caller, find_keys=find_keys, beside=partial(_stopping, caller, keeper=keeper))
    result = await take_account(scratch, order, caller)
    if keeper is not None:
        await anyio.to_thread.run_sync(keeper.check)
    if result.path is None:
        return result
    local = scratch / order.account / result.id
    await anyio.to_thread.run_sync(lambda: push(outgoing(local), store))
    await anyio.to_thread.run_sync(_tidy, local)
    return msgspec.structs.replace(result, path=f"{store.url}/{order.account}/{result.id}")


@asynccontextmanager
async def _stopping(
    caller: Caller, crawl: Crawl, look: Callable[[], Progress], *, keeper: Keeper
) -> AsyncIterator[None]:
    """Let a crawl stop when the lease is lost: what was had stays in the scratch folder."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        with suppress(RuntimeError):  # it has ended meanwhile
            loop.call_soon_threadsafe(crawl.stop, StopReason.CALLER)

    keeper.when_lost(stop)
    async with caller.beside(crawl, look):
        yield


def _fetch(part: Part, store: Store, scratch: Path) -> None:
    """Bring the snapshot that lacks something back, to copy from it what it has."""
    if part.made is None:
        return
    local = scratch / part.folder
    remove_tree(local)
    with writing(local):
        local.mkdir(parents=True)
        for name in (*(file.name for file in part.made.files), MANIFEST):
            with store.open(f"{part.folder}/{name}") as source, (local / name).open("xb") as copy:
                shutil.copyfileobj(source, copy, 1024 * 1024)


def _tidy(local: Path) -> None:
    """Remove what was sent, and what came with it."""
    for path in (local, local.with_name(LATEST)):
        remove_tree(path)
