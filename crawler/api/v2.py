"""Version 2 of the API: pages from 1, chained by ``next``, under paths that differ by region behind one host.

A page is ``{count, next, previous, results}``. One of flat records is split at its braces, any other by a second scan
that finds where records end.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from crawler.api import meanings
from crawler.api.meanings import Meaning
from crawler.api.paths import list_path
from crawler.api.records import (
    check_depth,
    check_once,
    check_surroundings,
    decoded,
    may_repeat,
    on_one_line,
    page_of_any,
    plain_record,
    whole_number,
    without_braces,
)
from crawler.api.zones import VERSIONS
from crawler.core.decoding import decoder_of
from crawler.core.errors import PageError
from crawler.core.model import Page

if TYPE_CHECKING:
    from crawler.api.collections import Collection
    from crawler.api.meanings import Row
    from crawler.core.model import PageRequest

MEANINGS: Final[dict[Row, Meaning]] = {
    (400, None): Meaning.BAD_REQUEST,
    (401, "200"): Meaning.UNAUTHENTIC,
    (401, "210"): Meaning.DENIED,
    (401, None): Meaning.UNEXPLAINED,
    (403, None): Meaning.DENIED,
    (404, ""): Meaning.UNROUTED,
    (404, None): Meaning.NOT_FOUND,
    (408, None): Meaning.PASSING,
    (425, None): Meaning.PASSING,
    (429, "400"): Meaning.QUOTA,
    (429, None): Meaning.THROTTLED,
    (500, None): Meaning.OVERTAXED,
    (504, None): Meaning.OVERTAXED,
}
"""The provider's table of errors, as far as the status alone does not say: one status carries several codes."""

_KEYS: Final = (b'"results"', b'"next"', b'"count"')
_LARGEST_NUMBER: Final = 2**53


class _Envelope(msgspec.Struct, gc=False, kw_only=True):
    next: int | None
    count: msgspec.Raw = msgspec.Raw(b"null")  # advice only: whatever is no number is as good as null
    error: None = None  # a page that is an error as well is no page


class _AnyPage(_Envelope, gc=False, kw_only=True):
    results: list[msgspec.Raw]


_any_page = msgspec.json.Decoder(_AnyPage)


@lru_cache
def _plain_page(ours: tuple[str, ...]) -> msgspec.json.Decoder[Any]:
    record = plain_record(ours)
    results: list[tuple[str, Any]] = [("results", list[record])]  # type: ignore[valid-type]
    return decoder_of(msgspec.defstruct("PlainPage", results, bases=(_Envelope,), gc=False, kw_only=True))


class Version2:
    """See `Dialect`."""

    version: Final = "v2"
    largest_page: Final = VERSIONS["v2"].largest_page

    def target(self, request: PageRequest) -> str:
        """Return path and query for a page."""
        path = f"{request.region.base_path}{list_path(request, self.version)}"
        if request.page_size is None:
            return f"{path}?page={request.page}"
        return f"{path}?page={request.page}&pagesize={request.page_size}"

    def decode(self, body: bytes, collection: Collection, page: int) -> Page:  # noqa: ARG002 - what it says is in it
        """Decode a page."""
        return decoded(body, partial(_decode, ours=collection.fields))

    def decode_error(self, body: bytes) -> tuple[str | None, str]:
        """Return (errorCode as text, message) of an error body."""
        return meanings.decode_error(body)

    def meaning(self, status: int, code: str | None) -> Meaning:
        """Return what an error means."""
        return meanings.look_up(MEANINGS, status, code)


V2: Final = Version2()


def _decode(body: bytes, ours: tuple[str, ...]) -> Page:
    try:
        page = _plain_page(ours).decode(body)
    except msgspec.ValidationError:
        return _decode_mixed(body, ours)
    body = on_one_line(body)
    names = [plain.name for plain in page.results]
    records = split_flat(body, len(names)) or without_braces(_split(body))
    check_surroundings(body, sum(map(len, records)) + 2 * len(records))  # a brace and a comma are gone from each
    return Page(count=whole_number(page.count), next=_following(page), names=names, records=records)


def _decode_mixed(body: bytes, ours: tuple[str, ...]) -> Page:
    """Decode a page in which some record has no name, or a field of ours."""
    page = _any_page.decode(body)
    body = on_one_line(body)
    found = _split(body)
    check_surroundings(body, sum(map(len, found)) + len(found))
    return page_of_any(found, ours, count=whole_number(page.count), following=_following(page))


def _following(page: _Envelope) -> int | None:
    if page.next is not None and not 0 < page.next <= _LARGEST_NUMBER:
        raise PageError(f"`next` is {page.next}, which is no page number")
    return page.next


def split_flat(body: bytes, count: int) -> list[bytes]:
    """Split a page of ``count`` records at its opening braces; none where that is not enough.

    The page itself and each record have one brace. When there are no more, none is nested or in a text, so what
    stands between two of them is one record, a comma, and blanks.
    """
    first = body.find(b"{", 1)
    if opens_twice(body, first) or not body.endswith(b"}]}"):
        return []
    records = body.split(b"{")[2:]
    if len(records) != count:
        return []
    if may_repeat(body[:first], _KEYS):
        return []
    records[-1] = records[-1][:-2]
    records = [record.rstrip(b", \t") for record in records]
    if body.rfind(b"[") > first:
        check_depth(records)
    return records


def opens_twice(body: bytes, first: int) -> bool:
    """Whether a second brace opens before the ``first`` one closes: most pages that are not flat are told by that."""
    return first < body.find(b"{", first + 1) < body.find(b"}")


def _split(body: bytes) -> list[bytes]:
    """Split a page of any records where its grammar says."""
    records = list(map(bytes, _any_page.decode(body).results))
    if may_repeat(beside(body, records), _KEYS):
        check_once(body, _KEYS)
    return records


def beside(body: bytes, records: list[bytes]) -> bytes:
    """Return what stands before the records where nothing stands behind or between them; else the whole body."""
    head = body[: body.find(b"{", 1)]
    closed = len(head) + sum(map(len, records)) + len(records) + 1  # commas, and what closes the page
    return head if closed == len(body) else body
