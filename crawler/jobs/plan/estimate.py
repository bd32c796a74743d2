"""What a run would cost by what is known: requests of each region and level, time at the limits, bytes. Pure.

Time is what the limits allow at best: a gateway that is slower than the quickest answer so far takes longer.
"""

from __future__ import annotations

from math import ceil, inf
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from crawler.api.collections import IMAGES, REGISTRIES, TAGS
from crawler.jobs.plan.costs import Held, requests_for
from crawler.jobs.plan.facts import total_of
from crawler.snapshot.rotation import CLASSES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crawler.core.collection import Collection
    from crawler.core.model import VerifyMode
    from crawler.jobs.plan.costs import PageSizes
    from crawler.jobs.plan.facts import Facts, RegionFacts


class Choice(NamedTuple):
    """What of the options decides how many requests a run takes; ``sevenths`` of the lists of tags are fetched."""

    level: Collection
    verify: VerifyMode
    page_size: int
    sevenths: int = CLASSES


class Limits(NamedTuple):
    """What a run keeps to; see the settings of these names."""

    rate_per_s: float
    region_rate_per_s: float
    concurrency: int


class RegionPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a region holds down to the level of the run, and the requests that take it; None is not known."""

    registries: int | None = None
    images: int | None = None
    tags: int | None = None
    requests: int | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run would cost; None is not known.

    Attributes:
        bytes: of the lines, as they would be stored; those of a snapshot as it stores them.
    """

    requests: int | None
    seconds: float | None
    bytes: int | None
    regions: dict[str, RegionPlan]
    basis: str


def plan(facts: Facts, choice: Choice, limits: Limits) -> Plan:
    """Return what a run would cost."""
    regions = {code: _region_plan(known, choice) for code, known in facts.regions.items()}
    requests = {code: one.requests for code, one in regions.items()}
    return Plan(
        requests=total_of(requests.values()),
        seconds=_seconds(requests, facts, limits),
        bytes=total_of(None if known is None else _bytes(known, choice.level) for known in facts.regions.values()),
        regions=regions,
        basis=facts.basis,
    )


def requests_by_level(known: RegionFacts, choice: Choice) -> dict[Collection, int]:
    """Return the requests that each level of a region takes down to the level of a run; at least, if it is unknown."""
    taken = {REGISTRIES: 0 if known.top is None else _requests(known.top, known.top_sizes, choice) + known.top_extra}
    if choice.level is REGISTRIES:
        return taken
    held = known.images or ()
    taken[IMAGES] = sum(_requests(one, known.image_sizes, choice) for one in held) + known.image_extra
    if choice.level is TAGS:
        lists = ceil(sum(one.records for one in held) * choice.sevenths / CLASSES)
        taken[TAGS] = lists * _requests(Held(1), known.image_sizes, choice)
    return taken


def is_known(known: RegionFacts | None, level: Collection) -> bool:
    """Whether it is known what a run that goes so deep takes in a region."""
    return known is not None and (level is REGISTRIES or (known.images is not None and not known.unknown))


def _requests(held: Held, sizes: PageSizes, choice: Choice) -> int:
    return requests_for(held, sizes._replace(asked=min(sizes.asked, choice.page_size)), choice.verify)


def _region_plan(known: RegionFacts | None, choice: Choice) -> RegionPlan:
    if known is None:
        return RegionPlan()
    is_whole = is_known(known, choice.level)
    images = choice.level is not REGISTRIES and is_whole
    return RegionPlan(
        registries=known.registries,
        images=sum(one.records for one in known.images or ()) if images else None,
        tags=known.tags if choice.level is TAGS else None,
        requests=sum(requests_by_level(known, choice).values()) if is_whole else None,
    )


def _bytes(known: RegionFacts, level: Collection) -> int | None:
    sizes = {REGISTRIES: known.registry_bytes, IMAGES: known.image_bytes, TAGS: known.tag_bytes}
    return total_of(sizes[one] for one in level.lineage)


def _seconds(requests: Mapping[str, int | None], facts: Facts, limits: Limits) -> float | None:
    """Return the longest time that one of the limits calls for; None if none does that is known."""
    counts = {code: number for code, number in requests.items() if number is not None}
    if len(counts) < len(requests):
        return None
    bounds = [sum(counts.values()) / limits.rate_per_s]
    bounds += [number / limits.region_rate_per_s for number in counts.values()]
    latencies = {code: known.latency_s for code, known in facts.regions.items() if known and known.latency_s}
    if latencies.keys() >= counts.keys():
        bounds.append(sum(number * latencies[code] for code, number in counts.items()) / limits.concurrency)
    elif limits.rate_per_s == limits.region_rate_per_s == inf:
        return None
    return round(max(bounds), 3)
