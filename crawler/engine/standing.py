"""Where a crawl stands: what is done of what is known, how much is left, and what keeps it where nothing moves. Pure.

Costs: O(lists under way and families that wait) where it is asked for, which is a few times a second at most.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from math import isnan, nan
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from crawler.core.collection import label

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from crawler.core.collection import Collection
    from crawler.engine.scheduler import RegionQueue
    from crawler.engine.tasks import ListingTask
    from crawler.engine.verdicts import Verdicts


class Amount(Struct, frozen=True):
    """How many things of a level are done.

    Attributes:
        what: the level's name: ``registries``, ``images``, ``tags``.
        done: those whose parts are listed; at the lowest level, those that were found.
        known: how many are known to be there so far; None at the lowest level.
    """

    what: str
    done: int
    known: int | None = None


class Held(Struct, frozen=True):
    """A region that does not answer: for how many seconds, and when it is asked again; 0 while it is being asked."""

    region: str
    silent_s: float
    next_try_s: float


class Proving(Struct, frozen=True):
    """Of the lists that are looked at again: the one that was begun first, its pass, and how many others there are."""

    place: str
    number: int
    others: int = 0


class Standing(Struct, frozen=True):
    """Where a crawl stands, as of a moment.

    Attributes:
        amounts: from the registries down.
        is_discovered: no more registries will become known.
        pages: how many came.
        pages_left: how many are to come, as far as can be told; None if it cannot.
        held: regions that do not answer.
        proving: what is looked at again, if anything is.
    """

    amounts: tuple[Amount, ...]
    is_discovered: bool
    pages: int
    pages_left: float | None
    held: tuple[Held, ...]
    proving: Proving | None


def standing(
    queues: Sequence[RegionQueue],
    verdicts: Verdicts,
    found: Mapping[Collection, int],
    *,
    level: Collection,
    now_s: float,
) -> Standing:
    """Return where a crawl stands.

    Args:
        queues: what is to be done, by region.
        verdicts: what is done.
        found: how many records of each kind came.
        level: how deep the crawl goes.
        now_s: by the schedule's clock.
    """
    tasks = [task for queue in queues for task in queue.tasks]
    looks = [task for task in tasks if task.named is None]
    waiting = sum((queue.waiting.counts for queue in queues), Counter["Collection"]())
    left = waiting + Counter(task.collection for task in looks) + verdicts.undecided
    listed = verdicts.listed + verdicts.taken_over
    amounts = [Amount(above.name, listed[one], listed[one] + left[one]) for above, one in pairwise(level.lineage)]
    is_discovered = not left[level.lineage[0]]
    pages = _pages(verdicts, looks)
    estimate = _Estimate(verdicts, pages, found)
    return Standing(
        amounts=(*amounts, Amount(level.name, found[level])),
        is_discovered=is_discovered,
        pages=pages.total(),
        pages_left=estimate.pages_left(level, waiting, looks) if is_discovered else None,
        held=tuple(_held(queues, now_s)),
        proving=_proving(tasks),
    )


def _pages(verdicts: Verdicts, looks: Iterable[ListingTask]) -> Counter[Collection]:
    """Return how many pages of each kind of list came."""
    pages = Counter(verdicts.pages)
    for task in looks:
        pages[task.collection] += task.listing.pages
    return pages


class _Estimate(NamedTuple):
    """What lists have taken so far, by which others are measured."""

    verdicts: Verdicts
    pages: Mapping[Collection, int]
    found: Mapping[Collection, int]

    def pages_left(
        self, level: Collection, waiting: Mapping[Collection, int], looks: Iterable[ListingTask]
    ) -> float | None:
        """Return how many pages are to come; None where no list of a kind has ended yet by which others go."""
        left = of_child = 0.0
        for one in reversed(level.lineage):
            of_page = 1 + (of_child * self.found[one] / self.pages[one] if self.pages[one] else 0.0)
            lists = self.verdicts.listed[one]
            of_list = of_page * self.verdicts.pages[one] / lists if lists else nan
            known = [task.listing.pages_left for task in looks if task.collection is one]
            left += sum(of_list if own is None else own * of_page for own in known)
            left += waiting[one] * of_list if waiting[one] else 0.0
            of_child = of_list
        return None if isnan(left) else left


def _held(queues: Iterable[RegionQueue], now_s: float) -> Iterator[Held]:
    for queue in queues:
        health = queue.health
        if health.is_held and not queue.is_finished:
            next_try_s = 0.0 if queue.in_flight else max(0.0, health.probe_at_s - now_s)
            yield Held(queue.region.code, now_s - health.failing_since_s, next_try_s)


def _proving(tasks: Iterable[ListingTask]) -> Proving | None:
    again = sorted((task for task in tasks if task.listing.passes > 1), key=attrgetter("started_ms", "age"))
    if not again:
        return None
    first = again[0]
    return Proving(
        label(first.collection, first.region.code, first.within), first.listing.passes, others=len(again) - 1
    )
