"""Version 3 as the provider describes it: targets, errors by name, and an envelope that has to be found out."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from api.test_v2 import BAD_VALUES, PREFIX, mutated
from hypothesis import given, settings
from hypothesis import strategies as st
from support.lists import request_of

from crawler.api.collections import IMAGES, REGISTRIES
from crawler.api.meanings import Meaning
from crawler.api.nesting import MAX_DEPTH
from crawler.api.records import lines
from crawler.api.v2 import V2
from crawler.api.v3 import V3
from crawler.api.zones import ZONES
from crawler.core.errors import PageError

if TYPE_CHECKING:
    from crawler.core.model import Page

KR, SGN, *_ = ZONES["public"].regions
TOTALS = b'"pageNo":0,"pageSize":2,"totalElements":3,"totalPages":2'
RECORDS = b'[{"name":"a","pullCount":18446744073709551616},{ "name" : "b", "x":[1.10] }]'


def decode(body: bytes, page: int = 1) -> Page:
    """Decode a page of images."""
    return V3.decode(body, IMAGES, page)


def test_targets() -> None:
    """Pages from 0, the names' order, and no region in the path: that is the host's."""
    assert V3.target(request_of(KR, None, 1, 1000)) == "/api/v3/registries?pageNo=0&pageSize=1000&sort=name,asc"
    assert V3.target(request_of(SGN, "team-a", 3, 97)) == (
        "/api/v3/registries/team-a/images?pageNo=2&pageSize=97&sort=name,asc"
    )
    assert V3.target(request_of(SGN, "team-a", 1, None)) == "/api/v3/registries/team-a/images?pageNo=0&sort=name,asc"


@pytest.mark.parametrize(
    ("status", "code", "meaning"),
    [
        (400, "InvalidParameter", Meaning.BAD_REQUEST),
        (400, "NotFound", Meaning.NOT_FOUND),
        (404, "NotFound", Meaning.NOT_FOUND),
        (404, None, Meaning.UNROUTED),
        (404, "SomethingElse", Meaning.UNROUTED),
        (403, "Forbidden", Meaning.DENIED),
        (409, "ResourceNotReady", Meaning.PASSING),
        (429, "LimitExceeded", Meaning.THROTTLED),
        (429, None, Meaning.THROTTLED),
        # what the gateway in front says, whatever stands behind it
        (401, "200", Meaning.UNAUTHENTIC),
        (401, "210", Meaning.DENIED),
        (429, "400", Meaning.QUOTA),
        (404, "300", Meaning.NOT_FOUND),
        (500, "900", Meaning.OVERTAXED),
        (503, None, Meaning.OUT_OF_ORDER),
        (409, None, Meaning.PERMANENT),
    ],
)
def test_meanings(status: int, code: str | None, meaning: Meaning) -> None:
    """Named codes and those of the gateway; "not found" is 400 or 404 by its code, and a bare 404 may be a proxy's."""
    assert V3.meaning(status, code) is meaning


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"error":{"errorCode":"NotFound","message":"no"}}', ("NotFound", "no")),
        (b'{"errorCode":"NotFound","message":"no"}', ("NotFound", "no")),
        (b'{"code":"InvalidParameter","message":null}', ("InvalidParameter", "")),
        (b'{"error":{"code":210}}', ("210", "")),
        (b'{"error":"no"}', (None, "")),
        (b"<html>", (None, "")),
        (b"", (None, "")),
    ],
)
def test_error_bodies(body: bytes, found: tuple[str | None, str]) -> None:
    """Nobody says how an error's body looks: as in version 2, or flat; nothing where there is no code."""
    assert V3.decode_error(body) == found


@pytest.mark.parametrize(
    "body",
    [
        b'{"content":' + RECORDS + b"," + TOTALS + b"}",
        b"{" + TOTALS + b',"images":' + RECORDS + b"}",
        b'{"page":{' + TOTALS + b'},"images":' + RECORDS + b"}",
        b'{"images":' + RECORDS + b',"links":[],"page":{' + TOTALS + b',"more":{}},"ids":["a"],"n":1}',
        b'{"images":' + RECORDS + b"," + TOTALS + b',"page":{' + TOTALS + b"}}",
        b'{"error":null,"images":\n' + RECORDS + b",\r\n" + TOTALS + b"}\n",
    ],
)
def test_totals_wherever_they_stand(body: bytes) -> None:
    """Whatever array and totals are called: records byte for byte, count and the next page, counted from 1."""
    page = decode(body)
    assert (page.count, page.next, page.names, page.defects, page.overridden) == (3, 2, ["a", "b"], 0, 0)
    assert lines(PREFIX, page.records).count(b"\n") == 2
    if b"\n" not in body:
        assert b"{" + page.records[1] == b'{ "name" : "b", "x":[1.10] }'
    last = body.replace(b'"pageNo":0', b'"pageNo":1')
    assert decode(last, 2).next is None


@pytest.mark.parametrize("rest", [b"", b',"pageNo":0,"totalPages":1', b',"page":{"pageNo":"0"}', b',"total":7'])
def test_without_totals_a_list_goes_on_to_its_first_empty_page(rest: bytes) -> None:
    """Half of the totals are as good as none; the page that holds nothing is the last."""
    assert decode(b'{"images":' + RECORDS + rest + b"}", 7).next == 8
    assert decode(b'{"images":[]' + rest + b"}", 8).next is None
    assert decode(b'{"images":' + RECORDS + rest + b"}", 7).count is None


def test_line_breaks_within_records_go() -> None:
    """A record is one line, whatever the gateway prints."""
    assert decode(b'{"i":[{"name":"a",\n"x": 1}]}').records == [b'"name":"a","x":1}']


def test_records_beyond_what_the_totals_say() -> None:
    """A page that the totals deny is not believed to be the last while it holds something."""
    totals = b'"pageNo":4,"pageSize":2,"totalElements":3,"totalPages":2'
    assert decode(b'{"images":' + RECORDS + b"," + totals + b"}", 5).next == 6
    assert decode(b'{"images":[],' + totals + b"}", 5).next is None


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"images":' + RECORDS + b',"tags":[{"name":"t"}]}', "not a page: 2 arrays of objects: images, tags"),
        (b'{"images":["a"]}', "not a page: no array of objects"),
        (b'{"images":["a"],"more":[]}', "not a page: no array of objects"),
        (b'{"images":null,"pageNo":0}', "not a page: no array of objects"),
        (b"{}", "not a page: no array of objects"),
        (RECORDS, "not a page: Expected `object`, got `array`"),
        (b"null", "not a page: Expected `object`, got `null`"),
        (b'{"error":{"code":"x"},"images":[]}', "not a page: it is an error"),
        (b'{"images":[],"images":' + RECORDS + b"}", "`images` twice"),
        (b'{"images":' + RECORDS + b',"im\\u0061ges":[]}', "`images` twice"),
        (b'{"images":[],' + TOTALS + b',"pageNo":0}', "`pageNo` twice"),
        (b'{"images":[],"page":{' + TOTALS + b',"totalPages":9}}', "`totalPages` twice"),
        (
            b'{"images":[],' + TOTALS + b',"page":{"pageNo":0,"pageSize":2,"totalElements":3,"totalPages":7}}',
            "not a page: it gives its totals twice, and they differ",
        ),
        (b'{"images":[],"page":{"pageNo":1,"pageSize":2,"totalElements":3,"totalPages":2}}',
         "not that page: pageNo is 1, and 0 was asked for"),
        (b'{"images":' + RECORDS, "not JSON: Input data was truncated"),
        (b'{"images":[{"name":"\xff"}]}', "not UTF-8 at byte 20"),
        (b'{"images":[],"x":{"y":' + b"[" * MAX_DEPTH * 2 + b"]" * MAX_DEPTH * 2 + b"}}", "nested more than 250 deep"),
        (b'{"images":[{"name":"a","v":' + b"[" * 250 + b"]" * 250 + b"}]}", "nested more than 250 deep"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_what_is_no_page(body: bytes, told: str) -> None:
    """What cannot be told for certain is refused, likewise keys that stand twice, depth, and what is no text."""
    with pytest.raises(PageError) as caught:
        decode(body)
    assert str(caught.value) == told


@pytest.mark.parametrize("opening", [b"[", b'[{"name":"a","v":'])
def test_what_nests_deeper_than_any_decoder_goes(opening: bytes) -> None:
    """From which depth on one gives up, is the interpreter's; where it comes to the end, that is refused as well."""
    closing = b"}]" if b"{" in opening else b"]"
    body = b'{"images":' + opening * 100_000 + b"1" + closing * 100_000 + b"}"
    with pytest.raises(PageError, match=r"nested|no array of objects"):
        decode(body)


@pytest.mark.parametrize("value", BAD_VALUES)
def test_malformed_values(value: bytes) -> None:
    """JSON that is none is refused, in a record and beside the records."""
    for body in (b'{"images":[{"name":"a","v":%b}]}', b'{"images":[{"name":"a"}],"v":%b}', b'{"page":{"v":%b},"i":[]}'):
        with pytest.raises(PageError):
            decode(body.replace(b"%b", value))


def test_records_without_a_name_and_with_a_field_of_ours() -> None:
    """They are counted, and ours gives no way, as in version 2; half a surrogate pair makes the round trip."""
    page = decode(b'{"i":[{"x":1},null,{"name":"a","region":"x"},{"name":"\\ud800"}],' + TOTALS + b"}")
    assert (page.names, page.defects, page.overridden) == (["a", "\ud800"], 2, 1)
    assert (page.count, page.next) == (3, 2)
    assert page.records == [b'"name":"a"}', b'"name":"\\ud800"}']
    assert V3.decode(b'{"i":[{"name":"a","registry":"x"}]}', REGISTRIES, 1).records == [b'"name":"a","registry":"x"}']


@settings(deadline=None, derandomize=True)
@given(st.integers(0, 2**32), st.sampled_from([0.005, 0.05, 0.5]))
def test_mutations_give_a_page_or_a_page_error(seed: int, rate: float) -> None:
    """Whatever bytes come: nothing but a PageError is raised, and a page has a record a name, on a line."""
    chance = random.Random(f"{seed}/{rate}")
    try:
        page = decode(mutated(chance, b'{"page":{' + TOTALS + b'},"images":' + RECORDS + b"}"))
    except PageError:
        return
    assert len(page.names) == len(page.records)
    assert lines(PREFIX, page.records).count(b"\n") == len(page.names)


def _shaped(records: list[dict[str, Any]], totals: dict[str, int], shape: str) -> bytes:
    """Return the body of a page in one of the shapes that an envelope may have."""
    body: dict[str, Any] = {"content": records}
    if shape == "top":
        body |= totals
    elif shape == "inner":
        body["page"] = totals
    return json.dumps(body).encode()


@settings(deadline=None, derandomize=True)
@given(st.integers(0, 40), st.integers(1, 11), st.sampled_from(["top", "inner", "none"]))
def test_any_list_is_walked_to_its_end(held: int, size: int, shape: str) -> None:
    """From page 1 by `next`: each record once, in order, however totals are given, and then an end."""
    names, number = list[str](), 1
    while number:
        first = (number - 1) * size
        records = [{"name": f"n{at}"} for at in range(first, min(first + size, held))]
        totals = {"pageNo": number - 1, "pageSize": size, "totalElements": held, "totalPages": -(-held // size)}
        page = decode(_shaped(records, totals, shape), number)
        names += page.names
        assert page.next in (None, number + 1)
        number = page.next or 0
    assert names == [f"n{at}" for at in range(held)]


@settings(deadline=None, derandomize=True)
@given(
    st.lists(
        st.fixed_dictionaries(
            {"name": st.text(max_size=8)}, optional={"v": st.floats(allow_nan=False, allow_infinity=False)}
        )
    )
)
def test_records_are_those_of_version_2(records: list[dict[str, Any]]) -> None:
    """What a record becomes has nothing to do with the envelope that it came in."""
    v2 = V2.decode(json.dumps({"next": None, "results": records}).encode(), IMAGES, 1)
    v3 = decode(json.dumps({"results": records}).encode())
    assert (v2.names, v2.records, v2.defects) == (v3.names, v3.records, v3.defects)
