"""Logs: one line an event, as text or JSON, at the level that it deserves, and never steered from outside."""

from __future__ import annotations

import io
import json
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import msgspec
import pytest
from support.lists import list_of
from support.standing import STANDING

from crawler.api.collections import IMAGES, TAGS
from crawler.cli.logs import complain, configure_logging, log_event, name_run, say, tell_end, tell_standing
from crawler.core.events import (
    Event,
    FieldOverridden,
    ListingEnded,
    RegionReleased,
    RunStopped,
    Throttled,
    TryFailed,
)
from crawler.core.model import Verdict
from crawler.engine.spec import CrawlResult, StopReason
from crawler.engine.standing import Proving
from crawler.jobs.events import RunEnded
from crawler.jobs.progress import Throttled as Throttling
from crawler.settings.table import Settings
from crawler.snapshot.manifest import Manifest, Run, Tool
from crawler.snapshot.totals import Totals, VerdictCounts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RESULT = CrawlResult([], [], None, None, rate_per_s=float("inf"))
HOSTILE = "\x1b[2J\u202eeno\r\nncrawl: error: forged\x00"
EVENTS: list[Event] = [
    TryFailed("kr", *list_of("team-a"), 2, "500/900 Unexpected Error", 1.25),
    TryFailed("kr", *list_of(None), 1, "timed out", None),
    Throttled("sgn", "429/410 Throttle Limited", 25.0),
    ListingEnded("jpn", *list_of("team-b"), Verdict.COMPLETE, None, 12),
    ListingEnded("jpn", *list_of("team-c"), Verdict.INCOMPLETE, "page 3: reset", 7),
    FieldOverridden("kr", *list_of("team-a")),
    RunStopped("stopped by SIGINT"),
]


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Log into a text: give settings and something that logs; get what was written."""
    log = logging.getLogger("ncrawl")
    before = log.handlers, log.propagate, log.level

    def collect(act: Callable[[], object], *, is_of_run: bool = False, **settings: Any) -> str:
        stream = io.StringIO()
        monkeypatch.setattr("sys.stderr", stream)
        configure_logging(Settings(**settings), is_of_run=is_of_run)
        act()
        return stream.getvalue()

    yield collect
    log.handlers, log.propagate = before[:2]
    log.setLevel(before[2])


def log_all() -> None:
    for event in EVENTS:
        log_event(event)


def test_text(logged: Callable[..., str]) -> None:
    """At -vv everything is told, in words that say what, where, and what comes next."""
    assert logged(log_all, verbose=2).splitlines() == [
        "ncrawl: info: kr/team-a: page 2: 500/900 Unexpected Error; again in 1.2 s",
        "ncrawl: debug: kr, list of registries: page 1 is given up: timed out",
        "ncrawl: info: sgn: 429/410 Throttle Limited; slowing down to 25.0 requests a second",
        "ncrawl: debug: jpn/team-b: complete, 12 found",
        "ncrawl: info: jpn/team-c: incomplete, 7 found: page 3: reset",
        "ncrawl: warning: kr/team-a sent account, region or registry in a record; ours take their place",
        "ncrawl: warning: stopping: stopped by SIGINT",
    ]


@pytest.mark.parametrize(
    ("settings", "lines"), [({}, 2), ({"verbose": 1}, 5), ({"verbose": 2}, 7), ({"quiet": True}, 0)]
)
def test_levels(logged: Callable[..., str], settings: dict[str, Any], lines: int) -> None:
    """Usually what the user has to know, with -v what went wrong on the way, with -vv everything, with -q nothing."""
    assert len(logged(log_all, **settings).splitlines()) == lines


@pytest.mark.parametrize("stop", [StopReason.KEY_REFUSED, StopReason.QUOTA])
def test_a_refusal_is_an_error(logged: Callable[..., str], stop: StopReason) -> None:
    """What ends with exit 4 is told with -q too: nothing that repeats by itself will mend it."""
    reason = f"{stop.value}: 401/200 Authentication Failed"
    assert logged(lambda: log_event(RunStopped(reason)), quiet=True) == f"ncrawl: error: stopping: {reason}\n"


def test_json_tells_what_is_missing(logged: Callable[..., str]) -> None:
    """No table follows JSON lines, so each registry that is not complete is told there, with its reason."""
    told = [json.loads(line) for line in logged(log_all, log_format="json").splitlines()]
    endings = [(line["level"], line["registry"], line["reason"]) for line in told if line["event"] == "ListingEnded"]
    assert endings == [("warning", "team-c", "page 3: reset")]


def test_json(logged: Callable[..., str]) -> None:
    """Each line is an object with time, level, message and the event's own fields."""
    lines = [json.loads(line) for line in logged(log_all, verbose=2, log_format="json").splitlines()]
    assert [line["event"] for line in lines] == [type(event).__name__ for event in EVENTS]
    assert lines[0] == {
        "time": lines[0]["time"],
        "level": "info",
        "message": "kr/team-a: page 2: 500/900 Unexpected Error; again in 1.2 s",
        "event": "TryFailed",
        "region": "kr",
        "registry": "team-a",
        "page": 2,
        "reason": "500/900 Unexpected Error",
        "pause_s": 1.25,
    }
    assert lines[0]["time"].endswith("Z")
    assert lines[4]["verdict"] == "incomplete"


def test_a_deeper_list_is_told_by_all_that_it_is_within(logged: Callable[..., str]) -> None:
    """As people write it, and in JSON with a field for each name."""
    event = TryFailed("kr", TAGS, ("team-a", "auth/ledger"), 1, "timed out", 1.0)
    line = json.loads(logged(lambda: log_event(event), verbose=2, log_format="json"))
    assert line["message"] == "kr/team-a/auth/ledger: page 1: timed out; again in 1.0 s"
    assert list(line)[3:] == ["event", "region", "registry", "image", "page", "reason", "pause_s"]
    assert (line["registry"], line["image"]) == ("team-a", "auth/ledger")


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize(
    "event",
    [
        TryFailed("kr", *list_of(HOSTILE), 2, HOSTILE, 1.0),
        ListingEnded("kr", *list_of("\ud800"), Verdict.FAILED, HOSTILE, 0),
        ListingEnded("kr", *list_of("x" * 100_000), Verdict.FAILED, "y" * 100_000, 0),
        RunStopped(HOSTILE),
    ],
    ids=["try", "half a pair", "long", "stop"],
)
def test_hostile_text_stays_one_visible_line(logged: Callable[..., str], event: Event, log_format: str) -> None:
    """No name and no message of a server's forges a line, steers a terminal or floods a log (V1, V2)."""
    text = logged(lambda: log_event(event), verbose=2, log_format=log_format)
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert text[:-1].isprintable()
    assert len(text) < 2000
    if log_format == "json":
        json.loads(text)


def test_every_event_can_be_told(logged: Callable[..., str]) -> None:
    """No kind of event is without words."""

    def log_each() -> None:
        for kind in get_args(Event):
            values: dict[str, Any] = {"region": "kr", "reason": "why", "verdict": Verdict.COMPLETE}
            values |= {
                "page": 1,
                "rate_per_s": 1.0,
                "skew_s": 2.0,
                "silent_s": 62.0,
                "records": 0,
                "collection": IMAGES,
                "within": ("a",),
            }
            log_event(kind(**{name: values.get(name) for name in kind.__struct_fields__}))

    assert len(logged(log_each, verbose=2).splitlines()) == len(get_args(Event))


@pytest.mark.parametrize(("verdict", "level"), [("complete", "info"), ("incomplete", "warning")])
def test_end_of_a_run(logged: Callable[..., str], verdict: Any, level: str) -> None:
    """A collector of JSON lines is told how the run ended, at whatever level it listens; people get tables."""
    totals = Totals(
        registries=VerdictCounts(complete=2), images=1500, pages=3, requests=4, retries=0, throttled=0, bytes=9
    )
    whole = Manifest(
        tool=Tool(name="ncrawl", version="0"),
        run=Run(id="x", started="", finished=""),
        verdict=verdict,
        totals=totals,
        files=(),
        registries=(),
        regions=(),
    )
    as_json = Settings(log_format="json")
    ended = RunEnded(RESULT, lambda: whole, (), path=Path("/snaps/x"), seconds=12.3456, exit_code=3)
    line = json.loads(logged(lambda: tell_end(as_json, ended, "a table"), log_format="json"))
    assert (line["event"], line["level"], line["message"]) == ("RunEnded", level, f"{verdict}, 1,500 images")
    assert (line["seconds"], line["exit_code"], line["output"]) == (12.346, 3, "/snaps/x")
    assert line["totals"]["registries"]["complete"] == 2
    assert logged(lambda: tell_end(Settings(), ended, "a table")) == "a table\n"
    for quiet in (Settings(log_format="json", quiet=True), Settings(quiet=True)):
        assert logged(lambda quiet=quiet: tell_end(quiet, ended, "a table")) == ""


def test_what_is_said_to_people_is_lines_of_json_too(logged: Callable[..., str]) -> None:
    """Where a collector reads standard error, each line of it is an object; --quiet says nothing."""
    text = "holds one image a line:\n\n{}\n"
    assert logged(lambda: say(Settings(), text)) == f"{text}\n"
    lines = logged(lambda: say(Settings(log_format="json"), text), log_format="json").splitlines()
    assert [json.loads(line)["message"] for line in lines] == ["holds one image a line:", "{}"]
    assert logged(lambda: say(Settings(quiet=True), text)) == ""


def test_complaints_are_visible(logged: Callable[..., str]) -> None:
    """A path with controls in its name does not steer the terminal that is told of it (V1)."""
    text = logged(lambda: complain("a\x1b[31m\u202eb\rc: No such file"))
    assert text == "ncrawl: a\\x1b[31m\\u202eb\\rc: No such file\n"


def test_complaints(logged: Callable[..., str]) -> None:
    """The last words of a run that fails: a line each, in the form of the logs, also with -q."""
    text = logged(lambda: complain("one\ntwo"), quiet=True)
    assert text == "ncrawl: one\nncrawl: two\n"
    lines = logged(lambda: complain("one\ntwo"), quiet=True, log_format="json").splitlines()
    assert [(json.loads(line)["level"], json.loads(line)["message"]) for line in lines] == [
        ("error", "one"),
        ("error", "two"),
    ]


def test_what_answers_again_says_how_long_it_did_not(logged: Callable[..., str]) -> None:
    """In words, and in seconds for a collector."""
    event = RegionReleased("jpn", 62.3)
    assert logged(lambda: log_event(event)) == "ncrawl: warning: jpn answers again, after 62 s\n"
    assert json.loads(logged(lambda: log_event(event), log_format="json"))["silent_s"] == 62.3


def test_lines_of_a_run(logged: Callable[..., str]) -> None:
    """Where it is no terminal's each line of a run's log has the time, and the run as soon as it has an id."""

    def act() -> None:
        log_event(RunStopped("why"))
        name_run("20261126T020000Z")
        log_event(RunStopped("why"))
        say(Settings(), "a table\n\nof two lines")
        complain("sorry")

    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z "
    words = ("ncrawl: warning: stopping: why", "a table", "of two lines", "ncrawl: sorry")
    of_run = "".join(f"{stamp}20261126T020000Z {word}\n" for word in words)
    assert re.fullmatch(f"{stamp}- {words[0]}\n{of_run}", logged(act, is_of_run=True))
    lines = [json.loads(one) for one in logged(act, is_of_run=True, log_format="json").splitlines()[:2]]
    assert [one.get("run") for one in lines] == [None, "20261126T020000Z"]


def test_names_in_a_heartbeat_are_safe(logged: Callable[..., str]) -> None:
    """No image's name steers who reads the log, as text or JSON."""
    now = msgspec.structs.replace(STANDING, proving=Proving(HOSTILE, 2), throttled=(Throttling("kr", 4.3),))
    for log_format in ("text", "json"):
        settings = Settings(log_format=log_format)
        text = logged(lambda settings=settings: tell_standing(settings, now), log_format=log_format)
        assert text[:-1].isprintable()
    told = json.loads(text)
    assert (told["event"], told["level"], told["throttled"][0]["rate_per_s"]) == ("Heartbeat", "info", 4.3)
