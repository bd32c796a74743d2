"""Old snapshots go by the rules of a run, and by no clock that nothing bears out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
from support.night import tree_of
from support.snapshot_maker import image, make_snapshot, reseal

from crawler.core.errors import LockedError, UsageError
from crawler.jobs.prune import prune
from crawler.snapshot.folder.latest import point_latest
from crawler.snapshot.folder.lock import locked
from crawler.snapshot.folder.names import ID_FORMAT
from crawler.snapshot.folder.retention import Removal, Retention, snapshot_names

if TYPE_CHECKING:
    from pathlib import Path

    from crawler.snapshot.manifest import Manifest

NOW = datetime(2026, 11, 24, 2, 30, tzinfo=UTC)
CONTENTS = {("default", "kr", "r"): [image("a")]}


def make_nights(folder: Path, how_many: int, *, skew_s: float = 0.0, pages: int = 2) -> list[str]:
    """Make a snapshot of each night up to the one of NOW, as of runs that ended with that; return their names."""
    names = []
    for age in range(how_many - 1, -1, -1):
        start = NOW - timedelta(days=age, minutes=30)
        names.append(start.strftime(ID_FORMAT))
        made = make_snapshot(folder / names[-1], CONTENTS)
        reseal(made, lambda manifest, start=start: with_end(manifest, start, skew_s, pages))  # type: ignore[misc]
    return names


def with_end(made: Manifest, start: datetime, skew_s: float, pages: int) -> Manifest:
    """Return the manifest of a run of ten minutes."""
    end = (start + timedelta(minutes=10)).isoformat()
    return msgspec.structs.replace(
        made,
        run=msgspec.structs.replace(made.run, started=start.isoformat(), finished=end),
        totals=msgspec.structs.replace(made.totals, pages=pages),
        observed={"clock_skew_s": skew_s},
    )


def pruned(folder: Path, now: datetime = NOW, *, is_dry: bool = False, **rules: int) -> list[str]:
    """Prune; return the names of what went, or would go."""
    removals = list(prune(folder, Retention(**rules), now=now, is_dry=is_dry))
    assert [removal.problem for removal in removals if removal.problem] == []
    return sorted(removal.name for removal in removals)


def test_by_number_and_by_age(tmp_path: Path) -> None:
    """What neither rule keeps goes, and nothing else does; a second time there is nothing left to do."""
    names = make_nights(tmp_path, 10)
    assert pruned(tmp_path, keep=3, keep_days=5) == names[:5]
    assert pruned(tmp_path, keep=3) == names[5:7]
    assert pruned(tmp_path, keep=3) == []
    assert sorted(snapshot_names(tmp_path)) == names[7:]


def test_dry_run(tmp_path: Path) -> None:
    """It says what would go, changes not a byte, and needs no lock."""
    names = make_nights(tmp_path, 5)
    with locked(tmp_path, started="2026-11-24T02:30:00Z"):
        before = tree_of(tmp_path)
        assert pruned(tmp_path, is_dry=True, keep=2) == names[:3]
        assert tree_of(tmp_path) == before
    assert pruned(tmp_path, keep=2) == names[:3]


def test_a_run_is_not_disturbed(tmp_path: Path) -> None:
    """While one holds the folder, nothing goes."""
    names = make_nights(tmp_path, 3)
    with locked(tmp_path, started="2026-11-24T02:30:00Z"), pytest.raises(LockedError, match="another run holds"):
        pruned(tmp_path, keep=1)
    assert sorted(snapshot_names(tmp_path)) == names


@pytest.mark.parametrize("ahead_days", [1, 400, 40_000])
def test_a_clock_that_is_ahead_makes_nothing_old(tmp_path: Path, ahead_days: int) -> None:
    """Ages count up to the newest run's end: what went is what that run would have removed."""
    names = make_nights(tmp_path, 6)
    assert pruned(tmp_path, NOW + timedelta(days=ahead_days), keep_days=3) == names[:3]


def test_a_clock_that_is_behind_keeps_more(tmp_path: Path) -> None:
    """What is newer than this machine thinks is neither removed nor counted."""
    names = make_nights(tmp_path, 6)
    assert pruned(tmp_path, NOW - timedelta(days=2), keep_days=2) == names[:2]


@pytest.mark.parametrize("unproven", [{"skew_s": 900.0}, {"pages": 0}])
def test_no_clock_that_is_borne_out(tmp_path: Path, unproven: dict[str, float]) -> None:
    """A corrected clock, or one that no answer has seen, makes nothing old, which is told; --keep still works."""
    names = make_nights(tmp_path, 4, **unproven)  # type: ignore[arg-type]
    (problem,) = prune(tmp_path, Retention(keep_days=1), now=NOW)
    assert "borne out" in (problem.problem or "")
    assert sorted(snapshot_names(tmp_path)) == names
    assert pruned(tmp_path, keep=2) == names[:2]


def test_what_is_relied_on_stays(tmp_path: Path) -> None:
    """The target of `latest`, the newest complete one, and the newest of all."""
    names = make_nights(tmp_path, 6)
    point_latest(tmp_path / names[0])
    for name in names[2:]:
        reseal(tmp_path / name, lambda made: msgspec.structs.replace(made, verdict="incomplete"))
    assert pruned(tmp_path, keep=1) == names[2:5]
    assert sorted(snapshot_names(tmp_path)) == [*names[:2], names[5]]


def test_no_rule(tmp_path: Path) -> None:
    """Without one nothing could be meant but all of it or nothing: exit 2."""
    make_nights(tmp_path, 2)
    with pytest.raises(UsageError, match="--keep"):
        pruned(tmp_path)


def test_nothing_there(tmp_path: Path) -> None:
    """An empty folder is no problem."""
    assert list(prune(tmp_path, Retention(keep=1, keep_days=1), now=NOW)) == []


def test_what_is_left_is_told(tmp_path: Path) -> None:
    """What is not ncrawl's keeps its place, and the removal says so."""
    names = make_nights(tmp_path, 2)
    (tmp_path / names[0] / "notes.txt").touch()
    (removal,) = prune(tmp_path, Retention(keep=1), now=NOW)
    assert isinstance(removal, Removal)
    assert "notes.txt" in (removal.problem or "")
