"""Bytes become a page or a PageError, never anything else; what a record held comes out untouched, on one line."""

from __future__ import annotations

import json
import random
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crawler.api.collections import IMAGES, REGISTRIES
from crawler.api.nesting import MAX_DEPTH
from crawler.api.records import line_prefix, lines
from crawler.api.v2 import V2, beside, opens_twice, split_flat
from crawler.core.errors import PageError

if TYPE_CHECKING:
    from crawler.core.model import Page

AWKWARD = 'a"\\/\n\x00\x7f\u2028한😀\ud800\udbff\udc00\udfff\ue000'
ANY_TEXT = st.text(max_size=20) | st.text(st.sampled_from(AWKWARD), max_size=8)
PREFIX = line_prefix(IMAGES.fields, ("default", "kr", "team-a"))
OURS = {"account": "default", "region": "kr", "registry": "team-a"}
GOOD = (
    b'{"count":2,"next":2,"previous":null,"results":[{"name":"a\\u00e9\\"\\\\","n":1.10,"big":18446744073709551616,'
    b'"nested":{"x":[true,false,null,-0.0,1e400]},"empty":{},"text":"\xed\x95\x9c\xea\xb8\x80 \xf0\x9f\x98\x80"},'
    b'{ "name" : "b", "half":"\\ud83d\\ude00" }]}'
)


def body(record: bytes = b'{"name":"a"}', following: bytes = b"null", count: bytes = b"1") -> bytes:
    """Return a page of one record."""
    return b'{"count":' + count + b',"next":' + following + b',"previous":null,"results":[' + record + b"]}"


def decode(text: bytes) -> Page:
    """Decode a page of images."""
    return V2.decode(text, IMAGES, 1)


def exact(text: bytes) -> Any:
    """Read JSON by the standard library with every number as its text, so that 1.10 and 1.1 differ."""
    return json.loads(text, parse_int=lambda digits: ("number", digits), parse_float=lambda digits: ("number", digits))


def lines_of(page: Page) -> list[dict[str, Any]]:
    """Read the lines of a page, each by itself, after a look at their shape."""
    written = lines(PREFIX, page.records)
    assert written.count(b"\n") == len(page.records)
    assert b"\r" not in written
    assert all(record.endswith(b"}") for record in page.records)
    return [exact(line) for line in written.split(b"\n")[:-1]]


def names_and_fields(text: bytes) -> list[dict[str, Any]]:
    """Return what the lines of a page must hold, as the standard library sees it."""
    return [
        OURS | {field: value for field, value in record.items() if field not in OURS}
        for record in exact(text)["results"]
        if isinstance(record, dict) and isinstance(record.get("name"), str)
    ]


# ── values ──


def test_a_good_page() -> None:
    """Count, next, names and records of an ordinary page; each record's bytes are those that came."""
    page = decode(GOOD)
    assert (page.count, page.next, page.names, page.defects, page.overridden) == (2, 2, ['aé"\\', "b"], 0, 0)
    assert b"{" + page.records[0] == GOOD[GOOD.index(b'{"name"') : GOOD.index(b',{ "name"')]
    assert lines_of(page) == names_and_fields(GOOD)


def test_ours_come_first() -> None:
    """A line is our fields in their order and then the record's own bytes, nothing between, nothing after."""
    page = decode(body(b'{"name":"a","b":1.10,"a":[1, 2]}'))
    assert lines(PREFIX, page.records) == (
        b'{"account":"default","region":"kr","registry":"team-a","name":"a","b":1.10,"a":[1, 2]}\n'
    )
    registries = V2.decode(body(b'{"name":"x","registry":"own"}'), REGISTRIES, 1)
    prefix = line_prefix(REGISTRIES.fields, ("default", "kr"))
    assert lines(prefix, registries.records) == b'{"account":"default","region":"kr","name":"x","registry":"own"}\n'
    assert lines(PREFIX, []) == b""


NUMBERS = (
    st.integers(-(10**400), 10**400).map(str)
    | st.decimals(allow_nan=False, allow_infinity=False).map(lambda d: str(d).lower().replace("e+", "e"))
    | st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
    | st.sampled_from(["1.10", "1e400", "-0.0", "-0", "0.0000", "18446744073709551616", "9007199254740993", "1E+2"])
)


@settings(deadline=None, derandomize=True)
@given(numbers=st.lists(NUMBERS, min_size=1, max_size=5), pretty=st.booleans())
def test_numbers_come_out_as_they_came_in(numbers: list[str], *, pretty: bool) -> None:
    """No number is rounded, shortened or retyped: not at 10^400, not 1.10, not -0.0, not in a pretty-printed page."""
    gap = b"\n  " if pretty else b""
    record = b'{"name":"a",' + gap + b'"v":[' + ",".join(numbers).encode() + b"]}"
    (line,) = lines_of(decode(body(record)))
    assert line["v"] == [("number", number) for number in numbers]
    if not pretty:
        assert b"{" + decode(body(record)).records[0] == record


def test_numbers_longer_than_python_reads() -> None:
    """A number of 6,000 digits comes out as well, although Python itself would refuse to read it."""
    record = b'{"name":"a","v":' + b"9" * 6000 + b"}"
    assert b"{" + decode(body(record)).records[0] == record


# ── where records begin and end ──

FLAT = [b'"name":"a","v":1.10}', b'"name":"\\u007d","v":[1,[2]]}', b'"name":"c"}']


@pytest.mark.parametrize("between", [b"", b" ", b"\t \t"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_flat_records_are_split_at_their_braces(count: int, between: bytes) -> None:
    """Without a look at the grammar, whatever blanks stand between them."""
    records = FLAT[:count]
    flat = body((between + b"," + between).join(b"{" + record for record in records))
    assert split_flat(flat, count) == records


@pytest.mark.parametrize(
    ("records", "count"),
    [
        (b'{"name":"a","v":{}}', 1),
        (b'{"name":"{"}', 1),
        (b'{"name":"a","v":"}{"}', 1),
        (b'{"name":"a"},{"name":"b","v":{"w":1}}', 2),
        (b'{"name":"a"},null,{"name":"b"}', 3),
        (b"", 0),
    ],
)
def test_records_that_are_not_flat_are_not_split_at_braces(records: bytes, count: int) -> None:
    """A brace within one, or in a text, may end nothing."""
    assert split_flat(body(records), count) == []


@pytest.mark.parametrize(
    ("records", "is_told"),
    [
        (b'{"name":"a"}', False),
        (b'{"name":"a"},{"name":"b","v":{}}', False),
        (b'{"name":"a","v":{}}', True),
        (b'{"name":"{"}', True),
        (b"{{}}", True),
        (b'{"name":"a","v":{}},{"name":"b"}', True),
    ],
)
def test_pages_that_are_soon_told_not_to_be_flat(records: bytes, *, is_told: bool) -> None:
    """Without a look beyond the first record."""
    page = body(records)
    assert opens_twice(page, page.find(b"{", 1)) is is_told


@pytest.mark.parametrize("page", [b'{"next":null,"results":[{"name":"a"}],"count":1}', b'{"results":[{"name":"a"}] }'])
def test_pages_that_go_on_behind_their_records_are_not_split_at_braces(page: bytes) -> None:
    """What follows could be taken for the end of the last record."""
    assert split_flat(page, 1) == []


@pytest.mark.parametrize("twice", [b'"next":null,"next":2', b'"next":null,"n\\u0065xt":2', b'"count":1,"count":1'])
def test_a_page_whose_keys_may_stand_twice_is_not_split_at_braces(twice: bytes) -> None:
    """Which of them is meant, the grammar has to tell."""
    assert split_flat(b"{" + twice + b',"results":[{"name":"a"}]}', 1) == []
    assert split_flat(b"{" + twice.partition(b",")[0] + b',"results":[{"name":"a"}]}', 1) == [b'"name":"a"}']


@pytest.mark.parametrize("records", [[b'{"name":"a"}'], [b'{"name":"a","v":{}}', b'{"name":"b"}', b'{"name":"c"}']])
def test_what_stands_beside_the_records(records: list[bytes]) -> None:
    """Only what stands before them is looked through for keys that come twice, unless there may be more."""
    head = b'{"count":1,"next":null,"previous":null,"results":['
    assert beside(body(b",".join(records)), records) == head
    for page in (body(b" ,".join(records) + b" "), body(b",".join(records))[:-1] + b',"next":null}'):
        assert beside(page, records) == page


# ── malformed JSON (P1) ──

BAD_VALUES = [
    *(b"1. .5 -.5 01 -01 00 - + +1 1e 1e+ 1E- 1.e1 1.2.3 1e1.5 0x10 1_000 --1 1- 0b1".split()),
    *(b"NaN nan Infinity -Infinity inf -inf undefined None True TRUE tru truee nul nulll fals".split()),
    *(rb'"\x" "\a" "\0" "\'" "\u" "\u1" "\u12" "\u123" "\u12g4" "\U00000041" "\\\"'.split()),
    *(rb'"\ud800\u" "\ud800\uzzzz" "\ud800\x"'.split()),
    *(b'"' + bytes([control]) + b'"' for control in range(0x20)),
    *(b"[1,] [,1] [,] [1 2] [1;2] [1 [ ] []] [1,,2] [1:2] (1) <1>".split()),
    *(b'{"a":1,} {,} {"a"} {"a":} {:1} {a:1} {1:1} {"a"1} {"a":1,,"b":1} {"a":1;"b":1} {"a"=1}'.split()),
    *(b"'a' \"a `a` /**/1 1/**/ //1 #1 1#".split()),
    b"",
    b" ",
    b'{"a":1 "b":2}',
    b'"a" "b"',
    b"1 2",
    b"\x00",
    b"1\x00",
    b"\x0c1",
    b"\x0b1",
    b"\xc2\xa01",
    b"\xe2\x80\xa81",
    b"\xef\xbb\xbf1",
    b'"\xff"',
    b'"\x80"',
    b'"\xc0\xaf"',  # overlong
    b'"\xe0\x80\xaf"',
    b'"\xed\xa0\x80"',  # a surrogate in UTF-8
    b'"\xf4\x90\x80\x80"',  # beyond Unicode
    b'"\xe2\x82"',
    "é".encode("latin-1"),
]


@pytest.mark.parametrize("value", BAD_VALUES, ids=ascii)
@pytest.mark.parametrize(
    "record", [b'{"name":"a","v":%b}', b'{"v":[0,%b],"name":"a"}', b'{"account":"x","v":%b,"name":"a"}']
)
def test_malformed_values(record: bytes, value: bytes) -> None:
    """A bad number, escape, literal, character or bracket anywhere in a record makes the whole page an error."""
    with pytest.raises(PageError):
        decode(body(record.replace(b"%b", value)))


@pytest.mark.parametrize("value", BAD_VALUES, ids=ascii)
def test_malformed_outside_of_records(value: bytes) -> None:
    """Fields that nobody reads are checked as well."""
    with pytest.raises(PageError):
        decode(body()[:-1] + b',"unknown":' + value + b"}")
    with pytest.raises(PageError):
        decode(body(count=value))


@pytest.mark.parametrize("end", range(len(GOOD)))
def test_truncations_at_every_byte(end: int) -> None:
    """A page cut short anywhere is an error, never a shorter page."""
    with pytest.raises(PageError):
        decode(GOOD[:end])


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf" + GOOD,
        b"\xff\xfe" + GOOD.decode().encode("utf-16-le"),
        GOOD.decode().encode("utf-16"),
        GOOD.decode().encode("utf-32"),
        GOOD + b"x",
        GOOD + b"}",
        GOOD + b"\x00",
        GOOD + GOOD,
        GOOD + b"\n" + GOOD,
        GOOD + b" // end",
        b"callback(" + GOOD + b")",
        b"\x1f\x8b\x08\x00",
        b"<html><body>502 Bad Gateway</body></html>",
        b'{"error":{"errorCode":"210","message":"Permission Denied"}}',
        b"null",
        b"true",
        b"1",
        b'"text"',
        b"[]",
        b"[" + GOOD + b"]",
        b"{}",
        b"{",
        b"}",
        b"",
        b" \n ",
    ],
    ids=lambda text: ascii(text[:12]),
)
def test_what_is_no_page(text: bytes) -> None:
    """Byte order marks, other encodings, trailing garbage, HTML, error bodies, other JSON: all of them errors."""
    with pytest.raises(PageError):
        decode(text)


def test_whitespace_around_is_fine() -> None:
    """JSON's own whitespace, before and after, is no garbage."""
    assert decode(b" \r\n\t" + GOOD + b" \r\n\t").names == decode(GOOD).names


# ── schema (P2) ──


@pytest.mark.parametrize("results", [b"null", b"{}", b'"text"', b"1", b"true", b'{"name":"a"}'])
def test_results_that_are_no_list(results: bytes) -> None:
    """`results` of another type is an error, never an empty page."""
    with pytest.raises(PageError):
        decode(b'{"count":0,"next":null,"results":' + results + b"}")


@pytest.mark.parametrize(
    "text", [b'{"count":0,"next":null}', b'{"count":0,"results":[]}', b'{"count":0,"Results":[],"next":null}']
)
def test_missing_fields(text: bytes) -> None:
    """Without `results` or without `next` it is no page: a chain must not end because a field was forgotten."""
    with pytest.raises(PageError):
        decode(text)


@pytest.mark.parametrize(
    "following",
    [
        *(b'"2" "" 0 -0 -1 -9223372036854775808 1e9 2.0 2.5 1e400 true false {} [] [2]'.split()),
        b'{"page":2}',
        b'"https://host/?page=2"',
        str(2**53 + 1).encode(),
        str(2**64).encode(),
        *(b"9" * digits for digits in (20, 100, 4299, 4300, 4301, 10_000)),
    ],
    ids=lambda following: following[:25].decode(),
)
def test_next_that_is_no_page_number(following: bytes) -> None:
    """Text, fractions, exponents, zero, negatives, objects and what is beyond 2^53: an error of one short sentence."""
    with pytest.raises(PageError) as caught:
        decode(body(following=following))
    told = str(caught.value)
    assert "\n" not in told
    assert following not in (b"0", b"-1") or told == f"`next` is {int(following)}, which is no page number"


@pytest.mark.parametrize("following", [1, 2, 10**9, 2**53])
def test_next_that_is_a_page_number(following: int) -> None:
    """Any whole number from 1 to 2^53 is taken as it is: whether it makes sense is the listing's to judge."""
    assert decode(body(following=str(following).encode())).next == following


@pytest.mark.parametrize(
    ("count", "taken"),
    [
        (b"0", 0),
        (b"12", 12),
        (b"999999999999999", 999_999_999_999_999),
        *((bad, None) for bad in b'null "12" -1 -0 12.0 1e30 1e400 {} [] true 1000000000000000'.split()),
        (b"9" * 10_000, None),
    ],
    ids=lambda value: ascii(value)[:25],
)
def test_count_is_advice(count: bytes, taken: int | None) -> None:
    """A count that cannot be one is as good as null: it never makes a good page an error."""
    page = decode(body(count=count))
    assert page.count == taken
    assert page.names == ["a"]


def test_count_may_be_missing() -> None:
    """Likewise one that is not there."""
    assert decode(b'{"next":null,"results":[]}').count is None


# ── nesting (P3) ──


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"[":', b"}]")])
def test_nesting(opening: bytes, closing: bytes) -> None:
    """A record of 250 levels is fine and can be read again; one step more, 500, or a million are an error."""
    per_step = len(closing)

    def nested(levels: int) -> bytes:
        steps = levels // per_step
        return body(b'{"name":"a","v":' + opening * steps + b"1" + closing * steps + b"}")

    inside = MAX_DEPTH - 1 - (MAX_DEPTH - 1) % per_step
    assert len(lines_of(decode(nested(inside)))) == 1
    for levels in (inside + per_step + 1 - per_step % 2, 500, 5_000, 100_000, 1_000_000):
        with pytest.raises(PageError, match="nested"):
            decode(nested(levels))


@pytest.mark.parametrize(
    "beside", [b"", b'"wide":[[]],', b'"wide":[' + b"[{}]," * 300 + b"0],"], ids=["", "one", "300"]
)
def test_the_exact_depth(beside: bytes) -> None:
    """The record itself is the first level, and what stands beside a nested value adds nothing to it."""
    assert decode(body(b'{"name":"a",' + beside + b'"v":' + b"[" * 249 + b"]" * 249 + b"}")).names == ["a"]
    with pytest.raises(PageError, match="nested more than 250 deep"):
        decode(body(b'{"name":"a",' + beside + b'"v":' + b"[" * 250 + b"]" * 250 + b"}"))


@pytest.mark.parametrize(
    "records",
    [b"", b'{"name":"a"}', b'{"name":"a","v":{}}', b'{"name":"a","region":1}', b"1"],
    ids=["none", "flat", "nested", "with a field of ours", "no record"],
)
@pytest.mark.parametrize("times", [1, 1000])
def test_the_exact_depth_beside_the_records(records: bytes, times: int) -> None:
    """What stands beside the records has the room that they have, however many they are, on every Python."""
    records = b",".join(records.replace(b'"a"', b'"%d"' % number) for number in range(times)) if records else b""
    for text in (b'{"x":%b,"next":null,"results":[%b]}', b'{"next":null,"results":[%b],"x":%b}'):
        for depth, is_page in ((MAX_DEPTH + 1, True), (MAX_DEPTH + 2, False), (700, False), (5000, False)):
            nest = b"[" * depth + b"]" * depth
            whole = text % ((nest, records) if text.startswith(b'{"x"') else (records, nest))
            if is_page:
                decode(whole)
            else:
                with pytest.raises(PageError, match="nested"):
                    decode(whole)


@pytest.mark.parametrize(
    "neighbour",
    [b'{"name":"b"}', b'{"name":"b","v":{}}', b'{"name":"b","region":1}', b'{"v":1}', b"1"],
    ids=["flat", "nested", "with a field of ours", "without a name", "no record"],
)
def test_the_depth_of_every_record_counts(neighbour: bytes) -> None:
    """However short, or odd, the record before it is."""
    assert decode(body(neighbour + b',{"name":"a","v":' + b"[" * 249 + b"]" * 249 + b"}")).names[-1] == "a"
    with pytest.raises(PageError, match="nested more than 250 deep"):
        decode(body(neighbour + b',{"name":"a","v":' + b"[" * 250 + b"]" * 250 + b"}"))


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a":' * 100_000, b'{"results":' * 100_000])
def test_nothing_but_brackets(text: bytes) -> None:
    """The classic that kills parsers is an error like any other."""
    with pytest.raises(PageError):
        decode(text)


def test_brackets_in_strings_are_no_nesting() -> None:
    """Thousands of brackets in a text, behind escaped quotes too, and wide records are not deep."""
    record = {"name": 'a"[{', "v": '\\"[{' * 1000, "wide": [[], {}] * 500}
    (line,) = lines_of(decode(body(json.dumps(record).encode())))
    assert line == OURS | record


# ── where records end ──

TEMPTING = [
    '{"name":"{"}',
    '{"name":"a","v":"},{"}',
    r'{"name":"a","v":"\"},{\"name\":\"b\"}"}',
    '{"name":"a","v":"}]}"}',
    '{"name":"a","v":[{"name":"b"},{"name":"c"}]}',
    '{"name":"a","v":{}}',
    '{"name":"a","v":[[],["x"]]}',
    r'{"name":"a","v":"\t, "}',
    '{ "name" : "a" }',
]
AROUND = [
    "%s",
    "%s,%s",
    "%s , %s",
    " %s,\t%s ",
    "%s\t , \t%s",
    "%s,\r\n%s",
    '{"name":"x"},%s',
    '%s,{"name":"x","v":1}',
    '%s,1,{"v":2}',
]
PAGES = [
    '{"next":null,"results":[%s]}',
    '{"next":null,"results":[%s]}\n',
    ' {"next":null, "results": [%s] } ',
    '{"results":[%s],"next":null}',
    '{"next":null,"results":[%s],"more":[{}]}',
    '{"next":null,"more":{"results":[{"name":"y"}]},"results":[%s]}',
    '{"next":null,"more":"{","results":[%s]}',
]


@pytest.mark.parametrize("page", PAGES)
def test_records_end_where_the_grammar_says(page: str) -> None:
    """Whatever braces, commas and blanks stand in texts, in nested values, between records and around them."""
    for around, record in product(AROUND, TEMPTING):
        text = page.replace("%s", around.replace("%s", record)).encode()
        assert lines_of(decode(text)) == names_and_fields(text)


# ── names and texts (P5, P6) ──


def test_a_key_twice_stays_twice() -> None:
    """As documented: both stay in the line, and readers take the last one, as the names do."""
    record = b'{"name":"first","v":1,"name":"last","v":2}'
    page = decode(body(record))
    assert page.names == ["last"]
    assert b"{" + page.records[0] == record


CHARACTERS = [
    *map(chr, range(0xA0)),
    *"\u2028\u2029\u202e\u2066\u200b\ufeff\ufffe\uffff\ue800\uefff\uf8ff한😀\U0010ffff",
]


@pytest.mark.parametrize("ascii_only", [True, False])
def test_every_character_makes_the_round_trip(*, ascii_only: bool) -> None:
    """Controls as escapes, line separators, bidi, emoji, private use: in names, values and keys, one line each."""
    records = [{"name": f"<{c}>", "v": [c * 3], c: {c: None}} for c in CHARACTERS]
    text = body(json.dumps(records, ensure_ascii=ascii_only).encode()[1:-1])
    page = decode(text)
    assert page.names == [f"<{c}>" for c in CHARACTERS]
    assert lines_of(page) == [OURS | record for record in records]


HALVES = [
    r"\ud800",
    r"\udfff",
    r"\uD83d",
    r"\uDe00",
    r"\ude00\ud83d",
    r"\ud800\ud800",
    r"x\udc00y",
    r"\ud83d\ud83d\ude00",
]


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize(
    "record",
    [
        r'{"name":"%s"}',
        r'{"name":"a","v":["%s"]}',
        r'{"name":"a","%s":1}',
        r'{"name":"a","account":"theirs","%s":1,"k\u00e9\uD55C":"%s"}',
        r'{"name":"\\%s\\\\ud800","v":"\ud83d\ude00\u0041\\ue800"}',
        '{\r\n\t"name": "%s",\n"v": "\\ud83d\\ude00"}',
    ],
)
def test_half_surrogate_pairs_make_the_round_trip(record: str, half: str) -> None:
    """Grammar allows them and most readers choke: they come out in names, values and keys as they came, in one line."""
    text = body(record.replace("%s", half).encode())
    page = decode(text)
    assert page.names == [found["name"] for found in exact(text)["results"]]
    assert lines_of(page) == names_and_fields(text)
    if b"\n" not in text and b"account" not in text:
        assert b"{" + page.records[0] in text


@pytest.mark.parametrize("private", [r"\ue800", r"\uEFff", "\ue800", "\uefff"])
def test_half_pairs_beside_the_private_characters_that_stand_in(private: str) -> None:
    """Where the stand-ins themselves occur the page is an error, not a guess; without half pairs they are ordinary."""
    with pytest.raises(PageError, match="private"):
        decode(body(rf'{{"name":"{private}","v":"\ud800"}}'.encode()))
    assert decode(body(f'{{"name":"{private}"}}'.encode())).names == [json.loads(f'"{private}"')]


def test_half_pairs_do_not_hide_other_faults() -> None:
    """A page with half a pair is as strictly checked as any."""
    for bad in (b'"\\ud800\x01"', b'"\\ud800",', b'"\\ud800\\x"', b"[" * 300 + b'"\\ud800"' + b"]" * 300, b'"\\ud800'):
        with pytest.raises(PageError):
            decode(body(b'{"name":"a","v":' + bad + b"}"))
    page = decode(body(b'{"name":"\\ud800"},{"name":1},{"account":1,"name":"b"}', following=b"3", count=b"9"))
    assert (page.names, page.defects, page.overridden, page.next, page.count) == (["\ud800", "b"], 1, 1, 3, 9)


def test_a_name_of_a_megabyte() -> None:
    """Length is no fault: a name of 1 MB comes out whole."""
    name = "한" * 350_000
    page = decode(body(json.dumps({"name": name}).encode()))
    assert page.names == [name]
    assert lines_of(page) == [OURS | {"name": name}]


@settings(deadline=None, derandomize=True)
@given(st.tuples(*[ANY_TEXT] * 3))
@example(("default", "kr", "\ud800"))
def test_any_prefix_is_json(values: tuple[str, str, str]) -> None:
    """Names of ours may hold anything, half surrogate pairs too: a discovered registry must not stop a run."""
    prefix = line_prefix(IMAGES.fields, values)
    as_json_holds_them = json.loads(json.dumps(values))  # two halves side by side are one character
    expected = dict(zip(IMAGES.fields, as_json_holds_them, strict=True)) | {"name": "a"}
    assert json.loads(prefix + b'"name":"a"}') == expected
    assert b"\n" not in prefix


def test_a_prefix_is_short_and_readable() -> None:
    """Texts stand in UTF-8 as they are; only where that cannot be they are escaped, and nothing is padded."""
    assert line_prefix(REGISTRIES.fields, ("팀", "kr")) == '{"account":"팀","region":"kr",'.encode()
    assert line_prefix(REGISTRIES.fields, ("\ud800", "kr")) == rb'{"account":"\ud800","region":"kr",'


def test_a_prefix_holds_every_field() -> None:
    """A value too few or too many is no prefix."""
    for values in (("default",), ("default", "kr", "team-a")):
        with pytest.raises(ValueError, match="argument 2"):
            line_prefix(REGISTRIES.fields, values)


# ── records that cannot be taken, and fields of our names (P7) ──


def test_records_without_a_name_are_counted() -> None:
    """What is no object, or has no text as its name, is counted; the others keep their order and their bytes."""
    bad = [
        b"1",
        b"null",
        b'"a"',
        b"[]",
        b'["name"]',
        b"{}",
        b'{"Name":"a"}',
        b'{"name":null}',
        b'{"name":1}',
        b'{"name":["a"]}',
    ]
    good = [b'{"name":"a"}', b'{"v":1,"name":"b"}', b'{"name":""}']
    page = decode(body(b",".join([good[0], *bad[:5], good[1], *bad[5:], good[2]])))
    assert (page.names, page.defects) == (["a", "b", ""], len(bad))
    assert [b"{" + record for record in page.records] == good


def test_a_name_twice_on_a_page_is_left_to_the_listing() -> None:
    """Both are given on; only the listing knows what was seen."""
    assert decode(body(b'{"name":"a","v":1},{"name":"a","v":2}')).names == ["a", "a"]


@pytest.mark.parametrize(
    "theirs",
    [
        b'"account":1',
        b'"region":null',
        b'"registry":{"account":1}',
        rb'"\u0061ccount":1',
        rb'"registr\u0079":"\u0079"',
        rb'"re\u0067\u0069on":[]',
    ],
)
@pytest.mark.parametrize(
    "record", [b'{%b,"name":"a","v":1.10}', b'{"name":"a",%b,"v":1.10}', b'{"name":"a", "v":1.10 , %b }']
)
def test_fields_of_our_names_give_way(record: bytes, theirs: bytes) -> None:
    """However the key is written, ours wins, once in the line, and the record is counted."""
    page = decode(body(record.replace(b"%b", theirs)))
    assert page.overridden == 1
    assert lines(PREFIX, page.records) == PREFIX + b'"name":"a","v":1.10}\n'


def test_only_their_own_fields_give_way() -> None:
    """The names in values, in nested objects and in longer keys are not ours; a registry may have a `registry`."""
    record = b'{"name":"account","v":{"account":1,"region":2},"accounts":3,"_registry":4,"Region":5}'
    page = decode(body(record))
    assert (page.overridden, b"{" + page.records[0]) == (0, record)
    page = V2.decode(body(b'{"name":"a","registry":"b"}'), REGISTRIES, 1)
    assert (page.overridden, b"{" + page.records[0]) == (0, b'{"name":"a","registry":"b"}')


def test_every_record_that_gives_way_is_counted() -> None:
    """Records, not fields: one with two of our names counts once."""
    assert decode(body(b'{"name":"a","account":1,"region":2},{"name":"b"},{"name":"c","region":3}')).overridden == 2


def test_overridden_records_keep_everything_else() -> None:
    """Keys of any alphabet, numbers and order survive the removal; the other records are not touched."""
    text = body(
        '{"name":"a","한글":1.10,"account":1,"é\\"\\\\😀":[1e400, 2],"account":2},{"name":"b", "x":-0.0}'.encode()
    )
    page = decode(text)
    assert page.overridden == 1
    assert lines_of(page) == names_and_fields(text)
    assert list(lines_of(page)[0]) == [*OURS, "name", "한글", 'é"\\😀']
    assert b"{" + page.records[1] == b'{"name":"b", "x":-0.0}'


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r", b"\n\t\n"])
def test_pretty_printed_pages_give_one_line_a_record(newline: bytes) -> None:
    """Line breaks and tabs between tokens vanish or stay harmless; those in texts are escapes and stay."""
    record = {"name": "a\nb\r\tc", "v": [1, {"x": "\u2028"}], "e": {}}
    text = json.dumps({"count": 1, "next": None, "results": [record] * 2}, indent="\t").encode().replace(b"\n", newline)
    assert lines_of(decode(text)) == names_and_fields(text)


# ── against the standard library ──

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)
RECORDS = st.builds(
    lambda fields, name, ours: fields | {"name": name} | ours,
    st.dictionaries(st.text(max_size=8), JSON_VALUES, max_size=4),
    ANY_TEXT,
    st.dictionaries(st.sampled_from(IMAGES.fields), JSON_VALUES, max_size=2),
)


@pytest.mark.long
@settings(deadline=None, derandomize=True)
@given(st.lists(RECORDS | JSON_VALUES, max_size=5), st.none() | st.integers(0, 3))
def test_any_json_comes_out_as_the_standard_library_reads_it(results: list[Any], indent: int | None) -> None:
    """For generated pages: each line is ours and then the record, value by value, in one line that parses alone."""
    text = json.dumps({"results": results, "next": None}, indent=indent).encode()
    try:
        page = decode(text)
    except PageError as error:
        assert "private" in str(error)  # noqa: PT017 - the one refusal that these pages can meet
        return
    expected = names_and_fields(text)
    assert lines_of(page) == expected
    assert page.names == [record["name"] for record in expected]
    assert page.defects == len(results) - len(expected)


def mutated(chance: random.Random, text: bytes) -> bytes:
    """Return a page with one to three small faults: bytes flipped, cut, doubled, swapped, or a token put in."""
    tokens = [
        b'"',
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\n",
        b"\r",
        b"\x00",
        b"\xff",
        b"\\ud800",
        b"\\u00",
        b"\xee\xa0\x80",
    ]
    tokens += [
        b"null",
        b"1e999",
        b'"name":',
        b'"account":1,',
        b'"results":[],',
        b'"next":3,',
        b"\xef\xbb\xbf",
        b"-",
        b".",
        b"0",
    ]
    changed = bytearray(text)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(changed) + 1)
        kind = chance.randrange(5)
        if kind == 0:
            changed[at : at + 1] = bytes([chance.randrange(256)])
        elif kind == 1:
            del changed[at : at + chance.choice((1, 1, 2, 30))]
        elif kind == 2:
            changed[at:at] = changed[at : at + chance.choice((1, 2, 30))]
        else:
            changed[at:at] = chance.choice(tokens)
    return bytes(changed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_mutations_give_a_page_or_a_page_error(seed: int) -> None:
    """20,000 damaged pages a seed: no other exception; what is accepted the standard library reads just so."""
    chance = random.Random(seed)
    pretty = GOOD.replace(b",", b" ,\r\n\t").replace(b":", b" : ")
    half = body(b'{"name":"\\ud800","account":"\\u0000"},{"name":"b"}', following=b"4")
    accepted = 0
    for _ in range(20_000):
        text = mutated(chance, chance.choice((GOOD, pretty, half)))
        try:
            page = decode(text)
        except PageError:
            continue
        accepted += 1
        envelope = json.loads(text)
        assert page.next == envelope["next"]
        assert page.count in (None, envelope.get("count"))
        assert len(page.names) + page.defects == len(envelope["results"])
        assert lines_of(page) == names_and_fields(text)
    assert accepted > 1_500


# ── error bodies ──


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (b'{"error":{"errorCode":"210","message":"Permission Denied","details":null}}', "210", "Permission Denied"),
        (b'{"error":{"errorCode":210,"message":"m"},"requestId":"x"}', "210", "m"),
        (b'{"error":{"errorCode":null,"message":null}}', None, ""),
        (b'{"error":{"errorCode":true,"message":["m"]}}', None, ""),
        (b'{"error":{"errorCode":2.5}}', None, ""),
        (b'{"error":{}}', None, ""),
        *(
            (bad, None, "")
            for bad in (b"", b"<html>", b"null", b"[]", b"1", b"{}", b'{"error":null}', b'{"error":[1]}')
        ),
        (b'{"error":"text"}', None, ""),
        (b"\xff", None, ""),
        (b"[" * 100_000, None, ""),
        (b'{"error":{"errorCode":' + b"9" * 6000 + b"}}", None, ""),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_error_bodies(text: bytes, code: str | None, message: str) -> None:
    """The code as text whether it came as text or number; anything else is no code, and never an exception."""
    assert V2.decode_error(text) == (code, message)


@pytest.mark.parametrize("results", [b"", b'{"name":"a"}'])
@pytest.mark.parametrize("code", [b'"900"', b"210"])
def test_an_error_beside_a_page_is_no_page(results: bytes, code: bytes) -> None:
    """A gateway that sends both has failed; least of all is it an empty registry (H10)."""
    error = b'"error":{"errorCode":%b,"message":"Unexpected Error"}' % code
    for text in (b'{%b,"count":0,"next":null,"results":[%b]}', b'{"count":0,"next":null,"results":[%b],%b}'):
        parts = (error, results) if text.startswith(b"{%b") else (results, error)
        with pytest.raises(PageError, match=r"not a page: .*error"):
            decode(text % parts)
    assert decode(b'{"error":null,"next":null,"results":[%b]}' % results).defects == 0


@pytest.mark.parametrize("last", [b"", b'{"name":"b"}', b'{"name":"b","more":{}}', b'{"name":"b","region":1}'])
@pytest.mark.parametrize("first", [b"", b'{"name":"a"}', b'{"name":"a","account":1}', b"{}", b"1"])
@pytest.mark.parametrize("key", ["results", "res\\u0075lts"])
def test_a_page_hides_no_other(first: bytes, last: bytes, key: str) -> None:
    """Of a key that comes twice the last would count, and what the first says would be missed: that is no page."""
    with pytest.raises(PageError, match="`results` twice"):
        decode(b'{"%b":[%b],"next":null,"results":[%b]}' % (key.encode(), first, last))


@pytest.mark.parametrize("twice", [b'"next":2,"next":null', b'"next":null,"count":7,"count":8'])
@pytest.mark.parametrize("records", [b"", b'{"name":"b"}', b'{"name":"b","more":{}}'])
def test_an_envelope_that_contradicts_itself(twice: bytes, records: bytes) -> None:
    """A chain that goes on and ends, or two counts: no page, wherever the keys stand."""
    for page in (b'{%b,"results":[%b]}' % (twice, records), b'{"results":[%b],%b}' % (records, twice)):
        with pytest.raises(PageError, match="twice"):
            decode(page)


def test_numbers_that_python_does_not_read_beside_keys_that_may_stand_twice() -> None:
    """Whether a key stands twice is found out without reading a number."""
    page = decode(b'{"n\\u0065xt":null,"v":' + b"9" * 5000 + b',"results":[{"name":"a"}]}')
    assert (page.names, page.next) == (["a"], None)


def test_texts_that_look_like_keys_are_none() -> None:
    """What stands in a record, or in a field that nobody knows, makes no key of the page come twice."""
    for other in (b'{"results":1}', b"9" * 6000, b"-1e999", b'"\\ud800"', b"[" * 200 + b"]" * 200):
        assert decode(b'{"other":%b,"next":null,"results":[]}' % other).names == []
    with pytest.raises(PageError):
        decode(b'{"other":' + b"[" * 5000 + b"]" * 5000 + b',"next":null,"results":[]}')
