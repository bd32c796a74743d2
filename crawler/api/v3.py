"""Version 3 of the API: pages from 0, in the order of names, behind a host a region.

Source: the provider's API reference (Container Registry, API v3), as far as it could be read: the envelope of a list
could not. So the records are the one array of objects at the top of a body; the totals, by the names that sibling APIs
of the same standard have, stand at the top or one level down; without them a list goes on to its first empty page.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from crawler.api import meanings
from crawler.api.meanings import Meaning
from crawler.api.paths import list_path
from crawler.api.records import (
    check_once,
    check_surroundings,
    decoded,
    may_repeat,
    names_of_plain,
    on_one_line,
    page_of_any,
    whole_number,
    without_braces,
)
from crawler.api.v2 import MEANINGS as OF_THE_GATEWAY
from crawler.api.zones import VERSIONS
from crawler.core.errors import PageError
from crawler.core.model import Page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crawler.api.collections import Collection
    from crawler.api.meanings import Row
    from crawler.core.model import PageRequest

BASE_PATH: Final = "/api/v3"
MEANINGS: Final[Mapping[Row, Meaning]] = {
    **OF_THE_GATEWAY,
    (400, "NotFound"): Meaning.NOT_FOUND,  # one page of the documents has it so, another as 404
    (404, "NotFound"): Meaning.NOT_FOUND,
    (404, "300"): Meaning.NOT_FOUND,
    (404, None): Meaning.UNROUTED,
    (409, "ResourceNotReady"): Meaning.PASSING,
}
"""Errors have names; the gateway in front, which checks key and pace, has its own for every version."""

_TOTALS: Final = ("pageNo", "pageSize", "totalElements", "totalPages")
_TOTALS_QUOTED: Final = tuple(b'"%b"' % name.encode() for name in _TOTALS)
_NOTHING: Final = msgspec.Raw(b"null")
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items = msgspec.json.Decoder(list[msgspec.Raw])

Fields = dict[str, msgspec.Raw]


class Version3:
    """See `Dialect`."""

    version: Final = "v3"
    largest_page: Final = VERSIONS["v3"].largest_page

    def target(self, request: PageRequest) -> str:
        """Return path and query for a page."""
        size = "" if request.page_size is None else f"&pageSize={request.page_size}"
        return f"{BASE_PATH}{list_path(request, self.version)}?pageNo={request.page - 1}{size}&sort=name,asc"

    def decode(self, body: bytes, collection: Collection, page: int) -> Page:
        """Decode a page."""
        return decoded(body, partial(_decode, ours=collection.fields, number=page))

    def decode_error(self, body: bytes) -> tuple[str | None, str]:
        """Return (code as text, message) of an error body, which may stand in an object ``error`` or at the top."""
        names = ("errorCode", "code")
        found = meanings.decode_error(body, codes=names)
        return found if any(found) else meanings.decode_error(body, codes=names, is_nested=False)

    def meaning(self, status: int, code: str | None) -> Meaning:
        """Return what an error means."""
        return meanings.look_up(MEANINGS, status, code)


V3: Final = Version3()


def _decode(body: bytes, ours: tuple[str, ...], number: int) -> Page:
    fields = _fields.decode(body)
    if (flat := on_one_line(body)) != body:
        body, fields = flat, _fields.decode(flat)
    if fields.get("error", _NOTHING) != _NOTHING:
        raise PageError("not a page: it is an error")
    key, records = _records(fields)
    if may_repeat(body, keys := (b'"%b"' % key.encode(), *_TOTALS_QUOTED)):
        check_once(body, keys)
    check_surroundings(body, len(bytes(fields[key])))
    totals = _totals(fields)
    following = _following(totals, number, is_empty=not records)
    count = totals.get("totalElements")
    if (names := names_of_plain(bytes(fields[key]), ours)) is None:
        return page_of_any(records, ours, count=count, following=following)
    return Page(count=count, next=following, names=names, records=without_braces(records))


def _records(fields: Fields) -> tuple[str, list[bytes]]:
    """Return the name of the one array of objects, and what is in it; an empty one where there is no other.

    Raises:
        PageError: there is none, or more than one.
    """
    arrays = {key: list(map(bytes, _items.decode(raw))) for key, raw in fields.items() if bytes(raw)[:1] == b"["}
    empty = {key: items for key, items in arrays.items() if not items}
    of_objects = {key: items for key, items in arrays.items() if any(item.startswith(b"{") for item in items)}
    if len(of_objects) > 1:
        raise PageError(f"not a page: {len(of_objects)} arrays of objects: {', '.join(sorted(of_objects))}")
    if not of_objects and (not empty or len(empty) < len(arrays)):
        raise PageError("not a page: no array of objects")
    return next(iter((of_objects or empty).items()))


def _totals(fields: Fields) -> dict[str, int]:
    """Return the totals, wherever they stand; nothing where they do not all stand in one place, as numbers.

    Raises:
        PageError: they stand in two places that differ.
    """
    beneath = [_inner(raw) for raw in fields.values() if bytes(raw)[:1] == b"{"]
    found: list[dict[str, int]] = []
    for place in (fields, *beneath):
        numbers = {name: whole_number(place.get(name, _NOTHING)) for name in _TOTALS}
        whole = {name: number for name, number in numbers.items() if number is not None}
        if len(whole) == len(_TOTALS) and whole not in found:
            found.append(whole)
    if len(found) > 1:
        raise PageError("not a page: it gives its totals twice, and they differ")
    return found[0] if found else {}


def _inner(raw: msgspec.Raw) -> Fields:
    inner = bytes(raw)
    if may_repeat(inner, _TOTALS_QUOTED):
        check_once(inner, _TOTALS_QUOTED)
    return _fields.decode(inner)


def _following(totals: dict[str, int], number: int, *, is_empty: bool) -> int | None:
    """Return the number of the next page, from 1; None if this is the last.

    Raises:
        PageError: it is another page than the one that was asked for.
    """
    if not totals:
        return None if is_empty else number + 1
    if totals["pageNo"] != number - 1:
        raise PageError(f"not that page: pageNo is {totals['pageNo']}, and {number - 1} was asked for")
    is_beyond = number > totals["totalPages"] and not is_empty  # it holds what the totals deny
    return number + 1 if number < totals["totalPages"] or is_beyond else None
