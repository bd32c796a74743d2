"""`ncrawl tags`: all of them, of named registries and of one image, whatever it is called."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from cli.test_cli import ALL, PACE
from support.log_lines import unstamped
from support.program import Done, Program
from support.raw_server import RawServer, answer, refusal
from support.tree import DENIED, NOT_FOUND, Tree, tree

from crawler.core.errors import GatewayError
from crawler.snapshot.manifest import load

if TYPE_CHECKING:
    from pathlib import Path

    from support.raw_server import Answer, Request
    from support.tree import Names

    from crawler.emulation import Emulator

HOSTILE = ["a/b", "a b", "100%", "..", ".", "한글", "a?b=c", "a#b", "a/../../x", "😀", "a%2Fb", "tags", "x/tags", "é"]
HOSTILE += ["a\\b", "\u202e", "'q\"", "a,b", "~", "/", "a/"]
IN_KR = ["--region", "kr", *PACE]


def names_of(done: Done) -> list[tuple[str, str, str]]:
    """Return registry, image and name of each line, sorted."""
    lines = [json.loads(line) for line in done.lines]
    assert all([*line][:5] == ["account", "region", "registry", "image", "name"] for line in lines)
    return sorted((line["registry"], line["image"], line["name"]) for line in lines)


def tags_of(names: Names, *registries: str) -> list[tuple[str, str, str]]:
    """Return what there is in the named registries, or in all."""
    return sorted(
        (registry, image, tag)
        for registry, images in names.items()
        if registry in (registries or names)
        for image, tags in images.items()
        for tag in tags
    )


def kr(there: Tree) -> RawServer:
    """Serve an account as the provider's first region."""

    def choose(request: Request) -> Answer:
        body = there.body(request.target.removeprefix("/ncr/api/v2"))
        return refusal(body.status, body.code) if isinstance(body, GatewayError) else answer(body)

    return RawServer(choose=choose)


async def tags(home: Path, there: Tree, *arguments: str) -> Done:
    """Run the command against an account of one region."""
    async with kr(there) as server:
        return await Program(home, None, server.url)("tags", *IN_KR, *arguments)


@pytest.fixture
def hostile() -> Tree:
    """An account with names that are anything but names of files."""
    return Tree({"hostile": {name: tree(1, 2, prefix="v") for name in HOSTILE}, "other": tree(2, 3, 2)})


@pytest.mark.world(registries=3, images=60)
async def test_all_tags_of_an_emulated_account(program: Program, emulator: Emulator) -> None:
    """Every tag of every image of every region once, and a table that fits 80 columns and counts them."""
    done = await program("tags", *PACE)
    assert done.code == 0
    world = emulator.world
    there = Counter(
        (region, registry, image["name"], tag["name"])
        for region in ALL
        for registry in world.registry_names(region)
        for image in world.images(region, registry)
        for tag in world.tags(region, registry, image["name"])
    )
    lines = [json.loads(line) for line in done.lines]
    assert Counter((line["region"], line["registry"], line["image"], line["name"]) for line in lines) == there
    assert all(len(line) <= 80 for line in unstamped(done.err).splitlines())
    assert f" {there.total():,} " in done.err


async def test_of_names_that_are_anything(hostile: Tree, tmp_path: Path) -> None:
    """Every image is asked for under the very name that its list gave, as one segment of a path."""
    done = await tags(tmp_path, hostile)
    assert (done.code, names_of(done)) == (0, tags_of(hostile.names))
    assert set(hostile.asked.values()) == {1}


@pytest.mark.long
@pytest.mark.parametrize("image", HOSTILE)
async def test_of_one_image(image: str, hostile: Tree, tmp_path: Path) -> None:
    """All behind the second slash is its name; nothing else is asked for."""
    done = await tags(tmp_path, hostile, f"kr/hostile/{image}")
    assert (done.code, names_of(done)) == (0, [("hostile", image, f"v{number}") for number in range(2)])
    assert hostile.asked == {("hostile", image): 1}


async def test_of_registries_and_of_an_image(hostile: Tree, tmp_path: Path) -> None:
    """They add up, and an image that is named beside its registry comes once."""
    done = await tags(tmp_path, hostile, "other", "kr/other/1", "kr/hostile/a/b")
    assert (done.code, names_of(done)) == (
        0,
        [*tags_of({"hostile": {"a/b": tree(1, 2, prefix="v")}}), *tags_of(hostile.names, "other")],
    )
    assert set(hostile.asked.values()) == {1}


@pytest.mark.parametrize("beside", [[], ["kr/other"]], ids=["alone", "beside its registry"])
async def test_of_an_image_that_is_not_there(beside: list[str], hostile: Tree, tmp_path: Path) -> None:
    """Whoever names it means that it is there: it is missing, by name, also where its registry is named as well."""
    done = await tags(tmp_path, hostile, "kr/other/none", *beside, "--summary", "run.json")
    assert (done.code, len(done.lines)) == (3, 6 if beside else 0)
    told = "kr/other/none: failed: 404/300" if beside else "kr/other/none: no such image\n"
    assert told in done.err
    assert ("bytes at most" in done.err) == bool(beside)
    (gap,) = json.loads((tmp_path / "run.json").read_bytes())["tag_gaps"]
    assert (gap["registry"], gap["image"], gap["verdict"]) == ("other", "none", "failed")


async def test_what_is_not_whole_is_named(hostile: Tree, tmp_path: Path) -> None:
    """In the summary every image whose tags are not whole, and its registry is not whole either."""
    hostile.errors["other", "1"] = NOT_FOUND
    done = await tags(tmp_path, hostile, "--summary", "run.json")
    assert (done.code, names_of(done)) == (3, [one for one in tags_of(hostile.names) if one[:2] != ("other", "1")])
    made = load((tmp_path / "run.json").read_bytes())
    assert made.verdict == "incomplete"
    assert {one.registry: one.verdict.value for one in made.registries} == {
        "hostile": "complete",
        "other": "incomplete",
    }
    assert "kr/other/1: denied: 404/300" in done.err


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("team-a/app", "an image is named region/registry/image"),
        ("team-a/web/app", "an image is named region/registry/image"),
        ("kr/team-a/", "names no image behind the slash after team-a"),
        ("kr/team a/app", "team a"),
        ("jpn/team-a/app", "is not in a region to be crawled: kr"),
    ],
)
async def test_what_cannot_be_named(what: str, told: str, tmp_path: Path) -> None:
    """One sentence, and nothing is asked for: an image without its region could be a registry in one."""
    there = Tree(tree(2, 1, 1))
    done = await tags(tmp_path, there, what)
    assert (done.code, done.out) == (2, b"")
    assert told in done.err
    assert len(done.err.splitlines()) == 1
    assert not there.asked


async def test_a_registry_that_is_refused_has_no_tags(hostile: Tree, tmp_path: Path) -> None:
    """It says so, and the others are whole."""
    hostile.errors["hostile",] = DENIED
    done = await tags(tmp_path, hostile)
    assert (done.code, names_of(done)) == (3, tags_of(hostile.names, "other"))
    assert "kr/hostile: denied: 401/210" in done.err
