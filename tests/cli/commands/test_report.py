"""`ncrawl report`: a file that appears whole or not at all, and exit codes to script against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.inventory import A, B, make_night, named_after, record

from crawler.cli import run
from crawler.core.model import Verdict
from crawler.jobs.report.report import report

if TYPE_CHECKING:
    from pathlib import Path

    from support.snapshot_maker import Place

IMAGES: dict[Place, list[bytes]] = {A: [record("x"), record("한국어")]}


@pytest.mark.parametrize("name", ["report.html", "report.HTM", "report"])
def test_a_file(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It holds the page, and nothing else is said or left."""
    folder = tmp_path / "snapshots"
    make_night(folder, IMAGES)
    path = tmp_path / name
    path.write_text("yesterday's")
    assert run(["report", str(folder), "-o", str(path)]) == 0
    assert path.read_bytes() == report(folder).html
    assert tuple(capfd.readouterr()) == ("", "")
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted([name, "snapshots"])


@pytest.mark.parametrize("options", [(), ("-o", "-"), ("--output", "-")])
def test_standard_output(options: tuple[str, ...], tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Where it goes if nobody says otherwise; of a folder, its newest snapshot, and of an incomplete one as well."""
    make_night(tmp_path, IMAGES, 1)
    make_night(tmp_path, IMAGES, verdicts={B: Verdict.FAILED})
    assert run(["report", str(tmp_path), *options]) == 0
    assert capfdbinary.readouterr().out == report(tmp_path / named_after(0)).html


@pytest.mark.parametrize("name", ["report.html.gz", "report.pdf", "report.ndjson", "report.csv"])
def test_names_of_other_formats(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """They are refused: whoever reads them would take the page for something else."""
    make_night(tmp_path / "snapshots", IMAGES)
    assert run(["report", str(tmp_path / "snapshots"), "-o", str(tmp_path / name)]) == 2
    assert "let it end in .html" in capfd.readouterr().err
    assert not (tmp_path / name).exists()


def test_a_damaged_snapshot(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """One sentence, exit code 3, and the file stays as it was."""
    snapshot = make_night(tmp_path / "snapshots", IMAGES)
    data = (snapshot / "images.ndjson").read_bytes()
    (snapshot / "images.ndjson").write_bytes(data.replace(b'"x"', b'"y"'))
    path = tmp_path / "report.html"
    path.write_text("yesterday's")
    assert run(["report", str(snapshot), "-o", str(path)]) == 3
    assert path.read_text() == "yesterday's"
    told = capfd.readouterr().err
    assert told.count("\n") == 1
    assert "kr/team-a does not have its SHA-256" in told


def test_one_before_it_is_damaged(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The page is written and says so; so does the exit code."""
    for nights_before in range(25):
        make_night(tmp_path, IMAGES, nights_before)
    for nights_before in range(1, 25):
        path = tmp_path / named_after(nights_before) / "manifest.json"
        path.write_bytes(path.read_bytes().replace(b'"images": 2', b'"images": 3'))
    assert run(["report", str(tmp_path), "-o", str(tmp_path / "report.html")]) == 3
    told = capfd.readouterr().err.splitlines()
    assert len(told) == 21
    assert f"{named_after(24)}: manifest.json is damaged" in told[0]
    assert told[-1] == "ncrawl: warning: … and 4 more"
    assert b"Left out: " in (tmp_path / "report.html").read_bytes()


def test_what_is_no_snapshot(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """One sentence that says what to do, and exit code 2."""
    assert run(["report", str(tmp_path)]) == 2
    assert (
        capfd.readouterr().err == f"ncrawl: {tmp_path} holds no snapshot: make one with `ncrawl snapshot {tmp_path}`\n"
    )


def test_a_file_that_cannot_be_written(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It is found out before anything is read."""
    assert run(["report", str(tmp_path / "absent"), "-o", str(tmp_path / "no" / "report.html")]) == 74
    assert "No such file or directory" in capfd.readouterr().err
