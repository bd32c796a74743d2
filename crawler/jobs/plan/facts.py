"""What is known of an account before a run: what its lists hold, and how the gateway gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from crawler.jobs.plan.costs import Held, PageSizes  # noqa: TC001 - msgspec looks at them

if TYPE_CHECKING:
    from collections.abc import Iterable


class RegionFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one region.

    Attributes:
        registries: how many there are to list.
        top: the list of registries itself; None where registries were named, so that it is not asked for.
        images: the list of each registry that gives one; None where nobody looked.
        unknown: how many of those hold more than is said here, nobody knows how much.
        top_sizes: pages of the list of registries; `image_sizes`: of lists of images.
        top_extra: requests that bring no page of it: sizes that are refused.
        image_extra: likewise of lists of images; and what is denied, or in another region.
        registry_bytes: that the lines of registries take; None if nobody knows. Likewise those of deeper levels.
        tags: how many; None if nobody knows.
        latency_s: how long an answer takes at least; None if nobody has asked.
    """

    registries: int
    top: Held | None
    images: tuple[Held, ...] | None
    unknown: int = 0
    top_sizes: PageSizes
    image_sizes: PageSizes
    top_extra: int = 0
    image_extra: int = 0
    registry_bytes: int | None = None
    image_bytes: int | None = None
    tag_bytes: int | None = None
    tags: int | None = None
    latency_s: float | None = None


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan rests on.

    Attributes:
        basis: where it is from.
        regions: each region to crawl; None where nothing is known of it.
        source: where it is from, for people.
        notes: sentences about what of it may be wrong.
    """

    basis: Literal["gateway", "snapshot"]
    regions: dict[str, RegionFacts | None]
    source: str
    notes: tuple[str, ...] = ()


def total_of(numbers: Iterable[int | None]) -> int | None:
    """Return a sum; None if one of its numbers is not known."""
    total = 0
    for number in numbers:
        if number is None:
            return None
        total += number
    return total
