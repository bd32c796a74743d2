"""What a folder's file system can do: found out before the first request, said once, and no night is lost by it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from long.torture import RUN, WATCHED_S
from support.night import ROOT, TOO_LARGE, Night, a_night_here, checked, path_of
from support.undone import mounted

from crawler.cli import run
from crawler.emulation import EmulatorOptions
from crawler.snapshot.folder.abilities import find_out
from crawler.snapshot.folder.names import ID_FORMAT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.long

WORLD = EmulatorOptions(registries=2, images=20)
SYMLINK = "?symlink,?symlinkat"
RENAME = "?rename,?renameat,?renameat2"
MKDIR = "?mkdir,?mkdirat"


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Night]:
    with a_night_here(tmp_path, monkeypatch, WORLD) as one:
        yield one


def spoilt(night: Night, call: str, effect: str, *options: str, paths: tuple[str, ...] = ()) -> tuple[int, str]:
    """Run the job in a process of its own, with a fault at a system call; return its exit code and what it said."""
    if shutil.which("strace") is None:
        pytest.skip("not run: there is no strace here (Debian package strace)")
    night.account.forget()
    words = ["strace", "--follow-forks", f"--output={night.home / 'calls'}"]
    words += [f"--trace={call}", f"--inject={call}:{effect}", *(f"--trace-path={path}" for path in paths)]
    job = [sys.executable, "-m", "crawler", "snapshot", str(night.folder), *options]
    done = subprocess.run([*words, *job], cwd=ROOT, env=night.environment, capture_output=True, text=True, check=False)
    if "PTRACE" in done.stderr or ("Operation not permitted" in done.stderr and "ncrawl" not in done.stderr):
        pytest.skip(f"not run: strace cannot watch a process here: {done.stderr}")
    return done.returncode, done.stderr


def folders(night: Night) -> tuple[str, ...]:
    """Return the paths of all folders that a run which starts now syncs, but those of its trial."""
    now = datetime.now(UTC)
    ids = [f"{now + timedelta(seconds=number):{ID_FORMAT}}" for number in range(WATCHED_S)]
    runs = [RUN.format(id=name) for name in ids]
    return tuple(str(night.folder / path) for path in ("", *runs, *(f"{one}/snapshot" for one in runs)))


# ── no symbolic links ──


@pytest.mark.parametrize("error", ["EPERM", "EOPNOTSUPP", "ENOSYS"])
def test_without_links_latest_is_a_file(night: Night, capsys: pytest.CaptureFixture[str], error: str) -> None:
    """Night after night: exit 0, said once, moved as a whole; every command reads it, and retention heeds it."""
    for nights in (1, 2, 2):
        code, said = spoilt(night, SYMLINK, f"error={error}", "--resume", "--keep", "2")
        assert (code, said.count("cannot hold symbolic links")) == (0, 1)
        assert (len(night.names()), night.remains()) == (nights, set())
        latest = night.folder / "latest"
        assert (latest.is_symlink(), latest.read_text()) == (False, f"{night.newest().name}\n")
    judge_commands(night)
    assert night.snapshot("--keep", "1") == 0
    assert "symbolic links" not in capsys.readouterr().err
    assert latest.readlink().name == night.newest().name


def judge_commands(night: Night) -> None:
    """Every command takes a `latest` that is a file for the snapshot that it names."""
    latest = str(night.folder / "latest")
    assert run(["verify", latest]) == 0
    assert run(["diff", str(night.folder / night.names()[0]), latest]) == 0
    night.account.forget()
    assert run(["snapshot", str(night.folder), "--retry-failed", "latest"]) == 0
    assert night.account.statistics.requests == 0


def test_retention_spares_what_a_latest_file_names(night: Night) -> None:
    """As it spares the target of a link."""
    assert spoilt(night, SYMLINK, "error=EPERM")[0] == 0
    (relied_on,) = night.names()
    night.account.replaced[path_of("kr"), 1] = TOO_LARGE
    for _ in range(3):
        assert night.snapshot("--keep", "1") == 3
    assert relied_on in night.names()
    assert len(night.names()) < 4  # a name that was freed within its second is taken again


@pytest.fixture
def exfat(tmp_path: Path) -> Iterator[Path]:
    """An exFAT file system; it knows no links, and keeps an open file's name until it is closed."""
    if None in map(shutil.which, ("mkfs.exfat", "mount.exfat-fuse")):
        pytest.skip("not run: no exFAT can be made here (Debian packages exfatprogs and exfat-fuse)")
    image = tmp_path / "image"
    image.write_bytes(bytes(16 * 1024 * 1024))
    subprocess.run(["mkfs.exfat", image], check=True, capture_output=True)
    with mounted(tmp_path / "disk", "-t", "exfat-fuse", "-o", "loop", str(image)):
        yield tmp_path / "disk"


def test_nights_on_exfat(exfat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real file system without links: whole snapshots, `latest` as a file, retention, and no remains."""
    with a_night_here(exfat, monkeypatch, WORLD) as night:
        for nights in (1, 2, 2):
            assert night.snapshot("--resume", "--keep", "2", "--compress", "zstd") == 0
            assert (len(night.names()), night.remains()) == (nights, set())
            assert (night.folder / "latest").read_text() == f"{night.newest().name}\n"
            checked(night.newest())
        judge_commands(night)


# ── folders that cannot be synced, or have failed ──


@pytest.mark.parametrize("error", ["EINVAL", "EOPNOTSUPP"])
def test_folders_that_cannot_be_synced_cost_no_night(night: Night, error: str) -> None:
    """Said once, and on: snapshot after snapshot, `latest` and retention."""
    for nights in (1, 2, 2):
        code, said = spoilt(night, "fsync", f"error={error}", "--keep", "2", paths=folders(night))
        assert (code, said.count("cannot be synced")) == (0, 1)
        assert (len(night.names()), night.remains()) == (nights, set())
        assert (night.folder / "latest").readlink().name == night.newest().name
        checked(night.newest())


def test_a_disk_that_has_failed_ends_with_74(night: Night) -> None:
    """EIO at the sync of the folder is no missing ability; nothing is requested, and nothing is left."""
    code, said = spoilt(night, "fsync", "error=EIO", paths=folders(night))
    assert (code, night.account.statistics.requests) == (74, 0)
    assert f"cannot write {night.folder}: Input/output error" in said
    assert (night.names(), night.remains()) == ([], set())


@pytest.mark.parametrize(
    ("call", "effect", "complaint"),
    [
        (RENAME, "error=EXDEV:when=3", "Invalid cross-device link"),
        (RENAME, "error=EOPNOTSUPP:when=1", "Operation not supported"),
        (MKDIR, "error=EROFS:when=1", "Read-only file system"),
        (SYMLINK, "error=ENOSPC", "free some space and run again"),
    ],
)
def test_what_a_snapshot_takes_is_tried_first(night: Night, call: str, effect: str, complaint: str) -> None:
    """A folder that cannot be moved, a file that cannot be replaced: exit 74 before the first request, no remains."""
    code, said = spoilt(night, call, effect)
    assert (code, night.account.statistics.requests) == (74, 0)
    assert re.search(rf"^ncrawl: cannot write {night.folder}.*{complaint}", said, re.MULTILINE)
    assert (night.names(), night.remains()) == ([], set())


def test_a_folder_without_locks_is_refused(night: Night) -> None:
    """Exit 2 before the first request."""
    code, said = spoilt(night, "flock", "error=ENOLCK")
    assert (code, night.account.statistics.requests) == (2, 0)
    assert "cannot lock files (No locks available)" in said


@pytest.mark.parametrize("where", [(MKDIR, 2), (RENAME, 3), (SYMLINK, 1)])
def test_a_trial_that_was_killed_is_swept(night: Night, where: tuple[str, int]) -> None:
    """What it left goes with the remains of the next run."""
    call, when = where
    assert spoilt(night, call, f"signal=KILL:when={when}")[0] == -9
    (left,) = {name.removesuffix("-moved") for name in night.remains()}
    assert left.startswith(".ncrawl-probe-")
    assert night.snapshot() == 0
    assert night.remains() == set()


def test_a_trial_leaves_nothing(tmp_path: Path) -> None:
    """Here everything works, and the folder is as it was; also if something has the name of the last trial's."""
    (tmp_path / ".ncrawl-probe-x").mkdir()
    able = find_out(tmp_path)
    assert (able.has_links, able.syncs_folders) == (True, True)
    assert [path.name for path in tmp_path.iterdir()] == [".ncrawl-probe-x"]


# ── what comes after the result is safe ──


def test_latest_that_could_not_be_moved_is_moved_by_the_next_run(
    night: Night, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 0 and a warning; the next run moves it, without --resume, though its own snapshot is not accepted."""
    link = str(night.folder / ".ncrawl-latest")
    code, said = spoilt(night, RENAME, "error=EIO", "--keep", "1", paths=(link,))
    assert code == 0
    assert f"warning: latest is not moved to {night.newest()}: cannot write {night.folder}/latest: Input" in said
    assert not (night.folder / "latest").is_symlink()
    (first,) = night.names()
    assert night.remains() == {f".ncrawl-{first}"}
    assert [path.name for path in (night.folder / f".ncrawl-{first}").iterdir()] == ["run.json"]
    night.account.replaced[path_of("kr"), 1] = TOO_LARGE
    assert spoilt(night, RENAME, "error=EIO", paths=(link,))[0] == 3
    assert not (night.folder / "latest").is_symlink()
    assert night.remains() == {f".ncrawl-{first}"}
    capsys.readouterr()
    assert night.snapshot() == 3
    assert f"the run of {first} was cut off after it was published; latest points to it" in capsys.readouterr().err
    assert (night.folder / "latest").readlink().name == first
    assert night.remains() == set()


def test_latest_never_moves_back(night: Night) -> None:
    """To what a run left undone whose remains could not be removed, once a newer one is the latest."""
    assert night.snapshot() == 0
    (first,) = night.names()
    assert night.snapshot() == 0
    (night.folder / f".ncrawl-{first}").mkdir()
    (night.folder / f".ncrawl-{first}" / "run.json").write_text("{}")
    newer = (night.folder / "latest").readlink()
    night.account.replaced[path_of("kr"), 1] = TOO_LARGE
    assert night.snapshot("--resume") == 3
    assert (night.folder / "latest").readlink() == newer
    assert night.remains() == set()


def test_what_a_published_run_has_overtaken_is_not_taken_up(night: Night) -> None:
    """An interrupted run that is older than a snapshot goes; tonight's run fetches everything."""
    assert night.snapshot() == 0
    (made,) = night.names()
    for name in ("20200101T000000Z", made):
        (night.folder / f".ncrawl-{name}").mkdir()
        (night.folder / f".ncrawl-{name}" / "run.json").write_text("{}")
    assert night.snapshot("--resume") == 0
    assert night.fetched() >= set(night.account.registries())
    assert night.remains() == set()


def test_remains_that_cannot_be_removed_end_no_night(night: Night) -> None:
    """An old snapshot whose files stay: exit 0 both nights, a warning in each, and retention does its work."""
    for _ in range(3):
        assert night.snapshot() == 0
    first, second, third = night.names()
    left = night.folder / f".ncrawl-removed-{first}"
    code, said = spoilt(night, "?rmdir", "error=ENOTEMPTY", "--keep", "3", paths=(str(left),))
    complaint = f"warning: {left} cannot be removed: Directory not empty; the next run tries again"
    assert (code, said.count(complaint), night.names()[:2]) == (0, 1, [second, third])
    code, said = spoilt(night, "?rmdir", "error=ENOTEMPTY", "--keep", "3", paths=(str(left),))
    assert (code, said.count(complaint), night.names()[0]) == (0, 1, third)
    assert night.remains() == {left.name}
    assert night.snapshot() == 0
    assert night.remains() == set()


def test_a_failing_end_still_has_the_runs_own_code(night: Night) -> None:
    """Whatever fails after publishing, the code says what is in the snapshot."""
    night.account.replaced[path_of("kr"), 1] = TOO_LARGE
    paths = (str(night.folder / ".ncrawl-latest"),)
    assert spoilt(night, SYMLINK, "error=EIO", "--accept", "partial", paths=paths)[0] == 3


def test_files_that_are_read_are_closed_before_they_are_removed(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    """Network and FUSE file systems keep an open file's name, so that its folder could not go."""
    open_ones: list[str] = []
    rmtree = shutil.rmtree

    def look(path: Path, *, ignore_errors: bool = False) -> None:
        if "probe" not in str(path):
            links = [Path("/proc/self/fd") / fd for fd in os.listdir("/proc/self/fd")]  # noqa: PTH208
            open_ones.extend(target for link in links if (target := _target(link)).startswith(str(path)))
            removed.append(str(path))
        rmtree(path, ignore_errors=ignore_errors)

    removed: list[str] = []
    monkeypatch.setattr(shutil, "rmtree", look)
    assert night.snapshot() == 0
    assert removed == [str(night.folder / f".ncrawl-{night.newest().name}")]
    assert open_ones == []


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:  # the descriptor of the listing itself
        return ""
