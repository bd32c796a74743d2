"""Turn the bytes of a body into a Page, or into the error that says what was wrong; and records into lines.

A record keeps the very bytes that the gateway sent, so numbers of any size and unknown fields come out as they came
in; only one with a field of our names is put together anew, from the bytes of its other values, and a page with line
breaks between them loses its blanks. msgspec checks the grammar and finds the names; UTF-8, nesting and what may break
a line are checked here. A page of flat records is split at its braces, any other by a second scan that finds where
records end. A key that stands twice in an untouched record stays twice; readers take the last one. Costs: O(bytes).
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Annotated, Final

import msgspec
import orjson

from crawler.api import surrogates
from crawler.api.nesting import MAX_DEPTH, nests_deeper
from crawler.core.errors import PageError
from crawler.core.model import Page

IMAGE_FIELDS: Final = ("account", "region", "registry")
REGISTRY_FIELDS: Final = ("account", "region")
"""What a line begins with; a record's own fields of these names give way."""

_TOO_DEEP = f"nested more than {MAX_DEPTH} deep"
_BLANK = b" \t\r\n"
_LONGEST_CODE = 20
_LARGEST_NUMBER = 2**53
_ENVELOPE_KEYS = (b'"results"', b'"next"', b'"count"')


class _Envelope(msgspec.Struct, gc=False, kw_only=True):
    next: int | None
    count: msgspec.Raw = msgspec.Raw(b"null")
    error: None = None  # a page that is an error as well is no page


class _Named(msgspec.Struct):
    name: str


_Absent = Annotated[str, msgspec.Meta(pattern="(?!)")]
"""No text matches, so a field of this type cannot be there."""


class _Plain(msgspec.Struct, gc=False):
    """A record that has a name and no field of ours, however its key is escaped: nearly every one."""

    name: str
    account: _Absent = ""
    region: _Absent = ""
    registry: _Absent = ""


class _PlainPage(_Envelope, gc=False, kw_only=True):
    results: list[_Plain]


class _AnyPage(_Envelope, gc=False, kw_only=True):
    results: list[msgspec.Raw]


_plain_page = msgspec.json.Decoder(_PlainPage)
_any_page = msgspec.json.Decoder(_AnyPage)
_named = msgspec.json.Decoder(_Named)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def decode_page(body: bytes, ours: tuple[str, ...]) -> Page:
    """Decode one page of a listing.

    Args:
        body: the whole decoded body.
        ours: names of the fields that the record's line will begin with.

    Raises:
        PageError: not JSON, not UTF-8, not a page, or nested too deep; the sentence says which.
    """
    try:
        body.isascii() or body.decode()
        page = _decode_whatever_stands_in(body, ours)
    except UnicodeDecodeError as error:
        raise PageError(f"not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise PageError("nested too deep") from None
    except msgspec.ValidationError as error:
        raise PageError(f"not a page: {error}") from None
    except msgspec.DecodeError as error:
        raise PageError(f"not JSON: {error}") from None
    if page.next is not None and not 0 < page.next <= _LARGEST_NUMBER:
        raise PageError(f"`next` is {page.next}, which is no page number")
    return page


def line_prefix(ours: tuple[str, ...], values: tuple[str, ...]) -> bytes:
    """Return how each line of a listing begins: ``{"account":…,"region":…,`` ready for a record without its brace."""
    fields = dict(zip(ours, values, strict=True))
    try:
        return orjson.dumps(fields)[:-1] + b","
    except TypeError:  # half a surrogate pair, which a line of a damaged file may hold: escaped, as it came
        return json.dumps(fields, separators=(",", ":")).encode()[:-1] + b","


def lines(prefix: bytes, records: list[bytes]) -> bytes:
    """Return one whole line a record: the prefix, then what follows the record's opening brace."""
    if not records:
        return b""
    between = b"\n" + prefix
    return b"".join((prefix, between.join(records), b"\n"))


def decode_error(body: bytes) -> tuple[str | None, str]:
    """Return (errorCode as text, message) of an error body; (None, "") if it is none."""
    try:
        error = orjson.loads(body)["error"]
        code = error.get("errorCode")
        message = error.get("message")
    except (ValueError, LookupError, TypeError, AttributeError):
        return None, ""
    known = isinstance(code, str | int) and not isinstance(code, bool)
    return (str(code)[:_LONGEST_CODE] if known else None), (message if isinstance(message, str) else "")


def decode_request_id(body: bytes) -> str:
    """Return the id that some of the provider's services put into an error body; nothing if there is none."""
    try:
        body_fields = orjson.loads(body)
        found = body_fields["error"].get("requestId", body_fields.get("requestId"))
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""
    return str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""


def _decode_whatever_stands_in(body: bytes, ours: tuple[str, ...]) -> Page:
    try:
        return _decode(body, ours)
    except msgspec.DecodeError:
        if not surrogates.has_halves(body):
            raise
        return _decode_with_stand_ins(body, ours)


def _decode(body: bytes, ours: tuple[str, ...]) -> Page:
    try:
        page = _plain_page.decode(body)
    except msgspec.ValidationError:
        return _decode_mixed(body, ours)
    body = _on_one_line(body)
    names = [plain.name for plain in page.results]
    records = _split_flat(body, len(names)) or _checked(_split(body))
    _check_surroundings(body, sum(map(len, records)) + 2 * len(records))  # a brace and a comma are gone from each
    return Page(count=_whole_number(page.count), next=page.next, names=names, records=records)


def _decode_mixed(body: bytes, ours: tuple[str, ...]) -> Page:
    """Decode a page in which some record has no name, or a field of ours."""
    page = _any_page.decode(body)
    body = _on_one_line(body)
    found = _split(body)
    _check_surroundings(body, sum(map(len, found)) + len(found))
    names, records = _with_names(found)
    records, overridden = _without(ours, records)
    return Page(
        count=_whole_number(page.count),
        next=page.next,
        names=names,
        records=_checked(records),
        defects=len(found) - len(records),
        overridden=overridden,
    )


def _on_one_line(body: bytes) -> bytes:
    """Take the line breaks out of a body whose grammar is proved."""
    body = body.strip(_BLANK)
    return msgspec.json.format(body, indent=-1) if b"\n" in body or b"\r" in body else body


def _split_flat(body: bytes, count: int) -> list[bytes]:
    """Split a page of ``count`` records at its opening braces; none where that is not enough.

    The page itself and each record have one brace. When there are no more, none is nested or in a text, so what
    stands between two of them is one record, a comma, and blanks.
    """
    first = body.find(b"{", 1)
    if body.find(b"}", first) > body.find(b"{", first + 1) > 0 or not body.endswith(b"}]}"):
        return []
    records = body.split(b"{")[2:]
    if len(records) != count:
        return []
    if _may_repeat_keys(body[:first]):
        return []
    records[-1] = records[-1][:-2]
    records = [record.rstrip(b", \t") for record in records]
    if body.rfind(b"[") > first:
        _check_depth(records)
    return records


def _split(body: bytes) -> list[bytes]:
    """Split a page of any records where its grammar says."""
    if _may_repeat_keys(body):
        _check_keys(body)
    return list(map(bytes, _any_page.decode(body).results))


def _checked(records: list[bytes]) -> list[bytes]:
    """Return records without their opening braces, if none nests too deep."""
    records = [record[1:] for record in records]
    _check_depth(records)
    return records


def _may_repeat_keys(text: bytes) -> bool:
    """Whether a key of the envelope may stand twice in a text that holds all of it: plainly, or escaped."""
    return b"\\u00" in text or any(text.count(key) > 1 for key in _ENVELOPE_KEYS)


def _check_keys(body: bytes) -> None:
    """Refuse a page whose envelope has a key twice: readers would take the last, and miss what the first says."""
    keys = Counter(key for key, _ in json.loads(body, object_pairs_hook=list, parse_int=str, parse_float=str))
    for quoted in _ENVELOPE_KEYS:
        if keys[key := quoted.strip(b'"').decode()] > 1:
            raise PageError(f"`{key}` twice")


def _with_names(records: list[bytes]) -> tuple[list[str], list[bytes]]:
    """Return the names of those records that have one, and these records."""
    names: list[str] = []
    named: list[bytes] = []
    for record in records:
        try:
            names.append(_named.decode(record).name)
        except msgspec.ValidationError:
            continue
        named.append(record)
    return names, named


def _check_depth(records: list[bytes]) -> None:
    """Refuse records that nest too deep; their opening braces are gone, so they begin one level deep."""
    if max(map(len, records), default=0) < 2 * (MAX_DEPTH - 1):  # every level takes two brackets
        return
    if any(nests_deeper(record, above=1) for record in records):
        raise PageError(_TOO_DEEP)


def _check_surroundings(body: bytes, records_bytes: int) -> None:
    """Refuse a page that nests too deep beside its records, which stand two levels down."""
    if len(body) - records_bytes >= 2 * MAX_DEPTH and nests_deeper(body, MAX_DEPTH + 2):
        raise PageError(_TOO_DEEP)


def _without(ours: tuple[str, ...], records: list[bytes]) -> tuple[list[bytes], int]:
    """Take the fields of our names out of the records; return them and how many had any."""
    kept: list[bytes] = []
    overridden = 0
    for record in records:
        fields = _fields.decode(record)
        if not fields.keys().isdisjoint(ours):
            overridden += 1
            parts = [json.dumps(key).encode() + b":" + bytes(raw) for key, raw in fields.items() if key not in ours]
            record = b"{" + b",".join(parts) + b"}"  # noqa: PLW2901 - the record, mended
        kept.append(record)
    return kept, overridden


def _whole_number(raw: msgspec.Raw) -> int | None:
    """Return ``count`` if it is a number that can be one; anything else is as good as null: it is advice only."""
    text = bytes(raw)
    return int(text) if text.isdigit() and len(text) < 16 else None


def _decode_with_stand_ins(body: bytes, ours: tuple[str, ...]) -> Page:
    """Decode a page with halves of surrogate pairs, which JSON's grammar allows and no fast decoder accepts.

    Each half is lent a private code point (U+D800 becomes U+E800) while the page is decoded. A page that uses those
    itself is refused.
    """
    if surrogates.has_stand_ins(body):
        raise PageError("half surrogate pairs beside private code points U+E800 to U+EFFF")
    page = _decode(surrogates.lend(body), ours)
    return Page(
        count=page.count,
        next=page.next,
        names=list(map(surrogates.given_back, page.names)),
        records=list(map(surrogates.give_back, page.records)),
        defects=page.defects,
        overridden=page.overridden,
    )
