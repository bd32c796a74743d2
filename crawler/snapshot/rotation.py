"""Whose tags are listed again although nothing shows that they changed: a share a night, all within a week. Pure.

Lists are in seven classes by a hash of their names. Each day of the calendar (UTC) has a class, or several, and a class
whose day has passed since its lists were read is due: so nights that were skipped are made up for, and no list that is
in a snapshot was read more than seven nights before. Of each class it is known since when all its lists were read,
which is what a manifest keeps: seven times, however many images there are.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

CLASSES: Final = 7
ALL: Final = CLASSES
"""The share of a night that refreshes everything."""

_DAY_MS = 86_400_000
MOST_NIGHTS: Final = 8
"""What was read longer ago is never reused."""
_SLACK_MS = 300_000
"""So far may a reading lie in the future, by this machine's clock."""


def class_of(region: str, registry: str, image: str) -> int:
    """Return the class of an image's tags, which never changes."""
    digest = hashlib.sha256(f"{region}/{registry}/{image}".encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:8]) % CLASSES


def due_classes(listed_ms: Sequence[int], now_ms: int, share: int) -> frozenset[int]:
    """Return the classes whose lists are to be read tonight.

    Args:
        listed_ms: of each class, since when all of its lists were read; milliseconds since 1970, UTC.
        now_ms: when tonight's run began.
        share: how many classes a day has; 0 leaves all to their age.
    """
    return frozenset(one for one, since_ms in enumerate(listed_ms) if _is_due(one, since_ms, now_ms, share=share))


def too_old(listed_ms: Sequence[int], now_ms: int) -> frozenset[int]:
    """Return the classes that hold what is not known to be younger than eight nights."""
    return frozenset(one for one, since_ms in enumerate(listed_ms) if not _is_young(since_ms, now_ms))


def _is_young(since_ms: int, now_ms: int) -> bool:
    return -_SLACK_MS <= now_ms - since_ms < MOST_NIGHTS * _DAY_MS


def _is_due(one: int, since_ms: int, now_ms: int, *, share: int) -> bool:
    if not _is_young(since_ms, now_ms):
        return True
    today = now_ms // _DAY_MS
    days = range(min(since_ms // _DAY_MS + 1, today), today + 1)
    return any((one - day * share) % CLASSES < share for day in days)
