"""What comes after the result is safe: `latest`, remains, retention. It changes no exit code, and is tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.core.errors import NcrawlError, OutputError
from crawler.core.text import visible
from crawler.jobs.events import SnapshotRemoved, Warned
from crawler.output.files import remove_tree
from crawler.snapshot.folder.latest import point_latest, target_of
from crawler.snapshot.folder.remains import remove_remains
from crawler.snapshot.folder.retention import Retention, remove_old, why_it_stays
from crawler.snapshot.unfinished.publishing import published
from crawler.snapshot.unfinished.run import PREFIX
from crawler.snapshot.unfinished.runs import keep_header_only, published_runs, set_aside, unfinished_runs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from crawler.jobs.events import Observer
    from crawler.settings.table import Settings
    from crawler.snapshot.folder.retention import Clock
    from crawler.snapshot.manifest import Manifest


def finish_earlier(folder: Path, is_accepted: Callable[[Manifest], bool], observe: Observer) -> None:
    """Do what runs left undone that were cut off after they were published, or could not do it; the newest first.

    What was interrupted before them goes: it is older than what is published.
    """
    waiting = _waiting(folder, observe)
    for path in _older(folder, waiting):
        _remove(path, observe)
    for path in reversed(waiting):
        made = _published(path, observe)
        if made is None:
            continue
        name, is_pointed = made.run.id, True
        if not is_accepted(made):
            told = "latest is not moved"
        elif name <= _target(folder):
            told = "latest points to it, or to a newer one"
        else:
            is_pointed, told = _point(folder / name, observe)
        observe(Warned(f"the run of {name} was cut off after it was published; {told}"))
        _remove(path, observe, remove_tree if is_pointed else keep_header_only)


def settle(folder: Path, made: Manifest, *, is_accepted: bool, policy: str, observe: Observer) -> str:
    """Move `latest` to a snapshot, if that was accepted, remove what runs left, and return what became of `latest`.

    The order is one that can be cut off anywhere and taken up again: a run whose `latest` has not moved leaves its
    header, by which the next one knows.
    """
    if is_accepted:
        is_pointed, told = _point(folder / made.run.id, observe)
        spared = [] if is_pointed else [folder / f"{PREFIX}{made.run.id}"]
    else:
        told = f"latest is not moved: --accept {policy}"
        spared = [path for path in _waiting(folder, observe) if path.name != f"{PREFIX}{made.run.id}"]
    for problem in remove_remains(folder, spared):
        observe(Warned(problem))
    return told


def retain(folder: Path, settings: Settings, *, made: str, clock: Clock, observe: Observer) -> None:
    """Remove the snapshots that --keep and --keep-days do not keep, and tell what is gone and what is not."""
    retention = Retention(settings.keep, settings.keep_days)
    if retention.keep_days is not None and not clock.is_trusted:
        observe(Warned("--keep-days removes nothing this time: nothing has shown that this machine's clock is right"))
    try:
        for removal in remove_old(folder, retention, made=made, clock=clock):
            if removal.problem is None:
                observe(SnapshotRemoved(folder / removal.name))
            else:
                observe(Warned(removal.problem))
    except OutputError as error:
        observe(Warned(f"no snapshot is removed: {error}"))


def _waiting(folder: Path, observe: Observer) -> list[Path]:
    try:
        return published_runs(folder)
    except OutputError as error:
        observe(Warned(str(error)))
        return []


def _older(folder: Path, waiting: list[Path]) -> list[Path]:
    return [path for path in unfinished_runs(folder) if path < waiting[-1]] if waiting else []


def _published(path: Path, observe: Observer) -> Manifest | None:
    try:
        return published(path)
    except NcrawlError as error:
        told = f"{error}; what its run left is kept as {set_aside(path)}, the latest of its kind"
        observe(Warned(told, is_whole=True))
        return None


def _target(folder: Path) -> str:
    try:
        return target_of(folder)
    except OSError:
        return ""


def _point(snapshot: Path, observe: Observer) -> tuple[bool, str]:
    try:
        point_latest(snapshot)
    except OutputError as error:
        observe(Warned(f"latest is not moved to {visible(str(snapshot))}: {error}; the next run tries again"))
        return False, "latest could not be moved to it"
    return True, "latest points to it"


def _remove(path: Path, observe: Observer, remove: Callable[[Path], None] = remove_tree) -> None:
    try:
        remove(path)
    except OutputError as error:
        observe(Warned(why_it_stays(error)))
