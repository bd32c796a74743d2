"""Lists that one list has named are begun close together, in turns, and all of them once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from crawler.api.collections import IMAGES, REGISTRIES, TAGS
from crawler.engine.families import LISTS_A_TURN, Families

if TYPE_CHECKING:
    from crawler.core.collection import Collection


def begun(families: Families) -> tuple[str, ...]:
    due = families.begin()
    assert due is not None
    return due[1]


def test_nothing_waits() -> None:
    """Then nothing is begun."""
    families = Families()
    assert (bool(families), len(families), families.begin()) == (False, 0, None)
    families.expect(IMAGES, (), [], is_open=True)
    assert (bool(families), len(families), families.begin()) == (False, 0, None)


def test_what_a_registry_holds_comes_before_other_registries() -> None:
    """Its images are begun next, a few registries between them, so that neither waits for all of the other."""
    families = Families()
    families.expect(IMAGES, (), "abcdef", is_open=False)
    assert begun(families) == ("a",)
    families.expect(TAGS, ("a",), map(str, range(20)), is_open=True)
    first, then = LISTS_A_TURN
    order = [begun(families) for _ in range(first + then)]
    assert [within[0] for within in order if len(within) > 1] == ["a"] * first
    assert [within for within in order if len(within) == 1] == [("b",), ("c",)][:then]


def test_few_registries_are_open_at_a_time() -> None:
    """While two have images that wait, no other is begun: what waits in memory are the names of few."""
    families = Families()
    families.expect(IMAGES, (), map(str, range(100)), is_open=False)
    opened: set[str] = set()
    while families:
        within = begun(families)
        if len(within) == 1:
            assert len(families) <= 100 + 2 * 50
            families.expect(TAGS, within, map(str, range(50)), is_open=False)
            opened.add(within[0])
        families.end(within)
    assert len(opened) == 100


def test_a_family_is_over_when_nothing_of_it_is_left() -> None:
    """Not while the list that names it goes on, nor while one of its lists does."""
    families = Families()
    families.expect_top(REGISTRIES)
    assert begun(families) == ()
    families.expect(IMAGES, (), "ab", is_open=True)
    assert begun(families) == ("a",)
    assert families.end(("a",)) == []
    assert begun(families) == ("b",)
    assert families.end(("b",)) == []
    assert [family.within for family in families.end(())] == [()]
    assert families.end(()) == []


@given(st.lists(st.integers(0, 12), max_size=12))
def test_everything_is_begun_once(sizes: list[int]) -> None:
    """Whatever the registries hold, each list is begun once, and each family is over once."""
    families = Families()
    families.expect_top(REGISTRIES)
    found: list[tuple[Collection, tuple[str, ...]]] = []
    over: list[tuple[str, ...]] = []
    while (due := families.begin()) is not None:
        collection, within = due
        found.append(due)
        if collection is REGISTRIES:
            families.expect(IMAGES, within, map(str, range(len(sizes))), is_open=True)
        elif collection is IMAGES:
            families.expect(TAGS, within, map(str, range(sizes[int(within[0])])), is_open=True)
        over += [family.within for family in families.end(within)]
    lists = [(IMAGES, (str(number),)) for number in range(len(sizes))]
    tags = [(TAGS, (str(number), str(image))) for number, size in enumerate(sizes) for image in range(size)]
    assert sorted(within for _, within in found) == sorted([(), *(within for _, within in (*lists, *tags))])
    assert len(set(over)) == len(over)
    assert set(over) == {(), *((str(number),) for number in range(len(sizes)))}


def test_what_is_held_waits_and_is_not_begun() -> None:
    """Not before it is released, and then without what is done already; the family is over when that was all."""
    families = Families()
    families.expect(IMAGES, (), "a", is_open=False)
    assert begun(families) == ("a",)
    families.expect(TAGS, ("a",), "xy", is_open=True, is_held=True)
    families.expect(TAGS, ("a",), "z", is_open=True, is_held=True)
    assert (families.begin(), len(families), bool(families)) == (None, 3, True)
    assert [family.within for family in families.end(("a",))] == [()], "the list that names it is over"
    families.release(("a",), without={"x", "z"})
    assert begun(families) == ("a", "y")
    assert [family.within for family in families.end(("a", "y"))] == [("a",)]
    assert not families


def test_what_is_held_and_done_is_over() -> None:
    """Nothing of it waits any more."""
    families = Families()
    families.expect(TAGS, ("a",), "x", is_open=True, is_held=True)
    families.expect(TAGS, ("b",), "y", is_open=True, is_held=True)
    families.end(("a",))
    families.release(("a",), without={"x"})
    families.release(("a",))
    assert len(families) == 1
    families.release_all()
    assert begun(families) == ("b", "y")
