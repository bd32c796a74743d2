"""The requests of a list are those that the real `Listing` makes, whatever it holds and however it is asked for."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from crawler.core.model import Page, VerifyMode
from crawler.engine.listing import Listing
from crawler.engine.page_size import PageSize
from crawler.jobs.plan.costs import Held, PageSizes, requests_for


def listed(held: Held, sizes: PageSizes, verify: VerifyMode) -> int:
    """Drive a listing over a list that nobody changes, all that it asks for at once; return its requests."""
    size_of_first = PageSize(sizes.asked)
    size_of_first.most = sizes.asked  # no smaller page is taken for a clamped one
    listing, requests = Listing(size_of_first, verify), 0
    while listing.outcome is None:
        asked = []
        while (number := listing.next_page()) is not None:
            asked.append((number, listing.page_size))
        assert asked
        for number, size in asked:
            assert size is not None
            requests += 1
            listing.receive(number, page(held, number, sizes.given(size)))
    return requests


def page(held: Held, number: int, size: int) -> Page:
    """Return a page of a list."""
    names = [f"{place:06}" for place in range((number - 1) * size, min(number * size, held.records))]
    following = number + 1 if number * size < held.records else None
    return Page(count=held.count, next=following, names=names, records=[name.encode() for name in names])


@given(
    records=st.integers(0, 400) | st.sampled_from([9, 10, 11, 99, 100, 101, 199, 200, 201]),
    more=st.none() | st.just(0) | st.integers(-400, 400),
    asked=st.integers(3, 300) | st.sampled_from([10, 20, 100]),
    largest=st.none() | st.integers(2, 150) | st.sampled_from([10, 20, 100]),
    verify=st.sampled_from(VerifyMode),
)
@example(records=100, more=0, asked=100, largest=100, verify=VerifyMode.ALWAYS)
@example(records=100, more=0, asked=300, largest=100, verify=VerifyMode.ALWAYS)
@example(records=7, more=5, asked=100, largest=None, verify=VerifyMode.AUTO)
def test_requests_are_those_of_the_listing(
    records: int, more: int | None, asked: int, largest: int | None, verify: VerifyMode
) -> None:
    """Exactly: one page or many, with a count that is right, missing, too small, too large, in every mode.

    But for pages of two, which nobody asks for: there boundaries soon have no other place.
    """
    held = Held(records, None if more is None else max(records + more, 0))
    sizes = PageSizes(asked, largest)
    assert requests_for(held, sizes, verify) == listed(held, sizes, verify)
