"""Records of a page → lines: what is the same in every version of the API.

A record keeps the very bytes that the gateway sent, so numbers of any size and unknown fields come out as they came
in; only one with a field of our names is put together anew, from the bytes of its other values, and a page with line
breaks between them loses its blanks. msgspec checks the grammar and finds the names; UTF-8, nesting and what may break
a line are checked here. A key that stands twice in an untouched record stays twice; readers take the last one.
Costs: O(bytes).
"""

from __future__ import annotations

import json
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import orjson

from crawler.api import surrogates
from crawler.api.nesting import MAX_DEPTH, count_brackets, nests_deeper
from crawler.core.decoding import decoder_of
from crawler.core.errors import PageError
from crawler.core.model import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_SHALLOW_BYTES: Final = 2 * (MAX_DEPTH - 1)
"""Every level takes two brackets."""
_TOO_DEEP: Final = f"nested more than {MAX_DEPTH} deep"


class _Named(msgspec.Struct):
    name: str


_Absent = Annotated[str, msgspec.Meta(pattern="(?!)")]
"""No text matches, so a field of this type cannot be there."""

_named = msgspec.json.Decoder(_Named)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


@lru_cache
def plain_record(ours: tuple[str, ...]) -> Any:
    """Return the type of a record that has a name and no field of ours, however its key is escaped: nearly every one.

    Args:
        ours: names of the fields that its line will begin with.
    """
    absent = [(field, _Absent, "") for field in ours]
    return msgspec.defstruct("PlainRecord", [("name", str), *absent], gc=False)


# ── lines ──


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


# ── bodies ──


def decoded(body: bytes, decode: Callable[[bytes], Page]) -> Page:
    """Return the page of a body, decoded by what knows its envelope.

    Raises:
        PageError: not JSON, not UTF-8, not a page, or nested too deep; the sentence says which.
    """
    try:
        body.isascii() or body.decode()
        return _decode_whatever_stands_in(body, decode)
    except UnicodeDecodeError as error:
        raise PageError(f"not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise PageError("nested too deep") from None
    except msgspec.ValidationError as error:
        raise PageError(f"not a page: {error}") from None
    except msgspec.DecodeError as error:
        raise PageError(f"not JSON: {error}") from None


def _decode_whatever_stands_in(body: bytes, decode: Callable[[bytes], Page]) -> Page:
    try:
        return decode(body)
    except msgspec.DecodeError:
        if not surrogates.has_halves(body):
            raise
        return _decode_with_stand_ins(body, decode)


def _decode_with_stand_ins(body: bytes, decode: Callable[[bytes], Page]) -> Page:
    """Decode a page with halves of surrogate pairs, which JSON's grammar allows and no fast decoder accepts.

    Each half is lent a private code point (U+D800 becomes U+E800) while the page is decoded. A page that uses those
    itself is refused.
    """
    if surrogates.has_stand_ins(body):
        raise PageError("half surrogate pairs beside private code points U+E800 to U+EFFF")
    page = decode(surrogates.lend(body))
    return msgspec.structs.replace(
        page,
        names=list(map(surrogates.given_back, page.names)),
        records=list(map(surrogates.give_back, page.records)),
    )


def on_one_line(body: bytes) -> bytes:
    """Take the line breaks out of a body whose grammar is proved."""
    body = body.strip()
    return msgspec.json.format(body, indent=-1) if b"\n" in body or b"\r" in body else body


def check_once(body: bytes, keys: Iterable[bytes]) -> None:
    """Refuse a body that has one of these keys, in their quotes, twice at its top: readers would miss the first."""
    found = Counter(key for key, _ in json.loads(body, object_pairs_hook=list, parse_int=str))
    for quoted in keys:
        if found[key := quoted[1:-1].decode()] > 1:
            raise PageError(f"`{key}` twice")


def may_repeat(text: bytes, keys: Iterable[bytes]) -> bool:
    """Whether one of these keys, in their quotes, may stand twice in a text that holds all of them."""
    return b"\\u00" in text or any(text.count(key) > 1 for key in keys)


def check_depth(records: list[bytes]) -> None:
    """Refuse records that nest too deep; their opening braces are gone, so they begin one level deep."""
    if max(map(len, records), default=0) < _SHALLOW_BYTES:
        return
    if count_brackets(b"".join(records)) < MAX_DEPTH:
        return
    if any(nests_deeper(record, above=1) for record in records):
        raise PageError(_TOO_DEEP)


def check_surroundings(body: bytes, records_bytes: int) -> None:
    """Refuse a page that nests too deep beside its records, which stand two levels down."""
    if len(body) - records_bytes >= _SHALLOW_BYTES and nests_deeper(body, MAX_DEPTH + 2):
        raise PageError(_TOO_DEEP)


def whole_number(raw: msgspec.Raw) -> int | None:
    """Return what stands for a number if it is a whole one of sensible size; None for anything else."""
    text = bytes(raw)
    return int(text) if text.isdigit() and len(text) < 16 else None


# ── records ──


def without_braces(records: list[bytes]) -> list[bytes]:
    """Return records without their opening braces, if none nests too deep."""
    records = [record[1:] for record in records]
    check_depth(records)
    return records


@lru_cache
def _plain_list(ours: tuple[str, ...]) -> msgspec.json.Decoder[Any]:
    record = plain_record(ours)
    return decoder_of(list[record])  # type: ignore[valid-type]


def names_of_plain(array: bytes, ours: tuple[str, ...]) -> list[str] | None:
    """Return the names of an array's records; None if some has none, or a field of ours."""
    try:
        return [plain.name for plain in _plain_list(ours).decode(array)]
    except msgspec.ValidationError:
        return None


def page_of_any(found: list[bytes], ours: tuple[str, ...], *, count: int | None, following: int | None) -> Page:
    """Return a page of records of which some may have no name, or a field of ours."""
    names, named = _with_names(found)
    records, overridden = _without(ours, named)
    return Page(
        count=count,
        next=following,
        names=names,
        records=without_braces(records),
        defects=len(found) - len(records),
        overridden=overridden,
    )


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
