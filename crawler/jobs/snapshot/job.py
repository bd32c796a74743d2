"""The snapshot job: lock, begin or resume, crawl, publish, tidy up."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import anyio.to_thread

from crawler.core.errors import OutputError, UsageError
from crawler.core.text import iso, visible
from crawler.jobs.crawling import check_surroundings
from crawler.jobs.ends import INTERRUPTIONS, code_of
from crawler.jobs.events import LatestSettled, NothingHad, RunEnded, RunLeft, RunNamed, SnapshotPublished, Told, Warned
from crawler.jobs.expectations import tell_of_patterns
from crawler.jobs.push.backlog import LEAST_S, push_made
from crawler.jobs.snapshot.afterwards import finish_earlier, retain, settle
from crawler.jobs.snapshot.beginning import Order, take_up_or_begin
from crawler.jobs.snapshot.made_before import made_as
from crawler.jobs.snapshot.publication import describe, publish_run
from crawler.jobs.snapshot.result import result_of, stop_of
from crawler.jobs.snapshot.reusing import check_reuse, told_of_differences
from crawler.jobs.snapshot.run_clock import RunClock
from crawler.jobs.snapshot.sessions import crawl_rest, has_anything, of_all_sessions
from crawler.jobs.streaming import write_summary
from crawler.output.files import check_place
from crawler.output.stores.opening import store_at
from crawler.snapshot.folder.abilities import check_folder, find_out
from crawler.snapshot.folder.latest import accepts
from crawler.snapshot.folder.lock import locked
from crawler.snapshot.unfinished.runs import remove_superseded

if TYPE_CHECKING:
    from pathlib import Path

    from crawler.engine.spec import CrawlResult, StopReason
    from crawler.jobs.caller import Caller
    from crawler.jobs.events import Observer
    from crawler.jobs.snapshot.beginning import Begun
    from crawler.jobs.snapshot.result import SnapshotResult
    from crawler.settings.table import Settings
    from crawler.snapshot.manifest import Manifest


def check_order(folder: Path, settings: Settings, observe: Observer) -> None:
    """Find out what makes a snapshot impossible before anything is begun.

    Raises:
        UsageError: the folder, the proxy or the options cannot be used.
        OutputError: the summary has no place.
    """
    check_surroundings(settings, observe)
    check_folder(folder)
    if settings.summary is not None:
        check_place(settings.summary)
    if settings.push is not None:
        store_at(settings.push)
    if settings.resume and settings.retry_failed:
        raise UsageError("--resume and --retry-failed contradict each other: drop one")
    if not settings.resume:  # else the options of the run that is taken up count
        check_reuse(settings)


async def snapshot(folder: Path, settings: Settings, caller: Caller, *, run_id: str | None = None) -> SnapshotResult:
    """Take a snapshot below ``folder``.

    Args:
        folder: where to; `check_order` has looked at it.
        settings: what was asked for.
        caller: whoever calls.
        run_id: what the caller calls it: a snapshot that was made under it is returned as it is, unless that very one
            is to be mended; and a run of it that was cut off is taken up.

    Raises:
        NcrawlError: it cannot be begun, or cannot be written.
    """
    order = Order(folder, settings, datetime.now(UTC), run_id)
    with locked(folder, started=iso(order.now.timestamp() * 1000)):
        # Which also frees space.
        finish_earlier(folder, lambda made: accepts(settings.accept, made), caller.observe)
        if run_id is not None and (made := await anyio.to_thread.run_sync(_made, order)) is not None:
            return result_of(made, folder / made.run.id, stop_of(made))
        _find_out(folder, caller.observe)
        begun = await take_up_or_begin(order, caller)
        try:
            return await _go_through(begun, caller)
        finally:
            begun.run.close()


def _made(order: Order) -> Manifest | None:
    """Return the newest snapshot of the run that is asked for, unless it is the one to be mended."""
    assert order.run_id is not None
    made, source = made_as(order.folder, order.run_id), order.source
    return None if made is None or (source is not None and source.name == made.run.id) else made


def _find_out(folder: Path, observe: Observer) -> None:
    """See what the folder's file system can do, and tell what it cannot.

    Raises:
        OutputError: it can do less than a snapshot takes.
    """
    able = find_out(folder)
    place = visible(str(folder))
    if not able.has_links:
        observe(Told(f"{place} cannot hold symbolic links: latest is a file with the snapshot's name in it"))
    if not able.syncs_folders:
        observe(Warned(f"{place} cannot be synced as a folder: a power loss may undo what is published"))


async def _go_through(begun: Begun, caller: Caller) -> SnapshotResult:
    """Crawl, and publish what was had, or leave it to be taken up."""
    run, clock = begun.run, RunClock()
    name = run.header.id
    caller.observe(RunNamed(name))
    result = await crawl_rest(begun, caller)
    clock.learn(result)
    clock.name_rightly(run)
    if run.header.id != name:
        caller.observe(RunNamed(run.header.id))
    if result.stop in INTERRUPTIONS:
        _leave(begun, caller.observe)
    elif result.stop is not None and not has_anything(run):
        run.remove()
        # A snapshot of nothing would be no inventory, and push better ones out.
        caller.observe(NothingHad(result.stop_reason))
    else:
        return await _publish(begun, clock, of_all_sessions(begun, result), caller=caller)
    made = describe(begun, clock, result)
    _tell(begun, result, made, caller=caller)
    _summarize(begun.settings, made, result.stop, caller=caller)
    return result_of(made, None, result.stop)


def _leave(begun: Begun, observe: Observer) -> None:
    """Keep what an interruption left, if it is worth taking up: then nothing older is any more."""
    run = begun.run
    if run.parts or run.batches:
        remove_superseded(run.path.parent, newest=run.path)
        observe(RunLeft(run.path))
    else:
        run.remove()


async def _publish(begun: Begun, clock: RunClock, result: CrawlResult, *, caller: Caller) -> SnapshotResult:
    made = await anyio.to_thread.run_sync(publish_run, begun, clock, result)
    path = begun.run.path.parent / made.run.id
    _tell(begun, result, made, caller=caller, path=path)
    await anyio.to_thread.run_sync(partial(_finish, begun, clock, made, caller=caller))
    if (url := begun.settings.push) is not None:
        within_s = max(LEAST_S, caller.left_s(begun.settings))
        await push_made(path.parent, url, made.run.id, within_s=within_s, observe=caller.observe)
    return result_of(made, path, result.stop)


def _finish(begun: Begun, clock: RunClock, made: Manifest, *, caller: Caller) -> None:
    """Do what comes after the result is safe: what fails warns, and is tried again by the next run."""
    folder, settings, observe = begun.run.path.parent, begun.settings, caller.observe
    observe(SnapshotPublished(folder / made.run.id))
    begun.run.close()  # some file systems remove no file that is open
    is_accepted = accepts(settings.accept, made)
    told = settle(folder, made, is_accepted=is_accepted, policy=settings.accept, observe=observe)
    _summarize(settings, made, None, caller=caller)
    observe(LatestSettled(folder / made.run.id, made, told))
    retain(folder, settings, made=made.run.id, clock=clock.of_ages(), observe=observe)


def _tell(begun: Begun, result: CrawlResult, made: Manifest, *, caller: Caller, path: Path | None = None) -> None:
    tell_of_patterns(begun.settings, result, caller.observe)
    if made.run.reuse and (odd := told_of_differences(made.run.reuse)):
        caller.observe(Warned(odd))
    ended = RunEnded(
        result,
        lambda: made,
        tuple(region.code for region in begun.settings.region),
        begun.level,
        made.run.taken_over,
        reused=made.run.reuse or None,
        sizes=made.registry_sizes,
        path=path,
        seconds=time.monotonic() - caller.began_s,
        exit_code=code_of(result.stop, is_complete=made.verdict == "complete"),
    )
    caller.observe(ended)


def _summarize(settings: Settings, made: Manifest, stop: StopReason | None, *, caller: Caller) -> None:
    try:
        write_summary(settings, lambda: made, stop, caller=caller)
    except OutputError as error:
        caller.observe(Warned(f"{error}; the manifest says the same"))
