"""How an inventory grew, out of manifests alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.inventory import A, B, make_night, named_after, record
from support.snapshot_maker import as_format_1

from crawler.core.model import Verdict
from crawler.jobs.report.choosing import choose
from crawler.jobs.report.history import history, moment
from crawler.snapshot.manifest import read

if TYPE_CHECKING:
    from pathlib import Path

    from crawler.jobs.report.history import History


def past(folder: Path) -> History:
    chosen = choose(folder)
    assert chosen.snapshot.manifest
    return history(chosen.earlier, chosen.snapshot.manifest)


def test_a_point_for_each_snapshot(tmp_path: Path) -> None:
    """Oldest first, with what each says of itself; the data files are not looked at."""
    for nights_before in (2, 0, 1):
        images = [record(f"{n}") for n in range(3 - nights_before)]
        snapshot = make_night(
            tmp_path, {A: images}, nights_before, verdicts={B: Verdict.FAILED} if nights_before else None
        )
        (snapshot / "images.ndjson").unlink()
    points, problems = past(tmp_path)
    assert problems == []
    assert [(one.id, one.images, one.registries, one.verdict) for one in points] == [
        (named_after(2), 1, 2, "incomplete"),
        (named_after(1), 2, 2, "incomplete"),
        (named_after(0), 3, 1, "complete"),
    ]
    assert {(one.seconds, one.tags) for one in points} == {(33.0, None)}
    assert all(one.bytes for one in points)


def test_format_1(tmp_path: Path) -> None:
    """It does not say how long it took, but when it began and ended."""
    as_format_1(make_night(tmp_path, {A: [record("a")]}, 1))
    make_night(tmp_path, {A: [record("a")]})
    assert [one.seconds for one in past(tmp_path).points] == [33.0, 33.0]


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    """One that is damaged leaves no point, and a sentence."""
    damaged = make_night(tmp_path, {A: [record("a")]}, 1) / "manifest.json"
    damaged.write_bytes(damaged.read_bytes().replace(b'"images": 1', b'"images": 2'))
    make_night(tmp_path, {A: [record("a")]})
    points, problems = past(tmp_path)
    assert [one.id for one in points] == [named_after(0)]
    assert len(problems) == 1
    assert named_after(1) in problems[0]


def test_times_need_a_zone() -> None:
    """Else nobody knows when it was."""
    with pytest.raises(ValueError, match="has no zone"):
        moment("2026-11-23T02:00:00")


def test_later_ones_are_no_history(tmp_path: Path) -> None:
    """Of a snapshot that is named, what came after it is not told."""
    make_night(tmp_path, {A: []})
    older = make_night(tmp_path, {A: []}, 1)
    assert [one.id for one in history(choose(older).earlier, read(older)).points] == [named_after(1)]
