"""What the doctor says of the storage that snapshots are pushed to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.night import a_night_here
from support.object_server import ObjectServer

from crawler.cli import run
from crawler.emulation import EmulatorOptions
from crawler.jobs.doctor.checks import Status
from crawler.jobs.doctor.storage import of_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

URL = "s3://bucket/prefix"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    """Return a good storage, which the environment knows."""
    with ObjectServer() as one:
        for name, value in one.environ.items():
            monkeypatch.setenv(name, value)
        yield one


def test_a_good_storage(server: ObjectServer) -> None:
    """It is written to, and nothing stays there."""
    assert of_store(URL).status is Status.OK
    assert not server.files


def test_what_keeps_a_push_from_working_only_warns(server: ObjectServer) -> None:
    """A run would do without, so a storage that lies or denies is a warning; a URL that is none ends a run."""
    server.ignores_conditions = frozenset({"if-match", "if-none-match"})
    check = of_store(URL)
    assert (check.status, check.exit_code) == (Status.WARNING, 0)
    assert "heeds no conditions" in check.detail
    server.misdeed = lambda _: 403
    check = of_store(URL)
    assert (check.status, check.exit_code) == (Status.WARNING, 0)
    assert "denies it (403 Wrong)" in check.detail
    assert "NEVERTOLD" not in check.detail
    check = of_store("ftp://host")
    assert (check.status, check.exit_code) == (Status.FAILED, 2)


def test_the_command_looks_at_it(
    server: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With --push, and only then, there is a check of the storage."""
    with a_night_here(tmp_path, monkeypatch, EmulatorOptions(registries=1, images=3)):
        assert run(["doctor"]) == 0
        assert "store:" not in capfd.readouterr().out
        assert run(["doctor", "--push", URL]) == 0
        assert f"store: {URL} can be written" in " ".join(capfd.readouterr().out.split())
    assert server.requests
