"""Fit a record into the columns of a table, exactly: the slow way, for records that are not as documented.

A column holds the value that counts, if it is one of its kind. Whatever the columns alone would not tell goes into
`EXTRA` in full, with its very text: unknown fields, other kinds, numbers with a fraction or beyond 64 bits, texts with
halves of surrogate pairs, and all values of a field that comes twice. So `EXTRA` comes before a column.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from crawler.api.surrogates import has_halves
from crawler.jobs.export.tables import ABSENT, EXTRA, Kind
from crawler.snapshot.reading.records import BadLineError, encode_text, key_of, parse_fields, parse_key, scan_fields

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from crawler.jobs.export.tables import Column, Table

_INTEGER = re.compile(rb"-?(?:0|[1-9][0-9]{0,18})")
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_NULL = b"null"
_quoted = lru_cache(1024)(encode_text)


class _Row(NamedTuple):
    """A record that was fitted.

    Attributes:
        cells: what goes into each column, as JSON.
        extra: members of an object.
        absent: names of columns that the record has no field for.
    """

    cells: dict[str, bytes]
    extra: list[bytes]
    absent: list[bytes]

    @property
    def is_exact(self) -> bool:
        """Whether the cells alone tell the record."""
        return not (self.extra or self.absent)

    def joined(self, **more: bytes) -> bytes:
        """Return the cells, and more of them, as an object."""
        cells = (_quoted(name) + b":" + text for name, text in (self.cells | more).items())
        return b"{%b}" % b",".join(cells)


def fitted_lines(blocks: Iterable[bytes], table: Table, *, before: int = 0) -> Iterator[bytes]:
    """Fit each line of some blocks; ``before`` counts the lines before them.

    Raises:
        BadLineError: a line is no record of that table.
    """
    lines = chain.from_iterable(block.removesuffix(b"\n").split(b"\n") for block in blocks)
    for index, line in enumerate(lines, before):
        try:
            yield fitted(line, table)
        except ValueError as error:
            raise BadLineError(str(error), index) from error


def fitted(line: bytes, table: Table) -> bytes:
    """Return a record as a JSON object that has nothing but columns of its table.

    Raises:
        ValueError: it is no record of that table.
    """
    parse_key(line, key_of(table.key))
    row = _fit_fields(line, table.columns)
    extra = encode_text((b"{%b}" % b",".join(row.extra)).decode()) if row.extra else _NULL
    absent = encode_text((b"[%b]" % b",".join(row.absent)).decode()) if row.absent else _NULL
    return row.joined(**{ABSENT: absent, EXTRA: extra})


def _fit_fields(record: bytes, columns: Mapping[str, Column]) -> _Row:
    fields, doubled = _fields(record)
    row = _Row({}, [], [])
    for name, value in fields:
        is_exact = False
        if name in columns:
            row.cells[name], is_exact = _fit(value, columns[name])  # of a field that comes twice, the last counts
        if not is_exact or name in doubled:
            row.extra.append(encode_text(name) + b":" + value)
    row.absent.extend(encode_text(name) for name in columns if name not in row.cells)
    return row


def _fit(value: bytes, column: Column) -> tuple[bytes, bool]:
    """Return what goes into a column of a value, and whether that is all of it."""
    if value == _NULL:
        return value, True
    if column.kind is Kind.RECORDS:
        return _fit_records(value, column.fields)
    return (value, True) if _is_of(column.kind, value) else (_NULL, False)


def _is_of(kind: Kind, value: bytes) -> bool:
    if kind is Kind.TEXT:
        return value.startswith(b'"') and not (b"\\u" in value and has_halves(value))
    if kind is Kind.INTEGER:
        return _INTEGER.fullmatch(value) is not None and -(2**63) <= int(value) < 2**63
    return value in (b"true", b"false")


def _fit_records(value: bytes, columns: Mapping[str, Column]) -> tuple[bytes, bool]:
    if not value.startswith(b"[") or has_halves(value):
        return _NULL, False
    cells, are_exact = list[bytes](), True
    for item in map(bytes, _ITEMS.decode(value)):
        row = _fit_fields(item, columns) if item.startswith(b"{") else None
        cells.append(_NULL if row is None else row.joined())
        are_exact &= item == _NULL if row is None else row.is_exact
    return b"[%b]" % b",".join(cells), are_exact


_ESCAPED = b'\\":'
"""A quotation mark in a text, or a name that ends with a backslash: counting does not tell which."""


def _fields(record: bytes) -> tuple[Iterable[tuple[str, bytes]], Collection[str]]:
    """Return name and text of each field, and the names that come twice, as their fields then do."""
    fields = {name: bytes(value) for name, value in parse_fields(record).items()}
    within = sum(_names(value) for value in fields.values() if value[0] in b"{[")
    if _ESCAPED not in record and _names(record) == len(fields) + within:
        return fields.items(), ()
    every = [(name, bytes(value)) for name, value in scan_fields(record.decode())]
    counts = Counter(name for name, _ in every)
    return every, {name for name, number in counts.items() if number > 1}


def _names(text: bytes) -> int:
    """Count the names of fields; too few where blanks stand behind them."""
    return text.count(b'":')
