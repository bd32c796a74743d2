"""`ncrawl snapshot --push`, `ncrawl push`, and what they say."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import anyio
import pytest
from support.night import ROOT, a_night_here
from support.object_server import ObjectServer
from support.snapshot_maker import image, make_nights, make_snapshot

from crawler.cli import run
from crawler.emulation import EmulatorOptions
from crawler.jobs.events import Warned
from crawler.jobs.push.backlog import push_made
from crawler.snapshot.folder.retention import snapshot_names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.night import Night

URL = "s3://bucket/prefix"
LATEST = "prefix/default/latest.json"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    """Return a good storage, which the environment knows."""
    with ObjectServer() as one:
        for name, value in one.environ.items():
            monkeypatch.setenv(name, value)
        yield one


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Night]:
    """Return a small account."""
    with a_night_here(tmp_path, monkeypatch, EmulatorOptions(registries=1, images=10)) as night:
        yield night


def _pushed(server: ObjectServer) -> list[str]:
    """Return the names of the snapshots that are whole in the storage."""
    return sorted(name.split("/")[-2] for name in server.files if name.endswith("/manifest.json"))


def _latest(server: ObjectServer) -> str:
    return str(json.loads(server.files[LATEST].data)["snapshot"])


def test_a_nightly_run_pushes_what_it_made(
    night: Night, server: ObjectServer, capfd: pytest.CaptureFixture[str]
) -> None:
    """With --push the snapshot is in the storage after the run, `latest.json` names it, and the run says so."""
    assert night.snapshot("--push", URL) == 0
    [name] = _pushed(server)
    assert name == _latest(server) == night.newest().name
    assert f"{URL}/default/{name}: 2 files" in capfd.readouterr().err


def test_a_storage_that_fails_changes_no_exit_code(
    night: Night, server: ObjectServer, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A push that fails warns; the next run pushes what was left over as well, oldest first, and nothing older."""
    monkeypatch.setenv("NCRAWL_PUSH", URL)
    server.misdeed = lambda _: 403
    assert night.snapshot() == night.snapshot() == 0
    told = capfd.readouterr().err
    assert "--push: cannot write s3://bucket/prefix/default" in told
    assert "the next run tries again" in told
    assert "NEVERTOLD" not in told
    server.misdeed = lambda _: None
    assert night.snapshot() == 0
    assert _pushed(server) == sorted(snapshot_names(night.folder))
    assert _latest(server) == night.newest().name
    assert len(server.of("PUT", "latest.json")) == 3
    oldest = _pushed(server)[0]
    server.files = {name: file for name, file in server.files.items() if oldest not in name}
    assert night.snapshot() == 0
    assert oldest not in _pushed(server)


def test_keys_of_the_storage_are_in_no_sink(
    night: Night, server: ObjectServer, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Not in a log that says all, nor in a summary, nor in what is pushed, whether it goes well or not."""
    for wrong in (None, 403):
        server.misdeed = lambda _, wrong=wrong: wrong  # type: ignore[misc]
        summary = tmp_path / "summary.json"
        assert night.snapshot("--push", URL, "-vv", "--log-format", "json", "--summary", str(summary)) == 0
        told = capfd.readouterr()
        kept = [path.read_text() for path in (summary, night.newest() / "manifest.json")]
        assert "NEVERTOLD" not in "".join((told.out, told.err, *kept))
    assert not any(b"NEVERTOLD" in stored.data for stored in server.files.values())


def test_what_cannot_be_pushed_to_is_refused_before_a_request(night: Night, capfd: pytest.CaptureFixture[str]) -> None:
    """A URL that cannot be used ends the run at once, with exit 2, and is not shown where it may hold a key."""
    for url, words in (
        ("ftp://host/prefix", "no place for snapshots"),
        ("s3://user:SECRET@bucket/prefix", "not shown"),
        ("s3://bucket/prefix?sig=SECRET", "not shown"),
        ("s3://bucket//prefix", "empty part"),
    ):
        assert night.snapshot("--push", url) == 2
        told = capfd.readouterr().err
        assert words in told
        assert "SECRET" not in told
    assert night.account.statistics.requests == 0


async def test_a_storage_that_hangs_holds_up_no_deadline(server: ObjectServer, tmp_path: Path) -> None:
    """What is not pushed in time is left, with a warning, to the next run."""
    server.misdeed = lambda _: "hang"
    made = make_snapshot(tmp_path / "20261123T020000Z", {("default", "kr", "a"): [image("x")]})
    told: list[object] = []
    with anyio.fail_after(20):
        await push_made(tmp_path, URL, made.name, within_s=0.3, observe=told.append)
    [warning] = told
    assert isinstance(warning, Warned)
    assert "there was no time left" in warning.text


def test_a_storage_that_hangs_holds_up_no_signal(server: ObjectServer) -> None:
    """SIGTERM ends a command that waits for a storage at once."""
    server.misdeed = lambda _: "hang"
    command = [sys.executable, "-m", "crawler", "verify", f"{URL}/default/latest"]
    with subprocess.Popen(command, env=os.environ | server.environ, cwd=ROOT) as process:
        until_s = time.monotonic() + 30
        while not server.requests and time.monotonic() < until_s:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 143


def test_push_says_what_it_did(server: ObjectServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Of a folder its latest is pushed, with --all every one that is not there; again, there is nothing to do."""
    names = make_nights(tmp_path, 3)
    (tmp_path / "latest").symlink_to(names[-1])
    assert run(["push", str(tmp_path), URL]) == 0
    assert _pushed(server) == names[-1:]
    assert run(["push", "--all", str(tmp_path), URL]) == 0
    assert _pushed(server) == names
    assert _latest(server) == names[-1]
    assert run(["push", "--all", str(tmp_path), URL]) == 0
    assert f"{URL} has every snapshot of {tmp_path}" in capfd.readouterr().err
    assert run(["push", str(tmp_path / names[0]), URL]) == 0
    assert "nothing was to be sent; latest points to it, or a newer one" in capfd.readouterr().err


def test_one_that_is_damaged_does_not_keep_the_others(
    server: ObjectServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """With --all those that are whole are pushed, and the exit code is 3."""
    names = make_nights(tmp_path, 3)
    (tmp_path / names[0] / "images.ndjson").write_bytes(b"damaged")
    (tmp_path / names[1] / "manifest.json").write_bytes(b'{\n  "format": 2}')
    assert run(["push", "--all", str(tmp_path), URL]) == 3
    assert _pushed(server) == names[2:]
    assert "damaged" in capfd.readouterr().err


def test_a_liar_is_told_of(server: ObjectServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Whoever pushes to a storage that heeds no conditions learns it."""
    server.ignores_conditions = frozenset({"if-match", "if-none-match"})
    [name] = make_nights(tmp_path, 1)
    assert run(["push", str(tmp_path / name), URL]) == 0
    assert "heeds no conditions" in capfd.readouterr().err


def test_errors_of_the_command(server: ObjectServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """No snapshot is exit 2, a storage that refuses 74; the sentence says which."""
    assert run(["push", str(tmp_path / "none"), URL]) == 2
    [name] = make_nights(tmp_path, 1)
    server.misdeed = lambda _: 403
    assert run(["push", str(tmp_path / name), URL]) == 74
    told = capfd.readouterr().err
    assert "denies it (403 Wrong): check its keys" in told
    assert "NEVERTOLD" not in told
