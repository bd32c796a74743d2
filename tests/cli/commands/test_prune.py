"""`ncrawl prune` as a user meets it: words and exit codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.snapshot_maker import make_nights

from crawler.cli import run

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_prune(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """First what would go, then it goes, then there is nothing; standard output stays empty."""
    names = make_nights(tmp_path, 3)
    said = []
    for options in (["--dry-run"], [], []):
        assert run(["prune", str(tmp_path), "--keep", "1", *options]) == 0
        out, err = capfd.readouterr()
        assert out == ""
        said.append(sorted(err.splitlines()))
    assert said[0] == [f"would remove {tmp_path / name}" for name in names[:2]]
    assert said[1] == [f"removed {tmp_path / name}" for name in names[:2]]
    assert said[2] == [f"nothing to remove in {tmp_path}"]


def test_rules_from_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable that a nightly run heeds holds here as well."""
    names = make_nights(tmp_path, 3)
    monkeypatch.setenv("NCRAWL_KEEP", "2")
    assert run(["prune", str(tmp_path), "--quiet"]) == 0
    assert sorted(path.name for path in tmp_path.glob("2*")) == names[1:]


def test_what_cannot_be_pruned(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Without a rule and without a folder exit 2; what is left of a snapshot is exit 3, and told."""
    names = make_nights(tmp_path, 2)
    assert run(["prune", str(tmp_path)]) == 2
    assert run(["prune", str(tmp_path / "missing"), "--keep", "1"]) == 2
    (tmp_path / names[0] / "notes.txt").touch()
    assert run(["prune", str(tmp_path), "--keep", "1"]) == 3
    assert "notes.txt in it is not ncrawl's" in capfd.readouterr().err
