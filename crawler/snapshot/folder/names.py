"""What snapshots are called: after the start of their run, UTC, by the clock that is right."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from crawler.snapshot.unfinished.run import PREFIX

if TYPE_CHECKING:
    from pathlib import Path

ID_FORMAT = "%Y%m%dT%H%M%SZ"
CLOCK_TOLERANCE = timedelta(minutes=5)
"""What the gateway allows between a signature and its own clock: so far a clock that it accepts can be wrong."""

_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z")


def new_id(folder: Path, now: datetime) -> str:
    """Return the id of a run that starts now; if that second is taken, the next that is free.

    Names follow the order of the runs: where runs of less than a second have taken the seconds to come, the next one
    comes after them all, also when retention has freed one of those. Names further ahead are of a clock that was wrong.
    """
    now = max([now, *(start + timedelta(seconds=1) for start in _starts(folder) if _is_at_hand(start, now))])
    while True:
        name = now.astimezone(UTC).strftime(ID_FORMAT)
        if not os.path.lexists(folder / name) and not os.path.lexists(folder / f"{PREFIX}{name}"):
            return name
        now += timedelta(seconds=1)


def _starts(folder: Path) -> list[datetime]:
    """Return when the snapshots in a folder started, by their names."""
    try:
        return [start for name in os.listdir(folder) if (start := started(name))]  # noqa: PTH208 - names are enough
    except OSError:  # which whoever writes there next will meet, and tell
        return []


def _is_at_hand(start: datetime, now: datetime) -> bool:
    return now - timedelta(seconds=1) < start <= now + CLOCK_TOLERANCE


def started(name: str) -> datetime | None:
    """Return when the run of a snapshot's name started; None if it is no such name."""
    try:
        return datetime.strptime(name, ID_FORMAT).replace(tzinfo=UTC) if _ID.fullmatch(name) else None
    except ValueError:
        return None


def right_start_ms(started_ms: int, *, now_ms: int, offset_ms: int, is_resumed: bool) -> int:
    """Return when a run started by the gateway's clock, where ours was found to be wrong.

    Args:
        started_ms: by the clock that the run began with.
        now_ms: by ours, now.
        offset_ms: how far the gateway's is ahead of ours now; 0 if nobody had reason to look.
        is_resumed: the run began in another session, whose clock may have been as wrong as ours is, or right.
    """
    starts = {started_ms + offset_ms, started_ms} if is_resumed else {started_ms + offset_ms}
    latest_ms = now_ms + offset_ms
    tolerance_ms = CLOCK_TOLERANCE // timedelta(milliseconds=1)
    return max((start_ms for start_ms in starts if start_ms <= latest_ms + tolerance_ms), default=latest_ms)
