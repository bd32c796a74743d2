"""What images come to: ages, pulls, what is stale; and that nothing is made of what is damaged."""

from __future__ import annotations

from collections import Counter
from math import ceil, inf
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.inventory import NOW_MS, A, B, C, days_ago, make_night, record

from crawler.core.errors import NcrawlError
from crawler.core.model import Verdict
from crawler.jobs.report.choosing import choose
from crawler.jobs.report.images import Image, Stale, holdings, intact_groups, natural

if TYPE_CHECKING:
    from pathlib import Path

    from support.snapshot_maker import Contents

    from crawler.jobs.report.images import Holdings


def held(folder: Path, contents: Contents, **options: Any) -> Holdings:
    """Return what a snapshot of some images comes to."""
    return holdings(choose(make_night(folder, contents)).snapshot, NOW_MS, **options)


def ranks(found: Holdings) -> dict[str, int]:
    return {one.name: one.rank for one in found.listed}


def test_what_is_stale(tmp_path: Path) -> None:
    """Never pulled is a count of 0, old is a push more than 365 days ago; the stalest come first."""
    records = [
        record("a", pull_count=0, last_updated=days_ago(366)),
        record("b", pull_count=0, last_updated=days_ago(800)),
        record("c", pull_count=1, last_updated=days_ago(900)),
        record("d", pull_count=0, last_updated=days_ago(364)),
        record("e", pull_count=5, last_updated=days_ago(1)),
    ]
    found = held(tmp_path, {A: records})
    assert [one.name for one in found.listed] == ["b", "a", "c", "d", "e"]
    assert ranks(found) == {"a": 0, "b": 0, "c": 1, "d": 2, "e": 3}
    assert found.whole == found.registries[A] == Stale(images=5, never_pulled=3, old=3, both=2)


@pytest.mark.parametrize("odd", [None, False, True, "0", "2001", "", [], {}, -1, 1e300, 2**60, "2001-01-01T00:00:00Z"])
def test_odd_values_are_unknown(odd: object, tmp_path: Path) -> None:
    """What is no number that can be counted with makes nothing old, and nothing unpulled."""
    found = held(tmp_path, {A: [record("x", pull_count=odd, last_updated=odd)]})
    assert found.listed == [Image(3, inf, A, "x", None)]
    assert (found.ages, found.pulls) == (Counter({None: 1}), Counter({None: 1}))


def test_absent_values_are_unknown(tmp_path: Path) -> None:
    """A record with nothing but its name is counted, and no more."""
    found = held(tmp_path, {A: [record("x")]})
    assert found.whole == Stale(images=1)


def test_times_beyond_calendars_are_unknown(tmp_path: Path) -> None:
    """A time after the year 9999 can be shown by nobody."""
    assert held(tmp_path, {A: [record("x", last_updated=253_402_300_800_000)]}).listed[0].pushed_ms == inf


def test_fields_of_the_third_version(tmp_path: Path) -> None:
    """They are called otherwise there, and times are RFC 3339; one without a zone is unknown."""
    times = ("2024-01-01T00:00:00+09:00", "2024-01-01T00:00:00", "soon")
    records = [record(f"{n}", pullCount=n, lastPushedDateTime=time) for n, time in enumerate(times)]
    found = held(tmp_path, {A: records})
    assert {one.name: (one.pushed_ms, one.pulls) for one in found.listed} == {
        "0": (1_704_034_800_000, 0),
        "1": (inf, 1),
        "2": (inf, 2),
    }


def test_classes(tmp_path: Path) -> None:
    """A class begins where the one before it ends; a push to come is young."""
    ages = (-1, 0, 6.9, 7, 30, 90, 180, 365, 730, 1460, 5000)
    pulls = (0, 1, 9, 10, 99, 100, 999, 1_000, 9_999, 10_000, 10**6)
    records = [
        record(f"{n:02}", pull_count=count, last_updated=days_ago(age))
        for n, (age, count) in enumerate(zip(ages, pulls, strict=True))
    ]
    found = held(tmp_path, {A: records})
    assert found.ages == Counter({0: 3, 1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6: 1, 7: 2})
    assert found.pulls == Counter({0: 1, 1: 2, 2: 2, 3: 2, 4: 2, 5: 2})


@pytest.mark.parametrize("most", [1, 3, 100])
def test_the_list_is_capped(most: int, tmp_path: Path) -> None:
    """It holds the stalest over all registries, while everything is counted."""
    contents = {
        place: [record(f"{n}", last_updated=days_ago(400 + 10 * n + shift)) for n in range(4)]
        for shift, place in enumerate((A, B, C))
    }
    found = held(tmp_path, contents, most_listed=most)
    oldest = [(place, f"{n}") for n in (3, 2, 1, 0) for place in (C, B, A)]
    assert [(one.place, one.name) for one in found.listed] == oldest[:most]
    assert found.whole.images == 12


def test_names_that_are_no_utf_8(tmp_path: Path) -> None:
    """Halves of surrogate pairs, which JSON allows, hinder nothing."""
    found = held(tmp_path, {A: [record("\ud800", pull_count=0, last_updated=days_ago(400))]})
    assert ranks(found) == {"\ud800": 0}


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_what_is_damaged_is_not_made_anything_of(suffix: str, tmp_path: Path) -> None:
    """A byte that is wrong, wherever it is, is an error with exit code 3 that names the file."""
    snapshot = make_night(tmp_path, {A: [record("a")], B: [record("b")]}, suffix=suffix)
    path = snapshot / f"images.ndjson{suffix}"
    data = path.read_bytes()
    for at in range(0, len(data), 5):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(NcrawlError, match=r"images\.ndjson") as raised:
            holdings(choose(snapshot).snapshot, NOW_MS)
        assert raised.value.exit_code == 3


def test_what_is_not_there_is_damage(tmp_path: Path) -> None:
    """A data file that the manifest speaks of has to be there."""
    snapshot = make_night(tmp_path, {A: [record("a")]})
    (snapshot / "images.ndjson").unlink()
    with pytest.raises(NcrawlError, match="No such file"):
        holdings(choose(snapshot).snapshot, NOW_MS)


def test_registries_without_images(tmp_path: Path) -> None:
    """They have nothing that is stale; what is excluded neither."""
    snapshot = make_night(tmp_path, {A: []}, verdicts={B: Verdict.DENIED}, excluded={C: "sgn/*"})
    found = holdings(choose(snapshot).snapshot, NOW_MS)
    assert (found.whole, found.listed) == (Stale(), [])
    assert [group.place for group in intact_groups(choose(snapshot).snapshot)] == [A, B, C]


@given(st.one_of(st.integers(0, 10**15), st.floats(min_value=0, max_value=2**52, allow_nan=False)))
def test_numbers_are_what_they_mean(value: float) -> None:
    """However they are spelled, and 0 only where they are 0."""
    for spelled in (repr(value), f"{value:.30e}"):
        assert natural(spelled.encode()) == ceil(value)
