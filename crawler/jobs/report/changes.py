"""What changed since the snapshot before: how much of each kind, and some of it by name."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from crawler.core.errors import NcrawlError
from crawler.snapshot.comparing.diff import CHANGES, diff
from crawler.snapshot.comparing.opening import open_side, relate
from crawler.snapshot.reading.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from crawler.snapshot.comparing.diff import Difference
    from crawler.snapshot.comparing.sides import Snapshot

MOST_SHOWN = 200
"""Differences that are shown by name, what was added and removed first; the others are counted."""
PULLS = frozenset({"pull_count", "pullCount", "lastPulledDateTime", "latest_pulled"})
"""What a pull changes: it happens all day, and is no change of what is there."""


class Shown(NamedTuple):
    """One difference, without its records."""

    change: str
    level: str
    label: str
    fields: tuple[str, ...]


@dataclass(slots=True)
class Changes:
    """What differs between two snapshots.

    Attributes:
        before: id of the earlier one; None if there is none that can be compared.
        counts: (level, change) to how many.
        regions: (region, change) to how many, over all levels.
        fields: names of fields to in how many records they changed.
        pulled: records that changed in nothing but what a pull changes; they are in no count.
        shown: the first of each change, `MOST_SHOWN` at most.
        notes: sentences about what a reader has to know of the two.
        is_damaged: the earlier one is.
    """

    before: str | None = None
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    regions: Counter[tuple[str, str]] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)
    pulled: int = 0
    shown: dict[str, list[Shown]] = field(default_factory=lambda: {change: [] for change in CHANGES})
    notes: list[str] = field(default_factory=list)
    is_damaged: bool = False


def changes(
    earlier: list[Path],
    new: Snapshot,
    *,
    most_shown: int = MOST_SHOWN,
    watch: Callable[[int], object] = lambda _: None,
) -> Changes:
    """Compare a snapshot with the one before it. O(n), in the memory of a few chunks and of what is shown."""
    found = Changes()
    if not earlier:
        return found
    try:
        old = open_side(earlier[-1])
        found.notes += relate(old, new)
    except NcrawlError as error:
        found.notes.append(f"Not compared: {error}")
        return found
    witness = Witness(say=found.notes.append, watch=watch)
    for difference in diff(old, new, witness):
        _count(found, difference, most_shown)
    found.before = old.manifest.run.id if old.manifest else None
    found.is_damaged = bool(witness.damages)
    return found


def _count(found: Changes, one: Difference, most_shown: int) -> None:
    found.fields.update(one.fields)
    if one.change == "changed" and PULLS.issuperset(one.fields):
        found.pulled += 1
        return
    level: str = getattr(one, "level", "registry" if one.name is None else "image")
    found.counts[level, one.change] += 1
    found.regions[one.region, one.change] += 1
    if len(found.shown[one.change]) < most_shown:
        parts = (one.region, one.registry, *getattr(one, "deeper", ()), one.name)
        label = "/".join(part for part in parts if part is not None)
        found.shown[one.change].append(Shown(one.change, level, label, one.fields))
