"""What jobs announce, in the words of the command line: each at its level, and none without a word."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest
from support.standing import STANDING

from crawler.cli.logs import configure_logging
from crawler.cli.telling import teller
from crawler.core.model import Verdict
from crawler.engine.spec import CrawlResult
from crawler.jobs import events
from crawler.jobs.push.job import Pushed
from crawler.jobs.summary import manifest
from crawler.settings.table import Settings
from crawler.snapshot.manifest import RegionRecord, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from crawler.snapshot.manifest import Manifest

RESULT = CrawlResult([], [], None, None, rate_per_s=float("inf"))
FOLDER = Path("/snaps/20261126T020000Z")


def made(verdict: Verdict = Verdict.COMPLETE) -> Manifest:
    """Return a manifest of nothing, whose only region has a verdict."""
    import msgspec  # noqa: PLC0415 - only here

    run = Run(id=FOLDER.name, started="2026-11-26T02:00:00Z", finished="2026-11-26T02:01:00Z")
    found = manifest(RESULT, account="a", run=run, files=[])
    region = RegionRecord(region="kr", verdict=verdict, reason=None, registries=0)
    told = "complete" if verdict.is_good else "incomplete"
    return msgspec.structs.replace(found, regions=(region,), verdict=told)


TOLD: list[tuple[events.JobEvent, str]] = [
    (events.Warned("odd"), "ncrawl: warning: odd\n"),
    (events.Warned("x" * 400, is_whole=True), f"ncrawl: warning: {'x' * 400}\n"),
    (events.Noted("a detail"), "ncrawl: info: a detail\n"),
    (events.Told("good to know"), "good to know\n"),
    (events.ClientTaken("the best one"), "ncrawl: info: the best one\n"),
    (events.OutputKept("out", None), "ncrawl: warning: out is not replaced; nothing was had\n"),
    (
        events.OutputKept("out", Path("out.partial")),
        "ncrawl: warning: out is not replaced; what was had is in out.partial\n",
    ),
    (events.RunTakenUp("X", 3), "ncrawl: warning: resuming the run of X: 3 listings are finished\n"),
    (events.RunNamed(FOLDER.name), ""),
    (events.Heartbeat(STANDING), "ncrawl: info: 1 of 2 registries, 3 images, 4 requests/s\n"),
    (events.RunLeft(FOLDER), "ncrawl: warning: unfinished: do so and so\n"),
    (events.NothingHad("why"), "ncrawl: error: nothing was had, so no snapshot is published: why\n"),
    (events.SnapshotPublished(FOLDER), f"{FOLDER} is published; what follows changes no exit code\n"),
    (events.LatestSettled(FOLDER, made(), "there"), f"{FOLDER}: complete, 0 images; there\n"),
    (events.SnapshotRemoved(FOLDER), f"removed {FOLDER}\n"),
    (
        events.SnapshotPushed(Pushed(FOLDER.name, "s3://bucket/a/b", 1, 2000, "latest points to it", is_safe=True)),
        "s3://bucket/a/b: 1 file, 2,000 bytes sent; latest points to it\n",
    ),
    (
        events.RunEnded(RESULT, made, ()),
        "region  registries  complete  images  requests  retries  throttled  seconds\n",
    ),
]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """What standard error was told since the last time; the log is as it was afterwards."""
    log = logging.getLogger("ncrawl")
    before = log.handlers, log.propagate, log.level
    yield lambda: capsys.readouterr().err
    log.handlers, log.propagate = before[:2]
    log.setLevel(before[2])


@pytest.mark.parametrize(("event", "words"), TOLD)
def test_words(said: Callable[[], str], event: events.JobEvent, words: str) -> None:
    """With -v all of it is told."""
    settings = Settings(verbose=1)
    configure_logging(settings)
    teller(settings, "do so and so")(event)
    assert said() == words


def test_every_event_has_words() -> None:
    """A new one is not told by chance."""
    assert {type(event) for event, _ in TOLD} == {*get_args(events.JobEvent)}


def test_quiet_names_only_what_is_bad(said: Callable[[], str]) -> None:
    """A good night says nothing at all; a bad one what it lacks, in one line."""
    settings = Settings(quiet=True)
    configure_logging(settings)
    tell = teller(settings)
    for event, _ in TOLD:
        if not isinstance(event, events.NothingHad):
            tell(event)
    assert said() == ""
    tell(events.LatestSettled(FOLDER, made(Verdict.FAILED), "there"))
    lacking = "not every registry of kr could be listed; its manifest.json says what is missing"
    assert said() == f"ncrawl: error: {FOLDER} is incomplete: {lacking}\n"


def test_no_record_of_each_registry_where_nobody_asked(said: Callable[[], str]) -> None:
    """The manifest of a stream is made for JSON logs only."""
    asked: list[str] = []

    def make() -> Manifest:
        asked.append("manifest")
        return made()

    for log_format in ("text", "json"):
        settings = Settings(log_format=log_format)
        configure_logging(settings)
        teller(settings)(events.RunEnded(RESULT, make, ()))
        assert bool(asked) is (log_format == "json")
    assert '"event":"RunEnded"' in said()
