"""Patterns that stand for registries: what they match, and what is no pattern."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.core.patterns import Patterns, has_region, parse_pattern

NAMES = st.text("abAB01._-", min_size=1, max_size=12)
REGIONS = st.sampled_from(["kr", "sgn", "jpn", "krs"])


@pytest.mark.parametrize(
    ("pattern", "matched", "not_matched"),
    [
        ("team-a", ["kr/team-a", "sgn/team-a"], ["kr/team-ab", "kr/xteam-a", "kr/Team-a"]),
        ("kr/team-a", ["kr/team-a"], ["krs/team-a", "sgn/team-a", "kr/team-a2"]),
        ("kr/*", ["kr/team-a", "kr/x"], ["krs/x", "sgn/kr"]),
        ("k*/x", ["kr/x", "krs/x"], ["sgn/x", "kr/y"]),
        ("*-old", ["kr/-old", "jpn/a-b-old"], ["kr/old", "kr/a-olds"]),
        ("a.b", ["kr/a.b"], ["kr/axb"]),
        ("*", ["kr/x", "sgn/y"], []),
        ("a**b*c", ["kr/abc", "kr/axxbyyc"], ["kr/acb"]),
    ],
)
def test_what_a_pattern_stands_for(pattern: str, matched: list[str], not_matched: list[str]) -> None:
    """A star is any text, also none; all else is itself; the whole name counts; without a region, any."""
    patterns = Patterns([parse_pattern(pattern)])
    for place in matched:
        assert patterns.match(*place.split("/")) == pattern
    for place in not_matched:
        assert patterns.match(*place.split("/")) is None


@given(REGIONS, NAMES)
def test_a_name_stands_for_itself(region: str, name: str) -> None:
    """Any registry can be meant alone, and is met by stars in place of any part."""
    assert Patterns([parse_pattern(f"{region}/{name}")]).match(region, name)
    for at in range(len(name) + 1):
        assert Patterns([parse_pattern(f"{name[:at]}*")]).match(region, name)


def test_the_first_pattern_counts() -> None:
    """Of several, the one that was written first is told; none stand for nothing."""
    assert Patterns(["x", "kr/*", "*"]).match("kr", "y") == "kr/*"
    assert Patterns().match("kr", "y") is None
    assert bool(Patterns(["x"])) > bool(Patterns())


@pytest.mark.parametrize("text", ["", "/", "kr/", "/x", "a/b/c", "a b", "a?", "[a]", "KR/x", "a\n", "한국", "a" * 301])
def test_what_is_no_pattern(text: str) -> None:
    """Each part has to be there; what other tools read as more than a star is refused, not taken literally."""
    with pytest.raises(ValueError, match=r"is no pattern: give name or region/name; \* stands for any text"):
        parse_pattern(text)


def test_many_stars_take_no_time() -> None:
    """A name that almost fits costs what its length does, not a power of it, or this test would outlive everybody."""
    assert Patterns(["*a" * 100 + "b"]).match("kr", "a" * 255) is None


def test_regions_that_a_pattern_can_mean() -> None:
    """A pattern for a region that there is not is found out before a run."""
    assert has_region("x", ["kr"])
    assert has_region("k*/x", ["sgn", "kr"])
    assert not has_region("kr/x", ["krs"])
