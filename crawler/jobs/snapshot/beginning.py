"""Decide what tonight's run is: the one that was interrupted, taken up with its own options, or a new one."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread
from msgspec import UNSET
from msgspec.structs import replace

from crawler.api.collections import COLLECTIONS, TAGS
from crawler.core.errors import UsageError
from crawler.core.text import duration, iso
from crawler.jobs.events import RunTakenUp, Warned
from crawler.jobs.snapshot.own_options import own_options, with_own_options
from crawler.jobs.snapshot.reusing import check_reuse, choose_base, listed_since, reuses
from crawler.output.files import mode_of
from crawler.snapshot.folder.latest import followed
from crawler.snapshot.folder.names import new_id
from crawler.snapshot.unfinished.base import read_source, seed
from crawler.snapshot.unfinished.journal import Header, UnusableRunError, read_header
from crawler.snapshot.unfinished.run import UnfinishedRun
from crawler.snapshot.unfinished.runs import remove_superseded, set_aside, unfinished_runs

if TYPE_CHECKING:
    from datetime import datetime

    from crawler.core.collection import Collection
    from crawler.jobs.caller import Caller
    from crawler.jobs.events import Observer
    from crawler.settings.credentials import FoundKeys
    from crawler.settings.table import Settings
    from crawler.snapshot.unfinished.base import Source

CLOCK_SLACK_S = 300
"""So far may a run lie in the future: a clock that is wrong by more gets no answer from the gateway either."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a snapshot job is asked for.

    Attributes:
        folder: where snapshots are.
        settings: what was asked for.
        now: when it began, by this machine's clock.
        run_id: what the caller calls it, if anything: it is made once.
    """

    folder: Path
    settings: Settings
    now: datetime
    run_id: str | None = None

    @property
    def source(self) -> Path | None:
        """The snapshot that --retry-failed names."""
        name = self.settings.retry_failed
        return _snapshot_path(self.folder, name) if name else None


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that has begun or was taken up, with the settings and the keys that it goes on with."""

    settings: Settings
    found: FoundKeys
    run: UnfinishedRun

    @property
    def level(self) -> Collection:
        """How deep it goes."""
        return COLLECTIONS[self.settings.level]


async def take_up_or_begin(order: Order, caller: Caller) -> Begun:
    """Take up the newest run that an interruption ended, if that was asked for and one can be; else begin one.

    Raises:
        UsageError: other options were given than it had, or there are no keys; nothing was requested.
        OutputError: the folder cannot be written.
    """
    looks = order.settings.resume or order.run_id is not None
    for path in reversed(unfinished_runs(order.folder)) if looks else ():
        try:
            header = read_header(path)
            if _is_meant(header, order, caller):
                return await _take_up(path, header, order, caller=caller)
        except UnusableRunError as error:
            told = f"{error}; it is kept as {set_aside(path)}, the latest of its kind; tonight's run goes on without it"
            caller.observe(Warned(told, is_whole=True))
    remove_superseded(order.folder)
    return await _begin(order, caller)


def _is_meant(header: Header, order: Order, caller: Caller) -> bool:
    """Whether an unfinished run is the one to go on with: the very one that is named, or tonight's if none is."""
    if order.run_id is not None:
        return header.run_id == order.run_id
    return _is_of_tonight(header, order, caller)


def _is_of_tonight(header: Header, order: Order, caller: Caller) -> bool:
    """Whether a run began within --resume-within, by this machine's clock: before a request there is no better one."""
    age_s, within_s = order.now.timestamp() - header.started_ms / 1000, order.settings.resume_within
    if -CLOCK_SLACK_S <= age_s <= within_s:
        return True
    if age_s < 0:
        why = "began in the future, by this machine's clock"
    else:
        why = f"began {duration(age_s)} ago; --resume-within is {duration(within_s)}"
    caller.observe(Warned(f"the unfinished run of {header.id} is not taken up: it {why}"))
    return False


async def _take_up(path: Path, header: Header, order: Order, *, caller: Caller) -> Begun:
    settings = with_own_options(path, header.options, order.settings)
    found = await caller.keys(settings)
    if (header.account, header.identity) != (found.account, await _identity(found, order.now)):
        raise UnusableRunError(path, "it is another account, or other keys")
    now = iso(time.time() * 1000)
    run = await anyio.to_thread.run_sync(lambda: UnfinishedRun.resume(path, now=now))  # reads all that is finished
    remove_superseded(path.parent, newest=path)
    caller.observe(RunTakenUp(header.id, sum(one.lists for one in run.results)))
    return Begun(settings, found, run)


async def _begin(order: Order, caller: Caller) -> Begun:
    folder, settings = order.folder, order.settings
    check_reuse(settings)
    found = await caller.keys(settings)
    source = _to_be_mended(order)
    header = Header(
        id=new_id(folder, order.now),
        started_ms=int(order.now.timestamp() * 1000),
        account=found.account,
        identity=await _identity(found, order.now),
        options=own_options(settings),
        taken_from=source.manifest.run.id if source else None,
        run_id=order.run_id or UNSET,
    )
    header = _with_ages(header, order, source, observe=caller.observe)
    run = UnfinishedRun.begin(folder, header)
    if source is not None:
        try:
            await anyio.to_thread.run_sync(seed, run, source, [region.code for region in settings.region])
        except BaseException:
            run.remove()
            raise
    return Begun(settings, found, run)


def _to_be_mended(order: Order) -> Source | None:
    """Return the snapshot that --retry-failed names, if any.

    Raises:
        UsageError: it cannot be mended.
    """
    if order.source is None:
        return None
    source, settings = read_source(order.source), order.settings
    if source.manifest.run.options.get("api", "v2") != settings.api:
        raise UsageError(
            f"{settings.retry_failed} is of another version of the API: --api {settings.api} cannot mend it"
        )
    return source


def _with_ages(header: Header, order: Order, source: Source | None, *, observe: Observer) -> Header:
    """Return a run's header with what --reuse comes to, and since when tags that are copied were listed."""
    settings = order.settings
    if source is not None and COLLECTIONS[settings.level] is TAGS:
        return replace(header, listed_ms=listed_since(source.manifest) or UNSET)
    if settings.reuse is None or not reuses(settings):
        return header
    base = choose_base(_snapshot_path(order.folder, settings.reuse), header, settings, observe=observe)
    return header if base is None else replace(header, reusing=base.reusing, listed_ms=base.listed_ms)


def _snapshot_path(folder: Path, name: str) -> Path:
    """Return the snapshot that an option names: a path, or a name in the folder."""
    return followed(Path(name) if mode_of(Path(name)) else folder / name)


async def _identity(found: FoundKeys, now: datetime) -> str:
    keys = await found.credentials.current(now.timestamp())
    # A role's keys change every few hours; where they come from does not.
    who = keys.access_key.reveal() if keys.expires_at_s is None else keys.source
    return hashlib.sha256(b"ncrawl account\0" + who.encode()).hexdigest()
