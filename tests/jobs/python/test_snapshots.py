"""Reading published snapshots: records as they stand, by offset and length, and damage that is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.night import Night, a_night_here, data_of
from support.snapshot_maker import unpack

import crawler
from crawler.core.errors import NcrawlError, UsageError
from crawler.emulation import EmulatorOptions
from crawler.snapshot.reading.chunks import DamagedError

if TYPE_CHECKING:
    from collections.abc import Iterator


IMAGES = 120


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Night]:
    with a_night_here(tmp_path, monkeypatch, EmulatorOptions(registries=4, images=IMAGES)) as night:
        yield night


@pytest.mark.parametrize("compress", ["none", "gzip", "zstd"])
def test_records_are_what_the_files_hold(night: Night, compress: str) -> None:
    """Each line's own object, in the order of the file, with the place that the line names."""
    assert night.snapshot("--compress", compress) == 0
    snapshot = crawler.Snapshot(night.folder / "latest")
    assert snapshot.path.resolve() == night.newest().resolve()
    images, registries = (unpack(data, Path(name).suffix) for name, data in sorted(data_of(night.newest()).items()))
    for data, records in ((images, list(snapshot.images())), (registries, list(snapshot.registries()))):
        lines = data.splitlines()
        assert len(records) == len(lines) > 0
        for line, record in zip(lines, records, strict=True):
            ours = {"account": record.account, "region": record.region}
            ours |= {"registry": record.registry} if record.within else {}
            assert ours | record.json() == json.loads(line)
            assert line.endswith(record.raw[1:])
    assert snapshot.manifest.totals.images == IMAGES
    assert snapshot.verify() == []


def test_one_registry_is_read_alone(night: Night) -> None:
    """By offset and length: what stands around it may be anything."""
    assert night.snapshot() == 0
    snapshot = crawler.Snapshot(night.newest())
    wanted = max(snapshot.manifest.registries, key=lambda one: one.images)
    everything = list(snapshot.images())
    path = night.newest() / "images.ndjson"
    data = path.read_bytes()
    assert wanted.offset is not None
    assert wanted.length is not None
    end = wanted.offset + wanted.length
    path.write_bytes(b"#" * wanted.offset + data[wanted.offset : end] + b"#" * (len(data) - end))
    found = list(snapshot.images(region=wanted.region, registry=wanted.registry))
    assert found == [one for one in everything if (one.region, one.registry) == (wanted.region, wanted.registry)]
    assert len(found) == wanted.images
    assert list(snapshot.images(region="nowhere")) == []
    assert {one.region for one in snapshot.registries(region="kr")} == {"kr"}


def test_tags_of_a_snapshot(night: Night) -> None:
    """Of a registry, of an image, of all; none where the snapshot has none; damage is told likewise."""
    assert night.snapshot() == 0
    assert list(crawler.Snapshot(night.newest()).tags()) == []
    assert night.snapshot("--level", "tags") == 0
    snapshot = crawler.Snapshot(night.newest())
    path = night.newest() / "tags.ndjson"
    everything = list(snapshot.tags())
    assert [one.json() for one in everything[:5]] == [
        {
            name: value
            for name, value in json.loads(line).items()
            if name not in {"account", "region", "registry", "image"}
        }
        for line in path.read_bytes().splitlines()[:5]
    ]
    wanted = everything[len(everything) // 2]
    of_registry = [one for one in everything if (one.region, one.registry) == (wanted.region, wanted.registry)]
    assert list(snapshot.tags(region=wanted.region, registry=wanted.registry)) == of_registry
    of_image = [one for one in of_registry if one.image == wanted.image]
    assert list(snapshot.tags(region=wanted.region, registry=wanted.registry, image=wanted.image)) == of_image
    assert wanted in of_image
    assert list(snapshot.tags(image="nothing/such")) == []
    path.write_bytes(path.read_bytes().replace(b'"digest":"sha256:', b'"digest":"SHA256:', 1))
    with pytest.raises(crawler.NcrawlError, match="does not have the SHA-256"):
        list(snapshot.tags())


def test_a_table_as_arrow(night: Night) -> None:
    """It holds what the file holds, level by level; a level that there is not gives no rows."""
    pytest.importorskip("pyarrow", reason="not run: pyarrow is not here")
    assert night.snapshot("--level", "tags") == 0
    snapshot = crawler.Snapshot(night.newest())
    tags = snapshot.to_arrow("tags").read_all()
    assert tags["image"].to_pylist() == [one.image for one in snapshot.tags()]
    assert snapshot.to_arrow("images").read_all().num_rows == IMAGES
    with pytest.raises(crawler.UsageError, match="labels"):
        snapshot.to_arrow("labels")


def test_damage_is_told(night: Night) -> None:
    """A changed value after the registry's last record, a broken line at once; `verify` says where."""
    assert night.snapshot() == 0
    snapshot = crawler.Snapshot(night.newest())
    path = night.newest() / "images.ndjson"
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"status":0', b'"status":1', 1))
    read: list[crawler.Record] = []
    with pytest.raises(DamagedError, match="does not have the SHA-256 of the manifest"):
        read.extend(snapshot.images())
    assert snapshot.verify()
    for broken in (b"{}" + data[2:], b"\xff" + data[1:], data.replace(b'{"account"', b'{"accounts":0,"account"', 1)):
        path.write_bytes(broken)
        with pytest.raises(UsageError, match=r"images\.ndjson: "):
            list(snapshot.images())
    path.write_bytes(data)
    assert len(list(snapshot.images())) == IMAGES
    assert len(snapshot.verify(most=1)) == 0


def test_what_is_no_snapshot(tmp_path: Path) -> None:
    """One sentence, as the commands have it."""
    with pytest.raises(NcrawlError, match="is not a snapshot"):
        crawler.Snapshot(tmp_path)


def test_differences(night: Night) -> None:
    """Typed, in order, by paths or snapshots; what was damaged is told and unknown."""
    region, registry = night.account.registries()[0]
    assert night.snapshot() == 0
    gone = next(iter(night.account.world.images(region, registry)))["name"]
    assert night.snapshot("--exclude", f"{region}/{registry}") == 0
    old, new = (night.folder / name for name in night.names())
    (unknown, *rest) = crawler.diff(old, crawler.Snapshot(new))
    assert (unknown.change, unknown.region, unknown.registry, unknown.name) == ("unknown", region, registry, None)
    assert gone in {one.name for one in rest}
    assert {one.change for one in rest} == {"unknown"}
    assert list(crawler.diff(old, old)) == []
    images = old / "images.ndjson"
    images.write_bytes(images.read_bytes().replace(b'"status":0', b'"status":1', 1))
    told: list[str] = []
    assert [one.change for one in crawler.diff(old, old, warn=told.append)] == ["unknown"]
    assert len(told) == 2
