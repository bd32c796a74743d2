"""The emulator: what it serves is what its world holds, and every switch does what `--help` says."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, fields
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self, get_args
from unittest.mock import Mock, call

import click
import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from crawler.api.identity import IDENTITY_TARGET
from crawler.api.signing import ACCESS_KEY_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, sign
from crawler.api.zones import check_registry_name
from crawler.cli import run
from crawler.cli.commands.emulator import command
from crawler.core.errors import UsageError
from crawler.core.secret import KeyPair, Secret
from crawler.emulation import Emulator, EmulatorOptions
from crawler.emulation.change import poisson, shuffled_positions
from crawler.emulation.faults import draw_fault
from crawler.emulation.ledger import NoStatistics, Statistics, most_in_window
from crawler.emulation.names import IMAGE_NAMES, REGISTRY_NAMES
from crawler.emulation.options import FAULTS, REGIONS, Fault, Sort
from crawler.emulation.wire import MAX_HEAD_BYTES, Answer, Connection, Request
from crawler.emulation.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crawler.emulation.options import UserType

BASES = {region.code: region.base_path for region in REGIONS}
IMAGE_FIELDS = (
    "can_edit description is_automated is_private last_updated name namespace pull_count repository_type star_count "
    "status user"
)
REGISTRY_FIELDS = (
    "bucket created end_point end_point_enabled name private_end_point private_id public_reg_status "
    "scan_on_push_enabled status"
)


@dataclass
class Reply:
    """An answer as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def page(self) -> dict[str, Any]:
        """The body, which has a page's fields in their order."""
        page = json.loads(self.body)
        assert list(page) == ["count", "next", "previous", "results"]
        return dict(page)

    @property
    def refusal(self) -> tuple[int, str]:
        """Status and errorCode of an error body as documented."""
        error = json.loads(self.body)["error"]
        assert list(error) == ["errorCode", "message", "details"]
        return self.status, error["errorCode"]


@dataclass
class Client:
    """One connection to an emulator, byte for byte."""

    emulator: Emulator
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def signed(self, target: str, *, skew_ms: int = 0) -> dict[str, str]:
        """Return the headers that the gateway should take."""
        keys = KeyPair(Secret(self.emulator.access_key), Secret(self.emulator.secret_key), "test")
        return sign(target, keys, now_ms=int(time.time() * 1000) + skew_ms)

    def send(self, target: str, headers: dict[str, str], *, method: str = "GET") -> None:
        """Write a request."""
        lines = [f"{method} {target} HTTP/1.1", "Host: emulator", *(f"{name}: {headers[name]}" for name in headers)]
        self.writer.write("\r\n".join([*lines, "", ""]).encode())

    async def receive(self) -> Reply:
        """Read a whole answer."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        status_line, *rest = head.decode().rstrip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in rest)}
        body = await self.reader.readexactly(int(headers["content-length"]))
        return Reply(int(status_line.split()[1]), headers, body)

    async def get(self, target: str, headers: dict[str, str] | None = None, *, method: str = "GET") -> Reply:
        """Send a request, signed unless it brings headers, and return its answer."""
        self.send(target, self.signed(target) if headers is None else headers, method=method)
        return await self.receive()

    async def chain(self, path: str, page_size: int | None = None) -> list[dict[str, Any]]:
        """Follow `next` to the end and return the pages."""
        pages, following = [], 1
        while following:
            size = f"&pagesize={page_size}" if page_size else ""
            page = (await self.get(f"{path}?page={following}{size}")).page
            assert page["previous"] == (following - 1 or None)
            pages.append(page)
            following = page["next"]
        return pages


@asynccontextmanager
async def connect(emulator: Emulator) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(emulator.url.rpartition(":")[2]))
    yield Client(emulator, reader, writer)
    writer.close()
    with suppress(ConnectionError):  # some of these connections were reset, as they should be
        await writer.wait_closed()


async def until_in_flight(emulator: Emulator, number: int) -> None:
    async with asyncio.timeout(60):
        while emulator.statistics.in_flight != number:  # noqa: ASYNC110 - a server tells nobody what it noticed
            await asyncio.sleep(0)


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[Client]:
    async with Emulator(EmulatorOptions(**options)) as emulator, connect(emulator) as client:
        yield client


def largest(emulator: Emulator, region: str = "kr") -> str:
    return max(emulator.world.listed(region), key=len).registry.name


def path_of(emulator: Emulator, region: str = "kr") -> str:
    return f"{BASES[region]}/repositories/{largest(emulator, region)}"


def records_of(pages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [record for page in pages for record in page["results"]]


# --- the world ---------------------------------------------------------------------------------------------------


def test_same_seed_is_same_world() -> None:
    """Two worlds of a seed are equal to the last field; another seed is another world."""

    def everything(seed: int) -> list[Any]:
        world = World(seed, 5, 200)
        return [
            (record, list(world.images(region, record["name"])))
            for region in world.regions
            for record in world.registries(region)
        ]

    assert everything(7) == everything(7)
    assert everything(7) != everything(8)


def test_world_is_pinned() -> None:
    """The world does not change from one version of Python, or of ncrawl, to the next: people compare outputs."""
    world = World(1, 2, 30, regions=("kr", "sgn", "jpn"))
    assert world.registry_names("kr") == ["billing-dev", "shopping-prod"]
    image = next(world.images("kr", "shopping-prod"))
    assert (image["name"], image["last_updated"]) == ("auth/ledger", 1676084289609)


def test_records_have_the_documented_fields_in_order() -> None:
    """Images and registries look like the API's: fields, order, types."""
    world = World(1, 10, 2000)
    for region in world.regions:
        for registry in world.registries(region):
            assert " ".join(registry) == REGISTRY_FIELDS
            assert check_registry_name(registry["name"])
            for image in world.images(region, registry["name"]):
                assert " ".join(image) == IMAGE_FIELDS
                assert image["namespace"] == registry["name"]
                assert 1_600_000_000_000 < image["last_updated"] < 1_800_000_000_000
                assert image["pull_count"] >= 0


def test_names_and_descriptions_are_varied() -> None:
    """There are names with and without a slash, and descriptions that are null, empty, Korean or quoted."""
    world = World(1, 10, 2000)
    images = [image for name in world.registry_names("kr") for image in world.images("kr", name)]
    assert {"/" in image["name"] for image in images} == {True, False}
    descriptions = {image["description"] for image in images}
    assert {None, ""} < descriptions
    assert any('"' in text for text in descriptions if text)
    assert any("가" <= text[0] <= "힣" for text in descriptions if text)


@pytest.mark.parametrize("vocabulary", [IMAGE_NAMES, REGISTRY_NAMES])
def test_no_stem_begins_another(vocabulary: Any) -> None:
    """What the order of the names rests on."""
    stems = vocabulary.stems
    assert not [(stem, after) for stem, after in pairwise(stems) if after.startswith(stem)]


@given(how_many=st.integers(1, 5000), draw=st.integers(0, 2**64))
def test_names_are_unique_and_in_order(how_many: int, draw: int) -> None:
    """However many there are, and whatever is drawn."""
    suffixes = IMAGE_NAMES.suffixes_for(how_many)
    names = [IMAGE_NAMES.name(index, how_many, suffixes, draw=draw * index) for index in range(how_many)]
    assert names == sorted(set(names))


@pytest.mark.parametrize(("registries", "images"), [(0, 10), (1, 0), (1, 1), (3, 10), (40, 3000)])
def test_images_add_up(registries: int, images: int) -> None:
    """All images are shared out, if there is a registry to hold them."""
    world = World(3, registries, images)
    assert world.image_total() == (images if registries else 0)
    assert all(len(world.registries(region)) == registries for region in world.regions)


def test_large_world_is_heavy_tailed_and_lazy() -> None:
    """A million images: a few registries hold most, some hold none, and no image is made before it is asked for."""
    world = World(1, 3334, 1_000_000)
    sizes = sorted(len(contents) for region in world.regions for contents in world.listed(region))
    assert sum(sizes) == world.image_total() == 1_000_000
    assert sum(sizes[-100:]) > 500_000
    assert 5 < sizes[len(sizes) // 2] < 50
    assert sizes[500] == 0
    assert all(contents._entries is None for contents in world.listed("kr"))


def test_sort_by_update_is_the_same_images() -> None:
    """Newest first, and nothing else is different."""
    by_name, by_update = World(1, 1, 900), World(1, 1, 900, sort="updated")
    (name,) = by_name.registry_names("sgn")
    updated = list(by_update.images("sgn", name))
    assert [image["last_updated"] for image in updated] == sorted(
        (image["last_updated"] for image in by_name.images("sgn", name)), reverse=True
    )
    assert sorted(updated, key=lambda image: str(image["name"])) == list(by_name.images("sgn", name))


@given(length=st.integers(0, 200), seed=st.integers())
def test_shuffled_positions_are_a_permutation(length: int, seed: int) -> None:
    """Every position once."""
    assert sorted(shuffled_positions(0, length, length, rng=random.Random(seed))) == list(range(length))


def test_poisson_has_its_mean() -> None:
    """Changes come as often as asked for."""
    rng = random.Random(1)
    assert [poisson(0, rng) for _ in range(5)] == [0] * 5
    assert 0.27 < sum(poisson(0.3, rng) for _ in range(10_000)) / 10_000 < 0.33


@given(sort=st.sampled_from(get_args(Sort)), seed=st.integers(0, 10**6), changes=st.integers(0, 60))
def test_change_keeps_the_log_and_the_order(sort: Sort, seed: int, changes: int) -> None:
    """What was there throughout is what every moment's contents have in common, also when all are deleted."""
    world, rng = World(seed, 1, 30, sort=sort), random.Random(seed)
    (name,) = world.registry_names("jpn")
    contents = world.contents("jpn", name)
    assert contents is not None
    common = {image["name"] for image in world.images("jpn", name)}
    for moment in range(changes):
        contents.change(rng, 1_900_000_000_000 + moment)
        names = [image["name"] for image in world.images("jpn", name)]
        assert len(set(names)) == len(names)
        common &= set(names)
    assert world.images_throughout("jpn", name) == common
    images = list(world.images("jpn", name))
    if sort == "name":
        assert images == sorted(images, key=lambda image: str(image["name"]))
    if sort == "updated":
        assert images == sorted(images, key=lambda image: -image["last_updated"])


def test_registries_come_and_go() -> None:
    """The outer list changes too, and keeps the same log."""
    world, rng = World(1, 10, 100), random.Random(1)
    common = set(world.registry_names("kr"))
    for _ in range(60):
        world.change_registries("kr", rng)
        names = world.registry_names("kr")
        assert len(set(names)) == len(names)
        assert None not in [world.contents("kr", name) for name in names]
        common &= set(names)
    assert world.registries_throughout("kr") == common != set()
    assert world.contents("kr", next(iter(set(World(1, 10, 100).registry_names("kr")) - common))) is None


# --- pages -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_listing_everything_gives_the_world(loop_factory: Any) -> None:
    """Following `next` from page 1 gives every registry and every image of every region, on either event loop."""

    async def crawl() -> None:
        async with serving(registries=4, images=300) as client:
            world = client.emulator.world
            for region in world.regions:
                base = f"{BASES[region]}/repositories"
                assert records_of(await client.chain(base, 3)) == world.registries(region)
                for name in world.registry_names(region):
                    pages = await client.chain(f"{base}/{name}", 7)
                    assert records_of(pages) == list(world.images(region, name))
                    assert {page["count"] for page in pages} == {len(records_of(pages))}

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(crawl())


async def test_page_sizes() -> None:
    """No size asked for gives the default, too large a one the largest."""
    async with serving(registries=1, images=300, default_page_size=11, max_page_size=50) as client:
        path = path_of(client.emulator)
        assert len((await client.get(path)).page["results"]) == 11
        assert len((await client.get(f"{path}?page=2&pagesize=50")).page["results"]) == 50
        assert len((await client.get(f"{path}?pagesize=51")).page["results"]) == 50


async def test_oversize_can_be_refused() -> None:
    """As a bad request, which is how a gateway would say it."""
    async with serving(registries=1, max_page_size=50, oversize="refuse") as client:
        assert (await client.get(f"{path_of(client.emulator)}?pagesize=51")).refusal == (400, "100")
        assert (await client.get(f"{path_of(client.emulator)}?pagesize=50")).status == 200


@pytest.mark.parametrize(
    "query", ["page=0", "page=-1", "page=x", "page=", "page=1.0", "page=٣", "pagesize=0", f"page={'9' * 5000}"]
)
async def test_page_numbers_are_checked(query: str) -> None:
    """Numbers above 0, or a bad request; and the server lives on."""
    async with serving() as client:
        target = f"{BASES['kr']}/repositories?{query}"
        assert (await client.get(target)).refusal == (400, "100")
        assert (await client.get(f"{BASES['kr']}/repositories")).status == 200


@pytest.mark.parametrize("which", ["registries", "images"])
async def test_past_the_end(which: str) -> None:
    """A page without results, or 404/300; the first page of nothing is never past the end."""
    for past_end in ("empty", "404"):
        async with serving(registries=1, images=0, past_end=past_end) as client:
            path = path_of(client.emulator) if which == "images" else f"{BASES['kr']}/repositories"
            assert (await client.get(f"{path}?page=1")).status == 200
            reply = await client.get(f"{path}?page=9")
            if past_end == "404":
                assert reply.refusal == (404, "300")
            else:
                assert (reply.page["results"], reply.page["next"]) == ([], None)


@pytest.mark.parametrize("count", ["images", "registries", "null", "wrong"])
async def test_count(count: str) -> None:
    """It means what was asked for, and nothing else depends on it."""
    async with serving(registries=5, images=400, count=count) as client:
        world = client.emulator.world
        for name in world.registry_names("kr"):
            pages = await client.chain(f"{BASES['kr']}/repositories/{name}", 50)
            images = list(world.images("kr", name))
            assert records_of(pages) == images
            (said,) = {page["count"] for page in pages}
            if count == "wrong":
                assert said != len(images)
            else:
                assert said == {"images": len(images), "registries": 5, "null": None}[count]


async def test_random_order_is_fresh_on_each_request() -> None:
    """A page is no two times the same; a page of all holds all. Registries too."""
    async with serving(registries=30, images=3000, sort="random") as client:
        world, path = client.emulator.world, path_of(client.emulator, "sgn")
        pages = [(await client.get(f"{path}?pagesize=10")).page["results"] for _ in range(3)]
        assert pages[0] != pages[1] != pages[2]
        registries = (await client.get(f"{BASES['sgn']}/repositories?pagesize=30")).page["results"]
        assert registries != world.registries("sgn")
        assert sorted(registry["name"] for registry in registries) == world.registry_names("sgn")


async def test_next_loop() -> None:
    """The last page of so many registries says that page 1 is next."""
    async with serving(registries=4, images=100, next_loop=2) as client:
        for name in client.emulator.world.registry_names("kr"):
            page = (await client.get(f"{BASES['kr']}/repositories/{name}?page=99")).page
            assert page["next"] == (1 if ("kr", name) in client.emulator.gateway.next_loops else None)
        assert len(client.emulator.gateway.next_loops) == 2 * len(BASES)


async def test_change_while_listing() -> None:
    """Images and registries change between pages; what was there throughout is known, what is served is current."""
    async with serving(registries=10, images=600, change_rate=1, registry_change_rate=1) as client:
        world, path = client.emulator.world, path_of(client.emulator)
        before = {image["name"] for image in world.images("kr", largest(client.emulator))}
        await client.chain(path, 10)
        after = list(world.images("kr", path.rpartition("/")[2]))
        assert world.images_throughout("kr", path.rpartition("/")[2]) < before
        await client.chain(f"{BASES['kr']}/repositories", 2)
        assert len(world.registries_throughout("kr")) < 10
        assert (await client.get(f"{path}?pagesize=5")).page["results"] == after[:5]


async def test_page_is_encoded_anew_after_a_change() -> None:
    """The cache never serves what is no longer so."""
    async with serving(registries=1, images=30) as client:
        path, world = path_of(client.emulator), client.emulator.world
        await client.get(path)
        contents = world.contents("kr", largest(client.emulator))
        assert contents is not None
        for _ in range(20):
            contents.change(random.Random(1), 1_900_000_000_000)
        assert records_of(await client.chain(path)) == list(world.images("kr", largest(client.emulator)))


async def test_count_is_told_anew_after_a_registry_came() -> None:
    """Where it counts registries, in a page of images that did not change."""
    async with serving(registries=2, images=30, count="registries") as client:
        path, world = path_of(client.emulator), client.emulator.world
        assert (await client.get(path)).page["count"] == 2
        world.change_registries("kr", random.Random(2))
        assert len(world.registries("kr")) == 3
        assert (await client.get(path)).page["count"] == 3


async def test_large_pages_are_not_kept() -> None:
    """Memory is bounded, however large pages may be."""
    async with serving(registries=1, images=3000, max_page_size=1000) as client:
        path, kept = path_of(client.emulator), client.emulator.gateway._pages._encoded.cache_info
        await client.get(f"{path}?pagesize=100")
        assert kept().currsize == 1
        await client.get(f"{path}?pagesize=101")
        assert kept().currsize == 1


# --- who may ask, and how often ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {SIGNATURE_HEADER: "AAAA"},
        {SIGNATURE_HEADER: "é"},
        {SIGNATURE_HEADER: ""},
        {ACCESS_KEY_HEADER: "somebody"},
        {TIMESTAMP_HEADER: "1"},
        {TIMESTAMP_HEADER: "now"},
        {TIMESTAMP_HEADER: "٣"},
        {TIMESTAMP_HEADER: "9" * 5000},
    ],
)
async def test_wrong_headers_are_refused(wrong: dict[str, str]) -> None:
    """Whatever stands in one of the three headers: 401/200, and the connection goes on."""
    async with serving() as client:
        target = f"{BASES['kr']}/repositories"
        reply = await client.get(target, client.signed(target) | wrong)
        assert reply.refusal == (401, "200")
        assert (await client.get(target)).status == 200
        assert client.emulator.statistics.bad_signatures == 1


async def test_missing_headers_are_refused() -> None:
    """401/200."""
    async with serving() as client:
        assert (await client.get(f"{BASES['kr']}/repositories", {})).refusal == (401, "200")


async def test_signature_is_over_the_bytes_of_the_request_line() -> None:
    """The same resource under another spelling needs another signature; and each spelling finds the registry."""
    async with serving(registries=1) as client:
        path = path_of(client.emulator)
        spelled = path[:-1] + f"%{ord(path[-1]):02x}?page=1"
        assert (await client.get(spelled)).page == (await client.get(f"{path}?page=1")).page
        assert (await client.get(spelled, client.signed(f"{path}?page=1"))).refusal == (401, "200")


@pytest.mark.parametrize("user_type", ["Customer", "Sub", "Role"])
async def test_whose_the_key_is(user_type: UserType) -> None:
    """The fields of the provider's STS, under its path; only for who can sign."""
    async with serving(user_type=user_type) as client:
        told = json.loads((await client.get(IDENTITY_TARGET)).body)
        assert (list(told), told["userType"]) == (["id", "loginAlias", "userType"], user_type)
        assert (await client.get(IDENTITY_TARGET, {})).refusal == (401, "200")


@pytest.mark.parametrize(("seconds", "status"), [(-310, 401), (-290, 200), (290, 200), (310, 401)])
async def test_timestamp_may_be_five_minutes_off(seconds: int, status: int) -> None:
    """And no more, either way."""
    async with serving() as client:
        target = f"{BASES['kr']}/repositories"
        assert (await client.get(target, client.signed(target, skew_ms=seconds * 1000))).status == status


async def test_clock_skew_moves_the_gateway_and_its_date() -> None:
    """Our time is refused, the Date tells, and its time is taken."""
    async with serving(clock_skew_s=3600) as client:
        target = f"{BASES['kr']}/repositories"
        reply = await client.get(target)
        assert reply.refusal == (401, "200")
        date = time.mktime(time.strptime(reply.headers["date"], "%a, %d %b %Y %H:%M:%S GMT"))
        assert 3590 < date - time.mktime(time.gmtime()) < 3610
        assert (await client.get(target, client.signed(target, skew_ms=3_600_000))).status == 200


async def test_date_header_can_be_left_out() -> None:
    """As some gateways do."""
    async with serving(date_header=False) as client:
        assert "date" not in (await client.get(f"{BASES['kr']}/repositories")).headers


async def test_paths_that_are_nothing() -> None:
    """Unknown registries, image details and other paths are 404/300; only GET is served."""
    async with serving() as client:
        base = f"{BASES['kr']}/repositories"
        for path in (
            "/",
            "/ncr/kr/v2/repositories",
            f"{base}/",
            f"{base}/nobody",
            f"{path_of(client.emulator)}/nginx",
        ):
            assert (await client.get(path)).refusal == (404, "300")
        wrong_method = sign_as(client, "DELETE", base)
        assert (await client.get(base, wrong_method, method="DELETE")).refusal == (400, "100")
        assert await client.reader.read() == b""


def sign_as(client: Client, method: str, target: str) -> dict[str, str]:
    """Sign for another method than GET, by the text that is signed: `GET GET …` is none."""
    from crawler.api.signing import signature  # noqa: PLC0415 - the only test that needs it

    headers = client.signed(target)
    headers[SIGNATURE_HEADER] = signature(
        method,
        target,
        access_key=client.emulator.access_key,
        secret_key=client.emulator.secret_key,
        timestamp=headers[TIMESTAMP_HEADER],
    )
    return headers


async def test_denied_and_gone() -> None:
    """So many registries a region are listed and then refused, each in its way; the others are served."""
    async with serving(registries=5, images=50, denied=2, gone=1) as client:
        answers: dict[tuple[int, str | None], int] = {}
        for base_path in BASES.values():
            base = f"{base_path}/repositories"
            for registry in records_of(await client.chain(base)):
                reply = await client.get(f"{base}/{registry['name']}")
                key = reply.refusal if reply.status != 200 else (200, None)
                answers[key] = answers.get(key, 0) + 1
        each = len(BASES)
        assert answers == {(401, "210"): 2 * each, (404, "300"): each, (200, None): 2 * each}
        assert (len(client.emulator.gateway.denied), len(client.emulator.gateway.gone)) == (2 * each, each)


async def test_404_that_stays_listed_and_one_that_does_not() -> None:
    """Hidden registries answer 404/300 and keep their place in the list; gone ones lose it with the first request."""
    async with serving(registries=5, images=50, hidden=2, gone=1) as client:
        base = f"{BASES['kr']}/repositories"
        before = {registry["name"] for registry in records_of(await client.chain(base))}
        answers = {name: (await client.get(f"{base}/{name}")).status for name in sorted(before)}
        after = {registry["name"] for registry in records_of(await client.chain(base))}
        absent = {name for name, status in answers.items() if status == 404}
        assert absent == {name for region, name in client.emulator.gateway.hidden if region == "kr"} | (before - after)
        assert (len(absent), len(before - after), after - before) == (3, 1, set())
        assert {name for region, name in client.emulator.gateway.gone if region == "kr"} == before - after


async def test_more_denied_than_there_are() -> None:
    """All are, then."""
    async with serving(registries=2, denied=5, gone=5) as client:
        assert (len(client.emulator.gateway.denied), len(client.emulator.gateway.gone)) == (2 * len(BASES), 0)


@pytest.mark.parametrize("retry_after", [None, 2, "-1", "soon"])
async def test_rate_limit(retry_after: float | str | None) -> None:
    """One account, all regions, one limit; Retry-After goes out as it was given."""
    async with serving(rate_limit=6, retry_after=retry_after) as client:
        replies = [await client.get(f"{base}/repositories") for _ in range(3) for base in BASES.values()]
        refused = [reply for reply in replies if reply.status == 429]
        assert [reply.status for reply in replies].count(200) >= 6
        assert refused
        assert refused[0].refusal == (429, "410")
        assert refused[0].headers.get("retry-after") == (None if retry_after is None else str(retry_after))


def test_rate_limit_is_over_any_second() -> None:
    """A window that slides: the seventh request passes when the first is a second old, not before."""
    emulator = Emulator(EmulatorOptions(rate_limit=6))
    limited = partial(emulator.gateway._limited, "")
    assert [limited(100 + index / 10) is None for index in range(8)] == [True] * 6 + [False] * 2
    assert limited(100.99) is not None
    assert limited(101) is None
    assert limited(101.05) is not None


async def test_quota() -> None:
    """After so many requests everything is 429/400, for good."""
    async with serving(quota=3) as client:
        replies = [await client.get(f"{BASES['kr']}/repositories") for _ in range(5)]
        assert [reply.status for reply in replies] == [200, 200, 200, 429, 429]
        assert replies[-1].refusal == (429, "400")


# --- faults ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "refusal"),
    [("500", (500, "900")), ("503", (503, "500")), ("504", (504, "510")), ("429", (429, "410"))],
)
async def test_documented_errors(fault: Fault, refusal: tuple[int, str]) -> None:
    """Status and body as documented, and the connection goes on."""
    async with serving(faults={fault: 1}) as client:
        for _ in range(2):
            assert (await client.get(f"{BASES['kr']}/repositories")).refusal == refusal
        assert client.emulator.statistics.faults == {fault: 2}


@pytest.mark.parametrize("fault", ["502", "html", "empty", "garbage", "error-body"])
async def test_bodies_that_are_no_page(fault: Fault) -> None:
    """Status 200 (or a proxy's 502) over something that is no page."""
    async with serving(faults={fault: 1}) as client:
        reply = await client.get(f"{BASES['kr']}/repositories")
        assert reply.status == (502 if fault == "502" else 200)
        if fault == "error-body":
            assert reply.refusal == (200, "900")
        else:
            with pytest.raises(json.JSONDecodeError):
                json.loads(reply.body)


async def test_reset() -> None:
    """Not a byte comes, and the request is on the books as unanswered."""
    async with serving(faults={"reset": 1}) as client:
        with pytest.raises(ConnectionResetError):
            await client.get(f"{BASES['kr']}/repositories")
        assert client.emulator.statistics.unanswered == 1
        assert client.emulator.statistics.in_flight == 0


async def test_truncate() -> None:
    """The body ends before its Content-Length, by a closed connection."""
    async with serving(faults={"truncate": 1}) as client:
        with pytest.raises(asyncio.IncompleteReadError) as caught:
            await client.get(f"{BASES['kr']}/repositories")
        assert caught.value.expected is not None
        assert len(caught.value.partial) == caught.value.expected // 2 > 0


async def test_stall() -> None:
    """Half of the body comes; the request stays in flight until the client gives up."""
    async with Emulator(EmulatorOptions(faults={"stall": 1})) as emulator:
        async with connect(emulator) as client:
            target = f"{BASES['kr']}/repositories"
            client.send(target, client.signed(target))
            head = await client.reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            length = int(head.partition(b"Content-Length: ")[2].partition(b"\r")[0])
            await client.reader.readexactly(length // 2)
            assert emulator.statistics.in_flight == 1
            client.writer.write(b"x" * 1_000_000)
            await client.writer.drain()
        await until_in_flight(emulator, 0)
        assert emulator.statistics.unanswered == 1


async def test_drop_kept_alive() -> None:
    """The answer is right and promises nothing bad; the next request finds the connection dead, and is counted."""
    async with serving(faults={"drop-kept-alive": 1}, quota=5) as client:
        target = f"{BASES['kr']}/repositories"
        reply = await client.get(target)
        assert (reply.status, reply.headers.get("connection")) == (200, None)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await client.get(target)
        assert client.emulator.statistics.requests == 2
        assert client.emulator.statistics.unanswered == 1
        assert client.emulator.gateway._admitted == 1


def test_faults_come_as_often_as_asked_for() -> None:
    """Each with its own probability, one at most a request, in the same order for the same seed."""
    chances: dict[Fault, float] = {"500": 0.2, "reset": 0.1}
    rng = random.Random(1)
    drawn = [draw_fault(chances, rng) for _ in range(10_000)]
    assert 1850 < drawn.count("500") < 2150
    assert 900 < drawn.count("reset") < 1100
    assert drawn.count(None) + drawn.count("500") + drawn.count("reset") == 10_000
    again = random.Random(1)
    assert drawn == [draw_fault(chances, again) for _ in range(10_000)]


# --- latency and the books ---------------------------------------------------------------------------------------


def to(target: str) -> Request:
    """Return a request for a target."""
    return Request("GET", target, {})


def test_latency_is_by_region_and_jitters() -> None:
    """A region's own latency goes before the general one; jitter goes both ways and never below nothing."""
    gateway = Emulator(EmulatorOptions(latency_ms=100, jitter_ms=20, region_latency_ms={"jpn": 500})).gateway
    for region, middle in (("kr", 0.1), ("jpn", 0.5)):
        delays = [gateway._latency_s(to(f"{BASES[region]}/repositories")) for _ in range(500)]
        assert middle - 0.02 <= min(delays) < middle - 0.015
        assert middle + 0.015 < max(delays) <= middle + 0.02
    assert gateway._latency_s(to("/elsewhere")) < 0.2
    assert min(Emulator(EmulatorOptions(jitter_ms=9)).gateway._latency_s(to("/")) for _ in range(9)) == 0


async def test_requests_wait_side_by_side() -> None:
    """Under latency as many are in flight as there are clients, and the books say so."""
    async with Emulator(EmulatorOptions(latency_ms=100)) as emulator:

        async def one(region: str) -> int:
            async with connect(emulator) as client:
                return (await client.get(f"{BASES[region]}/repositories?page=1")).status

        assert await asyncio.gather(*map(one, ["kr", "kr", "sgn", "jpn"])) == [200] * 4
        books = emulator.statistics
        assert (books.requests, books.connections, books.peak_in_flight, books.in_flight) == (4, 4, 4, 0)
        assert books.requests_by_region == dict.fromkeys(BASES, 0) | {"kr": 2, "sgn": 1, "jpn": 1}
        assert books.requests_by_path[f"{BASES['kr']}/repositories"] == 2
        assert books.targets[f"{BASES['kr']}/repositories?page=1"] == 2
        assert books.in_flight_at_arrival == [1, 2, 3, 4]
        assert books.busy_share(3) == 0.5
        assert books.arrivals_s == sorted(books.arrivals_s)
        assert books.peak_rate() == 4
        assert books.statuses == {200: 4}


def test_most_in_window() -> None:
    """The window slides and its far end is open."""
    assert most_in_window([], 1) == 0
    assert most_in_window([0, 0.5, 1, 1.4, 3], 1) == 3
    assert most_in_window([0, 1, 2], 1) == 1


async def test_books_can_stay_small() -> None:
    """Nothing that grows with the requests is kept where nobody asks for it."""
    async with Emulator(EmulatorOptions(quota=1), NoStatistics()) as emulator, connect(emulator) as client:
        for status in (200, 429):
            assert (await client.get(f"{BASES['kr']}/repositories")).status == status
        assert emulator.statistics == NoStatistics(connections=1)


async def test_client_that_leaves_is_forgotten() -> None:
    """Its answer is not sent, and nothing stays in flight."""
    async with Emulator(EmulatorOptions(latency_ms=60_000)) as emulator:
        async with connect(emulator) as client:
            target = f"{BASES['kr']}/repositories"
            client.send(target, client.signed(target))
            await until_in_flight(emulator, 1)
        await until_in_flight(emulator, 0)
        assert emulator.statistics.unanswered == 1


# --- the wire ----------------------------------------------------------------------------------------------------


async def test_pipelined_and_split_requests() -> None:
    """Two requests in one segment are answered in order; one request in single bytes is one request."""
    async with serving(registries=2, images=9) as client:
        for region in ("kr", "jpn"):
            target = f"{BASES[region]}/repositories"
            client.send(target, client.signed(target))
        for region in ("kr", "jpn"):
            assert (await client.receive()).page["results"] == client.emulator.world.registries(region)
        target = f"{BASES['sgn']}/repositories"
        lines = [f"GET {target} HTTP/1.1", *(f"{name}:{value}" for name, value in client.signed(target).items())]
        for byte in "\r\n".join([*lines, "", ""]).encode():
            client.writer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert (await client.receive()).status == 200


async def test_answer_to_head_has_no_body() -> None:
    """A client would take it for the beginning of the next answer."""
    async with serving() as client:
        client.send("/", {}, method="HEAD")
        answer = await client.reader.read()
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("connection", ["close", "TE, Close"])
async def test_connection_close_is_honoured(connection: str) -> None:
    """The client says close, the server closes."""
    async with serving() as client:
        target = f"{BASES['kr']}/repositories"
        reply = await client.get(target, client.signed(target) | {"Connection": connection})
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert await client.reader.read() == b""


@pytest.mark.parametrize(
    "head",
    [
        "nonsense",
        "GET / HTTP/1.0",
        "GET / HTTP/1.1\r\nContent-Length: 5",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked",
    ],
)
async def test_what_is_no_request_is_a_bad_one(head: str) -> None:
    """400, and the connection is closed: there is no telling where the next request begins."""
    async with serving() as client:
        client.writer.write(f"{head}\r\n\r\n".encode())
        assert (await client.receive()).status == 400
        assert await client.reader.read() == b""


async def test_bad_request_is_answered_however_much_follows() -> None:
    """A client that sends a large body before it reads gets its 400, not a reset connection."""
    async with serving() as client:
        client.writer.write(b"POST / HTTP/1.1\r\nContent-Length: 20000000\r\n\r\n")
        for _ in range(200):
            client.writer.write(bytes(100_000))
            await client.writer.drain()
        assert (await client.receive()).status == 400


async def test_endless_head_is_reset() -> None:
    """Memory is bounded."""
    async with serving() as client:
        client.writer.write(b"x" * (MAX_HEAD_BYTES + 1))
        with pytest.raises(ConnectionResetError):
            await client.reader.read()


async def test_client_that_reads_nothing_is_not_answered() -> None:
    """Nor read from beyond one head's length, so memory is bounded; then all is answered, in order."""
    host, transport = Mock(), Mock()
    host.headers.return_value = ()
    host.answer.side_effect = lambda request: Answer(200, request.target.encode())
    transport.is_closing.return_value = False
    connection = Connection(host)
    connection.connection_made(transport)
    targets = [f"/{number}" for number in range(MAX_HEAD_BYTES // 16)]
    first, second, *others = [f"GET {target} HTTP/1.1\r\n\r\n".encode() for target in targets]
    connection.data_received(first)
    connection.pause_writing()
    connection.data_received(second)
    transport.pause_reading.assert_not_called()
    connection.data_received(b"".join(others))
    assert transport.method_calls[-1] == call.pause_reading()
    assert transport.write.call_count == 1
    connection.resume_writing()
    for _ in targets:
        await asyncio.sleep(0)
    assert [each.args[0].rpartition(b"\r\n")[2].decode() for each in transport.write.call_args_list] == targets
    assert transport.method_calls[-1] == call.resume_reading()


@pytest.mark.parametrize("moments", range(8))
async def test_connection_at_the_last_moment(moments: int) -> None:
    """A client that connects while the emulator stops is not left hanging."""
    async with Emulator(EmulatorOptions(registries=0)) as emulator:
        client = socket.create_connection(("127.0.0.1", int(emulator.url.rpartition(":")[2])))
        for _ in range(moments):
            await asyncio.sleep(0)
    client.setblocking(False)
    with client, pytest.raises(ConnectionResetError):
        await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 1), 60)


async def test_a_port_that_is_taken() -> None:
    """One sentence, and no half-started server."""
    async with Emulator(EmulatorOptions(registries=0)) as emulator:
        port = int(emulator.url.rpartition(":")[2])
        with pytest.raises(Exception, match=rf"cannot listen on 127.0.0.1:{port}: Address already in use; choose"):
            async with Emulator(EmulatorOptions(port=port, registries=0)):
                raise AssertionError


# --- the command -------------------------------------------------------------------------------------------------


def parsed(*arguments: str) -> EmulatorOptions:
    with command.make_context("emulator", list(arguments)) as context:
        return EmulatorOptions(**context.params)


def test_every_option_is_a_field_with_its_default() -> None:
    """The command and the class cannot drift apart; only the port differs, so that it can be remembered."""
    assert {option.name for option in command.params} == {field.name for field in fields(EmulatorOptions)}
    assert parsed() == EmulatorOptions(port=8080)


def test_every_option_arrives() -> None:
    """With units and repetitions."""
    text = (
        "--port 0 --seed -3 --registries 2 --images 9 --sort updated --change-rate 0.3 --registry-change-rate 1 "
        "--latency 1.5s --jitter 30ms --region-latency jpn=1m --region-latency kr=7 --rate-limit 50 --retry-after 2 "
        "--quota 9 --default-page-size 5 --max-page-size 6 --oversize refuse --count null --past-end 404 "
        "--fault 500=.25 --fault reset=0.75 --denied 1 --gone 2 --hidden 4 --next-loop 3 --no-date-header "
        "--clock-skew -360"
    )
    assert parsed(*text.split()) == EmulatorOptions(
        port=0,
        seed=-3,
        registries=2,
        images=9,
        sort="updated",
        change_rate=0.3,
        registry_change_rate=1,
        latency_ms=1500,
        jitter_ms=30,
        region_latency_ms={"jpn": 60_000, "kr": 7},
        rate_limit=50,
        retry_after="2",
        quota=9,
        default_page_size=5,
        max_page_size=6,
        oversize="refuse",
        count="null",
        past_end="404",
        faults={"500": 0.25, "reset": 0.75},
        denied=1,
        gone=2,
        hidden=4,
        next_loop=3,
        date_header=False,
        clock_skew_s=-360,
    )


def test_probabilities_may_add_up_to_one() -> None:
    """Also where the sum of their binary fractions, rounded after each, is a little more."""
    faults = "--fault 500=0.2 --fault 502=0.4 --fault 503=0.3 --fault 504=0.1"
    assert parsed(*faults.split()).faults == {"500": 0.2, "502": 0.4, "503": 0.3, "504": 0.1}


def test_help_names_every_switch_and_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    """And says something about each."""
    assert run(["emulator", "--help"]) == 0
    shown = capsys.readouterr().out
    for option in command.params:
        assert isinstance(option, click.Option)
        assert option.opts[0] in shown
        assert option.help
    assert all(f" {fault} " in shown for fault in FAULTS)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--latency", "soon"], "'soon' is no duration: write 250, 250ms or 1.5s"),
        (["--latency", "1441m"], "'1441m' is more than a day"),
        (["--images", "9" * 400], "is not in the range 0<=x<=1000000000"),
        (["--region-latency", "mars=5"], "should begin with one of kr=, sgn=, jpn="),
        (["--region-latency", "kr=-5"], "'-5' is no duration"),
        (["--fault", "fire=0.5"], "should begin with one of 500=, 502="),
        (["--fault", "500"], "should begin with one of 500=, 502="),
        (["--fault", "500=often"], "'often' is no probability"),
        (["--fault", "500=0.6", "--fault", "502=0.6"], "all probabilities together can be 1 at most"),
        (["--images", "-1"], "-1 is not in the range"),
        (["--sort", "size"], "'size' is not one of 'name', 'updated', 'random'"),
    ],
)
def test_mistakes_are_explained(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, a sentence, and no traceback."""
    assert run(["emulator", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_port_in_use_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(["emulator", "--port", str(port), "--registries", "0"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        f"ncrawl: cannot listen on 127.0.0.1:{port}: Address already in use; "
        "choose another --port, or 0 for any free one\n"
    )


def test_command_keeps_small_books(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may serve for days, and nobody asks it."""
    kept: list[Statistics] = []

    class Unstarted(Emulator):
        async def __aenter__(self) -> Self:
            kept.append(self.statistics)
            raise UsageError("enough")

    monkeypatch.setattr("crawler.cli.commands.emulator.Emulator", Unstarted)
    assert run(["emulator"]) == 2
    assert [type(each) for each in kept] == [NoStatistics]


@pytest.mark.parametrize("stopped_by", [signal.SIGINT, signal.SIGTERM])
def test_command_serves_what_it_prints(stopped_by: signal.Signals) -> None:
    """The printed lines can be pasted into a shell and are true; a signal is its normal end: 0, not a word."""
    program = [sys.executable, "-m", "crawler", "emulator", "--port", "0", "--registries", "3", "--seed", "5"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5)]
        pasted = subprocess.run(
            ["sh", "-e"],
            input="".join(lines) + "env",
            capture_output=True,
            text=True,
            check=True,
            env={"PATH": os.environ["PATH"]},
        )
        variables = dict(line.split("=", 1) for line in pasted.stdout.splitlines())
        status = asyncio.run(ask(variables))
        process.send_signal(stopped_by)
        output, errors = process.communicate(timeout=60)
    assert status == b"HTTP/1.1 200 OK\r\n"
    assert (process.returncode, output, errors) == (0, "", "")
    assert "ncrawl images | head" in lines[-1]


async def ask(variables: dict[str, str]) -> bytes:
    """Ask for a registry list with what was printed; return the status line."""
    keys = KeyPair(Secret(variables["NCLOUD_ACCESS_KEY_ID"]), Secret(variables["NCLOUD_SECRET_KEY"]), "pasted")
    target = f"{BASES['kr']}/repositories"
    reader, writer = await asyncio.open_connection("127.0.0.1", int(variables["NCRAWL_GATEWAY"].rpartition(":")[2]))
    headers = sign(target, keys, now_ms=int(time.time() * 1000))
    lines = [f"GET {target} HTTP/1.1", "Connection: close", *(f"{name}: {value}" for name, value in headers.items())]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    status_line = await reader.readline()
    await reader.read()
    writer.close()
    await writer.wait_closed()
    return status_line
