"""Where a fleet's run stands, by what lies in its folder or its storage: no engine is asked."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from crawler.core.errors import NcrawlError, UsageError
from crawler.jobs.fleet.layout import FLEET, checked_run_id, merged_folder, opened
from crawler.jobs.fleet.lease import holder
from crawler.jobs.fleet.parts import find_parts
from crawler.output.files import reading
from crawler.output.stores.opening import is_url
from crawler.snapshot.folder.names import started
from crawler.snapshot.manifest import MANIFEST, load
from crawler.snapshot.unfinished.journal import UnusableRunError, read_header
from crawler.snapshot.unfinished.runs import unfinished_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from crawler.jobs.fleet.parts import Part
    from crawler.output.stores.interface import Store

_LOOK_EVERY_S: Final = 10.0


def await_accounts(
    place: str,
    run_id: str,
    expected: Iterable[str],
    *,
    patience_s: float,
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Wait until every account that is expected has a snapshot of a run, or as long as there is patience."""
    store, names, until_s = opened(place), list(expected), time.monotonic() + patience_s
    while any(part.made is None for part in find_parts(store, checked_run_id(run_id), names)):
        left_s = until_s - time.monotonic()
        if left_s <= 0:
            break
        sleep(min(left_s, _LOOK_EVERY_S))


class AccountStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Where one account stands in a run.

    Attributes:
        account: its name.
        state: ``done``; ``under way``, where somebody has its lease; ``unfinished``, where a local run has begun and is
            under way or was cut off; ``missing``.
        verdict: of its snapshot, if there is one. Likewise ``snapshot``, its id.
        reason: why it is not complete, for people.
        owner: who has the lease; and ``until`` when, if it is not renewed.
    """

    account: str
    state: Literal["done", "under way", "unfinished", "missing"]
    verdict: str | None = None
    snapshot: str | None = None
    reason: str | None = None
    owner: str | None = None
    until: str | None = None


class FleetStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run stands.

    Attributes:
        run_id: of the run.
        accounts: by name.
        merged: the verdict of its merged snapshot, or ``unreadable``; None while there is none.
    """

    run_id: str
    accounts: tuple[AccountStatus, ...]
    merged: str | None = None

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing of any account."""
        return all(one.verdict == "complete" for one in self.accounts)


def fleet_status(place: str, run_id: str | None, expected: Iterable[str] = ()) -> FleetStatus:
    """Return where a run stands: of those accounts that are expected, and of all others that there is anything of.

    Args:
        place: folder or URL.
        run_id: of the run; None is that of the newest snapshot.
        expected: names of accounts.

    Raises:
        UsageError: there is no such place, or no run.
        OutputError: the storage cannot be read.
    """
    store = opened(place)
    with reading(store.url):
        run_id = newest_run(store) if run_id is None else checked_run_id(run_id)
        names = {*expected, *store.folders()} - {FLEET}
        merged = store.read(f"{merged_folder(run_id)}/{MANIFEST}")
        found = [_status(part, place, store, run_id=run_id) for part in find_parts(store, run_id, names)]
    shown = [one for one in found if one.state != "missing" or one.account in set(expected)]
    return FleetStatus(run_id=run_id, accounts=tuple(shown), merged=merged and _verdict(merged.data))


def _verdict(manifest: bytes) -> str:
    try:
        return load(manifest).verdict
    except NcrawlError:
        return "unreadable"


def _status(part: Part, place: str, store: Store, *, run_id: str) -> AccountStatus:
    record = part.record()
    if part.made is not None:
        return AccountStatus(
            account=part.account,
            state="done",
            verdict=record.verdict,
            snapshot=record.snapshot,
            reason=record.reason,
        )
    held = holder(store, part.account)
    if held is not None and held.run_id == run_id:
        return AccountStatus(account=part.account, state="under way", owner=held.owner, until=held.until)
    if not is_url(place) and _has_begun(Path(place) / part.account, run_id):
        return AccountStatus(account=part.account, state="unfinished")
    return AccountStatus(account=part.account, state="missing", reason=part.problem)


def _has_begun(folder: Path, run_id: str) -> bool:
    """Whether a run of that name has begun in a local folder, and published nothing yet."""
    for path in unfinished_runs(folder) if folder.is_dir() else ():
        with suppress(UnusableRunError):
            if read_header(path).run_id == run_id:
                return True
    return False


def newest_run(store: Store) -> str:
    """Return the run of the newest snapshot of any account.

    Raises:
        UsageError: none was made in a run.
    """
    newest = ("", "")
    for account in store.folders():
        names = [name for name in store.folders(account) if started(name)]
        stored = store.read(f"{account}/{max(names)}/{MANIFEST}") if names and account != FLEET else None
        with suppress(NcrawlError):
            run = load(stored.data).run if stored else None
            if run and run.run_id:
                newest = max(newest, (run.started, str(run.run_id)))
    if not newest[1]:
        raise UsageError(f"{store.url} has no snapshot of any run: name one with --run-id")
    return newest[1]
