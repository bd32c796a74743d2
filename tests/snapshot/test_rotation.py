"""Which lists of tags a night reads although nothing shows that they changed."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from crawler.snapshot.rotation import ALL, CLASSES, MOST_NIGHTS, class_of, due_classes, too_old

DAY_MS = 86_400_000
TODAY_MS = 20_000 * DAY_MS + 7_200_000

gaps = st.lists(st.integers(0, 20), min_size=1, max_size=30)
shares = st.integers(1, CLASSES - 1)


def test_classes_are_about_as_large() -> None:
    """A night has a seventh of the lists, whatever their names have in common."""
    sizes = Counter(class_of("kr", f"team-{number % 50}", f"app/{number}") for number in range(70_000))
    assert sorted(sizes) == list(range(CLASSES))
    assert min(sizes.values()) > 9_500
    assert max(sizes.values()) < 10_500


def test_a_class_never_changes() -> None:
    """What manifests say of it holds for years."""
    assert [class_of("kr", "team-a", image) for image in ("app", "web/api", "한글", "\ud800")] == [4, 2, 2, 0]


@given(gaps, shares)
def test_every_list_is_read_at_least_once_in_seven_nights(gaps: list[int], share: int) -> None:
    """Whatever nights are skipped: no snapshot holds a list that was read seven nights before, or earlier.

    What a manifest would say of the classes is at most as new as each list's own reading.
    """
    day, read, said = 20_000, [20_000] * CLASSES, [20_000 * DAY_MS] * CLASSES
    for gap in gaps:
        day += gap
        now_ms = day * DAY_MS + 3_600_000
        due = due_classes(said, now_ms, share)
        assert due, "there is a share for each night"
        read = [day if one in due else before for one, before in enumerate(read)]
        said = [now_ms if one in due else before for one, before in enumerate(said)]
        assert min(read) > day - 7
        assert all(since_ms // DAY_MS <= at for since_ms, at in zip(said, read, strict=True))


@given(st.integers(0, 10_000), shares)
def test_nights_without_a_gap_have_equal_shares(start: int, share: int) -> None:
    """A week of nights reads each class as often as any other, and no night has more than its share."""
    said, read = [start * DAY_MS] * CLASSES, Counter[int]()
    for day in range(start + 1, start + 1 + CLASSES):
        due = due_classes(said, day * DAY_MS, share)
        assert len(due) == share
        read.update(due)
        said = [day * DAY_MS if one in due else before for one, before in enumerate(said)]
    assert set(read.values()) == {share}


@given(st.lists(st.integers(-3 * DAY_MS, 20 * DAY_MS), min_size=CLASSES, max_size=CLASSES), st.integers(0, ALL))
def test_what_is_not_known_to_be_young_is_due(ages_ms: list[int], share: int) -> None:
    """Older than eight nights, or from the future: whatever share is asked for; and nothing else under `none`."""
    listed = [TODAY_MS - age for age in ages_ms]
    old = {one for one, age in enumerate(ages_ms) if age >= MOST_NIGHTS * DAY_MS or age < -300_000}
    assert too_old(listed, TODAY_MS) == old
    assert due_classes(listed, TODAY_MS, 0) == old
    assert old <= due_classes(listed, TODAY_MS, share)
    assert due_classes(listed, TODAY_MS, ALL) == set(range(CLASSES))


def test_a_second_run_of_a_day_reads_the_days_share_again() -> None:
    """It is asked for; nothing else is due."""
    (today,) = due_classes([TODAY_MS] * CLASSES, TODAY_MS + 60_000, 1)
    assert due_classes([TODAY_MS] * CLASSES, TODAY_MS + 120_000, 1) == {today}
