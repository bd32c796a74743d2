"""Time is the longest that a limit calls for, and what is not known makes no number."""

from __future__ import annotations

from math import inf

import msgspec
import pytest

from crawler.api.collections import IMAGES, REGISTRIES, TAGS
from crawler.core.model import VerifyMode
from crawler.jobs.plan.costs import Held, PageSizes
from crawler.jobs.plan.estimate import Choice, Limits, RegionPlan, plan
from crawler.jobs.plan.facts import Facts, RegionFacts

ONCE = Choice(IMAGES, VerifyMode.NEVER, 100)
REGION = RegionFacts(
    registries=4,
    top=Held(4, 4),
    images=(Held(500), Held(200), Held(0), Held(1)),
    top_sizes=PageSizes(100),
    image_sizes=PageSizes(100),
    image_extra=2,
    latency_s=0.5,
)
"""Which takes 1 + 5 + 2 + 1 + 1 + 2 = 12 requests."""


def facts(**regions: RegionFacts | None) -> Facts:
    """Return what is known of these regions."""
    return Facts(basis="snapshot", regions=regions, source="a test")


@pytest.mark.parametrize(
    ("limits", "seconds"),
    [
        (Limits(2, inf, 64), 12.0),
        (Limits(2, 1, 64), 12.0),
        (Limits(4, 0.5, 64), 24.0),
        (Limits(inf, inf, 4), 3.0),
        (Limits(100, inf, 1), 12.0),
    ],
)
def test_time(limits: Limits, seconds: float) -> None:
    """By the account's rate, a region's, or the slots, whichever takes longest."""
    made = plan(facts(kr=REGION, sgn=REGION), ONCE, limits)
    assert (made.requests, made.seconds) == (24, seconds)


def test_time_without_latency() -> None:
    """Where nobody knows how long an answer takes only rates tell of time; without any nothing does."""
    silent = msgspec.structs.replace(REGION, latency_s=None)
    assert plan(facts(kr=REGION, sgn=silent), ONCE, Limits(2, inf, 1)).seconds == 12.0
    assert plan(facts(kr=REGION, sgn=silent), ONCE, Limits(inf, inf, 1)).seconds is None


def test_levels() -> None:
    """Each has what is there down to it: registries alone cost their list, tags a request for each image."""
    limits = Limits(2, inf, 64)
    of_registries = plan(facts(kr=REGION), ONCE._replace(level=REGISTRIES), limits)
    assert of_registries.regions == {"kr": RegionPlan(registries=4, requests=1)}
    of_tags = plan(facts(kr=msgspec.structs.replace(REGION, tags=9)), ONCE._replace(level=TAGS), limits)
    assert of_tags.regions == {"kr": RegionPlan(registries=4, images=701, tags=9, requests=713)}


def test_bytes() -> None:
    """Of all levels down to that of the run; unknown where those of one are."""
    limits, sized = Limits(2, inf, 64), msgspec.structs.replace(REGION, registry_bytes=10, image_bytes=1_000)
    made = {level: plan(facts(kr=sized), ONCE._replace(level=level), limits).bytes for level in IMAGES.lineage}
    assert made == {REGISTRIES: 10, IMAGES: 1_010}
    assert plan(facts(kr=sized), ONCE._replace(level=TAGS), limits).bytes is None
    assert plan(facts(kr=sized, sgn=REGION), ONCE, limits).bytes is None


def test_what_is_not_known() -> None:
    """A region of which nothing is known, one whose lists nobody read, and one with lists of unknown length."""
    limits = Limits(2, inf, 64)
    unread = msgspec.structs.replace(REGION, images=None)
    longer = msgspec.structs.replace(REGION, unknown=1)
    made = plan(facts(kr=None, sgn=unread, jpn=longer), ONCE, limits)
    assert made.regions == {"kr": RegionPlan(), "sgn": RegionPlan(registries=4), "jpn": RegionPlan(registries=4)}
    assert (made.requests, made.seconds) == (None, None)
    assert plan(facts(sgn=unread, jpn=longer), ONCE._replace(level=REGISTRIES), limits).requests == 2
