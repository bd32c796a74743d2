"""Differences for people: counts first, then registry by registry, names aligned.

Whatever its level, a difference is a line, so the text holds as much as the lines for machines. It is put aside until
the counts are known; what is more than a few megabytes goes to a temporary file.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, TypeAlias

from crawler.core.text import iso, visible
from crawler.output.files import writing
from crawler.snapshot.comparing.diff import CHANGES
from crawler.snapshot.reading.records import parse_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import IO

    from crawler.snapshot.comparing.diff import Difference

Counts: TypeAlias = "Counter[tuple[str, str]]"
"""Level and change to how many."""

_MARKS = dict(zip(CHANGES, "+-~?", strict=True))
_LEVELS = {"registry": "registries", "image": "images", "tag": "tags"}
_IN_MEMORY_BYTES = 4 * 1024 * 1024
_LONGEST_NAME = 200
_WIDEST_COLUMN = 40
_LONGEST_VALUE = 30
_MOST_FIELDS = 3
_TIMES = frozenset({"created", "last_updated", "latest_pulled", "updated"})
_DIGITS_OF_A_TIME = 13
"""Of milliseconds since 1970, from 2001 to 2286: what is no such number is shown as it is."""


@dataclass(slots=True)
class _Group:
    """The differences of one registry, or of a region's list of registries: how many, and how long their names are."""

    place: str
    counts: Counts = field(default_factory=Counter)
    rows: int = 0
    width: int = 0

    def take(self, one: Difference) -> bytes:
        """Count a difference, and return its row, to be aligned later."""
        name, more = visible(_name(one), _LONGEST_NAME), _fields(one)
        self.counts[one.level, one.change] += 1
        self.rows += 1
        if more:
            self.width = max(self.width, min(len(name), _WIDEST_COLUMN))
        return f"{_MARKS[one.change]} {name}\t{more}\n".encode()

    def lines(self, rows: IO[bytes]) -> Iterator[bytes]:
        """Yield the group's text, whose rows are read from where they were put aside."""
        told = "; ".join(f"{level} {counted}" for level, counted in _counted(self.counts))
        yield f"\n{self.place}: {told}\n".encode()
        for _ in range(self.rows):
            name, _, more = rows.readline().decode().rstrip("\n").partition("\t")
            yield f"  {name:{self.width + 2}}  {more}".rstrip(" ").encode() + b"\n"


def as_text(differences: Iterable[Difference], account: str | None = None) -> Iterator[bytes]:
    """Yield lines of text: how many differences there are of each kind, then each of them below its registry.

    Args:
        differences: those of a registry one after the other.
        account: of both sides, which is not said each time.

    Raises:
        OutputError: there is no room for a temporary file.
    """
    with writing(tempfile.gettempdir()), tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as rows:
        groups = []
        for place, some in groupby(differences, lambda one: _place(one, account)):
            groups.append(group := _Group(place))
            rows.writelines(map(group.take, some))
        rows.seek(0)
        yield from totals_as_text(sum((group.counts for group in groups), Counter()))
        for group in groups:
            yield from group.lines(rows)


def totals_as_text(counts: Counts) -> Iterator[bytes]:
    """Yield a line a level that says how many differences there are of each kind."""
    told = _counted(counts)
    width = max((len(level) for level, _ in told), default=0)
    for level, counted in told:
        yield f"{level:{width}}  {counted}\n".encode()
    if not told:
        yield b"no differences\n"


def _counted(counts: Counts) -> list[tuple[str, str]]:
    by_level = {
        name: [f"{counts[level, change]:,} {change}" for change in CHANGES if counts[level, change]]
        for level, name in _LEVELS.items()
    }
    return [(name, ", ".join(told)) for name, told in by_level.items() if told]


def _place(one: Difference, account: str | None) -> str:
    """Return the registry that a difference is in, or else the region."""
    place = one.region if one.registry is None else f"{one.region}/{one.registry}"
    return visible(place if one.account in (None, account) else f"{place} of account {one.account}", _LONGEST_NAME)


def _name(one: Difference) -> str:
    image: str | None = getattr(one, "image", None)
    if one.name is not None:
        return one.name if image is None else f"{image}:{one.name}"
    if one.registry is None:
        return "(which registries there are: a side does not know)"
    return f"({one.registry if image is None else image}: a side does not have all of it)"


def _fields(one: Difference) -> str:
    """Return which fields changed, and how."""
    if one.before is None or one.after is None:
        return ""
    old, new = parse_fields(one.before), parse_fields(one.after)
    told = [f"{visible(name, _LONGEST_VALUE)} {_value(name, old)} → {_value(name, new)}" for name in one.fields]
    more = [f"{len(told) - _MOST_FIELDS} more fields"] if len(told) > _MOST_FIELDS else []
    return ", ".join([*told[:_MOST_FIELDS], *more])


def _value(name: str, record: Mapping[str, bytes | memoryview]) -> str:
    if name not in record:
        return "(none)"
    text = bytes(record[name]).decode()
    is_time = name in _TIMES and len(text) == _DIGITS_OF_A_TIME and text.isascii() and text.isdecimal()
    return iso(int(text)) if is_time else visible(text, _LONGEST_VALUE)
