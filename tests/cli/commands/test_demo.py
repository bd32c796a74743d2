"""What a newcomer runs first."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from crawler.cli import run
from crawler.emulation.options import REGIONS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, without keys and settings anywhere near."""
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    return tmp_path


def test_demo_needs_nothing_and_leaves_a_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without keys it crawls three regions, leaves demo.ndjson and says what it is and what to do next."""
    assert run(["demo"]) == 0
    images = [json.loads(line) for line in (here / "demo.ndjson").read_text().splitlines()]
    assert len({(one["region"], one["registry"], one["name"]) for one in images}) == len(images) == 3000
    assert {one["region"] for one in images} == {region.code for region in REGIONS}
    out, err = capsys.readouterr()
    assert out == ""
    assert all(f"{region.code} " in err for region in REGIONS)
    assert all(word in err for word in ("demo.ndjson holds one image a line", "With your own"))


def test_demo_to_a_compressed_file_shows_its_name_only(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that cannot be read as it is is only named; --quiet says nothing at all."""
    assert run(["demo", "-o", "demo.ndjson.zst"]) == 0
    assert "holds one image a line" not in capsys.readouterr().err
    assert run(["demo", "-q", "-o", "demo.ndjson.zst"]) == 0
    assert capsys.readouterr().err == ""
    assert (here / "demo.ndjson.zst").stat().st_size > 1000


def test_demo_in_a_folder_that_is_gone(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 74 and a sentence, for its file has no place to be."""
    (here / "gone").mkdir()
    os.chdir(here / "gone")
    (here / "gone").rmdir()
    assert run(["demo", "-q"]) == 74
    assert capsys.readouterr().err == "ncrawl: cannot write demo.ndjson: No such file or directory\n"


def test_demo_help_names_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    """The default that the help gives is the one that applies here, not that of `images`."""
    assert run(["demo", "--help"]) == 0
    out = capsys.readouterr().out
    assert "NCRAWL_OUTPUT; default: demo.ndjson]" in " ".join(out.split())


def test_settings_for_the_real_account_do_not_concern_the_demo(
    here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whoever has a zone, regions and a proxy in environment or file still gets three regions, past the proxy."""
    (here / "ncrawl.toml").write_text('zone = "gov"\nregion = ["krs"]\ndeadline = "1s"\n')
    monkeypatch.setenv("NCRAWL_CONFIG", "ncrawl.toml")
    monkeypatch.setenv("NCRAWL_TRUST_ENV", "true")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert run(["demo", "-q", "-o", "-"]) == 0
    assert len(capfd.readouterr().out.splitlines()) == 3000


def test_demo_to_standard_output(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """`-o -` gives lines to pipe on, and nothing but lines."""
    assert run(["demo", "-q", "-o", "-"]) == 0
    out, err = capfd.readouterr()
    assert len([json.loads(line) for line in out.splitlines()]) == 3000
    assert err == ""
    assert list(here.iterdir()) == []
