"""Names, `latest`, retention and refused folders: what happens to a folder that years of nights share with a user."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from night import tree_of
from snapshot_maker import image, make_snapshot

from crawler.errors import OutputError, UsageError
from crawler.files import replace_file
from crawler.snapshot.publishing import (
    Retention,
    check_folder,
    new_id,
    point_latest,
    remove_old,
    snapshot_names,
)
from crawler.snapshot.run import remove_remains, unfinished_runs

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 23, 2, 0, 0, tzinfo=UTC)
CONTENTS = {("default", "kr", "r"): [image("a")]}


def nights(folder: Path, how_many: int) -> list[str]:
    """Make snapshots of as many nights, the last one NOW; return their names, oldest first."""
    names = [f"{NOW - timedelta(days=age):%Y%m%dT%H%M%SZ}" for age in range(how_many)][::-1]
    for name in names:
        make_snapshot(folder / name, CONTENTS)
    point_latest(folder / names[-1])
    return names


def kept(folder: Path, keep: int | None = None, keep_days: int | None = None) -> int:
    """Have retention do its work; return how many snapshots are left, which have to be the newest."""
    before = sorted(snapshot_names(folder))
    removed = list(remove_old(folder, Retention(keep, keep_days), now=NOW))
    after = sorted(snapshot_names(folder))
    assert sorted([*removed, *after]) == before
    assert after == before[len(removed) :]
    return len(after)


# ── names ──


def test_a_name_is_the_start_in_utc(tmp_path: Path) -> None:
    """Whatever the time zone of the machine; a second that is taken is passed over."""
    korean = NOW.astimezone(datetime.strptime("+0900", "%z").tzinfo)
    assert new_id(tmp_path, korean) == "20261123T020000Z"
    (tmp_path / "20261123T020000Z").mkdir()
    assert new_id(tmp_path, NOW) == "20261123T020001Z"
    (tmp_path / ".ncrawl-20261123T020001Z").mkdir()
    assert new_id(tmp_path, NOW) == "20261123T020002Z"
    (tmp_path / "20261123T020002Z").symlink_to("nowhere")
    assert new_id(tmp_path, NOW) == "20261123T020003Z"


# ── latest ──


def test_latest_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """A relative link, so that the folder can be moved; what a run cut off left does not matter."""
    first, second = nights(tmp_path, 2)
    (tmp_path / ".ncrawl-latest").symlink_to("of a run that was cut off")
    point_latest(tmp_path / first)
    assert (tmp_path / "latest").readlink().name == first
    point_latest(tmp_path / second)
    assert str((tmp_path / "latest").readlink()) == second
    assert not (tmp_path / ".ncrawl-latest").is_symlink()


# ── retention ──


@pytest.mark.parametrize(
    ("keep", "keep_days", "left"),
    [(None, None, 9), (3, None, 3), (None, 4, 4), (3, 5, 5), (5, 3, 5), (1, 1, 1), (100, None, 9), (None, 100, 9)],
)
def test_a_snapshot_stays_if_any_rule_keeps_it(
    tmp_path: Path, keep: int | None, keep_days: int | None, left: int
) -> None:
    """The newest so many, and those of so many days; no rule, no removal."""
    nights(tmp_path, 9)
    assert kept(tmp_path, keep, keep_days) == left


def test_the_target_of_latest_stays(tmp_path: Path) -> None:
    """However old it is: after weeks of incomplete nights it is all there is to rely on."""
    names = nights(tmp_path, 5)
    point_latest(tmp_path / names[0])
    assert list(remove_old(tmp_path, Retention(keep=1), now=NOW)) == names[3:0:-1]
    assert sorted(snapshot_names(tmp_path)) == [names[0], names[4]]


def test_nothing_that_is_no_snapshot_is_ever_removed(tmp_path: Path) -> None:
    """A user's files and folders, one with a snapshot's name, one that is no date, links, half a snapshot."""
    names = nights(tmp_path, 3)
    elsewhere = make_snapshot(tmp_path / "elsewhere" / "20250101T000000Z", CONTENTS)
    users = {
        "20250102T000000Z": "notes.txt",  # no manifest
        "20259999T999999Z": "manifest.json",  # no date
        "2025": "manifest.json",
        "20250103t000000z": "manifest.json",
        "２０２５0104T000000Z": "manifest.json",  # noqa: RUF001 - digits, but not ours
        "backup": "manifest.json",
        "20250109T000000Z": "manifest.json",  # not ncrawl's
    }
    for name, file in users.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text("{}")
    (tmp_path / "20250105T000000Z").write_text("a file")
    (tmp_path / "20250106T000000Z").symlink_to(elsewhere)
    (tmp_path / "20250107T000000Z").symlink_to("nowhere")
    make_snapshot(tmp_path / "20250108T000000Z", CONTENTS)
    (tmp_path / "20250108T000000Z" / "my notes.txt").write_text("a user's own file in it")
    before = tree_of(tmp_path)
    assert list(remove_old(tmp_path, Retention(keep=1, keep_days=1), now=NOW)) == names[1::-1]
    assert tree_of(tmp_path) == {path: data for path, data in before.items() if not path.startswith(tuple(names[:2]))}


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_compressed_snapshots_are_snapshots(tmp_path: Path, suffix: str) -> None:
    """They go like plain ones."""
    make_snapshot(tmp_path / "20250101T000000Z", CONTENTS, suffix=suffix)
    nights(tmp_path, 1)
    assert kept(tmp_path, keep=1) == 1


def test_a_removal_cut_off_is_finished_by_the_next_run(tmp_path: Path) -> None:
    """A snapshot loses its name first, all at once; what is left of it then is nobody's, and goes next time."""
    names = nights(tmp_path, 2)
    left = (tmp_path / names[0]).rename(tmp_path / f".ncrawl-removed-{names[0]}")
    (left / "images.ndjson").unlink()
    (tmp_path / ".ncrawl-20250101T000000Z").mkdir()
    (tmp_path / ".ncrawl-latest").symlink_to("x")
    (tmp_path / ".ncrawl-stray").write_text("")
    (tmp_path / ".ncrawl.lock").write_text("")
    assert snapshot_names(tmp_path) == names[1:]
    assert unfinished_runs(tmp_path) == []
    remove_remains(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {names[1], "latest", ".ncrawl.lock"}


def test_a_removal_begins_with_a_name_that_is_gone_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is synced under its new name, while all is in it: no power loss brings half of it back."""
    oldest, _ = nights(tmp_path, 2)
    doomed: list[int] = []
    monkeypatch.setattr(
        os, "fsync", lambda _fd: doomed.extend(len(list(each.iterdir())) for each in removals(tmp_path))
    )
    assert list(remove_old(tmp_path, Retention(keep=1), now=NOW)) == [oldest]
    assert doomed == [3]


def removals(folder: Path) -> list[Path]:
    return list(folder.glob(".ncrawl-removed-*"))


def test_what_was_removed_is_told_even_if_the_next_cannot_be(tmp_path: Path) -> None:
    """One name at a time, as each goes; then the error, with the path."""
    names = nights(tmp_path, 3)
    (tmp_path / f".ncrawl-removed-{names[0]}").write_text("in the way")
    removed = remove_old(tmp_path, Retention(keep=1), now=NOW)
    assert next(removed) == names[1]
    with pytest.raises(OutputError, match=names[0]):
        next(removed)
    assert sorted(snapshot_names(tmp_path)) == [names[0], names[2]]


# ── folders that cannot be used ──


def test_folders_that_cannot_hold_snapshots_are_refused(tmp_path: Path) -> None:
    """Each with what is wrong and how to mend it."""
    check_folder(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "taken" / "latest").mkdir(parents=True)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "latest").symlink_to("20261123T020000Z")
    check_folder(tmp_path / "linked")
    refusals = {
        "missing": f"does not exist: make it with `mkdir -p {tmp_path}/missing`",
        "file": "is a file: name a folder",
        "file/below": "does not exist",
        "link": f"is a symbolic link: name the folder itself, {tmp_path}/real",
        "dangling": "is a symbolic link",
        "taken": "latest is no symbolic link, so not ncrawl's",
        "x" * 300: "cannot be used: File name too long; name another folder",
    }
    for name, complaint in refusals.items():
        with pytest.raises(UsageError, match=complaint) as refused:
            check_folder(tmp_path / name)
        assert refused.value.exit_code == 2


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first request, not after an hour of them; the system's no is played, for root never hears it."""
    refused = (tmp_path, os.W_OK | os.X_OK)
    monkeypatch.setattr(os, "access", lambda path, mode: (path, mode) != refused)
    with pytest.raises(UsageError, match="cannot be written by this user"):
        check_folder(tmp_path)


# ── files ──


def test_a_small_file_is_replaced_or_left_alone(tmp_path: Path) -> None:
    """What cannot be written leaves the old one, and says which."""
    path = tmp_path / "run.json"
    replace_file(path, b"old")
    replace_file(path, b"new and longer")
    assert path.read_bytes() == b"new and longer"
    (tmp_path / "run.json.partial").mkdir()
    with pytest.raises(OutputError, match=r"run\.json: Is a directory"):
        replace_file(path, b"newer")
    assert path.read_bytes() == b"new and longer"
