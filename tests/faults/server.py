"""The gateway of a small fixed account in every region, on raw servers, that misbehaves where a test says so.

It is written from the API's description only and shares nothing with the program but the table of regions: it has the
signature and the pages, of both versions, from `reference/api.md`. What it answers is bytes; what it was sent is kept
to the byte.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import re
import time
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple, Self
from urllib.parse import quote, unquote

from support.raw_server import Answer, RawServer, Request, answer, refusal

from crawler.api.zones import ZONES

if TYPE_CHECKING:
    import ssl
    from asyncio import StreamWriter
    from collections.abc import Mapping, Sequence
    from types import TracebackType

ACCESS_KEY, SECRET_KEY = "SENTINEL-access-7f3a91", "SENTINEL-secret-c4e8d2"
BASES = {region.base_path: region.code for region in ZONES["public"].regions}
REGIONS = tuple(BASES.values())
PAGE_SIZE = 10
LISTED_A_PAGE = 1
"""Registries on a page of the list of registries, whatever is asked for: a gateway may give less."""
TAGGED = "app-00/한글 0%"
"""The image of `World.tagged` that has several pages of tags."""
_EPOCH_S = time.time() - time.monotonic()
_TARGETS = {
    "v2": re.compile(
        rf"(?P<base>{'|'.join(map(re.escape, BASES))})/repositories"
        r"(?:/(?P<name>[A-Za-z0-9._-]+)(?:/(?P<image>[^/?#]+)/tags)?)?"
        r"\?page=(?P<page>\d{1,9})(?:&pagesize=(?P<size>\d{1,5}))?"
    ),
    "v3": re.compile(
        r"/api/v3/registries(?:/(?P<name>[A-Za-z0-9._-]+)/images(?:/(?P<image>[^/?#]+)/tags)?)?"
        r"\?pageNo=(?P<page>\d{1,9})(?:&pageSize=(?P<size>\d{1,4}))?&sort=name,asc"
    ),
}


class Place(NamedTuple):
    """A page of a listing; ``registry`` None is the region's list of registries, an ``image`` that of its tags."""

    region: str
    registry: str | None
    page: int
    image: str | None = None

    def __str__(self) -> str:
        return f"{'/'.join((self.region, *self.within))}#{self.page}"

    @property
    def within(self) -> tuple[str, ...]:
        """The names that the list is within."""
        return tuple(name for name in (self.registry, self.image) if name is not None)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request on the wire.

    Attributes:
        number: from 1, over the whole run.
        nth: from 1, of this page.
        at_s: when it arrived, by the loop's clock.
        arrived_s: the same in seconds since 1970; likewise ``signed_s``.
        fault: whether the answer was spoilt.
        is_reused: others came on its connection before.
    """

    place: Place
    size: int | None
    request: Request
    number: int
    nth: int
    at_s: float
    arrived_s: float
    signed_s: float
    fault: bool
    is_reused: bool

    @property
    def signature(self) -> str:
        """What must not be seen anywhere else."""
        return self.request.headers["x-ncp-apigw-signature-v2"]


@dataclass(frozen=True, slots=True)
class Right:
    """What a fault is given: the answer that would be right, and whereto nothing must be sent."""

    place: Place
    nth: int
    body: bytes
    elsewhere: str = ""

    @property
    def whole(self) -> bytes:
        """The answer as it should be."""
        return answer(self.body)


Fault = Callable[[Right], Answer]
"""Makes of the right answer what is sent instead: bytes, or a script that gets the connection."""
Meddle = Callable[[Place, int, int], "Fault | None"]
"""Say which fault a request meets: its page, how often that was asked for, and the requests so far."""


def image(name: str, **more: object) -> bytes:
    """Return an image's record as the gateway sends it."""
    fields = {
        "can_edit": True, "description": None, "is_automated": None, "is_private": None, "last_updated": 1711928488000,
        "name": name, "namespace": "n", "pull_count": len(name), "repository_type": "image", "star_count": None,
        "status": 0, "user": None,
    }  # fmt: skip
    return json.dumps(fields | more, ensure_ascii=False, separators=(",", ":")).encode()


def tag(name: str, **more: object) -> bytes:
    """Return a tag's record, with two platforms."""
    one = {"architecture": "amd64", "digest": f"sha256:{name}", "latest_pulled": None, "os": "linux", "size": 2**40}
    fields = {
        "creator": None, "digest": one["digest"], "full_size": one["size"], "id": 1, "image_id": 2,
        "images": [one, one | {"architecture": "arm64", "digest": None}], "last_updated": 1711928488000, "name": name,
        "repository": 3, "v2": True,
    }  # fmt: skip
    return json.dumps(fields | more, ensure_ascii=False, separators=(",", ":")).encode()


@cache
def registry(name: str) -> bytes:
    """Return a registry's record."""
    return json.dumps({"bucket": f"b-{name}", "created": 1600000000000, "name": name, "status": "running"}).encode()


@dataclass
class World:
    """What the account holds.

    Attributes:
        images: for each region its registries, for each of those the records of its images.
        tags: for each image, whatever the region, the records of its tags; others have none.
    """

    images: dict[str, dict[str, list[bytes]]]
    tags: dict[tuple[str, str], list[bytes]] = field(default_factory=dict)

    @classmethod
    def usual(cls) -> World:
        """Return the account that most faults meet: a registry of five pages, one of one, one that is empty."""
        held = {
            "team-a": [image(f"app-{number:02}/한글-{number}") for number in range(50)],
            "team-b": [image(f"job-{number}", pull_count=2**70 + number) for number in range(7)],
            "void": [],
        }
        return cls({region: dict(held) for region in REGIONS})

    @classmethod
    def tagged(cls) -> World:
        """Return the account that faults meet at the level of tags: an image of five pages of them, one of none."""
        team_a, team_b = [TAGGED, *(f"app-{number:02}" for number in range(1, 12))], ["job", "job/x y?#%2F"]
        tags = {
            ("team-a", name): [tag(f"v{number}") for number in range(number % 4)] for number, name in enumerate(team_a)
        }
        tags |= {("team-b", name): [tag("latest"), tag("한글")] for name in team_b}
        tags["team-a", TAGGED] = [tag(f"1.{number:02}") for number in range(50)]
        held = {"team-a": list(map(image, team_a)), "team-b": list(map(image, team_b)), "void": []}
        return cls({region: dict(held) for region in REGIONS}, tags)

    @classmethod
    def of(cls, registries: int, images: int, **more: object) -> World:
        """Return an account of so many registries in each region, with so many images in each."""
        held = [image(f"app-{number:05}", **more) for number in range(images)]
        return cls({region: {f"team-{number:04}": held for number in range(registries)} for region in REGIONS})

    def lines(self, region: str, *within: str) -> list[bytes]:
        """Return the lines that a crawl has to write for a registry's images or an image's tags, to the byte."""
        ours = dict(zip(("account", "region", "registry", "image"), ("default", region, *within), strict=False))
        start = json.dumps(ours, separators=(",", ":"), ensure_ascii=False).encode(errors="backslashreplace")
        return [start[:-1] + b"," + record[1:] for record in self._records(region, within)]

    def names(self, region: str, registry: str) -> list[str]:
        """Return the names of a registry's images."""
        return [json.loads(record)["name"] for record in self.images[region][registry]]

    def page(self, place: Place, size: int | None, largest: int, *, api: str = "v2") -> bytes | None:
        """Return the body of a page; None where there is no such registry."""
        if place.registry is not None and place.registry not in self.images[place.region]:
            return None
        if place.image is not None and place.image not in self.names(place.region, place.registry or ""):
            return None
        size = LISTED_A_PAGE if place.registry is None else min(size or 20, largest)
        first = (place.page - 1) * size
        if place.registry is None:
            names = list(self.images[place.region])
            return _BODIES[api](place.page, size, len(names), b",".join(map(registry, names[first : first + size])))
        held = self._records(place.region, place.within)
        return _BODIES[api](place.page, size, len(held), b",".join(held[first : first + size]))

    def _records(self, region: str, within: tuple[str, ...]) -> list[bytes]:
        """Return what a list within a registry holds."""
        return self.images[region][within[0]] if len(within) == 1 else self.tags.get((within[0], within[1]), [])


def _body_v2(page: int, size: int, total: int, results: bytes) -> bytes:
    following = str(page + 1) if page * size < total else "null"
    previous = str(page - 1) if page > 1 else "null"
    return b'{"count":%d,"next":%s,"previous":%s,"results":[%s]}' % (
        total, following.encode(), previous.encode(), results,
    )  # fmt: skip


def _body_v3(page: int, size: int, total: int, results: bytes) -> bytes:
    totals = (page - 1, size, total, -(-total // size))
    inner = b'{"pageNo":%d,"pageSize":%d,"totalElements":%d,"totalPages":%d}' % totals
    return b'{"page":%s,"content":[%s]}' % (inner, results)


_BODIES = {"v2": _body_v2, "v3": _body_v3}


def now_s() -> float:
    """Return seconds since 1970 by a clock that nobody sets."""
    return time.monotonic() + _EPOCH_S


def never(_place: Place, _nth: int, _number: int) -> None:
    """Meddle with nothing."""


@dataclass
class Gateway:
    """Serves a world while its context lasts.

    Attributes:
        meddle: what goes wrong.
        api: the version that it speaks; version 3 has a port a region.
        largest_page: more images are not given at once, whatever is asked for.
        clock_offset_s: how far its clock is ahead.
        keep_alive: False ends the connection after every right answer.
        dates: what to say as Date, for a time; None says nothing.
        size: page size of the request that is being answered; ``head``: its bytes.
        attempts: every request, in order.
        problems: what was wrong with requests: signatures, targets, headers that do not belong there.
    """

    world: World = field(default_factory=World.usual)
    meddle: Meddle = never
    api: str = "v2"
    largest_page: int = PAGE_SIZE
    clock_offset_s: float = 0.0
    keep_alive: bool = True
    dates: Callable[[float], str | None] = lambda time_s: formatdate(time_s, usegmt=True)
    headers: Sequence[str] = ()
    elsewhere: str = ""
    tls: ssl.SSLContext | None = None
    size: int | None = None
    head: bytes = b""
    attempts: list[Attempt] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    _asked: Counter[Place] = field(default_factory=Counter)
    _connections: weakref.WeakSet[StreamWriter] = field(default_factory=weakref.WeakSet)

    async def __aenter__(self) -> Self:
        doors = REGIONS if self.api == "v3" else ("",)
        self._servers = {door: RawServer(choose=partial(self._choose, door), ssl=self.tls) for door in doors}
        for server in self._servers.values():
            await server.__aenter__()
        self.url = ",".join(f"{door}={server.url}" if door else server.url for door, server in self._servers.items())
        self.port = self._servers[doors[0]].port
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for server in self._servers.values():
            await server.__aexit__(exc_type, exc, traceback)

    @property
    def signatures(self) -> set[str]:
        """Every signature seen on the wire."""
        return {attempt.signature for attempt in self.attempts}

    def _choose(self, door: str, request: Request) -> Answer:
        async def play(writer: StreamWriter) -> None:
            is_reused = writer in self._connections
            self._connections.add(writer)
            await self._play(door, request, writer, is_reused=is_reused)

        return play

    async def _play(self, door: str, request: Request, writer: StreamWriter, *, is_reused: bool) -> None:
        target = _TARGETS[self.api].fullmatch(request.target)
        if target is None or not request.head.startswith(b"GET "):
            self.problems.append(f"a request for {request.target!r}")
            writer.write(refusal(404, "300"))
            return
        size, image_name = target["size"], unquote(target["image"]) if target["image"] else None
        if image_name is not None and quote(image_name, safe="") != target["image"]:
            self.problems.append(f"an image that is spelt {target['image']!r}")
        place = (
            Place(door, target["name"], int(target["page"]) + 1, image_name)
            if door
            else Place(BASES[target["base"]], target["name"], int(target["page"]), image_name)
        )
        self._asked[place] += 1
        nth = self._asked[place]
        refused = self._check(request, request.headers)
        body = self.world.page(place, int(size) if size else None, self.largest_page, api=self.api)
        self.size, self.head = int(size) if size else None, request.head
        fault = self.meddle(place, nth, len(self.attempts) + 1)
        signed_s = int(request.headers.get("x-ncp-apigw-timestamp", 0)) / 1000
        self.attempts.append(
            Attempt(
                place, int(size) if size else None, request, len(self.attempts) + 1, nth,
                asyncio.get_running_loop().time(), now_s(), signed_s, fault is not None, is_reused,
            )
        )  # fmt: skip
        if fault is not None:
            made = fault(Right(place, nth, body or b"", self.elsewhere))
        elif refused:
            made = refusal(401, "200", "Authentication Failed", *self._heads())
        elif body is None:
            made = refusal(404, "300" if self.api == "v2" else "NotFound", "Not Found Exception", *self._heads())
        else:
            made = answer(body, *self._heads())
        if isinstance(made, bytes):
            writer.write(made)
            await writer.drain()
        else:
            await made(writer)
        if not self.keep_alive and fault is None:
            writer.close()

    def _heads(self) -> list[str]:
        date = self.dates(now_s() + self.clock_offset_s)
        return [
            *([f"Date: {date}"] if date else []),
            *self.headers,
            *([] if self.keep_alive else ["Connection: close"]),
        ]

    def _check(self, request: Request, sent: Mapping[str, str]) -> bool:
        """Note what is wrong with a request; return whether a gateway refuses it."""
        stamp = sent.get("x-ncp-apigw-timestamp", "")
        text = f"GET {request.target}\n{stamp}\n{ACCESS_KEY}"
        right = base64.b64encode(hmac.new(SECRET_KEY.encode(), text.encode(), hashlib.sha256).digest()).decode()
        if sent.get("x-ncp-iam-access-key") != ACCESS_KEY or sent.get("x-ncp-apigw-signature-v2") != right:
            self.problems.append(f"a wrong signature for {request.target}")
            return True
        if strange := sent.keys() & {"cookie", "authorization", "proxy-authorization", "referer"}:
            self.problems.append(f"sent {', '.join(strange)}")
        return abs(int(stamp) / 1000 - now_s() - self.clock_offset_s) > 300
