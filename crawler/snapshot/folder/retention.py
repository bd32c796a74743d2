"""Which earlier snapshots go: only what is ncrawl's, by a clock that can be trusted, and never what is relied on."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from crawler.api.collections import COLLECTIONS
from crawler.core.errors import NcrawlError, OutputError, UsageError
from crawler.core.text import visible
from crawler.output.files import reading, sync_folder, writing
from crawler.output.stores.place import Place
from crawler.snapshot.folder.latest import LATEST, target_of
from crawler.snapshot.folder.names import CLOCK_TOLERANCE, started
from crawler.snapshot.folder.remote import remove_snapshot
from crawler.snapshot.manifest import MANIFEST, SUFFIXES, read
from crawler.snapshot.unfinished.run import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

REMOVED = f"{PREFIX}removed-"
_MANIFEST_BEGINS = b'{\n  "format":'
_STILL_OPEN = (".nfs", ".fuse_hidden")
"""What network and FUSE file systems call a removed file while somebody reads it."""
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Retention:
    """Which earlier snapshots stay: the newest ``keep``, and those younger than ``keep_days``; None sets no rule."""

    keep: int | None = None
    keep_days: int | None = None


class Clock(NamedTuple):
    """What time it is: the earliest that it can be, and whether ages can be measured by it."""

    now: datetime
    is_trusted: bool


class Removal(NamedTuple):
    """A snapshot that is gone, or the problem that keeps it, or what was in it and is not ours."""

    name: str
    problem: str | None = None


def remove_old(
    folder: Path, retention: Retention, *, made: str, clock: Clock, is_dry: bool = False
) -> Iterator[Removal]:
    """Remove the snapshots that no rule keeps, one after the other, and yield what became of each.

    Never ``made``, the snapshot just made, the newest complete one, the target of `latest`, and what is no snapshot.
    Nothing at all if ``is_dry``: it yields what would go.
    """
    if retention == Retention():
        return
    names: list[str] = []
    for name, problem in _look(folder):
        if problem is None:
            names.append(name)
        else:
            yield Removal(name, problem)
    doomed = list_doomed(names, retention, clock)
    if doomed:
        spared = {made, _last_complete(folder, names, clock)}
        yield from _remove_all(folder, doomed, spared, is_dry=is_dry)


def list_doomed(names: list[str], retention: Retention, clock: Clock) -> list[str]:
    """Return the names that no rule keeps, newest first.

    A snapshot from the future is kept, and takes nobody's place: the clock that named it was wrong. Without a clock
    that can be trusted no snapshot is too old.
    """
    if retention == Retention():
        return []
    past = sorted((name for name in names if not is_from_the_future(name, clock)), reverse=True)
    past = past[retention.keep or 0 :]
    if retention.keep_days is None:
        return past
    if not clock.is_trusted:
        return []
    age = timedelta(days=retention.keep_days)
    return [name for name in past if (start := started(name)) is not None and clock.now - start >= age]


def is_from_the_future(name: str, clock: Clock) -> bool:
    """Whether a snapshot is named after a time that has not come."""
    start = started(name)
    return start is None or start > clock.now + CLOCK_TOLERANCE


def snapshot_names(folder: Path) -> list[str]:
    """Return the names of the snapshots in ``folder``: folders named like one, with our manifest.

    With them those of which nobody can tell: to leave one out in silence would make a night of it that never was, and
    whoever reads it is told why it cannot be read.

    Raises:
        OutputError: the folder cannot be read.
    """
    return [name for name, _ in _look(folder)]


def readable_names(folder: Path) -> list[str]:
    """Return the names of the snapshots in a folder that is only read, oldest first.

    Raises:
        UsageError: the folder cannot be read.
    """
    try:
        return sorted(snapshot_names(folder))
    except OutputError as error:
        raise UsageError(f"{folder} cannot be read: {error.reason}; name a folder of snapshots") from None


def certain_snapshot_names(folder: Path) -> list[str]:
    """Return the names of the snapshots in ``folder``, but for those of which nobody can tell.

    Raises:
        OutputError: the folder cannot be read.
    """
    return [name for name, problem in _look(folder) if problem is None]


def finish_removal(doomed: Path) -> str | None:
    """Remove what is ours in a snapshot that has lost its name, and the folder; give back what is not ours.

    Returns:
        What is left, and where; None if nothing is.

    Raises:
        OutputError: something of ours cannot be removed, or not yet; all else is.
    """
    present = _remove_ours(doomed)
    left = sorted(present.difference(_files()))
    with writing(doomed):
        if any(name.startswith(_STILL_OPEN) for name in left):
            raise OSError(errno.EBUSY, "")
        if not left:
            doomed.rmdir()
            return None
        place = doomed.with_name(doomed.name.removeprefix(REMOVED))
        if not os.path.lexists(place):
            doomed = doomed.rename(place)
    return f"{doomed} stays, for {_named(left)} in it is not ncrawl's; the snapshot's own files are removed"


def why_it_stays(error: OutputError) -> str:
    """Return a sentence about what could not be removed."""
    return f"{error.path} cannot be removed: {error.reason}; the next run tries again"


def _remove_ours(folder: Path) -> set[str]:
    """Remove the files of a snapshot, as many as go, and return what was in its folder; the manifest goes last."""
    with writing(folder):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with writing(folder):
            present = set(os.listdir(fd))  # noqa: PTH208 - of this very folder, whatever has its name by now
        failures = [_unlink(folder / name, fd) for name in _files() if name in present]
    finally:
        os.close(fd)
    for failure in filter(None, failures):
        raise failure
    return present


def _files() -> list[str]:
    """Return what a snapshot's files may be called."""
    return [*(one.file + suffix for one in COLLECTIONS.values() for suffix in SUFFIXES), MANIFEST]


def _unlink(path: Path, folder_fd: int) -> OutputError | None:
    try:
        os.unlink(path.name, dir_fd=folder_fd)
    except OSError as error:
        return OutputError(str(path), error)
    return None


def _remove_all(folder: Path, doomed: list[str], spared: set[str], *, is_dry: bool) -> Iterator[Removal]:
    try:
        spared.add(target_of(folder))
    except OSError as error:
        yield Removal(LATEST, f"{folder / LATEST} cannot be read ({error.strerror}), so nothing is removed")
        return
    for name in doomed:
        if name not in spared:
            try:
                yield Removal(name, None if is_dry else _remove(folder / name))
            except OutputError as error:
                yield Removal(name, why_it_stays(error))


def _remove(snapshot: Path) -> str | None:
    if isinstance(snapshot, Place):
        with writing(snapshot):
            return remove_snapshot(snapshot)
    with writing(snapshot):
        doomed = snapshot.rename(snapshot.with_name(f"{REMOVED}{snapshot.name}"))
        sync_folder(snapshot.parent)  # or a power loss might bring half of it back under its name
    return finish_removal(doomed)


def _last_complete(folder: Path, names: list[str], clock: Clock) -> str:
    """Return the newest snapshot that is complete by its own manifest; empty if none is."""
    for name in sorted(names, reverse=True):
        try:
            if not is_from_the_future(name, clock) and read(folder / name).verdict == "complete":
                return name
        except NcrawlError:
            continue  # damaged, or another version's: nothing to rely on
    return ""


def _look(folder: Path) -> Iterator[tuple[str, str | None]]:
    """Yield each name that is a snapshot's, with None, or with why nobody can tell whether it is one."""
    with reading(folder):
        found = sorted(path for path in folder.iterdir() if started(path.name) is not None)
    for path in found:
        try:
            if _is_snapshot(path):
                yield path.name, None
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            yield path.name, f"{path} cannot be looked at: {error.strerror}"


def _is_snapshot(path: Path) -> bool:
    if isinstance(path, Place):
        return path.store.find((path / MANIFEST).key) is not None
    if path.is_symlink() or not stat.S_ISREG((path / MANIFEST).lstat().st_mode):
        return False
    with (path / MANIFEST).open("rb") as manifest:
        return manifest.read(len(_MANIFEST_BEGINS)) == _MANIFEST_BEGINS


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(visible(name, 60) for name in names[:_MOST_NAMED]) + more
