"""What `ncrawl diff` says of registries themselves: also of those that hold no image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from support.snapshot_maker import REGISTRIES, add_file, as_registries_alone, image, make_snapshot

from crawler.cli import run
from crawler.core.errors import UsageError
from crawler.core.model import Verdict
from crawler.snapshot.comparing.diff import Difference, diff
from crawler.snapshot.comparing.opening import open_side, relate
from crawler.snapshot.reading.witness import Witness

if TYPE_CHECKING:
    from pathlib import Path

    from support.snapshot_maker import Place

A: Place = ("default", "kr", "team-a")
B: Place = ("default", "kr", "team-b")
SUFFIXES = ["", ".gz", ".zst"]


def of_registries(old: Path, new: Path, witness: Witness | None = None) -> list[Difference]:
    """Compare two snapshots; leave out what differs below registries."""
    found = diff(open_side(old), open_side(new), witness)
    return [one for one in found if one.level == "registry"]


def kinds(differences: list[Difference]) -> list[tuple[str, str | None]]:
    return [(one.change, one.name) for one in differences]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_empty_registry_comes_and_goes(tmp_path: Path, suffix: str) -> None:
    """Though no image tells of it, however the files are packed; the line names it as registry and by name."""
    old = make_snapshot(tmp_path / "old", {A: []}, suffix=suffix)
    new = make_snapshot(tmp_path / "new", {B: []}, suffix=suffix)
    gone, come = of_registries(old, new)
    assert kinds([gone, come]) == [("removed", "team-a"), ("added", "team-b")]
    line = msgspec.json.decode(gone.line())
    assert line["before"] == {"account": "default", "region": "kr", "name": "team-a", "status": 0}
    assert [line[name] for name in ("level", "account", "region", "registry", "image", "name", "after")] == [
        "registry",
        "default",
        "kr",
        "team-a",
        None,
        "team-a",
        None,
    ]


def test_a_registry_that_changed(tmp_path: Path) -> None:
    """Its fields are named; the same values in other bytes are no change, nor are fields that are ignored."""
    old = make_snapshot(tmp_path / "old", {A: [image("a")], B: []})
    new = make_snapshot(tmp_path / "new", {A: [image("a")], B: []})
    head = b'{"account":"default","region":"kr",'
    add_file(new, REGISTRIES, [head + b'"name":"team-a","status":1}', head + b'"name":"team-b", "status":0.0}'])
    [one] = of_registries(old, new)
    assert (one.change, one.name, one.fields) == ("changed", "team-a", ("status",))
    assert of_registries(old, new, Witness(["status"])) == []
    assert run(["diff", "--exit-code", str(old), str(new)]) == 1


def test_a_list_of_registries_that_is_not_whole_removes_none(tmp_path: Path) -> None:
    """What it lacks is unknown, and said once; what only the other one lacks is certain."""
    old = make_snapshot(tmp_path / "old", {A: []})
    new = make_snapshot(tmp_path / "new", {B: []}, regions={"kr": Verdict.INCOMPLETE})
    places = [(one.change, one.registry, one.name) for one in of_registries(old, new) if one.account]
    assert places == [("added", None, "team-b"), ("unknown", "team-a", None)]
    records = [one for one in of_registries(as_registries_alone(old), as_registries_alone(new)) if one.name]
    assert kinds(records) == [("unknown", "team-a"), ("added", "team-b")]


def test_a_damaged_list_of_registries_is_told_and_not_compared(tmp_path: Path) -> None:
    """Nothing is removed because bytes are missing or others: exit 3."""
    old = make_snapshot(tmp_path / "old", {A: [], B: []})
    new = make_snapshot(tmp_path / "new", {A: [], B: []})
    whole = (new / REGISTRIES).read_bytes()
    for damaged in (whole[:-1], whole.replace(b"team-b", b"team-c")):
        (new / REGISTRIES).write_bytes(damaged)
        told: list[str] = []
        assert of_registries(old, new, Witness(say=told.append)) == []
        assert "its registries are unknown" in told[0]
        assert run(["diff", str(old), str(new)]) == 3


def test_snapshots_of_registries_alone_can_be_compared(tmp_path: Path) -> None:
    """With each other, and with one that goes deeper; not with a file of images."""
    old = as_registries_alone(make_snapshot(tmp_path / "old", {A: []}))
    new = as_registries_alone(make_snapshot(tmp_path / "new", {B: []}))
    deeper = make_snapshot(tmp_path / "deeper", {B: [image("b")]})
    for other in (new, deeper):
        assert kinds(of_registries(old, other)) == [("removed", "team-a"), ("added", "team-b")]
    (tmp_path / "images.ndjson").touch()
    plain = open_side(tmp_path / "images.ndjson", assume_complete=True)
    with pytest.raises(UsageError, match="has no images to compare"):
        relate(plain, open_side(new))
