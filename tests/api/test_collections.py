"""The table of what is listed: what follows from a row, and that a level more is a row more and nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from engine.test_crawl import transport_to
from support.raw_server import RawServer
from support.tree import DENIED as NOT_ALLOWED
from support.tree import Tree, begin_run, crawl_into, published, snapshot_of, tree

from crawler.api.collections import COLLECTIONS, IMAGES, REGISTRIES, TAGS, Collection
from crawler.core.model import Verdict
from crawler.snapshot.comparing.diff import diff
from crawler.snapshot.comparing.opening import open_side
from crawler.snapshot.manifest import MANIFEST, read
from crawler.snapshot.unfinished.base import read_source, seed
from crawler.snapshot.verifying.verify import verify

if TYPE_CHECKING:
    from pathlib import Path

LAYERS = Collection(
    "layers",
    "layer",
    {"v2": "/repositories/{}/{}/tags/{}/layers", "v3": "/registries/{}/images/{}/tags/{}"},
    parent=TAGS,
)
"""A level that the provider does not have."""


@pytest.fixture
def layers(monkeypatch: pytest.MonkeyPatch) -> Collection:
    """A fourth row of the table."""
    monkeypatch.setitem(COLLECTIONS, LAYERS.name, LAYERS)
    return LAYERS


def test_fields_and_keys() -> None:
    """Lines begin with what their list is within; with the name that is what tells them apart."""
    assert REGISTRIES.fields == ("account", "region")
    assert IMAGES.fields == ("account", "region", "registry")
    assert TAGS.fields == ("account", "region", "registry", "image")
    assert TAGS.key == ("account", "region", "registry", "image", "name")
    assert TAGS.lineage == (REGISTRIES, IMAGES, TAGS)


def test_every_row() -> None:
    """Rows stand from the top down, and a path has a place for each name that its list is within."""
    assert list(COLLECTIONS.values()) == [REGISTRIES, IMAGES, TAGS]
    for name, row in COLLECTIONS.items():
        assert row.name == name
        assert all(path.count("{}") == len(row.lineage) - 1 for path in row.paths.values())


# ── a level more ──


@pytest.mark.parametrize("compress", ["none", "gzip", "zstd"])
async def test_a_level_more_is_a_row(tmp_path: Path, layers: Collection, compress: str) -> None:
    """It is crawled from a gateway on loopback into a snapshot that is proved, with the lines that it has to have."""
    there = Tree(tree(4, 3, 4, 3, 5), most=2)
    async with RawServer(choose=there.choose) as server, transport_to(server.url) as transport:
        snapshot = await snapshot_of(tmp_path, transport, layers, compress=compress)
    assert list(verify(snapshot)) == []
    made = json.loads((snapshot / MANIFEST).read_bytes())
    assert (made["verdict"], made["totals"]["tags"], made["totals"]["layers"]) == ("complete", 36, 180)
    assert [one["layers"] for one in made["registries"]] == [60] * 3
    assert (made["tag_gaps"], made["layer_gaps"]) == ([], [])
    if compress == "none":
        for collection in COLLECTIONS.values():
            lines = (snapshot / collection.file).read_bytes().splitlines()
            assert list(map(json.loads, lines)) == there.records(collection)


async def test_a_level_more_is_told_apart_by_diff(tmp_path: Path, layers: Collection) -> None:
    """A difference says where it is; what is below a list that is not whole is unknown, and never removed."""
    there = Tree(tree(4, 1, 1, 2, 2))
    old = await snapshot_of(tmp_path, there, layers, name="old")
    there.names["0"]["0-0"]["0-0-0"]["new"] = {}
    there.errors["0", "0-0", "0-0-1"] = NOT_ALLOWED
    new = await snapshot_of(tmp_path, there, layers, name="new")
    assert list(verify(new)) == []
    found = [json.loads(one.line()) for one in diff(open_side(old), open_side(new))]
    where = [(one["change"], one["level"], one["image"], one.get("tag"), one["name"]) for one in found]
    assert where == [
        ("changed", "tag", "0-0", None, "0-0-0"),
        ("unknown", "tag", "0-0", "0-0-1", None),
        ("added", "layer", "0-0", "0-0-0", "new"),
        ("unknown", "layer", "0-0", "0-0-1", "0-0-1-0"),
        ("unknown", "layer", "0-0", "0-0-1", "0-0-1-1"),
    ]
    (gap,) = json.loads((new / MANIFEST).read_bytes())["layer_gaps"]
    assert (gap["registry"], gap["image"], gap["tag"], gap["verdict"]) == ("0", "0-0", "0-0-1", "denied")


async def test_what_goes_with_a_registry_is_gone_at_a_level_more(tmp_path: Path, layers: Collection) -> None:
    """Lists of tags and images answer 404 when they are read again, one after the other; that of registries decides."""
    there = Tree(tree(4, 2, 1, 1, 1))

    def vanish(within: tuple[str, ...]) -> None:
        if within == ("0", "0-0", "0-0-0"):
            there.names.pop("0", None)

    there.on_request = vanish
    made = read(await snapshot_of(tmp_path, there, layers))
    (gap,) = json.loads((tmp_path / "one" / MANIFEST).read_bytes())["layer_gaps"]
    assert (made.verdict, gap["tag"], gap["verdict"]) == ("complete", "0-0-0", "gone")
    asked = [within for within in there.order if within[:1] != ("1",)]
    assert asked[-4:] == [("0", "0-0"), ("0",), (), ()]


async def test_a_level_more_is_taken_over(tmp_path: Path, layers: Collection) -> None:
    """What was whole is copied, list by list; only what was not is fetched, and the bytes are as if all had been."""
    there = Tree(tree(4, 2, 2, 2, 2), errors={("1", "1-0", "1-0-1"): NOT_ALLOWED})
    lacking = await snapshot_of(tmp_path, there, layers, name="lacking")
    assert read(lacking).verdict == "incomplete"
    there.errors.clear()
    there.asked.clear()
    run = begin_run(tmp_path, "again", layers)
    seed(run, read_source(lacking), ["kr"])
    again = published(run, await crawl_into(run, there, layers), layers)
    assert there.asked == {("1", "1-0", "1-0-1"): 1}
    assert list(verify(again)) == []
    whole = await snapshot_of(tmp_path, there, layers, name="whole")
    assert read(again).verdict == "complete"
    for collection in COLLECTIONS.values():
        assert (again / collection.file).read_bytes() == (whole / collection.file).read_bytes()
    assert {one.verdict for one in read(again).registries} == {Verdict.COMPLETE}
