"""When a pass keeps the order of the one before, case by case; and a part of `make proofs`.

There what changes while it is read, on back-ends that lag, is never called whole wrongly.
"""

from __future__ import annotations

from statistics import median

import pytest
from long import tag_proofs
from long.proofs import KINDS, prove
from long.tag_proofs import crawled, prove_tags, wrong

from crawler.core.model import Verdict
from crawler.engine.passes import Overlap, Pass
from crawler.engine.proof import _keeps_order, ends_at_a_page

Span = tuple[int, int]


def in_order(*span: int) -> Overlap:
    """Return what a page is whose names stand in the order of the pass before, on those of its pages."""
    return Overlap(head=(span[0], span[-1]), tail=(span[0], span[-1]), is_ordered=True)


def torn(head: Span, tail: Span) -> Overlap:
    """Return what a page is of which only a part at each end stands in the order of the pass before."""
    return Overlap(head=head, tail=tail, is_ordered=False)


@pytest.mark.parametrize(
    ("before", "pages", "keeps"),
    [
        (3, [in_order(1, 2), in_order(2, 3)], True),
        (1, [in_order(1)], True),
        # its first page reaches back to the first
        (3, [in_order(2), in_order(2, 3)], False),
        (3, [torn((3, 3), (1, 1)), in_order(2, 3)], True),  # what was pushed stands in front of what was there
        (3, [torn((1, 1), (3, 3)), in_order(3)], False),
        (1, [torn((1, 1), (2, 2))], True),
        # its last one to the last, or that before it
        (4, [in_order(1, 2), in_order(3)], True),
        (4, [in_order(1, 2), in_order(2, 4)], False),
        (4, [in_order(1), in_order(1, 3)], False),
        (4, [in_order(1), in_order(1)], False),
        (3, [in_order(1), torn((2, 2), (1, 1))], True),  # or behind it
        (3, [in_order(1, 2), torn((1, 1), (3, 3))], False),
        # each page begins where the one before it ends, or later
        (3, [in_order(1, 3), in_order(2, 3)], False),
        (3, [in_order(1), in_order(3)], True),
        (3, [in_order(1), torn((2, 2), (2, 2)), in_order(3)], False),  # nobody pushes into the middle
    ],
)
def test_whether_a_pass_keeps_the_order_of_the_one_before(before: int, pages: list[Overlap], *, keeps: bool) -> None:
    """But for what was pushed to one end of the list: then no boundary hides what nobody knows."""
    after = Pass(bit=2, size=10, end=len(pages), overlaps=dict(enumerate(pages, 1)))
    assert _keeps_order(Pass(bit=1, size=10, end=before), after) is keeps
    del after.overlaps[len(pages)]
    assert not _keeps_order(Pass(bit=1, size=10, end=before), after)


def read(end: int, *, given: int, short: int = 0, contiguous: int | None = None) -> Pass:
    """Return a pass of so many pages as large as its first one, but for what its last one is short of."""
    records, came = end * given - short, end if contiguous is None else contiguous
    return Pass(bit=1, size=1000, end=end, given=given, records=records, contiguous=came)


@pytest.mark.parametrize(
    ("before", "after", "ends"),
    [
        (read(5, given=100), read(5, given=97), True),
        (read(5, given=97), read(5, given=100), True),
        (read(5, given=100), read(6, given=97), False),
        (read(5, given=100), read(5, given=100), False),
        (read(5, given=100), read(5, given=97, short=1), False),
        (read(5, given=100, short=1), read(5, given=97), False),
        (read(5, given=100), read(5, given=97, contiguous=3), False),
        (read(5, given=100, contiguous=3), read(5, given=97), False),
    ],
)
def test_whether_a_gateway_gives_so_many_pages_and_no_more(before: Pass, after: Pass, *, ends: bool) -> None:
    """As many full pages, whatever their size."""
    assert ends_at_a_page([before, after]) is ends
    assert not ends_at_a_page([after])


@pytest.mark.long
def test_what_is_called_whole_lacks_nothing() -> None:
    """2,000 listings: no loss behind a good verdict, nearly all end with one, for about two passes in the median."""
    tally = prove(range(2000))
    assert tally.lost == []
    for kind in KINDS:
        whole = sum(number for verdict, number in tally.verdicts[kind].items() if verdict.is_whole)
        assert whole >= 0.95 * tally.verdicts[kind].total()
        assert round(median(tally.multiples[kind]), 2) <= (2.0 if kind == "quiet" else 3.0)


@pytest.mark.long
def test_what_is_called_whole_lacks_no_tag() -> None:
    """140 crawls down to tags: nothing lost without a word, foreign, twice, or gone that was there throughout."""
    tally = prove_tags(range(140))
    assert tally.wrong == []
    assert tally.counts["quiet"]["flagged"] == 0
    for kind in tag_proofs.KINDS:
        assert tally.counts[kind]["whole"] >= 25
    assert tally.counts["delete images"]["gone"]


def test_what_is_lost_among_tags_is_caught() -> None:
    """A tag less, a list that no one asked for, a tag of another image, one twice: the test above can fail."""
    account, taken, result = crawled(0)
    images, tags = taken.images.copy(), taken.tags.copy()
    image = tags[0][:2]
    spoilt = {
        "is called whole and lacks": (images, tags[1:]),
        "nothing is said of": (images, [tag for tag in tags if tag[:2] != image]),
        "the images of": ([one for one in images if one != image], tags),
        "foreign": (images, [(*images[-1], tags[0][2]), *tags]),
        "stands twice": (images, [*tags, tags[0]]),
    }
    assert list(wrong(account, taken, result)) == []
    for said, (taken.images, taken.tags) in spoilt.items():
        assert any(said in problem for problem in wrong(account, taken, result)), said


def test_what_is_called_gone_wrongly_is_caught() -> None:
    """An image that was there throughout is never gone."""
    account, taken, result = next(
        one for one in map(crawled, range(4, 700, 7)) if any(each.verdict is Verdict.GONE for each in one[2].deeper)
    )
    assert list(wrong(account, taken, result)) == []
    gone = [one.within for one in result.deeper if one.verdict is Verdict.GONE]
    account.images_throughout |= {(registry, image) for registry, image in gone}
    assert any("called gone and was there" in problem for problem in wrong(account, taken, result))
