"""Lists of the two upper levels by a registry's name: None stands for the list of registries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from crawler.api.collections import IMAGES, REGISTRIES
from crawler.core.model import ListingResult, PageRequest, Verdict

if TYPE_CHECKING:
    from crawler.core.collection import Collection
    from crawler.core.model import Place, Region


class Within(Protocol):
    """Whatever is of one list."""

    @property
    def within(self) -> tuple[str, ...]:
        """The names that the list is within."""
        ...


def registry_of(one: Within) -> str | None:
    """Return the registry that something is of."""
    return one.within[0] if one.within else None


def list_of(registry: str | None) -> tuple[Collection, tuple[str, ...]]:
    """Return what is listed, and within what."""
    return (REGISTRIES, ()) if registry is None else (IMAGES, (registry,))


def place_of(region: str, registry: str | None) -> Place:
    """Return the place of a list."""
    collection, within = list_of(registry)
    return collection.name, region, within


def result_of(registry: str | None, records: int = 0, **changes: Any) -> ListingResult:
    """Return how a list in kr ended: complete, with one request, unless changed."""
    collection, within = list_of(registry)
    usual: dict[str, Any] = {
        "verdict": Verdict.COMPLETE,
        "reason": None,
        "records": records,
        "count": records,
        "pages": 1,
        "passes": 1,
        "page_size": 100,
        "region": "kr",
        "collection": collection,
        "within": within,
        "requests": 1,
        "retries": 0,
        "throttled": 0,
        "started_ms": 0,
        "finished_ms": 0,
    }
    return ListingResult(**usual | changes)


GOOD = result_of(
    "team-a",
    1200,
    pages=12,
    requests=14,
    retries=2,
    throttled=1,
    started_ms=1_800_000_000_000,
    finished_ms=1_800_000_004_200,
)
"""A registry of twelve pages."""
LIST = result_of(
    None, 3, count=1200, page_size=None, requests=1, started_ms=GOOD.started_ms, finished_ms=GOOD.finished_ms
)
"""The list that names it."""


def request_of(region: Region, registry: str | None, page: int, page_size: int | None) -> PageRequest:
    """Return the request for a page of a list."""
    return PageRequest(region, *list_of(registry), page, page_size)
