"""HTML in which a text from elsewhere is a text: whatever is no `Markup` already is escaped on its way in."""

from __future__ import annotations

from html import escape
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

from crawler.core.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterable

UNKNOWN = "—"
_EMPTY = frozenset({"meta", "input", "rect", "path"})
"""Elements without an end; those of SVG have to say so by themselves, or hold what follows."""


class Markup(str):
    """A piece of HTML that is safe as it is."""

    __slots__ = ()


def text(value: str) -> Markup:
    """Return a text as HTML: nothing in it is markup, and what is invisible or turns others around is spelled out."""
    return value if isinstance(value, Markup) else Markup(escape(visible(value, 500)))


def element(tag: str, /, *children: str, **attributes: str | bool) -> Markup:
    """Return an element.

    Args:
        tag: name of the element.
        children: markup, or texts, which are escaped.
        attributes: their values; True gives one without a value, False none. ``class_`` is ``class``, and other
            underscores are hyphens.
    """
    given = "".join(_attribute(key, value) for key, value in attributes.items() if value is not False)
    if tag in _EMPTY:
        return Markup(f"<{tag}{given}/>")
    return Markup(f"<{tag}{given}>{''.join(map(text, children))}</{tag}>")


def _attribute(key: str, value: str | bool) -> str:  # noqa: FBT001 - True is a value here
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if isinstance(value, bool) else f' {name}="{text(value)}"'


def join(pieces: Iterable[str]) -> Markup:
    """Put pieces one after the other, a line each."""
    return Markup("\n".join(map(text, pieces)))


def number(value: float | None) -> Markup:
    """Return a cell's content for a number with thousands marked; a dash for what nobody knows."""
    return text(UNKNOWN if value is None else f"{value:,}")


def byte_size(value: float | None) -> Markup:
    """Return a size for people."""
    if value is None:
        return text(UNKNOWN)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return text(f"{value:,.0f} {unit}" if unit == "B" else f"{value:,.1f} {unit}")


class Cell:
    """One cell of a table.

    Args:
        content: what is shown.
        value: what a number is sorted by; None for texts.
        mark: class of the cell.
    """

    __slots__ = ("content", "mark", "value")

    def __init__(self, content: str, value: float | None = None, mark: str = "") -> None:
        self.content = text(content)
        self.value = value
        self.mark = mark


Row: TypeAlias = "list[str | Cell]"


def count(value: int | None) -> Cell:
    """Return a cell with a number; what nobody knows sorts below 0."""
    return Cell(number(value), -1 if value is None else value)


def table(caption: str, head: Iterable[str], rows: Iterable[Row], *, sortable: bool = True) -> Markup:
    """Return a table in a frame that scrolls by itself, also by keyboard, where it is wider or longer than it may be.

    The first cell of a row is its head. Columns whose cells have values are set to the right.
    """
    cells = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
    columns = [any(cell.value is not None for cell in column) for column in zip(*cells, strict=True)]
    columns += [False] * (len(head := list(head)) - len(columns))
    heads = (
        element("th", title, scope="col", class_="n" if is_number else False)
        for title, is_number in zip(head, columns, strict=True)
    )
    body = join(element("tr", *chain(map(_cell, row, [True] + [False] * len(row)))) for row in cells)
    inner = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *heads)),
        element("tbody", body),
        class_="sortable" if sortable and len(cells) > 1 else False,
    )
    return element("div", inner, class_="frame", role="region", aria_label=caption, tabindex="0")


def _cell(cell: Cell, is_head: bool) -> Markup:  # noqa: FBT001 - called by map
    mark = " ".join(filter(None, (cell.mark, "n" if cell.value is not None else ""))) or False
    value = False if cell.value is None else f"{cell.value:.15g}"
    if is_head:
        return element("th", cell.content, scope="row", class_=mark, data_v=value)
    return element("td", cell.content, class_=mark, data_v=value)
