"""Remove old snapshots outside of a run, by the rules of one, and by a clock that a gateway has borne out.

Where there is no run, no answer says whether this machine's clock is right, and one that is ahead would make everything
old. So ages are measured as of the end of the newest snapshot whose run's clock the gateway took: what goes is what
that run would have removed, had it been given these rules.
"""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from crawler.core.errors import NcrawlError, UsageError
from crawler.core.text import iso
from crawler.output.stores.place import Place
from crawler.snapshot.folder.lock import locked
from crawler.snapshot.folder.names import CLOCK_TOLERANCE
from crawler.snapshot.folder.retention import Clock, Removal, Retention, certain_snapshot_names, remove_old
from crawler.snapshot.manifest import read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NO_CLOCK = "--keep-days removes nothing: no snapshot here was taken by a clock that its gateway has borne out"


def prune(folder: Path, retention: Retention, *, now: datetime, is_dry: bool = False) -> Iterator[Removal]:
    """Remove the snapshots that no rule keeps, under the folder's lock, and yield what became of each.

    An object storage has no lock, and needs none: what is pushed meanwhile is newer than all that goes.

    Never the newest snapshot, the newest complete one, the target of `latest`, and what is no snapshot. If ``is_dry``,
    nothing is removed and nothing locked: what would go is yielded.

    Raises:
        LockedError: a run holds the folder.
        UsageError: there is no rule, or the folder cannot be locked.
        OutputError: the folder cannot be read or written.
    """
    if retention == Retention():
        raise UsageError("nothing says what to keep: give --keep N, --keep-days N, or both")
    needs_lock = not is_dry and not isinstance(folder, Place)
    with nullcontext() if not needs_lock else locked(folder, started=iso(now.timestamp() * 1000)):
        names = sorted(certain_snapshot_names(folder))
        clock = clock_of_folder(folder, names, now)
        if names and retention.keep_days is not None and not clock.is_trusted:
            yield Removal(names[-1], _NO_CLOCK)
        made = names[-1] if names else ""
        yield from remove_old(folder, retention, made=made, clock=clock, is_dry=is_dry)


def clock_of_folder(folder: Path, names: list[str], now: datetime) -> Clock:
    """Return the end of the newest snapshot whose clock was borne out, or ``now`` if that is earlier.

    Where there is none, it is ``now``, and not to be trusted.
    """
    ends = (end for name in reversed(names) if (end := _proven_end(folder / name)) and end <= now + CLOCK_TOLERANCE)
    proven = next(ends, None)
    return Clock(now, is_trusted=False) if proven is None else Clock(min(now, proven), is_trusted=True)


def _proven_end(snapshot: Path) -> datetime | None:
    """Return when a run ended that the gateway answered, and whose clock needed no correction."""
    try:
        made = read(snapshot)
    except NcrawlError:
        return None
    is_proven = made.totals.pages > 0 and not made.observed.get("clock_skew_s")
    return datetime.fromisoformat(made.run.finished).astimezone(UTC) if is_proven else None
