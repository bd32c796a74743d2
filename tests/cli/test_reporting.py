"""Reports of a run: both pings, the metrics, whatever ends it; and that none of them changes how it ends."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING, Any

import pytest
from anyio.from_thread import start_blocking_portal
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families
from support.lists import result_of
from support.raw_server import RawServer, answer
from support.snapshot_maker import make_snapshot

from crawler.api.collections import REGISTRIES
from crawler.cli.logs import configure_logging
from crawler.cli.reporting import MOST_LINES, LastLines, Report, reported
from crawler.core.errors import LockedError, OutputError
from crawler.core.model import Verdict
from crawler.core.secret import KeyPair, Secret
from crawler.engine.spec import CrawlResult
from crawler.jobs.ping import body_of
from crawler.jobs.summary import manifest
from crawler.settings.credentials import Credentials, FoundKeys
from crawler.settings.table import Settings
from crawler.snapshot.manifest import Run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "SENTINEL-secret-9b7c3e"
KEYS = FoundKeys(Credentials(KeyPair(Secret("SENTINEL-access-5d1f9a"), Secret(SECRET), "a test")), account="team")
LISTED = result_of("team-a", 3, page_size=300, requests=2)
RUN = Run(id="x", started="2026-01-01T00:00:00.000Z", finished="2026-01-01T00:00:10.000Z")
LIST = replace(LISTED, collection=REGISTRIES, within=())
LOST = replace(LISTED, within=("b",), verdict=Verdict.FAILED, reason=f"500 {SECRET}", records=0)
ENDED = CrawlResult([LISTED, LOST], [LIST], stop=None, stop_reason=None, rate_per_s=inf)
MADE = manifest(ENDED, account="team", run=RUN, files=[])


class Monitor:
    """A server that takes pings in a thread of its own, and keeps what it is told."""

    def __init__(self, server: RawServer) -> None:
        self._server = server
        self.url = f"{server.url}/TOKEN"

    @property
    def sizes(self) -> list[str]:
        """How large the body of each ping is."""
        return [request.headers.get("content-length", "") for request in self._server.requests]

    @property
    def told(self) -> list[str]:
        """Method and target of each ping."""
        return [request.head.decode().partition(" HTTP")[0] for request in self._server.requests]


@contextmanager
def monitor(status: str = "200 OK") -> Iterator[Monitor]:
    """Give a monitor that answers so."""
    server = RawServer(answer(b"", "Connection: close", status=status))
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(server):
        yield Monitor(server)


@pytest.fixture(autouse=True)
def log() -> Iterator[None]:
    """Configure the log as a command does, and leave it as it was."""
    log = logging.getLogger("ncrawl")
    before = log.handlers, log.propagate, log.level
    configure_logging(Settings())
    yield
    log.handlers, log.propagate = before[:2]
    log.setLevel(before[2])


def good(report: Report) -> int:
    """Act as a command that ends well."""
    report.found(KEYS)
    report.ended(ENDED, MADE)
    return 0


def metrics(path: Path) -> dict[str, float]:
    """Return what the file says, by name, of what has no label but the account's, which is checked."""
    families = text_string_to_metric_families(path.read_text())
    samples = [one for family in families for one in family.samples if set(one.labels) == {"account"}]
    return {one.name: one.value for one in samples if one.labels["account"] == "team"}


def test_a_run_that_ends_well(tmp_path: Path) -> None:
    """Start, success, metrics with the snapshots that there are; the exit code is the command's."""
    make_snapshot(tmp_path / "20261123T020000Z", {})
    with monitor() as one:
        settings = Settings(ping=one.url, metrics_file=str(tmp_path / "x.prom"))
        assert reported(settings, good, tmp_path) == 0
        assert one.told == ["GET /TOKEN/start", "POST /TOKEN"]
    found = metrics(tmp_path / "x.prom")
    assert found["ncrawl_last_run_exit_code"] == 0
    assert found["ncrawl_last_success_timestamp_seconds"] >= found["ncrawl_last_run_timestamp_seconds"]
    assert found["ncrawl_snapshots_kept"] == 1
    assert 'ncrawl_images{account="team",region="kr"} 3\n' in (tmp_path / "x.prom").read_text()


@pytest.mark.parametrize(
    ("error", "code"),
    [(LockedError("held"), 75), (OutputError("x", OSError(28, "")), 74), (ZeroDivisionError(), 1)],
    ids=["locked", "disk", "bug"],
)
def test_a_run_that_ends_by_an_error(tmp_path: Path, error: Exception, code: int) -> None:
    """It is told as what it will end with, and goes on to whoever makes an exit code of it."""

    def bad(_report: Report) -> int:
        raise error

    with monitor() as one:
        settings = Settings(ping=one.url, metrics_file=str(tmp_path / "x.prom"), account="team")
        with pytest.raises(type(error)):
            reported(settings, bad)
        assert one.told == ["GET /TOKEN/start", "POST /TOKEN/fail"]
    assert metrics(tmp_path / "x.prom")["ncrawl_last_run_exit_code"] == code


def test_what_a_ping_says() -> None:
    """The exit code, the log's last lines, what is missing and why; nothing of a key."""
    report = Report(None)

    def bad(given: Report) -> int:
        nonlocal report
        report = given
        given.found(KEYS)
        logging.getLogger("ncrawl").warning("kr is held")
        given.ended(ENDED, MADE)
        return 3

    with monitor() as one:
        assert reported(Settings(ping=one.url), bad) == 3
        assert one.told[1] == "POST /TOKEN/fail"
        body = body_of(3, report.log.lines, report.secrets)
        assert one.sizes[1] == str(len(body))
    assert SECRET.encode() not in body
    assert list(report.log.lines) == ["warning: kr is held", "incomplete, 3 images", f"kr/b: failed: 500 {SECRET}"]
    assert report.secrets == ("SENTINEL-access-5d1f9a", SECRET)


@pytest.mark.parametrize("place", ["nowhere/x.prom", "."])
def test_reports_that_fail_are_warnings(tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str) -> None:
    """A monitor that refuses and a file that cannot be written change nothing, and are said, without the URL."""
    configure_logging(Settings())
    with monitor("500 Oops") as one:
        settings = Settings(ping=one.url, metrics_file=os.path.join(tmp_path, place))  # noqa: PTH118 - keeps the dot
        assert reported(settings, good) == 0
    told = capsys.readouterr().err
    assert "warning: --metrics-file: cannot write" in told
    assert told.count("was not told of the ") == 2
    assert "TOKEN" not in told


def test_nobody_wants_a_report() -> None:
    """Then nothing is done but the command."""
    seen: list[Any] = []
    assert reported(Settings(), lambda report: seen.append(report) or 7) == 7  # type: ignore[func-returns-value]
    assert [handler for handler in logging.getLogger("ncrawl").handlers if handler is seen[0].log] == []


def test_the_last_lines_of_a_log() -> None:
    """They are kept as text, in their order, whatever form the log has; what is older goes."""
    log = logging.getLogger("a test's")
    kept = LastLines()
    log.addHandler(kept)
    for number in range(MOST_LINES + 5):
        log.warning("line %d", number)
    assert len(kept.lines) == MOST_LINES
    assert (kept.lines[0], kept.lines[-1]) == ("warning: line 5", f"warning: line {MOST_LINES + 4}")
