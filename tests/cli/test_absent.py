"""Registries that were named and do not exist are said in words, with what may have been meant."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from crawler.api.collections import IMAGES, REGISTRIES
from crawler.cli.absent import absent_lines
from crawler.cli.tables import missing_lines, tables
from crawler.core.model import ListingResult, Verdict
from crawler.core.patterns import Patterns
from crawler.engine.spec import CrawlResult

NOT_FOUND = "404/300 Not Found (trace 1)"


def listed(region: str, registry: str, **more: Any) -> ListingResult:
    """Return how the listing of a registry ended: whole, unless something else is said."""
    usual: dict[str, Any] = {"verdict": Verdict.COMPLETE, "reason": None, "records": 1, "count": 1, "pages": 1}
    usual |= {"passes": 1, "page_size": 1, "requests": 1, "retries": 0, "throttled": 0}
    usual |= {"region": region, "collection": IMAGES, "within": (registry,)}
    return ListingResult(**usual | {"started_ms": 0, "finished_ms": 0} | more)


def absent(region: str, registry: str) -> ListingResult:
    """Return how it ends where there is no such registry."""
    nothing: dict[str, Any] = {"records": 0, "count": None, "pages": 0, "page_size": None, "exists": False}
    return listed(region, registry, verdict=Verdict.FAILED, reason=NOT_FOUND, **nothing)


def result(*registries: ListingResult, **more: Any) -> CrawlResult:
    """Return how a crawl of named registries ended."""
    usual: dict[str, Any] = {"discoveries": [], "stop": None, "stop_reason": None, "rate_per_s": inf}
    return CrawlResult(registries=list(registries), **usual | more)


@pytest.mark.parametrize(
    ("others", "told"),
    [
        ([], "team-x: no such registry in kr"),
        ([listed("kr", "team-a")], "team-x: no such registry in kr; did you mean team-a?"),
        ([listed("sgn", "team-x")], "team-x: no such registry in kr; there is one in sgn"),
        ([listed("kr", "something-else")], "team-x: no such registry in kr"),
        ([absent("sgn", "team-x")], "team-x: no such registry in kr or sgn"),
        ([absent("sgn", "team-x"), absent("jpn", "team-x")], "team-x: no such registry in jpn, kr or sgn"),
    ],
    ids=["alone", "similar", "elsewhere", "unlike", "two regions", "three"],
)
def test_what_is_said(others: list[ListingResult], told: str) -> None:
    """One line a name, without a status code; a registry that was read shows what may have been meant."""
    ended = result(absent("kr", "team-x"), *others)
    assert absent_lines(ended) == missing_lines(ended, 5) == [told]
    text = tables(ended, ["kr", "sgn", "jpn"])
    assert text.endswith(f"\n\n{told}\n`ncrawl registries` lists those that there are")
    assert NOT_FOUND not in text


@pytest.mark.parametrize(
    ("neighbours", "told"),
    [
        ({"kr": ["team-a", "other"]}, "team-x: no such registry in kr; did you mean team-a?"),
        ({"sgn": ["team-x"]}, "team-x: no such registry in kr; there is one in sgn"),
        ({"kr": ["team-x"]}, "team-x: no such registry in kr, although the list of registries names it"),
        ({"kr": []}, "team-x: no such registry in kr"),
    ],
)
def test_what_there_is(neighbours: dict[str, list[str]], told: str) -> None:
    """Where the run found out which registries there are, any of them may be meant."""
    assert absent_lines(result(absent("kr", "team-x"), neighbours=neighbours)) == [told]


@pytest.mark.parametrize(
    "one",
    [
        listed("kr", "team-x", verdict=Verdict.FAILED, reason="no answer in time", records=0, pages=0),
        listed("kr", "team-x", verdict=Verdict.DENIED, reason=NOT_FOUND, exists=False),
    ],
    ids=["no answer", "denied"],
)
def test_other_failures_keep_their_reason(one: ListingResult) -> None:
    """Nobody knows that such a registry does not exist; where nothing came at all, what finds out why is named."""
    ended = result(one)
    assert absent_lines(ended) == []
    advice = ["`ncrawl doctor` says what is in the way, and how to mend it"] if one.exists else []
    assert missing_lines(ended, 5) == [f"kr/team-x: {one.verdict}: {one.reason}", *advice]


def test_what_is_the_same_of_several_regions_is_said_once() -> None:
    """As of a key that is refused everywhere; other reasons have lines of their own."""
    lists: dict[str, Any] = {"collection": REGISTRIES, "within": (), "verdict": Verdict.FAILED, "pages": 0}
    refused = [listed(region, "", reason="refused", **lists) for region in ("kr", "jpn")]
    other = listed("sgn", "", reason="no answer", **lists)
    assert missing_lines(result(discoveries=[refused[0], other, refused[1]]), 5) == [
        "kr, jpn, lists of registries: failed: refused",
        "sgn, list of registries: failed: no answer",
        "`ncrawl doctor` says what is in the way, and how to mend it",
    ]
    absent_lists = listed("kr", "", reason="404", exists=False, **lists)  # another server than a gateway
    assert missing_lines(result(discoveries=[absent_lists]), 5)[1].startswith("`ncrawl doctor`")
    whole = listed("sgn", "", **lists | {"verdict": Verdict.COMPLETE, "pages": 1})
    assert missing_lines(result(discoveries=[*refused, whole]), 5) == ["kr, jpn, lists of registries: failed: refused"]


def test_what_a_list_named_is_not_absent() -> None:
    """A registry that was found and answers 404 keeps its reason: whether it is gone is another question."""
    ended = result(absent("kr", "team-x"), discoveries=[listed("kr", "x")])
    assert absent_lines(ended) == []


def test_expected_gaps_are_none() -> None:
    """Who expects it to be unreadable knows about it."""
    assert absent_lines(result(absent("kr", "team-x"), expected_gaps=Patterns(["kr/team-x"]))) == []


def test_thousands_of_names_are_not_compared() -> None:
    """Nothing is suggested then, and names of somebody else's steer no terminal."""
    many = [listed("kr", f"team-{number}") for number in range(2_001)]
    assert absent_lines(result(absent("kr", "team-x"), *many)) == ["team-x: no such registry in kr"]
    hostile = result(absent("kr", "team-x\u202e"), listed("kr", "team-x\x1b"))
    assert absent_lines(hostile) == ["team-x\\u202e: no such registry in kr; did you mean team-x\\x1b?"]
