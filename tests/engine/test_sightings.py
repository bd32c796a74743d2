"""What a page's names are to a listing: new, known, twice; and how a page overlaps with the pages before it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.engine.passes import Overlap, Pass
from crawler.engine.proof import passes_overlap
from crawler.engine.sightings import Sightings


def begun(number: int) -> Pass:
    """Return a pass, counted from 1."""
    return Pass(bit=1 << (number - 1), size=10)


def taken(*passes: list[list[str]]) -> tuple[list[Pass], Sightings]:
    """Take the pages of some passes in, as a listing does; each is closed."""
    seen, made = Sightings(), []
    for number, pages in enumerate(passes, 1):
        one = begun(number)
        for page, names in enumerate(pages, 1):
            seen.take(names, into=one, page=page)
        one.end = one.contiguous = len(pages)
        made.append(one)
    return made, seen


def test_names_of_the_first_pass() -> None:
    """None tells that all of a page are new; a name that came before is found, and noted as one that came twice."""
    seen, one = Sightings(), begun(1)
    assert seen.take(["a", "b"], into=one, page=1) is None
    assert seen.take(["b", "c", "c"], into=one, page=2) == [1]
    assert (one.names, one.twice, len(seen)) == (3, {"b", "c"}, 3)


def test_names_of_a_later_pass() -> None:
    """What is known is no news; what is new is told by its place; what the pass before held is shared with it."""
    passes, seen = taken([["a", "b", "c"]], [["a", "b"], ["d", "c"]])
    assert [(one.names, one.shared) for one in passes] == [(3, 0), (4, 3)]
    third = begun(3)
    assert seen.take(["a", "d", "e", "e"], into=third, page=1) == [2]
    assert (third.names, third.shared, third.twice) == (3, 2, {"e"})
    assert seen.held_by() == {0b111: 1, 0b011: 2, 0b110: 1, 0b100: 1}


def test_a_name_twice_on_a_page_of_known_ones() -> None:
    """It is found there as well, although nothing on the page is new."""
    passes, _ = taken([["a", "b"]], [["a", "b", "a"]])
    assert (passes[1].names, passes[1].twice) == (2, {"a"})


@given(st.lists(st.lists(st.integers(0, 12).map(str), max_size=6), max_size=12), st.integers(1, 3))
def test_names_are_counted_as_one_by_one(pages: list[list[str]], passes: int) -> None:
    """Whatever comes in whatever order: the same as by a set a pass."""
    made, seen = taken(*[pages] * passes)
    held = {name for names in pages for name in names}
    twice = {name for name in held if sum(names.count(name) for names in pages) > 1}
    assert [(one.names, one.twice) for one in made] == [(len(held), twice)] * passes
    assert len(seen) == len(held)
    assert [one.shared for one in made] == [0, *[len(held)] * (passes - 1)]


def test_pages_of_the_pass_before() -> None:
    """In order as far as they are; a name that was pushed stands at one end."""
    passes, _ = taken([["a", "b"], ["c", "d"], ["e", "f"]], [["e", "a", "b"], ["c", "d", "new", "f", "e"]])
    assert passes[1].overlaps == {
        1: Overlap(head=(3, 3), tail=(1, 1), is_ordered=False),
        2: Overlap(head=(2, 3), tail=(2, 3), is_ordered=True),
    }


def test_a_page_whose_order_is_lost_twice() -> None:
    """What counts is the part before the first break, and that behind the last."""
    pages = [["a", "b"], ["c", "d"], ["e", "f"]]
    passes, _ = taken(pages, [["c", "e", "d", "a", "b", "f"]])
    assert passes[1].overlaps == {1: Overlap(head=(2, 3), tail=(1, 3), is_ordered=False)}


def test_names_of_a_page_that_other_passes_missed_are_in_order_all_the_same() -> None:
    """Where they stood counts, not how often they were seen."""
    passes, _ = taken([["b", "c"], ["d", "e"]], [["a", "b", "c", "d"], ["e"]], [["b", "a", "d", "c"], ["e"]])
    assert passes[2].overlaps == {
        1: Overlap(head=(1, 1), tail=(1, 1), is_ordered=True),
        2: Overlap(head=(2, 2), tail=(2, 2), is_ordered=True),
    }


@pytest.mark.parametrize(
    ("names", "are_known"),
    [
        (["a", "b", "c"], True),
        (["c", "a"], True),
        ([], True),
        (["a", "x"], False),  # nobody knows it
        (["a", "a"], False),
        (["a", "gone"], False),  # the pass before did not hold it
        (["a", "now"], False),  # this pass held it already
    ],
)
def test_when_all_names_of_a_page_are_taken_at_once(names: list[str], *, are_known: bool) -> None:
    """Only where the pass before held each of them, and this one none yet; nothing is taken in otherwise."""
    _, seen = taken([["a", "b", "c", "gone"], ["now"]], [["a", "b", "c"], ["now"]])
    third = begun(3)
    seen.take(["now"], into=third, page=1)
    marks = dict(seen._marks)
    assert seen._are_known(names, third, 2) is are_known
    assert (third.names, third.shared) == (1 + are_known * len(names),) * 2
    assert are_known or seen._marks == marks


# ── what overlapping passes prove ──

FIRST = [["a", "b", "c"], ["d", "e", "f"], ["g", "h", "i"]]


@pytest.mark.parametrize(
    ("second", "proved"),
    [
        ([["a", "b"], ["c", "d"], ["e", "f", "g"], ["h", "i"]], True),
        ([["a", "b"], ["c", "x", "d"], ["f", "g"], ["h", "i"]], True),  # x had hidden, and e was deleted
        ([["a", "b", "c"], ["d", "f", "g"], ["h", "i"]], False),  # the same boundary between c and d
        ([["f", "a", "b"], ["c", "d"], ["e", "g"], ["h", "i"]], False),  # f was pushed, and so may others have been
        ([["a", "b"], ["c", "d"], ["e", "g", "h"], ["i", "f"]], False),  # pushed to the end
        ([["d", "e"], ["c", "b"], ["a", "f", "g"], ["h", "i"]], False),  # in no order
        ([["g", "h", "i"], ["c", "d"], ["e", "f"], ["a", "b"]], False),  # the front is not the front of then
        ([["a", "b"], ["c", "d"], ["x", "y"], ["f", "g", "h", "i"]], False),  # a page of news: anything may be there
        ([["a", "b"], ["c", "d"], ["f", "g"], ["x"]], False),  # the end is not reached
    ],
)
def test_boundaries_that_are_covered(second: list[list[str]], proved: bool) -> None:  # noqa: FBT001 - a parameter
    """A boundary hides nothing from two passes if names of both its sides stand on one page of the second."""
    passes, seen = taken(FIRST, second)
    assert passes_overlap(passes, len(seen)) is proved


def test_where_images_are_pushed_a_third_pass_has_to_find_them() -> None:
    """One that had hidden at a boundary may have been pushed before the second pass came there."""
    second = [["f", "a", "b"], ["c", "d"], ["e", "g"], ["h", "i"]]
    for third, proved in (
        ([["f", "a"], ["b", "c"], ["d", "e", "g"], ["h", "i"]], True),
        ([["i", "f", "a"], ["b", "c"], ["d", "e", "g"], ["h"]], True),
    ):
        passes, seen = taken(FIRST, second, third)
        assert passes_overlap(passes, len(seen)) is proved


def test_a_boundary_that_only_a_third_pass_covers() -> None:
    """What the second leaves open lies at one of its own boundaries, and has to be covered there."""
    second = [["a", "b", "c"], ["d", "e"], ["f", "g"], ["h", "i"]]
    for third, proved in (
        ([["a", "b"], ["c", "d"], ["e", "f"], ["g", "h", "i"]], True),
        ([["a", "b", "c"], ["d"], ["e", "f", "g"], ["h", "i"]], False),
    ):
        passes, seen = taken(FIRST, second, third)
        assert not passes_overlap(passes[:2], len(seen))
        assert passes_overlap(passes, len(seen)) is proved


def test_a_count_that_is_larger_proves_nothing() -> None:
    """It may count what both passes missed."""
    passes, seen = taken(FIRST, [["a", "b"], ["c", "d"], ["e", "f", "g"], ["h", "i"]])
    passes[1].counts = {10}
    assert not passes_overlap(passes, len(seen))
    passes[1].counts = {9}
    assert passes_overlap(passes, len(seen))
    third, seen = taken(FIRST, [["a", "b"], ["c", "d"], ["e", "f", "g"], ["h", "i"]], FIRST)
    third[1].counts = {10}
    assert passes_overlap(third, len(seen))
    third[2].counts = {10}
    assert not passes_overlap(third, len(seen))


def test_a_pass_that_is_not_closed_proves_nothing() -> None:
    """Neither before nor after."""
    for broken in (0, 1):
        passes, seen = taken(FIRST, [["a", "b"], ["c", "d"], ["e", "f", "g"], ["h", "i"]])
        passes[broken].end = None
        assert not passes_overlap(passes, len(seen))


@pytest.mark.parametrize("number", [0, 1])
def test_a_name_that_comes_twice_may_have_been_pushed(number: int) -> None:
    """So two passes are too few, whatever their order."""
    passes, seen = taken(FIRST, [["a", "b"], ["c", "d"], ["e", "f", "g"], ["h", "i"]])
    passes[number].twice = {"a"}
    assert not passes_overlap(passes, len(seen))


def test_passes_behind_one_that_is_not_closed_prove_by_themselves() -> None:
    """What came before them is forgotten."""
    passes, seen = taken(FIRST, FIRST, [["a", "b"], ["c", "d"], ["e", "f", "g"], ["h", "i"]])
    passes[0].end = None
    assert passes_overlap(passes, len(seen))
