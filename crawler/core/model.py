"""The nouns that every package shares: frozen, slotted, without behaviour."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Verdict(StrEnum):
    """How the listing of one registry ended; every (region, registry) gets exactly one."""

    COMPLETE = "complete"
    COMPLETE_WITH_DRIFT = "complete_with_drift"
    UNVERIFIED = "unverified"
    INCOMPLETE = "incomplete"
    DENIED = "denied"
    GONE = "gone"
    FAILED = "failed"

    @property
    def is_whole(self) -> bool:
        """True when it is proved that every image that was there throughout is in the output."""
        return self in (Verdict.COMPLETE, Verdict.COMPLETE_WITH_DRIFT)

    @property
    def is_good(self) -> bool:
        """True when nothing is known to be missing: whole, or looked at only once because that was asked for."""
        return self.is_whole or self is Verdict.UNVERIFIED


class VerifyMode(StrEnum):
    """When a registry is listed a second time (``--verify``)."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class Region(Struct, frozen=True):
    """One region of a zone.

    Attributes:
        code: as users write it.
        base_path: of version 2 of its API, behind the zone's gateway.
        own_gateway: origin of version 3, which has a host a region; None where there is no version 3.
    """

    code: str
    base_path: str
    own_gateway: str | None = None


class PageRequest(Struct, frozen=True):
    """One page to ask for.

    Attributes:
        region: where to ask.
        registry: whose images to list; None lists the registries themselves.
        page: 1-based page number.
        page_size: records a page to ask for; None leaves it to the gateway.
    """

    region: Region
    registry: str | None
    page: int
    page_size: int | None


class Page(Struct, frozen=True):
    """One decoded page of a listing.

    Attributes:
        count: what the gateway said, if it was a number at all: advice, never proof.
        next: number of the next page; None says that this is the last.
        names: the ``name`` of each record, in the gateway's order.
        records: what follows the opening brace of each record, parallel to ``names``: on one line, numbers untouched.
        defects: records that could not be taken (no object, or no name).
        overridden: records that brought a field of ours (account, region, registry) along.
    """

    count: int | None
    next: int | None
    names: list[str]
    records: list[bytes]
    defects: int = 0
    overridden: int = 0


class ListingResult(Struct, frozen=True):
    """How one listing ended, and what it cost.

    Attributes:
        registry: None for the list of a region's registries.
        reason: why it is not plainly complete, for people.
        images: distinct records given out: images, or registries.
        count: the last ``count`` that the gateway gave.
        page_size: records a page that the gateway gives.
        requests: attempts on the wire, repeated ones included.
        retries: tries after the first one of a page.
        throttled: answers that said "too fast".
        started_ms: milliseconds since 1970, UTC; likewise ``finished_ms``.
        exists: False if all that came was 404.
        is_sorted: whether the first page came in the order of its names; None if that cannot be told.
        taken_from: id of the snapshot that it is copied from; it cost this run nothing. None if it was listed.
    """

    region: str
    registry: str | None
    verdict: Verdict
    reason: str | None
    images: int
    count: int | None
    pages: int
    passes: int
    page_size: int | None
    requests: int
    retries: int
    throttled: int
    started_ms: int
    finished_ms: int
    exists: bool = True
    is_sorted: bool | None = None
    taken_from: str | None = None
