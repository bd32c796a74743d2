"""Records that are not as documented, fitted into columns: nothing rounded, lost or retyped, and never a guess."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.odd_records import assert_told, odd_lines

from crawler.jobs.export.fitting import fitted, fitted_lines
from crawler.jobs.export.tables import tables
from crawler.snapshot.reading.records import BadLineError

KEY = '"account":"a","region":"kr","registry":"r"'
COUNT = "pull_count"
CASES: dict[str, tuple[str, int | None, str | None]] = {
    "a number with a fraction": ('"pull_count":1.0', None, '{"pull_count":1.0}'),
    "a number with an exponent": ('"pull_count":1e2', None, '{"pull_count":1e2}'),
    "a number beyond 64 bits": ('"pull_count":18446744073709551617', None, '{"pull_count":18446744073709551617}'),
    "the largest": ('"pull_count":9223372036854775807', 2**63 - 1, None),
    "the smallest": ('"pull_count":-9223372036854775808', -(2**63), None),
    "one more": ('"pull_count":9223372036854775808', None, '{"pull_count":9223372036854775808}'),
    "a text": ('"pull_count":"12"', None, '{"pull_count":"12"}'),
    "null": ('"pull_count":null', None, None),
    "twice": ('"pull_count":1,"pull_count":2', 2, '{"pull_count":1,"pull_count":2}'),
    "twice, spelled otherwise": ('"pull_count":1,"pull\\u005fcount":[]', None, '{"pull_count":1,"pull_count":[]}'),
    "half a pair": ('"pull_count":"\\ud800"', None, '{"pull_count":"\\ud800"}'),
    "unknown": ('"pull_count":1,"extra":{"a":1.10}', 1, '{"extra":{"a":1.10}}'),
}


@pytest.mark.parametrize("case", CASES)
def test_what_fits(case: str) -> None:
    """A column holds the value that counts, if it is of its kind; else, or if it comes twice, `extra` has the text."""
    text, cell, extra = CASES[case]
    row = json.loads(fitted(f'{{{KEY},"name":"n",{text}}}'.encode(), tables()["images"]))
    assert (row[COUNT], row["extra"]) == (cell, extra)


@pytest.mark.long
@settings(deadline=None)
@given(data=st.data(), table=st.sampled_from(["registries", "images", "tags"]))
def test_nothing_is_lost(data: st.DataObject, table: str) -> None:
    """A row tells its record: every value to the last digit, what is there twice, and what is absent."""
    line = data.draw(odd_lines(table))
    row = json.loads(fitted(line, tables()[table]))
    assert_told(line, dict.fromkeys(tables()[table].all_columns) | row)


@pytest.mark.parametrize("line", [b"", b"null", b"[]", b"{}", b'{"name":"n"}', b'{"a":1', b'{"a":1}{"b":2}', b"\xff"])
def test_what_is_no_record(line: bytes) -> None:
    """A line that is no record of the table is refused, and which one it is is said."""
    with pytest.raises(ValueError, match=r"\S"):
        fitted(line, tables()["images"])
    good = f'{{{KEY},"name":"n"}}'.encode()
    with pytest.raises(BadLineError) as caught:
        list(fitted_lines([b"\n".join((good, line, good))], tables()["images"]))
    assert caught.value.index == 1
