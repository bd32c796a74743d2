"""What a snapshot's images come to: how old, how often pulled, which are stale. Each registry is proved first."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil, inf, isfinite
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from crawler.api.collections import IMAGES
from crawler.snapshot.manifest import ManifestError
from crawler.snapshot.reading.records import parse_fields
from crawler.snapshot.reading.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from crawler.snapshot.comparing.sides import Group, Place, Snapshot

MOST_LISTED = 100_000
"""Images in the list that can be searched, the stalest first; so many are in memory, and in the page."""
DAY_MS = 86_400_000
YEAR_MS = 365 * DAY_MS

AGES_DAYS = (7, 30, 90, 180, 365, 730, 1460)
"""Where the classes of a time since the last push begin, but for the first, which begins at 0."""
PULLS = (1, 10, 100, 1_000, 10_000)
"""Likewise of how often an image was pulled."""

_LARGEST = 2**53  # beyond it browsers round
_END_MS = 253_402_300_800_000  # of the year 9999: a later time is none


class Image(NamedTuple):
    """One image, so that the stalest sorts first.

    Attributes:
        rank: 0 never pulled and not pushed for a year, 1 not pushed for a year, 2 never pulled, 3 neither.
        pushed_ms: when it was pushed last, since 1970; infinite if nobody knows.
        place: account, region and registry.
        pulls: how often it was pulled; None if nobody knows.
    """

    rank: int
    pushed_ms: float
    place: Place
    name: str
    pulls: int | None


@dataclass(slots=True)
class Stale:
    """How many images of a registry, or of all, are stale in which way."""

    images: int = 0
    never_pulled: int = 0
    old: int = 0
    both: int = 0


@dataclass(slots=True)
class Holdings:
    """What all images come to.

    Attributes:
        ages: class of the time since the last push to images, by place in `AGES_DAYS`; None for those without a date.
        pulls: likewise how often they were pulled.
        registries: place to how many of its images are stale.
        listed: the stalest, `MOST_LISTED` at most.
    """

    whole: Stale = field(default_factory=Stale)
    ages: Counter[int | None] = field(default_factory=Counter)
    pulls: Counter[int | None] = field(default_factory=Counter)
    registries: dict[Place, Stale] = field(default_factory=dict)
    listed: list[Image] = field(default_factory=list)


class _Fields(msgspec.Struct, gc=False):
    """What is looked at of an image: as the second version of the API calls it, and the third."""

    pull_count: msgspec.Raw = msgspec.Raw()
    last_updated: msgspec.Raw = msgspec.Raw()
    pulls: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="pullCount")
    pushed: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="lastPushedDateTime")


_DECODER = msgspec.json.Decoder(_Fields)


def holdings(
    snapshot: Snapshot,
    now_ms: int,
    *,
    most_listed: int = MOST_LISTED,
    watch: Callable[[int], object] = lambda _: None,
) -> Holdings:
    """Read all images of a snapshot once. O(n log m) for m that are listed; memory follows m, and the registries.

    Args:
        snapshot: whose.
        now_ms: what ages are counted from: when the snapshot was begun.
        most_listed: how many images to list.
        watch: told how many bytes were read, each time some were.

    Raises:
        ManifestError: the data is not what the manifest says.
        DamagedError: likewise.
    """
    found = Holdings()
    manifest = snapshot.manifest
    assert manifest
    if manifest.stored_file(IMAGES) is not None or any(record.images for record in manifest.registries):
        groups = intact_groups(snapshot, watch)
        found.listed = heapq.nsmallest(most_listed, _images(groups, found, now_ms))
    return found


def intact_groups(snapshot: Snapshot, watch: Callable[[int], object] = lambda _: None) -> Iterator[Group]:
    """Yield what a snapshot has of each registry, each proved.

    Raises:
        ManifestError: the first thing that is not as the manifest says.
    """
    problems: list[str] = []
    for group in snapshot.groups(Witness(say=problems.append, watch=watch)):
        if problems:
            raise ManifestError(problems[0])
        yield group


def _images(groups: Iterable[Group], found: Holdings, now_ms: int) -> Iterator[Image]:
    for group in groups:
        here = found.registries[group.place] = Stale()
        for key, line in group.records:
            image = _image(group.place, key.name, line, year_ago_ms=now_ms - YEAR_MS)
            _count(here, image)
            found.ages[_age_class(image.pushed_ms, now_ms)] += 1
            found.pulls[None if image.pulls is None else bisect_right(PULLS, image.pulls)] += 1
            yield image
        for name in Stale.__slots__:
            setattr(found.whole, name, getattr(found.whole, name) + getattr(here, name))


def _count(here: Stale, image: Image) -> None:
    here.images += 1
    here.never_pulled += image.rank in (0, 2)
    here.old += image.rank in (0, 1)
    here.both += image.rank == 0


def _image(place: Place, name: str, line: bytes, *, year_ago_ms: int) -> Image:
    pulls, pushed_ms = _pulls_and_push(line)
    is_old, is_never_pulled = pushed_ms < year_ago_ms, pulls == 0
    rank = (0 if is_never_pulled else 1) if is_old else 2 if is_never_pulled else 3
    return Image(rank, pushed_ms, place, name, pulls)


def _pulls_and_push(line: bytes) -> tuple[int | None, float]:
    try:
        fields = _DECODER.decode(line)
    except msgspec.DecodeError:  # halves of surrogate pairs
        found = parse_fields(line)
        names = ("pull_count", "last_updated", "pullCount", "lastPushedDateTime")
        fields = _Fields(*(found.get(name, msgspec.Raw()) for name in names))
    pulls = natural(bytes(fields.pull_count or fields.pulls))
    pushed_ms = natural(bytes(fields.last_updated)) if fields.last_updated else _time_ms(bytes(fields.pushed))
    return pulls, inf if pushed_ms is None or pushed_ms >= _END_MS else pushed_ms


def natural(text: bytes) -> int | None:
    """Return the number that a JSON value is; None if it is none that can be counted with. Nothing odd is 0."""
    if text.isdigit() and len(text) < 16:
        return int(text)
    try:
        value = float(text)
    except ValueError:
        return None
    return ceil(value) if isfinite(value) and 0 <= value < _LARGEST else None


def _time_ms(text: bytes) -> int | None:
    """Return the time that a JSON text tells, as RFC 3339 has it, in milliseconds since 1970."""
    try:
        found = datetime.fromisoformat(text.decode().strip('"'))
        return ceil(found.timestamp() * 1000) if found.tzinfo else None
    except (ValueError, OverflowError, OSError):
        return None


def _age_class(pushed_ms: float, now_ms: int) -> int | None:
    return None if pushed_ms == inf else bisect_right(AGES_DAYS, (now_ms - pushed_ms) / DAY_MS)
