"""A clock that is wrong: it names no snapshot, makes none old, and pushes none out."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from support.night import Night, a_night_here, checked, path_of
from support.snapshot_maker import image, make_snapshot

from crawler.emulation import EmulatorOptions
from crawler.snapshot.folder.names import ID_FORMAT, right_start_ms, started
from crawler.snapshot.manifest import read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY_MS = 86_400_000
CONTENTS = {("default", "kr", "r"): [image("a")]}


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Night]:
    with a_night_here(tmp_path, monkeypatch, EmulatorOptions(registries=2, images=20)) as one:
        yield one


def set_clock(night: Night, days: int) -> None:
    """Let the gateway's clock be so far ahead of ours."""
    night.account.options = replace(night.account.options, clock_skew_s=days * 86_400)


def make_nights(night: Night, how_many: int) -> list[str]:
    """Make snapshots of as many nights up to last night, by our clock; return their names, oldest first."""
    now = datetime.now(UTC)
    names = [f"{now - timedelta(days=age):{ID_FORMAT}}" for age in range(how_many, 0, -1)]
    for name in names:
        make_snapshot(night.folder / name, CONTENTS)
    return names


def off_by(name: str) -> timedelta:
    """Return how far a snapshot's name is from our clock."""
    start = started(name)
    assert start is not None
    return start - datetime.now(UTC)


@pytest.mark.parametrize("days", [-100, 100])
def test_a_name_follows_the_gateways_clock(night: Night, days: int) -> None:
    """So does the manifest's start and end; `latest` points to it, and nothing of the first name is left."""
    set_clock(night, days)
    assert night.snapshot() == 0
    (name,) = night.names()
    assert abs(off_by(name) - timedelta(days=days)) < timedelta(minutes=5)
    made = checked(night.folder / name)
    assert made.run.id == name
    assert datetime.fromisoformat(made.run.started).strftime(ID_FORMAT) == name
    took = datetime.fromisoformat(made.run.finished) - datetime.fromisoformat(made.run.started)
    assert timedelta(0) <= took < timedelta(minutes=5)
    assert (night.folder / "latest").readlink().name == name
    assert night.remains() == set()


@pytest.mark.parametrize("days", [-100, 100])
def test_a_wrong_clock_makes_nothing_old(night: Night, capsys: pytest.CaptureFixture[str], days: int) -> None:
    """Whichever of the two is right: --keep-days removes nothing and says so, exit 0; --keep goes on by number."""
    names = make_nights(night, 4)
    set_clock(night, days)
    assert night.snapshot("--keep-days", "2") == 0
    assert "--keep-days removes nothing this time" in capsys.readouterr().err
    assert set(names) < set(night.names())
    set_clock(night, 0)
    assert night.snapshot("--keep-days", "2") == 0
    assert "--keep-days removes nothing" not in capsys.readouterr().err
    assert names[-1] in night.names()
    assert not set(names[:2]) & set(night.names())


def test_a_run_that_asked_for_nothing_proves_no_clock(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """One that had only to be published heard nothing from the gateway: --keep-days waits for the next."""
    names = make_nights(night, 4)
    assert night.snapshot() == 0
    assert night.snapshot("--retry-failed", "latest", "--keep-days", "2") == 0
    assert night.account.statistics.requests == 0
    assert "--keep-days removes nothing this time" in capsys.readouterr().err
    assert set(names) < set(night.names())


def test_nights_from_the_future_push_no_real_one_out(night: Night) -> None:
    """Three of them, and --keep 3: the newest three that can be are there beside them."""
    names = make_nights(night, 4)
    later = [make_snapshot(night.folder / f"20{year}0101T000000Z", CONTENTS).name for year in (97, 98, 99)]
    assert night.snapshot("--keep", "3") == 0
    (tonight,) = set(night.names()) - {*names, *later}
    assert sorted(night.names()) == sorted([*names[2:], tonight, *later])


def test_a_stopped_run_has_the_right_name_too(night: Night) -> None:
    """A later session, whose clock is right, keeps the start that the first one learnt from the gateway."""
    set_clock(night, -100)
    night.account.on_request = lambda requests: os.kill(os.getpid(), signal.SIGTERM) if requests == 8 else None
    assert night.snapshot("--concurrency", "1") == 143
    night.account.on_request = None
    (left,) = night.remains()
    name = left.removeprefix(".ncrawl-")
    assert abs(off_by(name) + timedelta(days=100)) < timedelta(minutes=5)


def test_a_new_name_and_its_header_may_be_parted_by_a_crash(night: Night) -> None:
    """The folder's name counts, by which a published run is known."""
    night.account.on_request = lambda requests: os.kill(os.getpid(), signal.SIGTERM) if requests == 8 else None
    assert night.snapshot("--concurrency", "1") == 143
    night.account.on_request = None
    (left,) = night.remains()
    start = started(left.removeprefix(".ncrawl-"))
    assert start is not None
    name = f"{start - timedelta(seconds=30):{ID_FORMAT}}"
    (night.folder / left).rename(night.folder / f".ncrawl-{name}")
    assert night.snapshot("--resume") == 0
    assert night.names() == [name]
    assert read(night.newest()).run.id == name
    assert (night.remains(), path_of("kr") in night.account.statistics.requests_by_path) == (set(), False)


@pytest.mark.parametrize(
    ("start", "offset", "is_resumed", "right"),
    [
        (10, 0, False, 10),
        (10, 5, False, 15),
        (10, -5, False, 5),
        (10, 5, True, 15),  # as wrong then as it is now
        (10, -5, True, 5),
        (5, -5, True, 5),  # right then, or corrected already
        (15, 5, True, 15),
        (30, 0, True, 10),  # then in the future: not before now
        (30, 0, False, 10),
    ],
)
def test_the_start_by_the_right_clock(start: int, offset: int, *, is_resumed: bool, right: int) -> None:
    """Days; it is 10 by our clock now. Of two that are possible the later one, which is no later than now."""
    found = right_start_ms(
        start * DAY_MS, now_ms=10 * DAY_MS + 60_000, offset_ms=offset * DAY_MS, is_resumed=is_resumed
    )
    assert found - right * DAY_MS in (0, 60_000)
