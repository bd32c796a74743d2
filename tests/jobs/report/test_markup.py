"""Texts stay texts, whatever is in them."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.core.text import visible
from crawler.jobs.report.markup import Cell, Markup, byte_size, element, number, table, text


class Reader(HTMLParser):
    """Takes note of what a browser would make of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.data = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.tags.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.data += data


@given(st.text(st.characters()))
def test_a_text_is_a_text(value: str) -> None:
    """As content and as an attribute's value, all of it, whatever is in it; what cannot be seen is spelled out."""
    read = Reader(element("p", value, title=value))
    assert read.tags == [("p", [("title", visible(value, 500))])]
    assert read.data == visible(value, 500)
    element("p", value).encode()  # halves of surrogate pairs are no UTF-8


def test_markup_stays_markup() -> None:
    """It is escaped once, and no part of it twice."""
    assert element("p", element("b", "a & b"), "<") == "<p><b>a &amp; b</b>&lt;</p>"
    assert text(Markup("<br>")) == "<br>"
    assert element("path", d=Markup("M" * 1000)) == f'<path d="{"M" * 1000}"/>'


def test_attributes() -> None:
    """Names are Python's, and what is False is left out; an empty value is a value."""
    made = element("input", class_="a", aria_label="b", hidden=True, id=False, value="")
    assert made == '<input class="a" aria-label="b" hidden value=""/>'


def test_tables() -> None:
    """Numbers are set to the right and carry what they are sorted by; one row needs no sorting."""
    made = table("c", ["a", "b"], [["x", Cell("1", 1)], ["y", Cell("?", -1, "bad")]])
    assert '<table class="sortable">' in made
    assert '<th scope="col" class="n">b</th>' in made
    assert '<td class="bad n" data-v="-1">?</td>' in made
    assert "sortable" not in table("c", ["a"], [["x"]])
    assert '<th scope="col">b</th>' in table("c", ["a", "b"], [])


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "—"),
        (0, "0 B"),
        (1023, "1,023 B"),
        (1024, "1.0 KiB"),
        (3.5 * 2**40, "3.5 TiB"),
        (2**60, "1,048,576.0 TiB"),
    ],
)
def test_sizes(value: float | None, shown: str) -> None:
    """For people, up to TiB."""
    assert byte_size(value) == shown


def test_numbers() -> None:
    """With their thousands marked, whatever their size."""
    assert (number(None), number(1234567), number(2**70)) == ("—", "1,234,567", "1,180,591,620,717,411,303,424")
