"""Names that anybody can foresee: what somebody planted there is neither followed nor overwritten."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.night import Night, a_night_here, tree_of

from crawler.cli import run
from crawler.core.errors import LockedError, OutputError, UsageError
from crawler.emulation import EmulatorOptions
from crawler.output.files import check_place, replace_file, write_file
from crawler.output.sinks import open_sink
from crawler.snapshot.folder.lock import LOCK, locked
from crawler.snapshot.unfinished.runs import unfinished_runs

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = b"what somebody else relies on\n"


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    path = tmp_path / "home" / ".bashrc"
    path.write_bytes(SECRET)
    return path


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Night]:
    with a_night_here(tmp_path, monkeypatch, EmulatorOptions(registries=2, images=20)) as one:
        yield one


# ── the program ──


@pytest.mark.parametrize("planted", ["snapshots/.ncrawl.lock", "summary.json.partial"])
def test_a_snapshot_follows_no_planted_link(
    night: Night, victim: Path, planted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 74 before the first request, and which link to remove; also one that leads nowhere."""
    link = night.home / planted
    for target in (victim, night.home / "nowhere"):
        link.symlink_to(target)
        assert night.snapshot("--summary", str(night.home / "summary.json")) == 74
        assert f"{link} is a symbolic link, and ncrawl writes through none: remove it" in capsys.readouterr().err
        link.unlink()
    assert night.account.statistics.requests == 0
    assert victim.read_bytes() == SECRET
    assert not (night.home / "nowhere").exists()
    assert night.snapshot("--summary", str(night.home / "summary.json")) == 0


@pytest.mark.parametrize("planted", ["images.ndjson.partial", "summary.json.partial"])
def test_images_follows_no_planted_link(
    night: Night, victim: Path, planted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Likewise, beside the output and beside the summary."""
    link = night.home / planted
    link.symlink_to(victim)
    arguments = ["images", "-o", str(night.home / "images.ndjson"), "--summary", str(night.home / "summary.json")]
    assert run(arguments) == 74
    assert f"{link} is a symbolic link" in capsys.readouterr().err
    assert night.account.statistics.requests == 0
    assert (link.is_symlink(), victim.read_bytes()) == (True, SECRET)


def test_a_planted_run_is_none(night: Night, victim: Path) -> None:
    """A link that looks like an unfinished run is not taken up; it goes, and what it leads to stays."""
    for name in ("run.json", "parts", "journal"):
        (victim.parent / name).write_bytes(SECRET)
    before = tree_of(victim.parent)
    (night.folder / ".ncrawl-20991231T000000Z").symlink_to(victim.parent)
    (night.folder / ".ncrawl-latest").symlink_to(victim)
    assert unfinished_runs(night.folder) == []
    assert night.snapshot("--resume") == 0
    assert tree_of(victim.parent) == before
    assert night.remains() == set()


# ── the lock ──


def test_a_lock_with_another_name_is_held_and_not_written(tmp_path: Path, victim: Path) -> None:
    """A hard link may be a backup's or an attacker's: nothing is lost, and nothing in it is told to others."""
    os.link(victim, tmp_path / LOCK)
    with (
        locked(tmp_path, started="now"),
        pytest.raises(LockedError, match="a process that just began"),
        locked(tmp_path, started="later"),
    ):
        pytest.fail("two hold the lock")
    assert victim.read_bytes() == SECRET


def test_a_lock_that_is_no_file_is_refused(tmp_path: Path) -> None:
    """A pipe, without waiting for its other end."""
    os.mkfifo(tmp_path / LOCK)
    with pytest.raises(OutputError, match=r"\.lock is no regular file"), locked(tmp_path, started="now"):
        pytest.fail("a pipe is no lock")


@pytest.mark.parametrize("problem", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_folder_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: int) -> None:
    """Exit 2 and how to mend it: a second run could destroy what this one writes. The system's no is played."""

    def refuse(_fd: int, _operation: int) -> None:
        raise OSError(problem, os.strerror(problem))

    monkeypatch.setattr(fcntl, "flock", refuse)
    complaint = "cannot lock files .* mount it with locks, or name a folder on another one"
    with pytest.raises(UsageError, match=complaint) as refused, locked(tmp_path, started="now"):
        pytest.fail("there is no lock")
    assert refused.value.exit_code == 2


# ── files ──


async def test_a_partial_with_another_name_is_let_go_of(tmp_path: Path, victim: Path) -> None:
    """A hard link, a backup's or planted: the lines go into a file of our own."""
    os.link(victim, tmp_path / "out.ndjson.partial")
    async with open_sink(str(tmp_path / "out.ndjson")) as sink:
        await sink.write(b"{}\n", 1)
        with pytest.raises(LockedError):
            open_sink(str(tmp_path / "out.ndjson"))
        await sink.commit()
    assert tree_of(tmp_path) == {"out.ndjson": b"{}\n", "home/.bashrc": SECRET}


@pytest.mark.skipif(os.geteuid() != 0, reason="not run: only root can give files away")
async def test_a_partial_of_somebody_else_is_let_go_of(tmp_path: Path) -> None:
    """Who made it could read the inventory, and change it later; what they have locked is theirs."""
    partial = tmp_path / "out.ndjson.partial"
    partial.write_bytes(b"")
    os.chown(partial, 65534, 65534)
    async with open_sink(str(tmp_path / "out.ndjson")) as sink:
        await sink.write(b"{}\n", 1)
        await sink.commit()
    assert (tmp_path / "out.ndjson").stat().st_uid == 0
    partial.write_bytes(b"")
    os.chown(partial, 65534, 65534)
    with partial.open("wb") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        with pytest.raises(LockedError):
            open_sink(str(tmp_path / "out.ndjson"))


def test_small_files_are_written_through_no_link(tmp_path: Path, victim: Path) -> None:
    """Not when their place is tried, not when they are written; a hard link is let go of, a stale file replaced."""
    path = tmp_path / "summary.json"
    partial = tmp_path / "summary.json.partial"
    partial.symlink_to(victim)
    for write in (check_place, lambda name: write_file(name, b"data"), lambda name: replace_file(Path(name), b"data")):
        with pytest.raises(OutputError, match="is a symbolic link"):
            write(str(path))
    partial.unlink()
    os.link(victim, partial)
    check_place(str(path))
    os.link(victim, partial)
    write_file(str(path), b"data")
    assert (path.read_bytes(), victim.read_bytes(), partial.exists()) == (b"data", SECRET, False)
    partial.write_bytes(b"of a run that was killed")
    replace_file(path, b"newer")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode) & 0o200) == (b"newer", 0o200)
