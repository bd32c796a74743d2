"""Which snapshot's tags a run reuses (`--reuse`), why it may reuse none, and since when they were listed."""

from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from msgspec import UNSET

from crawler.api.collections import COLLECTIONS, IMAGES, TAGS
from crawler.core.errors import NcrawlError, UsageError
from crawler.core.model import VerifyMode
from crawler.core.text import iso, visible
from crawler.jobs.events import Told, Warned
from crawler.settings.options import option_of
from crawler.snapshot.entries import Reused
from crawler.snapshot.folder.latest import LATEST
from crawler.snapshot.manifest import MANIFEST, ManifestError, read
from crawler.snapshot.rotation import ALL, CLASSES, due_classes, too_old
from crawler.snapshot.unfinished.base import Source
from crawler.snapshot.unfinished.earlier import Earlier
from crawler.snapshot.unfinished.finished import Finished
from crawler.snapshot.unfinished.journal import Reusing
from crawler.snapshot.unfinished.reuse import Reuse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from msgspec import UnsetType

    from crawler.engine.spec import CrawlResult
    from crawler.jobs.events import Observer
    from crawler.settings.table import Settings
    from crawler.snapshot.manifest import Manifest
    from crawler.snapshot.unfinished.journal import Header
    from crawler.snapshot.unfinished.run import UnfinishedRun

_SHARES = {"none": 0, "all": ALL}
_ASKED = (option_of("reuse"), "reuse")
"""Where it was set if it was asked for tonight: as a flag, or as an argument of Python."""


class Base(NamedTuple):
    """What a run that begins is to reuse."""

    reusing: Reusing
    listed_ms: tuple[int, ...]


def check_reuse(settings: Settings) -> None:
    """Find out whether --reuse makes sense; in a settings file it stands for the nights that it goes with.

    Raises:
        UsageError: it was asked for with what it does not go with.
    """
    if settings.reuse is None or settings.places.get("reuse") not in _ASKED:
        return
    if settings.retry_failed is not None:
        raise UsageError("--reuse and --retry-failed contradict each other: each copies from one snapshot; drop one")
    if COLLECTIONS[settings.level] is not TAGS:
        raise UsageError(f"--reuse copies tags, and --level {settings.level} lists none: add --level {TAGS.name}")


def reuses(settings: Settings) -> bool:
    """Whether a run with these settings is to reuse tags."""
    return settings.reuse is not None and settings.retry_failed is None and COLLECTIONS[settings.level] is TAGS


def share_of(refresh: str) -> int:
    """Return how many of the seven classes of lists a night fetches all the same, for what --refresh says."""
    return _SHARES[refresh] if refresh in _SHARES else int(refresh.partition("/")[0])


def choose_base(snapshot: Path, header: Header, settings: Settings, *, observe: Observer) -> Base | None:
    """Return what a run that begins is to reuse; None if that is nothing, which is told.

    Args:
        snapshot: what --reuse names.
        header: of the run.
        settings: of the run.
        observe: is told why nothing is reused.

    Raises:
        UsageError: a snapshot is named that is none.
    """
    made = _read(snapshot, settings, observe)
    if made is None:
        return None
    listed_ms = listed_since(made)
    if why := _why_not(made, header, listed_ms):
        observe(Warned(f"no tags of {visible(str(snapshot))} are reused, so all are fetched: {why}"))
        return None
    assert listed_ms is not None
    due = due_classes(listed_ms, header.started_ms, share_of(settings.refresh))
    return Base(Reusing(snapshot=made.run.id, path=os.path.realpath(snapshot), due=tuple(sorted(due))), listed_ms)


def _read(snapshot: Path, settings: Settings, observe: Observer) -> Manifest | None:
    try:
        return read(snapshot)
    except ManifestError as error:
        observe(Warned(f"{error}; no tags of it are reused, so all are fetched"))
    except UsageError as error:
        if settings.reuse != LATEST or os.path.lexists(snapshot / MANIFEST):
            raise UsageError(f"--reuse: {error}") from None
        observe(Told("there is no latest snapshot yet whose tags could be reused: all are fetched"))
    return None


def _why_not(made: Manifest, header: Header, listed_ms: tuple[int, ...] | None) -> str | None:
    """Return why nothing of a snapshot may be reused; None if it may."""
    if None in map(made.stored_file, (IMAGES, TAGS)):
        return "it has none"
    if {record.account for record in made.registries} - {header.account} or made.run.identity != header.identity:
        return "it is of another account, or was taken with other keys"
    for name, default in (("zone", "public"), ("api", "v2"), ("verify", VerifyMode.AUTO.value)):
        then, now = made.run.options.get(name, default), header.options[name]
        if then != now and (name != "verify" or then == VerifyMode.NEVER):
            return f"it was taken with --{name} {then}, and --{name} is {now} now"
    if listed_ms is None:
        return "it does not say since when its lists of tags were read"
    if len(too_old(listed_ms, header.started_ms)) == CLASSES:
        return "it is older than eight nights, or from the future, by this machine's clock"
    return None


def listed_since(made: Manifest) -> tuple[int, ...] | None:
    """Return since when the lists of tags of each class in a snapshot were read, as milliseconds; None if unknown."""
    if made.run.tags_listed_since is not UNSET:
        times = made.run.tags_listed_since
    else:
        times = (made.run.started,) * CLASSES if made.run.taken_over is None else ()
    try:
        return tuple(map(_milliseconds, times)) if len(times) == CLASSES else None
    except ValueError:  # no times
        return None


def _milliseconds(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp() * 1000)


@contextmanager
def open_reuse(run: UnfinishedRun, observe: Observer) -> Iterator[Reuse | None]:
    """Open what a run reuses for a session of it; None if that is nothing, or is gone, which is told."""
    reusing = run.header.reusing
    earlier = None if reusing is UNSET else _open_earlier(run, reusing, observe)
    if reusing is UNSET or earlier is None:
        yield None
        return
    try:
        yield Reuse(
            run,
            earlier,
            frozenset(reusing.due),
            finished=Finished(run),
            warn=lambda told: observe(Warned(told)),
        )
    finally:
        earlier.close()


def _open_earlier(run: UnfinishedRun, reusing: Reusing, observe: Observer) -> Earlier | None:
    path = run.path.parent / reusing.path
    try:
        made = read(path)
        if made.run.id == reusing.snapshot:
            return Earlier(Source(path, made))
        why = f"it is {made.run.id} now"
    except NcrawlError as error:
        why = str(error)
    except OSError as error:
        why = error.strerror or str(error)
    observe(Warned(f"no more tags of {reusing.snapshot} can be reused, so all that are left are fetched: {why}"))
    return None


def listed_again_since(header: Header) -> tuple[str, ...] | UnsetType:
    """Return what the manifest of a run says of the age of its lists; unset where the run listed all of them."""
    if header.listed_ms is UNSET:
        return UNSET
    due = () if header.reusing is UNSET else header.reusing.due
    return tuple(
        iso(header.started_ms if one in due else min(since_ms, header.started_ms))
        for one, since_ms in enumerate(header.listed_ms)
    )


def reused(header: Header, result: CrawlResult) -> Reused | UnsetType:
    """Return what --reuse came to in a run; unset where it did not apply."""
    if header.reusing is UNSET:
        return UNSET
    tags = [one for one in result.deeper if one.collection is TAGS]
    return Reused(
        snapshot=header.reusing.snapshot,
        reused=sum(one.lists for one in tags if one.taken_from is not None),
        refreshed=sum(one.refreshed for one in tags),
        refreshed_and_different=sum(one.different for one in tags),
    )


def told_of_differences(of_run: Reused) -> str | None:
    """Return what lists that are not what they were suggest; None if there are none."""
    if not of_run.refreshed_and_different:
        return None
    lists = "list of tags is" if of_run.refreshed_and_different == 1 else "lists of tags are"
    return (
        f"{of_run.refreshed_and_different:,} of {of_run.refreshed:,} refreshed {lists} not as in {of_run.snapshot}, "
        f"though nothing in the list of images shows it: some of the {of_run.reused:,} reused ones may have changed as "
        "well; --refresh all fetches every one"
    )
