"""Whatever call fails, and whenever the job is killed: nothing earlier is touched, and `--resume` makes it good.

The method is SQLite's: spoil the first write, the second, the third… until a run passes clean; then the next kind of
call. `make torture` does the same at length.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import pytest
from long.blackout import Blackouts, blackouts
from long.torture import EIO, ENOSPC, HALF, KILL, TERM, Injection, Laboratory, NotRunError, Situation, laboratory
from support.night import Night, a_night_here, checked, data_of, tree_of
from support.undone import mounted

from crawler.core.errors import OutputError
from crawler.emulation import EmulatorOptions
from crawler.snapshot.unfinished.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

pytestmark = pytest.mark.long

WORLD = EmulatorOptions(registries=3, images=40)
SITUATIONS = ("begin and fetch", "take up", "publish", "tidy up")
NO_SPACE = ("write", "mkdir", "symlink")
_L = TypeVar("_L", Laboratory, Blackouts)


@contextmanager
def ready(made: AbstractContextManager[_L]) -> Iterator[tuple[_L, dict[str, Situation]]]:
    """Open a laboratory, with its situations by name; skip what cannot be tried on this machine."""
    try:
        with made as one:
            yield one, {situation.name: situation for situation in one.situations()}
    except NotRunError as error:
        pytest.skip(f"not run: {error}")


@pytest.fixture(scope="module")
def lab() -> Iterator[tuple[Laboratory, dict[str, Situation]]]:
    with ready(laboratory(WORLD, "--region", "kr")) as one:
        yield one


@pytest.mark.parametrize("fault", ["error", "kill", "stop"])
@pytest.mark.parametrize("name", SITUATIONS)
def test_a_fault_at_any_call_costs_nothing(lab: tuple[Laboratory, dict[str, Situation]], name: str, fault: str) -> None:
    """At every k-th write, fsync, truncate, rename, mkdir, symlink, unlink, rmdir: ENOSPC or EIO, SIGKILL, SIGTERM.

    After each: earlier snapshots byte-identical, none that is half there, exit 74 and one sentence for errors, 143 and
    one for SIGTERM, or 0 where it came when all was done; resumed, the data of an undisturbed run, no finished listing
    fetched again, and no remains.
    """
    one, situations = lab
    one.figures.wrong.clear()
    one.figures.examples.clear()
    hits = 0
    for call in situations[name].calls:
        if call != "open":  # the long version has it: nothing is lost by a file that cannot be opened
            effect = {"kill": KILL, "stop": TERM}.get(fault, ENOSPC if call in NO_SPACE else EIO)
            hits += one.spoil(situations[name], call, effect)
    assert one.figures.examples == []
    assert hits >= 8


TAG_CALLS = {"begin and fetch": ("write",), "take up": ("write", "truncate"), "publish": ("write", "rename")}


@pytest.fixture(scope="module")
def tag_lab() -> Iterator[tuple[Laboratory, dict[str, Situation]]]:
    with ready(laboratory(WORLD, "--region", "kr", "--level", "tags")) as one:
        yield one


@pytest.mark.parametrize("name", TAG_CALLS)
def test_a_kill_at_any_call_costs_no_tags(tag_lab: tuple[Laboratory, dict[str, Situation]], name: str) -> None:
    """With tags, whose lists are finished in batches: after a SIGKILL at every k-th write, and what makes it last.

    As above; resumed, no list of tags is fetched again that the journal had, and the bytes are an undisturbed run's.
    """
    one, situations = tag_lab
    one.figures.wrong.clear()
    one.figures.examples.clear()
    if name == "take up":
        one.reset(situations[name].start)
        assert any(len(key) == 3 for key in one.finished())
    hits = sum(one.spoil(situations[name], call, KILL) for call in TAG_CALLS[name])
    assert one.figures.examples == []
    assert hits >= 4


# ── power loss ──


@pytest.fixture(scope="module")
def dark() -> Iterator[tuple[Blackouts, dict[str, Situation]]]:
    with ready(blackouts(WORLD, "--region", "kr")) as one:
        yield one


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_power_loss_at_any_call_costs_nothing(dark: tuple[Blackouts, dict[str, Situation]], name: str) -> None:
    """At every k-th call of those, whatever the kernel has written back by then: the old or the whole new snapshot.

    A file system comes up from a copy of the disk. Earlier snapshots are byte-identical, each that has a name is
    whole, `latest` points to one; resumed, the data of an undisturbed run, without fetching again what the disk kept.
    """
    one, situations = dark
    one.figures.wrong.clear()
    one.figures.examples.clear()
    one.figures.losses = 0
    for call in situations[name].calls:
        if call != "open":
            one.spoil(situations[name], call, KILL)
    assert one.figures.examples == []
    assert one.figures.losses >= 20


@pytest.mark.parametrize("name", ["begin and fetch", "publish"])
def test_what_is_published_outlasts_a_power_loss(dark: tuple[Blackouts, dict[str, Situation]], name: str) -> None:
    """Once the job has exited with 0, its snapshot and `latest` are on the disk, whole."""
    one, situations = dark
    one.figures.examples.clear()
    one.reset(situations[name].start)
    assert one.run(*situations[name].options).code == 0
    one.judge_lasting("power lost after the end")
    assert one.figures.examples == []


def test_a_program_that_does_not_sync_is_caught(dark: tuple[Blackouts, dict[str, Situation]]) -> None:
    """Power losses after a run whose every fsync did nothing leave half a snapshot: the test above can fail."""
    one, situations = dark
    situation = situations["publish"]
    one.reset(situation.start)
    outcome = one.run(*situation.options, inject=Injection("fsync", "retval=0", "1+", situation.paths))
    assert (outcome.code, outcome.was_hit) == (0, True)
    one.figures.wrong.clear()
    one.figures.examples.clear()
    one.judge(outcome, "nothing synced")
    assert one.figures.wrong[HALF]


# ── a disk that is really full ──


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=1m", "tmpfs"):
        yield tmp_path / "disk"


@pytest.fixture
def cramped(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Night]:
    with a_night_here(small_disk, monkeypatch, EmulatorOptions(registries=3, images=600)) as night:
        yield night


def fill(disk: Path, leave_bytes: int) -> None:
    """Take up all but so much of a disk."""
    ballast = disk / "ballast"
    ballast.unlink(missing_ok=True)
    free = os.statvfs(disk)
    ballast.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - leave_bytes)))


def test_a_full_disk_costs_nothing(cramped: Night, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From no room to enough of it: exit 74 with what to do, the earlier snapshot untouched; with room, resumed."""
    assert cramped.snapshot() == 0
    undisturbed, before = data_of(cramped.newest()), tree_of(cramped.newest())
    (earlier,) = cramped.names()
    start = shutil.copytree(cramped.folder, tmp_path / "start", symlinks=True)
    codes = []
    for free_kb in (0, 4, 8, 12, 16, 40, 80, 120, 160, 200, 240, 280, 320, 360, 400, 440, 500):
        shutil.rmtree(cramped.folder)
        shutil.copytree(start, cramped.folder, symlinks=True)
        capsys.readouterr()
        fill(cramped.home, free_kb * 1024)
        codes.append(cramped.snapshot())
        (cramped.home / "ballast").unlink()
        said = capsys.readouterr().err
        assert "Traceback" not in said
        assert codes[-1] == 0 or "No space left on device: free some space and run again" in said
        done = cramped.finished()
        assert codes[-1] == 0 or cramped.snapshot("--resume") == 0
        assert not cramped.fetched() & done
        assert data_of(cramped.newest()) == undisturbed
        checked(cramped.newest())
        assert tree_of(cramped.folder / earlier) == before
        assert len(cramped.names()) == 2
        assert cramped.remains() == set()
    assert set(codes) == {74, 0}
    assert (codes[0], codes[-1]) == (74, 0)


def test_a_full_disk_stops_a_spool(small_disk: Path) -> None:
    """A run that is put aside in part is an error, not a run."""
    spool = Spool(small_disk, b"{")
    names = [f"{number:05}" for number in range(2000)]
    fill(small_disk, 64 * 1024)
    spool.add(names, [b'"name":"%b","x":"%b"}' % (name.encode(), b"x" * 300) for name in names])
    with pytest.raises(OutputError, match="No space left"):
        spool.put_aside()
    spool.close()
