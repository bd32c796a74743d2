"""What becomes of an account whose task has ended, by its exit code."""

from __future__ import annotations

import pytest

from crawler.jobs.fleet.policy import TaskEnd, Tries, pause_s, share_code


def pauses(code: int | None) -> list[float]:
    """Return after how many seconds each task is tried again that ends so every time."""
    found: list[float] = []
    tries = Tries()
    while True:
        tries = tries.after(TaskEnd(code))
        pause = pause_s(TaskEnd(code), tries)
        if pause is None:
            return found
        found.append(pause)


@pytest.mark.parametrize("code", [0, 2, 3, 4])
def test_what_is_final(code: int) -> None:
    """Another try would come to the same."""
    assert pauses(code) == []


@pytest.mark.parametrize("code", [None, -9, 1, 74, 129, 130, 143])
def test_what_is_tried_again(code: int | None) -> None:
    """A crash, a full disk, a worker that is gone: twice."""
    assert pauses(code) == [2.0, 4.0]


def test_what_is_for_later() -> None:
    """Somebody else is at it: for two hours, and that is no failure."""
    found = pauses(75)
    assert found[:6] == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0]
    assert 6000 < sum(found) <= 7200
    tries = Tries()
    for code in (75, 1, 75, 1):
        tries = tries.after(TaskEnd(code))
    assert tries == Tries(failed=2, later=2)
    assert pause_s(TaskEnd(1), tries) == 4.0
    forgotten = TaskEnd(None, is_forgotten=True)
    assert Tries().after(forgotten) == Tries(later=1)
    assert pause_s(forgotten, Tries(failed=2, later=1)) == 2.0


def test_the_code_of_a_share() -> None:
    """What another try may mend comes before what it will not."""
    assert share_code([]) == share_code([0, 0]) == 0
    assert share_code([0, 3]) == 3
    assert share_code([3, 2, 4, 0]) == 4
    assert share_code([4, 75, 1]) == 75
    assert share_code([4, None, 0]) == share_code([-9]) == 1
