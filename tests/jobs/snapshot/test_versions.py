"""Snapshots over version 3 of the API: proved, resumed and mended like others, never mixed with those of version 2."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.night import Night, a_night_here, checked

from crawler.emulation import EmulatorOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORLD = EmulatorOptions(api="v3", registries=5, images=400)


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Night]:
    """Serve an account over version 3."""
    with a_night_here(tmp_path, monkeypatch, WORLD) as night:
        yield night


def test_a_snapshot_over_version_3(night: Night) -> None:
    """It is verified like any other, says which version it is of, and has the fields of that."""
    assert night.snapshot() == 0
    made = checked(night.newest())
    assert (made.verdict, made.totals.images) == ("complete", 400)
    assert (made.run.options["api"], made.run.options["gateway"]) == ("v3", night.account.url.split(","))
    line = json.loads((night.newest() / "images.ndjson").read_bytes().split(b"\n")[0])
    assert line["registryName"] == line["registry"]
    assert line["lastPushedDateTime"].endswith("Z")


def test_two_snapshots_are_the_same_bytes(night: Night) -> None:
    """Whatever was added to the files of version 2 goes for those of version 3 as well."""
    assert (night.snapshot(), night.snapshot("--page-size", "7")) == (0, 0)
    first, second = ((night.folder / name / "images.ndjson").read_bytes() for name in night.names())
    assert first == second


def interrupt(night: Night) -> None:
    """Let a run be ended by a signal when it has had some answers."""
    started = night.start("--concurrency", "1", "--page-size", "10")
    night.account.on_request = lambda requests: started.terminate() if requests == 12 else None
    output, _ = started.communicate()
    night.account.on_request = None
    assert (started.returncode, "to go on" in output) == (143, True)


def test_a_run_is_taken_up_with_its_version_and_gateways(night: Night) -> None:
    """They were given, so they are the same; the other version is another run's."""
    interrupt(night)
    done = night.finished()
    assert done
    assert night.snapshot("--resume") == 0
    made = checked(night.newest())
    assert (made.run.options["api"], bool(made.run.resumed), made.run.options["page_size"]) == ("v3", True, 10)


def test_another_version_takes_up_nothing(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """One output never holds records of both: neither a resumed run nor one that mends a snapshot."""
    interrupt(night)
    asked = ("--api", "v2", "--gateway", night.account.urls["kr"])
    assert night.snapshot("--resume", *asked) == 2
    assert "--api was v3 and is v2" in capsys.readouterr().err
    assert night.snapshot() == 0
    assert night.snapshot("--retry-failed", night.names()[-1], *asked) == 2
    assert "is of another version of the API: --api v2 cannot mend it" in capsys.readouterr().err
    assert night.account.statistics.requests == 0


def test_a_folder_does_not_decide_where_requests_go(
    night: Night, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Gateways that are not the provider's have to be given again, each of them."""
    interrupt(night)
    monkeypatch.delenv("NCRAWL_GATEWAY")
    night.account.forget()
    assert night.snapshot("--resume") == 2
    assert "which a folder does not decide: give it again" in capsys.readouterr().err
    assert night.account.statistics.requests == 0
