"""How the versions of the API ask and answer: routes, windows, envelopes, refusals. The other side of `crawler.api`.

The emulated account is the same in both; what differs is the way in and how its records look.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import parse_qs, unquote

import orjson

from crawler.api.collections import COLLECTIONS, REGISTRIES
from crawler.api.v3 import BASE_PATH
from crawler.emulation.faults import REFUSALS, error_body
from crawler.emulation.options import REGIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from crawler.api.collections import Collection
    from crawler.emulation.options import EmulatorOptions
    from crawler.emulation.wire import Answer, Request
    from crawler.emulation.world import Record

MAX_DIGITS = 15  # more would be no page, no page size and no time
LARGEST_PAGE = 1000


class Place(NamedTuple):
    """A list that was asked for; ``names`` is what it is within, from the registry downwards."""

    region: str
    collection: Collection
    names: tuple[str, ...]


class Window(NamedTuple):
    """Which part of it; pages are counted from 1."""

    page: int
    size: int


class Api(Protocol):
    """One version, as a gateway speaks it."""

    refusals: Mapping[int, Answer]

    def place(self, request: Request) -> Place | None:
        """Return which list a request is for; None if there is no such path."""
        ...

    def one(self, request: Request) -> Place | None:
        """Return which image or tag a request is for by itself; None if there is no such path."""
        ...

    def window(self, query: str) -> Window | None:
        """Return which page a query asks for; None if it cannot be served."""
        ...

    def record(self, collection: Collection, record: Record) -> Record:
        """Return how a record of version 2 looks."""
        ...

    def body(
        self, place: Place, window: Window, records: list[Record], *, total: int | None, length: int, loops: bool
    ) -> bytes:
        """Return a page.

        Args:
            place: of which list.
            window: of which part.
            records: as version 2 has them.
            total: what it says is the number of all, true or not.
            length: how many there really are.
            loops: the last page names page 1 as the next, in a version in which pages name the next.
        """
        ...

    def headers(self) -> tuple[str, ...]:
        """Return what every answer carries."""
        ...


def natural(text: str) -> int | None:
    """Return a decimal number of ASCII digits, or None if it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else None


def region_of(request: Request) -> str | None:
    """Return the code of the region that a request is to: that of the door it came to, or of its path."""
    return request.door or next((code for base, code in _BASES if request.target.startswith(f"{base}/")), None)


_BASES = [(region.base_path, region.code) for region in REGIONS]


def _routes(version: str) -> Iterator[tuple[re.Pattern[str], Collection]]:
    """Yield what the path of each collection looks like beneath a region's base."""
    for collection in COLLECTIONS.values():
        yield re.compile(re.escape(collection.paths[version]).replace(r"\{\}", "([^/]+)")), collection


def _beneath(path: str, version: str) -> tuple[Collection, tuple[str, ...]] | None:
    for pattern, collection in _routes(version):
        if found := pattern.fullmatch(path):
            return collection, tuple(map(unquote, found.groups()))
    return None


class Version2:
    """One host for all regions, pages from 1, a chain of ``next``."""

    def __init__(self, options: EmulatorOptions) -> None:
        self.refusals: Mapping[int, Answer] = REFUSALS
        self._options = options

    def place(self, request: Request) -> Place | None:
        """Find the list in a path."""
        path = request.target.partition("?")[0]
        for base, region in _BASES:
            if path.startswith(f"{base}/") and (found := _beneath(path.removeprefix(base), "v2")):
                return Place(region, *found)
        return None

    def one(self, request: Request) -> Place | None:
        """Find the image or tag in a path: a list's path and a name more."""
        above, _, name = request.target.partition("?")[0].rpartition("/")
        place = self.place(replace(request, target=above))
        if not name or place is None or place.collection is REGISTRIES:
            return None
        return place._replace(names=(*place.names, unquote(name)))

    def window(self, query: str) -> Window | None:
        """Read the query."""
        options = self._options
        asked = parse_qs(query, keep_blank_values=True)
        page = natural(asked.get("page", ["1"])[-1])
        size = natural(asked.get("pagesize", [str(options.default_page_size)])[-1])
        if not page or not size or (size > options.max_page_size and options.oversize == "refuse"):
            return None
        return Window(page, min(size, options.max_page_size))

    def record(self, collection: Collection, record: Record) -> Record:  # noqa: ARG002 - they are this version's
        """Return a record."""
        return record

    def body(
        self, place: Place, window: Window, records: list[Record], *, total: int | None, length: int, loops: bool
    ) -> bytes:
        """Return a page that names the next one."""
        is_last = window.page * window.size >= length
        following = (1 if loops else None) if is_last else window.page + 1
        results = [self.record(place.collection, record) for record in records]
        return orjson.dumps(
            {"count": total, "next": following, "previous": window.page - 1 or None, "results": results}
        )

    def headers(self) -> tuple[str, ...]:
        """Return what every answer carries."""
        return ()


_NAMED = {100: (400, "InvalidParameter", "Invalid parameter"), 300: (404, "NotFound", "Not found")}


class Version3:
    """A door a region, pages from 0, names for errors, and an envelope of which nobody knows the shape.

    Mutable state: how many answers went out.
    """

    def __init__(self, options: EmulatorOptions) -> None:
        named = {
            number: replace(REFUSALS[number], status=status, body=error_body(code, text))
            for number, (status, code, text) in _NAMED.items()
        }
        throttled = replace(REFUSALS[410], headers=("retry-after: 1",))
        self.refusals: Mapping[int, Answer] = {**REFUSALS, 410: throttled, **named}
        self._options = options
        self._answers = count(1)

    def place(self, request: Request) -> Place | None:
        """Find the list in a path."""
        path = request.target.partition("?")[0]
        found = _beneath(path.removeprefix(BASE_PATH), "v3") if path.startswith(BASE_PATH) else None
        return found and Place(request.door, *found)

    def one(self, request: Request) -> Place | None:  # noqa: ARG002 - no document tells of any
        """Nothing has a path of its own."""
        return None

    def window(self, query: str) -> Window | None:
        """Read the query."""
        asked = parse_qs(query, keep_blank_values=True)
        page = natural(asked.get("pageNo", ["0"])[-1])
        size = natural(asked.get("pageSize", ["20"])[-1])
        if page is None or not size or size > LARGEST_PAGE or asked.get("sort", ["name,asc"]) != ["name,asc"]:
            return None
        return Window(page + 1, size)

    def record(self, collection: Collection, record: Record) -> Record:
        """Return a record."""
        return _LOOKS[collection.name](record)

    def body(
        self,
        place: Place,
        window: Window,
        records: list[Record],
        *,
        total: int | None,
        length: int,
        loops: bool,  # noqa: ARG002 - no page names another
    ) -> bytes:
        """Return a page in the shape that was chosen."""
        totals = {
            "pageNo": window.page - 1,
            "pageSize": window.size,
            "totalElements": total,
            "totalPages": -(-length // window.size),
        }
        shapes: dict[str, dict[str, object]] = {"top": {**totals}, "inner": {"page": totals}, "none": {}}
        beside = shapes[self._options.envelope]
        return orjson.dumps(
            {self._options.list_name: [self.record(place.collection, record) for record in records], **beside}
        )

    def headers(self) -> tuple[str, ...]:
        """Return what every answer carries."""
        return (f"x-ncp-request-id: emulated-{self._options.seed}-{next(self._answers)}",)


def _time(ms: int | None) -> str | None:
    """Return milliseconds since 1970 as RFC 3339."""
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).isoformat().replace("+00:00", "Z")


def _registry(record: Record) -> Record:
    return {
        "name": record["name"],
        "bucketName": record["bucket"],
        "publicEndpointHost": record["end_point"],
        "privateEndpointHost": record["private_end_point"],
        "publicEndpointEnabled": record["end_point_enabled"],
        "scanOnPushEnabled": record["scan_on_push_enabled"],
        "publicRegistryEnabled": bool(record["public_reg_status"]),
        "createdDateTime": _time(record["created"]),
        "storageTypeCode": "OBJECT_STORAGE",
        "status": record["status"],
    }


def _image(record: Record) -> Record:
    return {
        "name": record["name"],
        "registryName": record["namespace"],
        "description": record["description"],
        "pullCount": record["pull_count"],
        "lastPushedDateTime": _time(record["last_updated"]),
        "lastPulledDateTime": _time(record["last_updated"]) if record["pull_count"] else None,
    }


def _tag(record: Record) -> Record:
    images = [
        {
            "mediaType": one["mediaType"],
            "architecture": one["architecture"],
            "os": one["os"],
            "variant": one["variant"],
            "digest": one["digest"],
            "size": one["size"],
            "createdDateTime": _time(one["created"]),
            "updatedDateTime": _time(one["updated"]),
            "lastPulledDateTime": _time(one["latest_pulled"]),
        }
        for one in record["images"]
    ]
    return {
        "name": record["name"],
        "digest": record["digest"],
        "fullSize": record["full_size"],
        "images": images,
        "updatedDateTime": _time(record["last_updated"]),
    }


_LOOKS: Mapping[str, Callable[[Record], Record]] = {"registries": _registry, "images": _image, "tags": _tag}

APIS: Mapping[str, Callable[[EmulatorOptions], Api]] = {"v2": Version2, "v3": Version3}
"""Every version there is, by name."""
