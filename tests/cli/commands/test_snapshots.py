"""`ncrawl snapshots` as a user meets it: table, lines, words, exit codes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from support.night import Night, a_night_here
from support.snapshot_maker import make_nights

from crawler.cli import run
from crawler.cli.commands.snapshots import _age, _size, _table
from crawler.emulation import EmulatorOptions
from crawler.jobs.shelf import Entry
from crawler.snapshot.folder.latest import point_latest
from crawler.snapshot.manifest import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Night]:
    with a_night_here(tmp_path, monkeypatch, EmulatorOptions(registries=2, images=20)) as one:
        yield one


def test_the_table(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A line a snapshot, oldest first, with its age; `latest` is marked; damage is named, exit 3."""
    names = make_nights(tmp_path, 4)
    point_latest(tmp_path / names[1])
    (tmp_path / names[2] / MANIFEST).write_bytes(b"{}")
    assert run(["snapshots", str(tmp_path)]) == 3
    out, err = capfd.readouterr()
    *rows, note = out.splitlines()
    assert note == "* latest"
    assert [row.split()[0] for row in rows] == ["snapshot", names[0], f"{names[1]}*", *names[2:]]
    assert [row.split()[-1] for row in rows[1:]] == ["4d", "3d", "2d", "24h"]
    assert rows[3].split()[1:3] == ["damaged", "-"]
    assert f"ncrawl: damaged: {tmp_path / names[2]}" in err
    assert "Traceback" not in err


def test_lines_of_json(night: Night, capfd: pytest.CaptureFixture[str]) -> None:
    """One a snapshot, with the fields that are promised, and nothing else on standard output."""
    assert night.snapshot() == 0
    capfd.readouterr()
    assert run(["snapshots", str(night.folder), "--json"]) == 0
    (line,) = [json.loads(text) for text in capfd.readouterr().out.splitlines()]
    fields = ["id", "started", "verdict", "registries", "images", "tags", "bytes", "is_latest", "unfinished"]
    assert list(line) == fields
    assert (line["id"], line["images"], line["is_latest"], line["unfinished"]) == (night.names()[0], 20, True, False)


def test_nothing_there(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """An empty folder has no snapshots, in either form; a missing one is exit 2 and a sentence."""
    assert run(["snapshots", str(tmp_path)]) == 0
    assert run(["snapshots", str(tmp_path), "--json"]) == 0
    assert capfd.readouterr().out == "no snapshots\n"
    assert run(["snapshots", str(tmp_path / "missing")]) == 2
    assert capfd.readouterr().err.count("\n") == 1


def test_the_table_fits_80_columns() -> None:
    """Also with millions of tags, and the longest words there are."""
    full = Entry(
        id="20261123T020000Z",
        started="2026-11-23T02:00:00Z",
        verdict="incomplete",
        registries=99_999,
        images=9_999_999,
        tags=99_999_999,
        bytes=999_400_000_000,
        is_latest=True,
    )
    unfinished = Entry(id="20261124T020000Z", started="2026-11-24T03:00:00Z", unfinished=True)
    lines = list(_table([full, unfinished], NOW))
    assert max(map(len, lines)) <= 80
    assert lines[1].endswith("999 GB  24h")
    assert lines[2].split() == ["20261124T020000Z", "unfinished", *"-----"]


def test_sizes_and_ages() -> None:
    """As short as they can be told, and never "1000 kB"."""
    sizes = (0, 999, 1000, 1949, 9949, 9950, 999_499, 999_500, 5 * 10**15)
    assert [_size(size) for size in sizes] == [
        *("0 B", "999 B", "1.0 kB", "1.9 kB", "9.9 kB", "10 kB", "999 kB", "1.0 MB", "5000 TB"),
    ]
    assert [_age(seconds) for seconds in (-1, 0, 119, 120, 7199, 7200, 172_799, 172_800)] == [
        *("-", "0s", "119s", "2m", "120m", "2h", "48h", "2d"),
    ]
