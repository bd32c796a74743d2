"""Records as no gateway should send them, and how a row of an export tells them all the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from crawler.jobs.export.tables import ABSENT, EXTRA, tables
from crawler.snapshot.reading.records import scan_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

NUMBERS = ("0", "-0", "1", "-7", "1.0", "1e2", "0.1", "-1E+400", "1.10", "9223372036854775807", "-9223372036854775808")
HUGE = ("9223372036854775808", "-9223372036854775809", "18446744073709551617", "1" * 400, "0." + "3" * 40)
TEXTS = (
    '""',
    '"a"',
    '"=1+1"',
    r'"\":null"',
    r'"} null"',
    '"결제 🚀"',
    r'"\u0000\n"',
    r'"\ud83d\ude80"',
    '"2026-11-24"',
    '"1"',
)
HALVES = (r'"\ud800"', r'"x\uDFFFy"', r'"\udc00\ud800"')
OTHERS = ("null", "true", "false", "[]", "{}", "[null]", '[{"size":1}]', '{"a":{"b":[1,{"c":null}]}}', "[[[1e9]]]")
VALUES = st.sampled_from([*NUMBERS, *HUGE, *TEXTS, *HALVES, *OTHERS])
BLANKS = st.sampled_from(["", "", "", " ", "\t"])


def platforms() -> st.SearchStrategy[str]:
    """Lists of a tag's images: as documented, or nearly so."""
    names = st.sampled_from(list(tables()["tags"].columns["images"].fields))
    whole = st.just(",".join(f'"{name}":null' for name in tables()["tags"].columns["images"].fields))
    some = st.lists(st.tuples(names, VALUES), max_size=4).map(lambda all_: ",".join(f'"{n}":{v}' for n, v in all_))
    items = st.one_of(whole, some).map("{{{}}}".format)
    return st.lists(st.one_of(items, VALUES), max_size=3).map(lambda all_: f"[{','.join(all_)}]")


@st.composite
def odd_lines(draw: st.DrawFn, table: str) -> bytes:
    """Lines of a data file: a key, and fields that are as documented, odd, unknown, absent or there twice."""
    keys = tables()[table].key
    documented = [name for name in tables()[table].columns if name not in keys]
    odd = draw(st.sets(st.sampled_from(documented), max_size=3))
    fields = [
        (name, draw(platforms() if name == "images" else VALUES) if name in odd else "null") for name in documented
    ]
    fields = [one for one in fields if one[0] not in draw(st.sets(st.sampled_from(documented), max_size=1))]
    unknown = st.sampled_from(
        ["extra", "absent", "snapshot", "новое", "a\\\\", 'x\\"', "\\ud800", "user", "pull_count"]
    )
    fields += draw(st.lists(st.tuples(unknown, VALUES), max_size=2))
    name = draw(st.sampled_from(['"a"', '"app/web"', r'"\ud800"', r'"a"']))
    fields = [*((key, f'"{key}"') for key in keys[:-1]), *draw(st.permutations([*fields, ("name", name)]))]
    blank = draw(BLANKS)
    return "{{{}}}".format(",".join(f'"{key}"{blank}:{blank}{value}' for key, value in fields)).encode()


def assert_told(line: bytes, row: Mapping[str, Any]) -> None:
    """Hold a row to the record that it is of: every value, of its kind and to the last digit, and what is absent."""
    fields = [(name, bytes(value)) for name, value in scan_fields(line.decode())]
    extra = [(name, bytes(value)) for name, value in scan_fields(row[EXTRA])] if row[EXTRA] else []
    in_extra = {name for name, _ in extra}
    assert extra == [one for one in fields if one[0] in in_extra]
    told: dict[str, bytes] = dict(fields)
    columns = {name: value for name, value in row.items() if name not in (ABSENT, EXTRA)}
    assert told.keys() <= columns.keys() | in_extra
    assert json.loads(row[ABSENT] or "[]") == [name for name in columns if name not in told]
    for name, value in columns.items():
        if name in told and name not in in_extra:
            assert same(json.loads(told[name]), value), name
        elif name not in told:
            assert value is None


def same(told: Any, value: Any) -> bool:
    """Whether two values are the same and of one kind: 1 is neither 1.0 nor true."""
    if isinstance(told, list) and isinstance(value, list):
        return len(told) == len(value) and all(map(same, told, value))
    if isinstance(told, dict) and isinstance(value, dict):
        return told.keys() == value.keys() and all(same(told[name], value[name]) for name in told)
    return type(told) is type(value) and bool(told == value)
