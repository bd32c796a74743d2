"""The tags of the emulated account: as documented, real-looking, the same for a seed, and changing while listed."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from typing import Any
from urllib.parse import quote

import pytest
from emulation.test_emulator import BASES, Client, records_of, serving

from crawler.emulation.tags import Tags
from crawler.emulation.world import World

TAG_FIELDS = "creator digest full_size id image_id images last_updated last_updater name repository v2"
PLATFORM_FIELDS = (
    "architecture created digest features latest_pulled mediaType os os_features os_version size updated variant"
)
VERSION, DAY, COMMIT = r"\d+\.\d+\.\d+", r"20\d\d-?[01]\d-?[0-3]\d", r"(sha-)?[0-9a-f]{12}"


def many(how_many: int = 3000) -> list[list[dict[str, Any]]]:
    return [
        Tags(seed * 7919, image_id=1, registry_id=2, newest_ms=1_764_547_200_000).records() for seed in range(how_many)
    ]


def an_image(world: World, region: str = "kr") -> tuple[str, str]:
    """Return a registry and an image of it that has a slash in its name and several tags."""
    return next(
        (registry, image["name"])
        for registry in world.registry_names(region)
        for image in world.images(region, registry)
        if "/" in image["name"] and len(world.tags(region, registry, image["name"])) > 2
    )


def path_of(registry: str, image: str) -> str:
    return f"{BASES['kr']}/repositories/{registry}/{quote(image, safe='')}"


# ── the world ──


def test_tags_are_as_documented() -> None:
    """Every field in the API's order, whatever the image; a representative digest and its size, if there is any."""
    for record in (record for records in many(300) for record in records):
        assert " ".join(record) == TAG_FIELDS
        assert all(" ".join(one) == PLATFORM_FIELDS for one in record["images"])
        first = record["images"][0] if record["images"] else {"digest": None, "size": None}
        assert (record["digest"], record["full_size"]) == (first["digest"], first["size"])


def test_names_look_real_and_are_unique_and_sorted() -> None:
    """Versions, days, commits, and those that move on."""
    kinds: Counter[str] = Counter()
    for records in many():
        names = [record["name"] for record in records]
        assert names == sorted(set(names))
        kinds.update(_kind(name) for name in names)
    assert kinds.keys() == {"moving", VERSION, DAY, COMMIT}
    assert min(kinds.values()) > 1000


def _kind(name: str) -> str:
    if name in ("latest", "main", "stable"):
        return "moving"
    return next(pattern for pattern in (VERSION, DAY, COMMIT) if re.fullmatch(pattern, name))


def test_there_are_few_tags_mostly_and_sometimes_many_or_none() -> None:
    """Heavy-tailed; several platforms, one, and none at all."""
    everything = many()
    sizes = sorted(map(len, everything))
    assert (sizes[0], 2 <= sizes[len(sizes) // 2] <= 5, 100 < sizes[-1] <= 400) == (0, True, True)
    assert 0.02 < sizes.count(0) / len(sizes) < 0.1
    platforms = Counter(len(record["images"]) for records in everything for record in records)
    assert platforms.keys() == {0, 1, 2, 3}


def test_the_same_seed_has_the_same_tags() -> None:
    """Another one has others; a tag has a digest of its own."""
    one, again, other = (World(seed, 2, 200) for seed in (1, 1, 2))
    registry, image = an_image(one)
    assert one.tags("kr", registry, image) == again.tags("kr", registry, image)
    assert one.tags("kr", registry, image) != other.tags("kr", *an_image(other))
    digests = [record["digest"] for record in one.tags("kr", registry, image) if record["digest"]]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize("sort", ["name", "updated"])
def test_every_image_that_is_listed_has_tags_and_no_other(sort: Any) -> None:
    """Also once images have come and gone."""
    world = World(1, 3, 200, sort=sort)
    rng = random.Random(1)
    for contents in world.listed("kr"):
        for turn in range(30):
            for position in range(len(contents)):
                assert contents.tags(contents.record(position)["name"]) is not None
            assert contents.tags("none/such") is None
            if turn:
                contents.change(rng, 1_764_547_200_000 + turn)


def test_change() -> None:
    """A tag is pushed, moved or deleted, which counts as an update of its image; names stay unique and in order."""
    world, rng = World(1, 2, 200), random.Random(1)
    registry, image = an_image(world)
    contents = world.contents("kr", registry)
    assert contents is not None
    seen, before = set[str](), world.tags("kr", registry, image)
    for turn in range(200):
        contents.change_tags(image, rng, 1_800_000_000_000 + turn)
        names = [record["name"] for record in world.tags("kr", registry, image)]
        assert names == sorted(set(names))
        seen.update(names)
        found = contents.find(image)
        assert found is not None
        assert found["last_updated"] == 1_800_000_000_000 + turn
    assert len(seen) > len(before)
    with pytest.raises(KeyError):
        contents.change_tags("none/such", rng, 0)


# ── over the wire ──


async def test_a_list_of_tags() -> None:
    """Page by page, the image's name in one segment; an image or registry that is not there is 404/300."""
    async with serving(registries=4, images=400) as client:
        registry, image = an_image(client.emulator.world)
        tags = client.emulator.world.tags("kr", registry, image)
        pages = await client.chain(f"{path_of(registry, image)}/tags", page_size=2)
        assert records_of(pages) == tags
        assert {page["count"] for page in pages} == {len(tags)}
        for wrong in (path_of(registry, "none/such"), path_of("no-such", image), f"{path_of(registry, image)}/x/y"):
            assert (await client.get(f"{wrong}/tags?page=1")).refusal == (404, "300")


async def test_details() -> None:
    """An image and a tag by themselves, without an envelope."""
    async with serving(registries=4, images=400) as client:
        registry, image = an_image(client.emulator.world)
        (tag, *_) = client.emulator.world.tags("kr", registry, image)
        detail = await _object(client, path_of(registry, image))
        assert list(detail)[-3:] == ["full_description", "private_id", "tag_mutability_enabled"]
        assert (detail["name"], detail["namespace"]) == (image, registry)
        assert await _object(client, f"{path_of(registry, image)}/tags/{tag['name']}") == tag
        for wrong in (path_of(registry, "none/such"), f"{path_of(registry, image)}/tags/none"):
            assert (await client.get(wrong)).refusal == (404, "300")


async def _object(client: Client, target: str) -> dict[str, Any]:
    reply = await client.get(target)
    assert reply.status == 200
    return dict(json.loads(reply.body))


async def test_tags_change_while_they_are_listed() -> None:
    """As often as asked for."""
    async with serving(registries=4, images=400, tag_change_rate=5) as client:
        registry, image = an_image(client.emulator.world)
        first, second = [
            [record["name"] for record in records_of(await client.chain(f"{path_of(registry, image)}/tags", 100))]
            for _ in range(2)
        ]
        assert first != second
