"""The nouns that every room shares: frozen, slotted, without behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    """How the listing of one registry ended; every (region, registry) gets exactly one."""

    COMPLETE = "complete"
    COMPLETE_WITH_DRIFT = "complete_with_drift"
    INCOMPLETE = "incomplete"
    DENIED = "denied"
    GONE = "gone"
    FAILED = "failed"

    @property
    def is_whole(self) -> bool:
        """True when every image that was there throughout is in the output."""
        return self in (Verdict.COMPLETE, Verdict.COMPLETE_WITH_DRIFT)


class VerifyMode(StrEnum):
    """When a registry is listed a second time (``--verify``)."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Region:
    """One region of a zone: its code, as users write it, and the base path of its API."""

    code: str
    base_path: str


@dataclass(frozen=True, slots=True)
class PageRequest:
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


class Page(msgspec.Struct, frozen=True):
    """One decoded page of a listing.

    Attributes:
        count: what the gateway said, if it was a number at all: advice, never proof.
        next: number of the next page; None says that this is the last.
        names: the ``name`` of each record, in the gateway's order.
        records: the bytes of each record, parallel to ``names``: one JSON object on one line, numbers untouched.
        defects: records that could not be taken (no object, or no name).
        overridden: records that brought a field of ours (account, region, registry) along.
    """

    count: int | None
    next: int | None
    names: list[str]
    records: list[bytes]
    defects: int = 0
    overridden: int = 0
