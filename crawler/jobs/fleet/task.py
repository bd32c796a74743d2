"""One account's part of a fleet's run: its snapshot, taken once, whoever asks for it and however often."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import anyio.to_thread

from crawler.core.errors import UsageError
from crawler.jobs.fleet.layout import checked_account, checked_run_id
from crawler.jobs.snapshot.job import check_order, snapshot
from crawler.jobs.snapshot.made_before import made_as
from crawler.output.files import writing
from crawler.snapshot.folder.abilities import check_folder

if TYPE_CHECKING:
    from pathlib import Path

    from crawler.jobs.caller import Caller
    from crawler.jobs.snapshot.result import SnapshotResult
    from crawler.settings.table import Settings


@dataclass(frozen=True, slots=True)
class TaskOrder:
    """What a task is asked for.

    Attributes:
        settings: of the account.
        run_id: of the fleet's run: the same for all accounts.
        retries_failed: the snapshot that there is gets what it lacks, as another one.
    """

    settings: Settings
    run_id: str
    retries_failed: bool = False

    def __post_init__(self) -> None:
        checked_run_id(self.run_id)
        if self.settings.accounts is None:
            raise UsageError("the accounts are not said: add --accounts FILE")
        checked_account(self.settings.account)

    @property
    def account(self) -> str:
        """Whose snapshot it is."""
        return checked_account(self.settings.account)


async def take_account(folder: Path, order: TaskOrder, caller: Caller) -> SnapshotResult:
    """Take the snapshot of an account in its folder below ``folder``; the one that was made in this run is returned.

    What holds others off is the folder's lock: the system takes it back from a process however that ends.

    Raises:
        LockedError: it is being taken.
        NcrawlError: it cannot be begun, or cannot be written.
    """
    check_folder(folder)
    own = folder / order.account
    with writing(own):
        own.mkdir(exist_ok=True)
    settings = await anyio.to_thread.run_sync(partial(_mending, own, order))
    check_order(own, settings, caller.observe)
    return await snapshot(own, settings, caller, run_id=order.run_id)


def _mending(own: Path, order: TaskOrder) -> Settings:
    """Return the settings, which name the snapshot that lacks something, if what it lacks is asked for."""
    if not order.retries_failed:
        return order.settings
    made = made_as(own, order.run_id)
    if made is None or made.verdict == "complete":
        return order.settings
    return replace(order.settings, retry_failed=made.run.id, reuse=None)
