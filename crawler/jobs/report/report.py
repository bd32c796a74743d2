"""The job: a snapshot's path to the bytes of a page, and what was odd on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from crawler.jobs.report.facts import gather
from crawler.jobs.report.images import MOST_LISTED
from crawler.jobs.report.page import page

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Report(NamedTuple):
    """A page.

    Attributes:
        html: the whole file.
        problems: a sentence about each earlier snapshot that is damaged, or cannot be read; the page says so, too.
    """

    html: bytes
    problems: list[str]


def report(path: Path, *, most_listed: int = MOST_LISTED, watch: Callable[[int], object] = lambda _: None) -> Report:
    """Make a report on a snapshot, or on the newest one in a folder; ``watch`` is told of bytes that are read.

    Raises:
        UsageError: there is no snapshot, or it cannot be read.
        ManifestError: it is damaged.
        DamagedError: likewise.
    """
    facts = gather(path, most_listed=most_listed, watch=watch)
    damages = facts.changes.notes if facts.changes.is_damaged else []
    return Report(page(facts), [*facts.history.problems, *damages])
