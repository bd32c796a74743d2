"""How an inventory grew: a point for each snapshot, out of its manifest alone."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from crawler.api.collections import REGISTRIES
from crawler.core.errors import NcrawlError
from crawler.snapshot.manifest import read

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from crawler.snapshot.manifest import Manifest


class Point(NamedTuple):
    """What one snapshot says of itself; None is what it does not know."""

    id: str
    started: datetime
    verdict: str
    registries: int
    images: int
    tags: int | None
    bytes: int
    seconds: float
    requests: int


class History(NamedTuple):
    """Snapshots, oldest first, and a sentence about each that cannot be read."""

    points: list[Point]
    problems: list[str]


def point_of(manifest: Manifest) -> Point:
    """Return what a manifest says; format 1 does not say how long it took, but when it began and ended."""
    totals, run = manifest.totals, manifest.run
    started, finished = moment(run.started), moment(run.finished)
    seconds = (finished - started).total_seconds() if totals.seconds is None else totals.seconds
    return Point(
        id=run.id,
        started=started,
        verdict=manifest.verdict,
        registries=registries_of(manifest),
        images=totals.images,
        tags=getattr(totals, "tags", None),
        bytes=totals.bytes,
        seconds=max(0.0, seconds),
        requests=totals.requests,
    )


def registries_of(manifest: Manifest) -> int:
    """Return how many registries there are, those that were found and not listed among them."""
    stored = manifest.stored_file(REGISTRIES)
    return len(manifest.registries) if stored is None else stored.lines


def history(earlier: Iterable[Path], manifest: Manifest) -> History:
    """Return a point for each snapshot of ``earlier`` that can be read and has images, and for that of ``manifest``.

    One manifest is in memory at a time.
    """
    points, problems = list[Point](), list[str]()
    for folder in earlier:
        try:
            if (made := read(folder)).has_images:
                points.append(point_of(made))
        except (NcrawlError, ValueError) as error:
            problems.append(str(error))
    return History([*points, point_of(manifest)], problems)


def moment(text: str) -> datetime:
    """Return the time that a manifest tells.

    Raises:
        ValueError: it is none.
    """
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text!r} has no zone")
    return found
