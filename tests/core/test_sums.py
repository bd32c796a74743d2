"""Sums of results: nothing is lost in them, whatever their order, and what has something to tell is in none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import lists

from crawler.api.collections import TAGS
from crawler.core.model import ListingResult, Verdict
from crawler.core.sums import Sums, is_plain, kind_of, sum_of

COUNTED = ("records", "pages", "requests", "retries", "throttled")
NUMBERS = st.integers(0, 50)


def result_of(registry: str, image: str, **changes: Any) -> ListingResult:
    """Return how a list of tags ended."""
    usual: dict[str, Any] = {"collection": TAGS, "within": (registry, image)}
    return lists.result_of(registry, **usual | changes)


RESULTS = st.builds(
    result_of,
    st.sampled_from("ab"),
    st.text("xyz", min_size=1),
    verdict=st.sampled_from([Verdict.COMPLETE, Verdict.UNVERIFIED]),
    count=st.one_of(st.none(), NUMBERS),
    page_size=st.one_of(st.none(), st.integers(1, 3)),
    is_sorted=st.sampled_from([None, True, False]),
    passes=NUMBERS,
    started_ms=NUMBERS,
    finished_ms=NUMBERS,
    **dict.fromkeys(COUNTED, NUMBERS),
)


@given(st.lists(RESULTS), st.randoms())
def test_numbers_add_up_in_any_order(results: list[ListingResult], random: Any) -> None:
    """By registry and verdict; as often as sums are summed up again."""
    sums, again = Sums(), Sums()
    for one in results:
        sums.add(one)
    shuffled = list(sums)
    random.shuffle(shuffled)
    for one in shuffled:
        again.add(one)
    for registry in "ab":
        for verdict in Verdict:
            alike = [one for one in results if (one.registry, one.verdict) == (registry, verdict)]
            summed = [one for one in again if (one.registry, one.verdict) == (registry, verdict)]
            assert sum(one.lists for one in summed) == len(alike)
            for name in COUNTED:
                assert sum(getattr(one, name) for one in summed) == sum(getattr(one, name) for one in alike)
            assert sum(one.count or 0 for one in summed) == sum(one.count or 0 for one in alike)
            if alike:
                assert max(one.passes for one in summed) == max(one.passes for one in alike)
                assert min(one.started_ms for one in summed) == min(one.started_ms for one in alike)
                assert max(one.finished_ms for one in summed) == max(one.finished_ms for one in alike)


@given(RESULTS, RESULTS)
def test_what_was_seen_of_the_gateway_is_not_mixed(one: ListingResult, other: ListingResult) -> None:
    """Order, page sizes, and whether its count was right stay what they were for each."""
    sums = Sums()
    sums.add(one)
    sums.add(other)
    assert {each.is_sorted for each in sums} == {one.is_sorted, other.is_sorted}
    given_out = {each.page_size for each in (one, other) if each.pages > 1}
    assert {each.page_size for each in sums} - {None} == given_out - {None}
    assert (len(list(sums)) == 1) == (kind_of(one) == kind_of(other))


def test_a_sum_is_of_a_registry() -> None:
    """And says so."""
    one = sum_of(result_of("a", "x/y", records=3))
    assert (one.is_sum, one.lists, one.label, one.place) == (True, 1, "kr/a", ("tags", "kr", ("a",)))
    assert not result_of("a", "x").is_sum
    assert not lists.result_of("a").is_sum
    assert not lists.result_of(None).is_sum


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("reason", [None, "why"])
def test_what_has_something_to_tell_is_not_plain(verdict: Verdict, reason: str | None) -> None:
    """A reason, a gap; and registries' own lists are told one by one."""
    plain = reason is None and verdict.is_good
    assert is_plain(result_of("a", "x", verdict=verdict, reason=reason)) is plain
    assert not is_plain(lists.result_of("a", verdict=verdict, reason=reason))
    assert not is_plain(lists.result_of(None, verdict=verdict, reason=reason))
