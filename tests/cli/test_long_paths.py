"""A path that is too long is told in a sentence, before the first request, whatever Python says of such paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crawler.cli import run

if TYPE_CHECKING:
    from pathlib import Path

NAME = "x" * 300
PATH = "x/" * 3000 + "x"


@pytest.mark.parametrize("path", [NAME, PATH, f"{NAME}/file", f"file/{NAME}"], ids=["name", "path", "folder", "below"])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["images", "-o", "PATH"], 74),
        (["images", "-o", "a", "--summary", "PATH"], 74),
        (["images", "--config", "PATH"], 2),
        (["images", "--registry-file", "PATH"], 2),
        (["snapshot", "PATH"], 2),
        (["snapshot", ".", "--retry-failed", "PATH"], 2),
        (["verify", "PATH"], 2),
        (["diff", "--assume-complete", "PATH", "file"], 2),
        (["diff", "--assume-complete", "file", "PATH"], 2),
        (["demo", "-o", "PATH"], 74),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else None,
)
def test_path_that_is_too_long(
    arguments: list[str],
    code: int,
    path: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """One sentence that names it, and the exit code of its kind; nothing is left behind."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    for name, value in {"HOME": str(tmp_path), "NCLOUD_ACCESS_KEY_ID": "a", "NCLOUD_SECRET_KEY": "b"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NCRAWL_GATEWAY", "http://127.0.0.1:9")
    assert run([path if each == "PATH" else each for each in arguments]) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert "bug" not in err
    assert path[:200] in err
    assert {entry.name for entry in tmp_path.iterdir()} <= {"file", ".ncrawl.lock"}
