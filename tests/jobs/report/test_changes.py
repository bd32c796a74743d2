"""What changed since the snapshot before: counted, some of it named, and unknown where nobody can know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from support.inventory import A, B, C, make_night, record
from support.snapshot_maker import reseal

from crawler.core.model import Verdict
from crawler.jobs.report.changes import Changes, Shown, changes
from crawler.jobs.report.choosing import choose

if TYPE_CHECKING:
    from pathlib import Path


def changed(folder: Path, **options: Any) -> Changes:
    """Compare the newest snapshot in a folder with the one before it."""
    chosen = choose(folder)
    return changes(chosen.earlier, chosen.snapshot, **options)


def test_each_change(tmp_path: Path) -> None:
    """Counted by level and by region; what a side lacks because it is not whole is unknown."""
    make_night(tmp_path, {A: [record("a"), record("b")], C: [record("x")]}, 1)
    make_night(tmp_path, {A: [record("b", v=1), record("c")], C: []}, verdicts={C: Verdict.DENIED})
    found = changed(tmp_path)
    assert dict(found.counts) == {
        ("image", "removed"): 1,
        ("image", "changed"): 1,
        ("image", "added"): 1,
        ("registry", "unknown"): 1,
        ("image", "unknown"): 1,
    }
    assert found.regions["sgn", "unknown"] == 2
    assert found.shown["removed"] == [Shown("removed", "image", "kr/team-a/a", ())]
    assert found.shown["changed"] == [Shown("changed", "image", "kr/team-a/b", ("v",))]
    assert found.shown["unknown"][0] == Shown("unknown", "registry", "sgn/team-c", ())


def test_pulls_are_no_change(tmp_path: Path) -> None:
    """What was pulled and nothing else is counted apart; what was pulled and pushed has changed."""
    make_night(tmp_path, {A: [record("a", pull_count=1), record("b", pull_count=1, last_updated=1)]}, 1)
    make_night(tmp_path, {A: [record("a", pull_count=2), record("b", pull_count=2, last_updated=2)]})
    found = changed(tmp_path)
    assert (found.pulled, found.counts.total()) == (1, 1)
    assert found.fields == {"pull_count": 2, "last_updated": 1}


def test_some_are_named_and_all_are_counted(tmp_path: Path) -> None:
    """So many of each change are kept, however many there are."""
    make_night(tmp_path, {A: [record(f"{n}") for n in range(5)]}, 1)
    make_night(tmp_path, {A: [], B: [record(f"{n}") for n in range(5)]})
    found = changed(tmp_path, most_shown=2)
    assert [len(found.shown[change]) for change in ("added", "removed")] == [2, 2]
    assert found.counts["image", "added"] == found.counts["image", "removed"] == 5


def test_the_first_snapshot(tmp_path: Path) -> None:
    """There is nothing to compare it with."""
    make_night(tmp_path, {A: [record("a")]})
    assert changed(tmp_path) == Changes()


def test_the_one_before_is_damaged(tmp_path: Path) -> None:
    """What was in it is unknown, and that it is damaged is said."""
    before = make_night(tmp_path, {A: [record("a")]}, 1)
    make_night(tmp_path, {A: [record("a")]})
    path = before / "images.ndjson"
    path.write_bytes(path.read_bytes().replace(b'"a"', b'"b"'))
    found = changed(tmp_path)
    assert found.is_damaged
    assert found.counts == {("registry", "unknown"): 1, ("image", "unknown"): 1}
    assert "does not have its SHA-256" in found.notes[0]


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    """Of two zones, or with a manifest that is damaged: no comparison, and the reason."""
    before = make_night(tmp_path, {A: [record("a")]}, 1)
    after = make_night(tmp_path, {A: [record("a")]})
    for snapshot, zone in ((before, "gov"), (after, "public")):
        reseal(snapshot, lambda made, zone=zone: replace(made, run=replace(made.run, options={"zone": zone})))  # type: ignore[misc]
    found = changed(tmp_path)
    assert (found.before, found.counts.total()) == (None, 0)
    assert "compare what is of one zone" in found.notes[0]
    (before / "manifest.json").write_bytes((before / "manifest.json").read_bytes()[:-3] + b"x}\n")
    assert "damaged" in changed(tmp_path).notes[0]
