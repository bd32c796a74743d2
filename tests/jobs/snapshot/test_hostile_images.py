"""Images may be called anything: their tags are theirs, in every file and every answer, and nothing climbs a path."""

from __future__ import annotations

import csv
import json
import random
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from faults.catalogue import HOSTILE_NAMES
from hypothesis import given, settings
from hypothesis import strategies as st
from support.night import a_night_here, checked, path_of

from crawler.api.collections import TAGS
from crawler.cli import run
from crawler.emulation import EmulatorOptions
from crawler.emulation.wire import Answer
from crawler.emulation.world import Registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from support.night import Night

    from crawler.emulation.change import Contents

UNSENDABLE = ("", "\ud800", "a\udfffb")
NAMES = sorted(
    {
        *set(HOSTILE_NAMES).difference(UNSENDABLE),
        "app/web", "app%2Fweb", "app%252Fweb", "a/../b", "/", "%", "%2F", " ", "  x ", ";", "a&page=9", "a\nb", "\0",
        "\\", "\\ud800", '"', 'a"b', "'", "e\u0301", "한글", "🚀", "\u2028", "\x7f", "\ufeff", "\uffff", "\U0010ffff",
        "\ue800", "=1+1", "tags", "latest", "null", "sha256:0", "<script>window.hit=1</script>", "x" * 2000, "가" * 500,
    }
)  # fmt: skip
LEVEL = ("--region", "kr", "--level", "tags")


class Named(Registry):
    """A registry whose images have these names."""

    def __init__(self, like: Registry, names: Iterable[str]) -> None:
        self._names = sorted(names)
        super().__init__(like.region, like.name, len(self._names), seed=1)

    def _name(self, index: int, draw: int) -> str:  # noqa: ARG002 - nothing is drawn
        return self._names[index]


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Night]:
    with a_night_here(tmp_path, monkeypatch, EmulatorOptions(registries=1)) as night:
        contents_of(night).registry = Named(contents_of(night).registry, NAMES)
        yield night


def contents_of(night: Night) -> Contents:
    """Return the only registry in kr."""
    (contents,) = night.account.world.listed("kr")
    return contents


def books(night: Night) -> list[tuple[str, str, Any]]:
    """Return image, name and digest of every tag there is, in the order of a snapshot."""
    world, registry = night.account.world, contents_of(night).registry.name
    names = sorted((str(image["name"]) for image in world.images("kr", registry)), key=str.encode)
    tags = [(name, tag) for name in names for tag in world.tags("kr", registry, name)]
    return sorted(
        ((name, str(tag["name"]), tag["digest"]) for name, tag in tags),
        key=lambda one: (one[0].encode(), one[1].encode()),
    )


def stored(snapshot: Path) -> list[tuple[str, str, Any]]:
    """Return the same of a snapshot."""
    lines = map(json.loads, (snapshot / TAGS.file).read_bytes().splitlines())
    return [(line["image"], line["name"], line["digest"]) for line in lines]


def test_every_image_has_its_own_tags(night: Night) -> None:
    """Whatever it is called, to the byte; on the wire each name is one segment, and none is spelt as another."""
    assert night.snapshot(*LEVEL) == 0
    assert checked(night.newest()).verdict == "complete"
    assert stored(night.newest()) == books(night)
    registry = contents_of(night).registry.name
    targets = [target.partition("?")[0] for target in night.account.statistics.targets if "/tags?" in target]
    segments = [target.removeprefix(f"{path_of('kr', registry)}/").removesuffix("/tags") for target in targets]
    assert set(map(unquote, segments)) == set(NAMES)
    assert all(segment.isascii() and segment.isprintable() for segment in segments)
    assert not {".", ".."} & set(segments)
    assert not any(mark in segment for segment in segments for mark in '/?#;\\" ')


@settings(max_examples=15, deadline=None)
@given(names=st.sets(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12), min_size=1))
def test_any_names(tmp_path_factory: pytest.TempPathFactory, names: set[str]) -> None:
    """Likewise for names that nobody thought of."""
    with (
        pytest.MonkeyPatch.context() as patch,
        a_night_here(tmp_path_factory.mktemp("night"), patch, EmulatorOptions(registries=1)) as night,
    ):
        contents_of(night).registry = Named(contents_of(night).registry, names)
        assert night.snapshot(*LEVEL) == 0
        assert checked(night.newest()).verdict == "complete"
        assert stored(night.newest()) == books(night)


def test_what_reads_snapshots_takes_every_name(night: Night, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """`diff` and `history` find what changed in each image; exports have every name; a report shows them as texts."""
    assert night.snapshot(*LEVEL) == 0
    chance, registry = random.Random(1), contents_of(night).registry.name
    for number, name in enumerate(NAMES):
        contents_of(night).change_tags(name, chance, 1_800_000_000_000 + number)
    assert night.snapshot(*LEVEL) == 0
    old, new = (str(night.folder / name) for name in night.names())
    capfdbinary.readouterr()
    assert run(["diff", old, new]) == 0
    changes = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert {one["image"] for one in changes if one["level"] == "tag"} == set(NAMES)
    for name in NAMES:
        assert run(["history", str(night.folder), f"kr/{registry}/{name}"]) == 0
        told = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
        assert [(one["change"], one["name"]) for one in told] == [("first", name), ("changed", name)]
    for one in changes:
        if one["level"] == "tag":
            what = f"kr/{registry}/{one['image']}"
            assert run(["history", str(night.folder), what, "--tag", one["name"]]) == 0
            assert json.loads(capfdbinary.readouterr().out.splitlines()[-1])["image"] == one["image"]
    assert run(["export", "--format", "csv", new, "-o", str(night.home / "out")]) == 0
    for table, column in (("images", "name"), ("tags", "image")):
        (sheet,) = night.home.glob(f"out/{table}/*/*/*.csv")
        with sheet.open(encoding="utf-8-sig", newline="") as file:
            found = {row[column] for row in csv.DictReader(file)}
        expected = set(NAMES) if table == "images" else {name for name, _, _ in books(night)}
        assert {name.removeprefix("'") if name != "'" else name for name in found} == expected
    page = night.home / "report.html"
    assert run(["report", str(night.folder), "-o", str(page)]) == 0
    assert "<script>window.hit" not in page.read_text()


def test_names_that_cannot_be_sent_are_gaps(night: Night) -> None:
    """What UTF-8 has no bytes for, and what is empty, is asked for nowhere and named; all others are whole."""
    registry = contents_of(night).registry.name
    images = [{"name": name} for name in (*UNSENDABLE, "\\ud800", "app/web")]
    body = json.dumps({"count": len(images), "next": None, "previous": None, "results": images}).encode()
    night.account.replaced[path_of("kr", registry), 1] = Answer(200, body)
    assert night.snapshot(*LEVEL) == 3
    made = checked(night.newest())
    assert {(gap["image"], gap["verdict"]) for gap in made.gaps_of(TAGS)} == {
        ("", "failed"),
        ("\\ud800", "failed"),
        ("a\\udfffb", "failed"),
    }
    assert all("cannot be sent as a name" in str(gap["reason"]) for gap in made.gaps_of(TAGS))
    assert {image for image, _, _ in stored(night.newest())} <= {"\\ud800", "app/web"}
    assert {key[2] for key in night.fetched() if len(key) == 3} == {"\\ud800", "app/web"}
