"""What a registry has in the files of deeper levels: proved as images are, and what is damaged there is named."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from support.snapshot_maker import reseal
from support.tree import DENIED, Tree, snapshot_of, tree

from crawler.api.collections import COLLECTIONS, TAGS
from crawler.core.model import Verdict
from crawler.snapshot.comparing.diff import diff
from crawler.snapshot.comparing.opening import open_side
from crawler.snapshot.folder.retention import finish_removal
from crawler.snapshot.frames import Frame
from crawler.snapshot.manifest import dump, load, read
from crawler.snapshot.reading.witness import Witness
from crawler.snapshot.verifying.verify import foreign_entries, verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from crawler.snapshot.manifest import Manifest, RegistryRecord

SUFFIXES = {"none": "", "gzip": ".gz", "zstd": ".zst"}


def there() -> Tree:
    """Return an account of two registries with tags, one with images that have none, and one without images."""
    return Tree({**tree(3, 2, 4, 3), "bare": tree(2, 2, 0), "empty": {}})


@pytest.fixture(params=SUFFIXES)
async def snapshot(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A snapshot with tags."""
    return await snapshot_of(tmp_path, there(), TAGS, compress=request.param)


def tags_of(snapshot: Path) -> Path:
    return next(snapshot.glob("tags.ndjson*"))


async def test_each_registry_has_one_frame(tmp_path: Path, snapshot: Path) -> None:
    """One after the other, sorted by image and tag, and the same the next time."""
    made = read(snapshot)
    frames = [Frame.of(record, TAGS) for record in made.registries]
    assert [(frame.place[2], frame.lines) for frame in frames] == [("0", 12), ("1", 12), ("bare", 0), ("empty", 0)]
    assert frames[1].offset == frames[0].length > 0
    assert frames[0].length + frames[1].length == tags_of(snapshot).stat().st_size
    assert list(verify(snapshot)) == []
    assert foreign_entries(snapshot) == []
    suffix = tags_of(snapshot).suffix.replace(".ndjson", "")
    compress = next(name for name, one in SUFFIXES.items() if one == suffix)
    again = await snapshot_of(tmp_path, there(), TAGS, name="again", compress=compress)
    assert tags_of(again).read_bytes() == tags_of(snapshot).read_bytes()
    assert list(diff(open_side(snapshot), open_side(again))) == []


def test_any_flipped_byte_is_found(snapshot: Path) -> None:
    """By file, and for plain files by registry and line."""
    path, chance = tags_of(snapshot), random.Random(1)
    whole = path.read_bytes()
    for at in chance.sample(range(len(whole)), 30):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << chance.randrange(8)]) + whole[at + 1 :])
        assert path.name in {finding.file for finding in verify(snapshot)}
    path.write_bytes(whole)
    assert list(verify(snapshot)) == []


async def test_a_wrong_line_is_told_by_registry_and_line(tmp_path: Path) -> None:
    """Of an image that is another registry's, out of order, or altered."""
    snapshot = await snapshot_of(tmp_path, there(), TAGS)
    path = tags_of(snapshot)
    lines = path.read_bytes().splitlines(keepends=True)
    for changed, line, problem in (
        ([*lines[:3], lines[4], lines[3], *lines[5:]], 4, "is not in order"),
        ([*lines[:13], lines[13].replace(b'"1-0"', b'"9-0"'), *lines[14:]], 14, "is not in order"),
        ([*lines[:2], lines[1], *lines[3:]], 3, "repeats line 2"),
        ([*lines[:5], lines[5].replace(b'"image":', b'"imago":'), *lines[6:]], 6, "is no record"),
    ):
        path.write_bytes(b"".join(changed))
        found = [one for one in verify(snapshot) if one.line is not None]
        assert (found[0].file, found[0].line, found[0].problem.startswith(problem)) == ("tags.ndjson", line, True)


async def test_damaged_tags_are_unknown_and_images_are_not(tmp_path: Path) -> None:
    """What is wrong at one level says nothing of another."""
    old = await snapshot_of(tmp_path, there(), TAGS, name="old")
    new = await snapshot_of(tmp_path, there(), TAGS, name="new")
    path = tags_of(new)
    path.write_bytes(path.read_bytes().replace(b'"number": 0', b'"number": 1', 1))
    told: list[str] = []
    found = list(diff(open_side(old), open_side(new), Witness(say=told.append)))
    assert {(one.change, one.registry) for one in found} == {("unknown", "0")}
    assert [one.level for one in found] == ["registry"] + ["tag"] * 12
    assert "its tags are unknown" in told[0]


def _without_extent(record: RegistryRecord) -> RegistryRecord:
    return msgspec.structs.replace(record, extents={})


def _too_many(record: RegistryRecord) -> RegistryRecord:
    changed: dict[str, Any] = {"tags": record.lines_of(TAGS) + 1}
    return msgspec.structs.replace(record, **changed)


@pytest.mark.parametrize("change", [_without_extent, _too_many])
async def test_a_manifest_that_contradicts_itself(
    tmp_path: Path, change: Callable[[RegistryRecord], RegistryRecord]
) -> None:
    """Totals and places of a deeper level have to add up, too."""
    snapshot = await snapshot_of(tmp_path, there(), TAGS)

    def changed(manifest: Manifest) -> Manifest:
        first, *others = manifest.registries
        return msgspec.structs.replace(manifest, registries=(change(first), *others))

    reseal(snapshot, changed)
    assert [finding for finding in verify(snapshot) if finding.file == "manifest.json"]


async def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """A snapshot that lost its tags is not whole."""
    snapshot = await snapshot_of(tmp_path, there(), TAGS)
    tags_of(snapshot).unlink()
    assert [finding.file for finding in verify(snapshot)] == ["tags.ndjson"]


async def test_a_manifest_of_a_deeper_level_is_read_as_it_was_written(tmp_path: Path) -> None:
    """With its counts, places and gaps."""
    account = there()
    account.errors["0", "0-1"] = DENIED
    made = read(await snapshot_of(tmp_path, account, TAGS))
    assert load(dump(made)) == made
    assert made.deeper == [TAGS]
    (gap,) = made.gaps_of(TAGS)
    assert (gap["region"], gap["registry"], gap["image"], gap["verdict"]) == ("kr", "0", "0-1", Verdict.DENIED)
    assert [record.lines_of(TAGS) for record in made.registries] == [9, 12, 0, 0]


async def test_all_files_of_a_snapshot_are_ours_to_remove(tmp_path: Path) -> None:
    """Retention leaves none of them."""
    snapshot = await snapshot_of(tmp_path, there(), TAGS)
    assert {one.file for one in COLLECTIONS.values()} < {path.name for path in snapshot.iterdir()}
    assert finish_removal(snapshot) is None
    assert not snapshot.exists()


async def test_a_snapshot_with_tags_and_one_without(tmp_path: Path) -> None:
    """What both have is compared."""
    with_tags = await snapshot_of(tmp_path, there(), TAGS, name="deep")
    assert TAGS.parent is not None
    without = await snapshot_of(tmp_path, there(), TAGS.parent, name="flat")
    assert not read(without).deeper
    assert list(diff(open_side(without), open_side(with_tags))) == []
