"""What registries store at most: distinct digests within a registry; and that a damaged file says nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.inventory import A, B, make_night, record, tag
from support.snapshot_maker import reseal

from crawler.core.errors import NcrawlError
from crawler.jobs.report.choosing import choose
from crawler.jobs.report.sizes import Size, sizes

if TYPE_CHECKING:
    from pathlib import Path


def test_a_digest_counts_once_a_registry(tmp_path: Path) -> None:
    """In another registry it counts again; of two sizes the larger counts, for the sum is "at most"."""
    tags = {
        A: [tag("x", "1", ("sha256:a", 10), ("sha256:b", 5)), tag("x", "2", ("sha256:a", 10)),
            tag("y", "1", ("sha256:b", 7))],
        B: [tag("x", "1", ("sha256:a", 10))],
    }  # fmt: skip
    snapshot = make_night(tmp_path, {A: [record("x"), record("y")], B: [record("x")]}, tags=tags)
    assert sizes(choose(snapshot).snapshot) == {A: Size(3, 17, 0), B: Size(1, 10, 0)}


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (None, Size(1, 0, 0)),
        ([], Size(1, 0, 0)),
        ("none", Size(1, 0, 0)),
        ([None, 7, "x"], Size(1, 0, 0)),
        ([{"digest": "a"}, {"digest": "b", "size": None}, {"digest": "c", "size": "5"}], Size(1, 0, 3)),
        ([{"digest": "a", "size": True}, {"digest": "b", "size": -1}], Size(1, 0, 2)),
        ([{"size": 3}, {"digest": None, "size": 3}, {"digest": 7, "size": 0.5}], Size(1, 7, 0)),
        ([{"digest": "a", "size": 2**70}], Size(1, 2**70, 0)),
    ],
)
def test_odd_images(images: object, expected: Size, tmp_path: Path) -> None:
    """Whatever is missing or of another type hinders nothing; what has a size and no digest counts by itself."""
    one = json.dumps({"image": "x", "name": "\ud800", "images": images}).encode()
    snapshot = make_night(tmp_path, {A: [record("x")]}, tags={A: [one]})
    assert sizes(choose(snapshot).snapshot) == {A: expected}


def test_without_tags(tmp_path: Path) -> None:
    """Nothing is said of sizes, not that there are none."""
    assert sizes(choose(make_night(tmp_path, {A: [record("x")]})).snapshot) is None


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_a_damaged_file(suffix: str, tmp_path: Path) -> None:
    """A byte that is wrong, wherever it is, is an error that names the file."""
    snapshot = make_night(tmp_path, {A: [record("x")]}, tags={A: [tag("x", "1", ("a", 1))]}, suffix=suffix)
    path = snapshot / f"tags.ndjson{suffix}"
    data = path.read_bytes()
    for at in range(0, len(data), 3):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(NcrawlError, match=r"tags\.ndjson"):
            sizes(choose(snapshot).snapshot)


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    """It is an error that names the file."""
    snapshot = make_night(tmp_path, {A: [record("x")]}, tags={A: [tag("x", "1")]})
    (snapshot / "tags.ndjson").unlink()
    with pytest.raises(NcrawlError, match=r"tags\.ndjson: cannot be read: No such file"):
        sizes(choose(snapshot).snapshot)


def test_lines_that_are_no_tags(tmp_path: Path) -> None:
    """What was written so is no tag all the same."""
    snapshot = make_night(tmp_path, {A: [record("x")]}, tags={A: [tag("x", "1")]})
    data = b'{"account":"default"}\n'
    (snapshot / "tags.ndjson").write_bytes(data)
    reseal(snapshot, lambda manifest: manifest)
    with pytest.raises(NcrawlError, match="holds what is no tag"):
        sizes(choose(snapshot).snapshot)
