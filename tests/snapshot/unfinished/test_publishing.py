"""Names, `latest`, retention and refused folders: what happens to a folder that years of nights share with a user."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.night import tree_of
from support.snapshot_maker import image, make_snapshot
from support.undone import undone

from crawler.core.errors import OutputError, UsageError
from crawler.core.model import Verdict
from crawler.output.files import replace_file
from crawler.snapshot.folder.abilities import check_folder
from crawler.snapshot.folder.latest import point_latest
from crawler.snapshot.folder.names import new_id
from crawler.snapshot.folder.remains import remove_remains
from crawler.snapshot.folder.retention import Clock, Removal, Retention, remove_old, snapshot_names
from crawler.snapshot.unfinished.runs import unfinished_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOW = datetime(2026, 11, 23, 2, 0, 0, tzinfo=UTC)
CLOCK = Clock(NOW, is_trusted=True)
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
    removed = removed_from(folder, Retention(keep, keep_days), made=before[-1])
    after = sorted(snapshot_names(folder))
    assert sorted([*removed, *after]) == before
    assert after == before[len(removed) :]
    return len(after)


def removed_from(folder: Path, retention: Retention, *, made: str, clock: Clock = CLOCK) -> list[str]:
    """Have retention do its work, which has to meet with no problem; return the names of what it removed."""
    removals = list(remove_old(folder, retention, made=made, clock=clock))
    assert [removal.problem for removal in removals] == [None] * len(removals)
    return [removal.name for removal in removals]


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


def test_names_follow_the_order_of_runs_of_less_than_a_second(tmp_path: Path) -> None:
    """A second that retention has freed is not taken while later ones are: the newest would be the oldest by name."""
    for name in ("20261123T020001Z", "20261123T020002Z", "20270101T000000Z", "20261123T015959Z"):
        (tmp_path / name).mkdir()
    assert new_id(tmp_path, NOW) == "20261123T020003Z"
    assert new_id(tmp_path, NOW + timedelta(seconds=9.5)) == "20261123T020009Z"


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
    assert removed_from(tmp_path, Retention(keep=1), made=names[4]) == names[3:0:-1]
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
    os.mkfifo(tmp_path / "20250108T000000Z")
    (tmp_path / "20250110T000000Z").mkdir()
    os.mkfifo(tmp_path / "20250110T000000Z" / "manifest.json")
    before = tree_of(tmp_path)
    assert removed_from(tmp_path, Retention(keep=1, keep_days=1), made=names[2]) == names[1::-1]
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
    assert remove_remains(tmp_path) == []
    assert {path.name for path in tmp_path.iterdir()} == {names[1], "latest", ".ncrawl.lock"}


def test_a_removal_begins_with_a_name_that_is_gone_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is synced under its new name, while all is in it: no power loss brings half of it back."""
    oldest, newest = nights(tmp_path, 2)
    doomed: list[int] = []
    monkeypatch.setattr(
        os, "fsync", lambda _fd: doomed.extend(len(list(each.iterdir())) for each in removals(tmp_path))
    )
    assert removed_from(tmp_path, Retention(keep=1), made=newest) == [oldest]
    assert doomed == [3]


def removals(folder: Path) -> list[Path]:
    return list(folder.glob(".ncrawl-removed-*"))


def test_what_cannot_be_removed_stops_nothing(tmp_path: Path) -> None:
    """Each is told by itself: one that cannot lose its name, before and after others that go."""
    names = nights(tmp_path, 4)
    (tmp_path / f".ncrawl-removed-{names[1]}").write_text("in the way")
    removals = list(remove_old(tmp_path, Retention(keep=1), made=names[3], clock=CLOCK))
    complaint = f"{tmp_path / names[1]} cannot be removed: Not a directory; the next run tries again"
    assert removals == [Removal(names[2]), Removal(names[1], complaint), Removal(names[0])]
    assert sorted(snapshot_names(tmp_path)) == [names[1], names[3]]


@pytest.fixture
def unchangeable(tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """Make a file that even root cannot remove, until the test is over."""

    def make(path: Path) -> None:
        chattr = shutil.which("chattr")
        if chattr is None or subprocess.run([chattr, "+i", path], capture_output=True, check=False).returncode:
            pytest.skip("not run: a file cannot be made immutable here (it takes root and chattr)")

    with undone("chattr", "-R", "-i", tmp_path):
        yield make


def test_a_snapshot_that_cannot_go_is_told_each_night(tmp_path: Path, unchangeable: Callable[[Path], None]) -> None:
    """All else of it goes, all else goes; the next run tries again, and then, when it can be, it is gone."""
    names = nights(tmp_path, 3)
    stuck = tmp_path / f".ncrawl-removed-{names[1]}"
    unchangeable(tmp_path / names[1] / "images.ndjson")
    complaint = f"{stuck / 'images.ndjson'} cannot be removed: Operation not permitted; the next run tries again"
    removals = list(remove_old(tmp_path, Retention(keep=1), made=names[2], clock=CLOCK))
    assert removals == [Removal(names[1], complaint), Removal(names[0])]
    for _ in range(2):
        assert [path.name for path in stuck.iterdir()] == ["images.ndjson"]
        assert remove_remains(tmp_path) == [complaint]
    subprocess.run(["chattr", "-i", stuck / "images.ndjson"], check=True)
    assert remove_remains(tmp_path) == []
    assert not stuck.exists()


def test_what_is_not_ours_in_a_snapshot_outlives_it(tmp_path: Path) -> None:
    """It stays where it is, and that is told; the snapshot's own files go, also if a crash comes between."""
    names = nights(tmp_path, 3)
    for name in names[:2]:
        (tmp_path / name / "@eaDir").mkdir()
        (tmp_path / name / "@eaDir" / "images.ndjson@SynoEAStream").write_text("a NAS's")
    told = "stays, for @eaDir in it is not ncrawl's; the snapshot's own files are removed"
    (tmp_path / names[0]).rename(tmp_path / f".ncrawl-removed-{names[0]}")
    assert remove_remains(tmp_path) == [f"{tmp_path / names[0]} {told}"]
    removals = list(remove_old(tmp_path, Retention(keep=1), made=names[2], clock=CLOCK))
    assert removals == [Removal(names[1], f"{tmp_path / names[1]} {told}")]
    for name in names[:2]:
        assert list(tree_of(tmp_path / name)) == ["@eaDir/images.ndjson@SynoEAStream"]
    assert list(remove_old(tmp_path, Retention(keep=1), made=names[2], clock=CLOCK)) == []


def test_a_file_that_is_still_read_is_waited_for(tmp_path: Path) -> None:
    """What a network file system calls a removed file that somebody has open is ours, and not there for long."""
    names = nights(tmp_path, 2)
    (tmp_path / names[0] / ".nfs000000000000012300000001").write_text("")
    ((_, problem),) = remove_old(tmp_path, Retention(keep=1), made=names[1], clock=CLOCK)
    assert problem is not None
    assert "Device or resource busy; the next run tries again" in problem
    (tmp_path / f".ncrawl-removed-{names[0]}" / ".nfs000000000000012300000001").unlink()
    assert remove_remains(tmp_path) == []
    assert snapshot_names(tmp_path) == names[1:]


def test_the_last_complete_snapshot_stays(tmp_path: Path) -> None:
    """However many nights have been incomplete since, and whatever `latest` means."""
    names = nights(tmp_path, 2)
    for age in range(3):
        incomplete = tmp_path / f"2026112{age}T120000Z"
        make_snapshot(incomplete, CONTENTS, verdicts={("default", "kr", "r"): Verdict.INCOMPLETE})
    (tmp_path / "latest").unlink()
    damaged = tmp_path / "20261123T110000Z"
    make_snapshot(damaged, CONTENTS)
    (damaged / "manifest.json").write_bytes((damaged / "manifest.json").read_bytes().replace(b"/kr", b"/KR") + b" ")
    newest = make_snapshot(
        tmp_path / "20261123T115900Z", CONTENTS, verdicts={("default", "kr", "r"): Verdict.INCOMPLETE}
    )
    clock = Clock(NOW + timedelta(days=1), is_trusted=True)
    removed_from(tmp_path, Retention(keep=1), made=newest.name, clock=clock)
    assert sorted(snapshot_names(tmp_path)) == [names[1], newest.name]


def test_the_snapshot_just_made_stays(tmp_path: Path) -> None:
    """Also if a later one has pushed it out by its name."""
    names = nights(tmp_path, 4)
    assert removed_from(tmp_path, Retention(keep=1), made=names[0]) == names[2:0:-1]


def test_a_clock_that_cannot_be_trusted_makes_nothing_old(tmp_path: Path) -> None:
    """--keep-days then removes nothing, alone or beside --keep; by --keep alone the newest stay, as ever."""
    names = nights(tmp_path, 5)
    clock = Clock(NOW, is_trusted=False)
    for retention in (Retention(keep_days=1), Retention(keep=1, keep_days=1)):
        assert removed_from(tmp_path, retention, made=names[4], clock=clock) == []
    assert removed_from(tmp_path, Retention(keep=3), made=names[4], clock=clock) == names[1::-1]


def test_a_snapshot_from_the_future_pushes_nobody_out(tmp_path: Path) -> None:
    """Its name is a wrong clock's: it is kept, takes no place of --keep's, and is not the last complete one."""
    names = nights(tmp_path, 3)
    later = [make_snapshot(tmp_path / f"20{year}0101T000000Z", CONTENTS).name for year in (27, 28, 99)]
    assert removed_from(tmp_path, Retention(keep=2), made=names[2]) == names[:1]
    assert removed_from(tmp_path, Retention(keep_days=1), made=names[2]) == names[1:2]
    assert sorted(snapshot_names(tmp_path)) == [names[2], *later]


def test_an_unreadable_latest_removes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows which snapshot is relied on; the disk's error is played."""
    names = nights(tmp_path, 3)

    def fail(path: Path) -> Path:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr(Path, "readlink", fail)
    ((name, problem),) = remove_old(tmp_path, Retention(keep=1), made=names[2], clock=CLOCK)
    assert (name, sorted(snapshot_names(tmp_path))) == ("latest", names)
    assert problem == f"{tmp_path}/latest cannot be read (Input/output error), so nothing is removed"


def test_a_folder_that_may_not_be_looked_into_is_told() -> None:
    """Whether it is a snapshot cannot be known; others are removed."""
    with tempfile.TemporaryDirectory() as place:  # a test's own folder only its user can reach
        folder = Path(place)
        names = nights(folder, 3)
        (folder / "20250101T000000Z").mkdir(mode=0)
        with as_nobody(folder, *(folder / name for name in names)):
            removals = list(remove_old(folder, Retention(keep=1), made=names[2], clock=CLOCK))
        complaint = f"{folder}/20250101T000000Z cannot be looked at: Permission denied"
        assert removals == [Removal("20250101T000000Z", complaint), Removal(names[1]), Removal(names[0])]


@contextmanager
def as_nobody(*folders: Path) -> Iterator[None]:
    """Be a user without privileges, who may write in these folders."""
    before = os.geteuid()
    for folder in folders:
        folder.chmod(0o777)
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


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
        "taken": "latest is neither a symbolic link nor a file with a snapshot's name in it, so not ncrawl's",
        "x" * 300: "cannot be used: File name too long; name another folder",
    }
    for name, complaint in refusals.items():
        with pytest.raises(UsageError, match=complaint) as refused:
            check_folder(tmp_path / name)
        assert refused.value.exit_code == 2


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first request, not after an hour of them; the system's no is played, for root never hears it."""
    refused = (tmp_path, os.R_OK | os.W_OK | os.X_OK)
    monkeypatch.setattr(os, "access", lambda path, mode: (path, mode) != refused)
    with pytest.raises(UsageError, match="cannot be read and written by this user"):
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
