"""Which snapshot a path means, and which came before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.inventory import A, make_night, named_after, record

from crawler.core.errors import NcrawlError
from crawler.jobs.report.choosing import choose

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_means_its_newest(tmp_path: Path) -> None:
    """Also where `latest` is an older one; which that is, is known."""
    for nights_before in (2, 1, 0):
        make_night(tmp_path, {A: [record("a")]}, nights_before)
    (tmp_path / "latest").symlink_to(named_after(1))
    chosen = choose(tmp_path)
    assert chosen.snapshot.path.name == named_after(0)
    assert [path.name for path in chosen.earlier] == [named_after(2), named_after(1)]
    assert chosen.latest == named_after(1)


@pytest.mark.parametrize("is_link", [True, False])
def test_latest(is_link: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter
    """It is followed, be it a link or a file, and what is beside its target is its past."""
    for nights_before in (2, 1, 0):
        make_night(tmp_path, {A: [record("a")]}, nights_before)
    latest = tmp_path / "latest"
    latest.symlink_to(named_after(1)) if is_link else latest.write_text(named_after(1))
    chosen = choose(latest)
    assert chosen.snapshot.manifest
    assert chosen.snapshot.manifest.run.id == named_after(1)
    assert [path.name for path in chosen.earlier] == [named_after(2)]


def test_a_snapshot_that_is_alone(tmp_path: Path) -> None:
    """It has no past, and no `latest` beside it."""
    chosen = choose(make_night(tmp_path, {A: [record("a")]}))
    assert (chosen.earlier, chosen.latest) == ([], "")


@pytest.mark.parametrize(
    ("name", "sentence", "exit_code"),
    [
        ("empty", "holds no snapshot: make one with", 2),
        ("file", "is no folder", 2),
        ("absent", "is no folder", 2),
        ("damaged", "does not match|damaged", 3),
    ],
)
def test_what_is_no_snapshot(name: str, sentence: str, exit_code: int, tmp_path: Path) -> None:
    """One sentence about each, and its exit code."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    damaged = make_night(tmp_path, {A: [record("a")]}).rename(tmp_path / "damaged") / "manifest.json"
    damaged.write_bytes(damaged.read_bytes().replace(b'"images": 1', b'"images": 2'))
    with pytest.raises(NcrawlError, match=sentence) as raised:
        choose(tmp_path / name)
    assert raised.value.exit_code == exit_code
