"""What a folder of snapshots holds is told without a change to it, whatever state it is in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from support.night import CODES, Night, a_night_here, path_of, tree_of
from support.snapshot_maker import as_format_1, image, make_snapshot

from crawler.core.errors import UsageError
from crawler.core.model import Verdict
from crawler.emulation import EmulatorOptions
from crawler.jobs.shelf import Entry, look_at
from crawler.snapshot.folder.latest import LATEST, point_latest
from crawler.snapshot.manifest import MANIFEST, read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTENTS = {("default", "kr", "a"): [image("x"), image("y")], ("default", "kr", "b"): [image("z")]}


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Night]:
    with a_night_here(tmp_path, monkeypatch, EmulatorOptions(registries=2, images=20)) as one:
        yield one


def test_snapshots_of_a_run(night: Night) -> None:
    """What the manifest says, and which one `latest` means; nothing is changed by the look."""
    assert night.snapshot() == 0
    assert night.snapshot() == 0
    before = tree_of(night.folder)
    shelf = look_at(night.folder)
    assert (shelf.damages, shelf.strangers) == ([], [])
    assert [one.id for one in shelf.entries] == night.names()
    assert [one.is_latest for one in shelf.entries] == [False, True]
    made = read(night.newest())
    assert shelf.entries[1] == Entry(
        id=made.run.id,
        started=made.run.started,
        verdict="complete",
        registries=2 * len(CODES),
        images=20,
        tags=shelf.entries[1].tags,
        bytes=made.totals.bytes,
        is_latest=True,
    )
    assert tree_of(night.folder) == before


def test_an_unfinished_run(night: Night) -> None:
    """What it has finished so far counts; it is no snapshot, and what is taken up is gone from the list."""
    held = path_of("jpn")
    night.account.silent = (held,)
    process = night.start()
    assert process.stdout is not None
    while len(night.parts()) < 6:
        assert process.poll() is None
    process.kill()
    process.communicate()
    (entry,) = look_at(night.folder).entries
    assert (entry.unfinished, entry.verdict, entry.is_latest) == (True, None, False)
    assert entry.registries == sum(registry is not None for _, registry in night.parts())
    assert entry.images == sum(part.lines for (_, registry), part in night.parts().items() if registry is not None)
    night.account.silent = ()
    assert night.snapshot("--resume") == 0
    assert [one.unfinished for one in look_at(night.folder).entries] == [False]


def test_damage_is_named_and_hides_nothing_else(tmp_path: Path) -> None:
    """A damaged manifest, one of another program, a run without a header that counts, a folder without a manifest."""
    good = make_snapshot(tmp_path / "20261120T020000Z", CONTENTS)
    flipped = make_snapshot(tmp_path / "20261121T020000Z", CONTENTS)
    manifest = flipped / MANIFEST
    manifest.write_bytes(manifest.read_bytes().replace(b'"images": 3', b'"images": 4', 1))
    cut = make_snapshot(tmp_path / "20261122T020000Z", CONTENTS)
    (cut / MANIFEST).write_bytes(b"")
    (tmp_path / "20261123T020000Z").mkdir()
    (tmp_path / ".ncrawl-20261124T020000Z").mkdir()
    (tmp_path / ".ncrawl-20261124T020000Z" / "run.json").write_bytes(b"{}")
    (tmp_path / "20261125T020000Z").symlink_to(good)
    (tmp_path / "notes").mkdir()
    shelf = look_at(tmp_path)
    assert [(one.id, one.verdict, one.images) for one in shelf.entries] == [
        (good.name, "complete", 3),
        (flipped.name, None, None),
        (cut.name, None, None),
    ]
    assert [name in told for name, told in zip(("1121", "1122", "1124"), shelf.damages, strict=True)] == [True] * 3
    assert shelf.strangers == ["20261123T020000Z"]


def test_of_any_age_and_kind(tmp_path: Path) -> None:
    """Format 1, what is incomplete, and a `latest` that is a file; entries are in the order of their start."""
    as_format_1(make_snapshot(tmp_path / "20261120T020000Z", CONTENTS))
    failed = {("default", "kr", "c"): Verdict.FAILED}
    newest = make_snapshot(tmp_path / "20261121T020000Z", CONTENTS, verdicts=failed)
    point_latest(newest)
    target = (tmp_path / LATEST).readlink()
    (tmp_path / LATEST).unlink()
    (tmp_path / LATEST).write_text(f"{target}\n")
    shelf = look_at(tmp_path)
    assert [(one.verdict, one.registries, one.is_latest) for one in shelf.entries] == [
        ("complete", 2, False),
        ("incomplete", 3, True),
    ]


def test_no_folder(tmp_path: Path) -> None:
    """Neither nothing nor a file is a folder of snapshots: one sentence, exit 2."""
    (tmp_path / "file").touch()
    for name in ("missing", "file"):
        with pytest.raises(UsageError, match=name):
            look_at(tmp_path / name)


def test_the_fields_of_a_line() -> None:
    """Those that are promised, in that order, are always there."""
    line = msgspec.json.decode(msgspec.json.encode(Entry(id="a", started="b")))
    assert list(line) == "id started verdict registries images tags bytes is_latest unfinished".split()  # noqa: SIM905
