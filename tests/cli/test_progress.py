"""Where a run stands, in words: a line that fits and is taken away, on any terminal; a heartbeat elsewhere."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.log_lines import STAMP
from support.program import Program
from support.terminal import terminal

from crawler.cli.progress import line, number, sentence, span
from crawler.cli.working import width
from crawler.core.text import visible
from crawler.emulation import Emulator, EmulatorOptions
from crawler.engine.standing import Amount, Held, Proving
from crawler.jobs.progress import Progress, Throttled, Waiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from support.terminal import Terminal

WIDTHS = (40, 80, 120)
FACTS: dict[str, Any] = {
    "seconds": 100.0,
    "amounts": (Amount("registries", 1234, 5678), Amount("images", 45678)),
    "is_discovered": True,
    "requests": 4800,
    "requests_per_s": 48.2,
    "allowed_per_s": 50.0,
    "left_s": 240.0,
    "deadline_s": 3360.0,
}
STATES: dict[str, dict[str, Any]] = {
    "": {},
    "waiting for the reader": {"waiting": Waiting("the reader", 3.0)},
    "held: jpn 62 s": {"held": (Held("jpn", 62.0, 12.0),)},
    "throttled to 4.3/s": {"throttled": (Throttled("", 4.31),), "allowed_per_s": 4.31},
    "sgn throttled to 4.3/s": {"throttled": (Throttled("sgn", 4.31, 12.0),)},
    "deadline in 40 s": {"deadline_s": 40.0, "left_s": None},
    "deadline in 2 min": {"deadline_s": 120.0, "left_s": 180.0},
    "no answer yet": {"is_unanswered": True},
    "proving kr/team-a, pass 2": {"proving": Proving("kr/team-a", 2, others=3)},
}


def progress(**facts: Any) -> Progress:
    """Return where a run stands."""
    return Progress(**FACTS | facts)


# ── words ──


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("state", STATES)
def test_every_state_fits(state: str, columns: int) -> None:
    """What is going on is said at any width, beside how much is done; more only where there is room."""
    told = line(progress(**STATES[state]), columns)
    assert state in told
    assert width(told) < columns
    assert told.startswith("1,234/5,678 · " if columns == 40 and state else "1,234 of 5,678 registries · ")


@pytest.mark.parametrize(
    ("state", "columns", "told"),
    [
        ("", 40, "1,234 of 5,678 registries · 4 min left"),
        ("", 80, "1,234 of 5,678 registries · 45,678 images · 48 of 50 requests/s · 4 min left"),
        (
            "",
            120,
            "1,234 of 5,678 registries · 45,678 images · 48 of 50 requests/s · 4 min left · deadline in 56 min",
        ),
        ("held: jpn 62 s", 40, "1,234/5,678 · held: jpn 62 s"),
        ("held: jpn 62 s", 80, "1,234 of 5,678 registries · 4 min left · held: jpn 62 s, next try in 12 s"),
        ("sgn throttled to 4.3/s", 80, "1,234 of 5,678 registries · sgn throttled to 4.3/s, goes on in 12 s"),
        ("deadline in 2 min", 80, "1,234 of 5,678 registries · 3 min left · deadline in 2 min, before the end"),
        ("proving kr/team-a, pass 2", 80, "1,234 of 5,678 registries · 4 min left · proving kr/team-a, pass 2"),
    ],
)
def test_lines(state: str, columns: int, told: str) -> None:
    """As they are read."""
    assert line(progress(**STATES[state]), columns) == told


def test_several_things_at_once() -> None:
    """What keeps a run most comes first; the line has those that fit, a log has all of them."""
    held = (Held("jpn", 62.0, 12.0), Held("kr", 3.0, 0.0))
    now = progress(held=held, throttled=(Throttled("", 4.3),), waiting=Waiting("the disk", 2.0))
    assert line(now, 80) == "1,234 of 5,678 registries · waiting for the disk · held: kr 3 s, being tried"
    assert sentence(now) == (
        "1,234 of 5,678 registries, 45,678 images, 48 of 50 requests/s, 4 min left, deadline in 56 min; "
        "waiting for the disk, held: jpn 62 s, next try in 12 s, held: kr 3 s, being tried, throttled to 4.3/s"
    )


def test_what_is_not_known_is_not_said() -> None:
    """Neither a time left, nor a limit, nor a deadline; registries that are still being found are so many at least."""
    now = progress(left_s=None, allowed_per_s=None, deadline_s=None, is_discovered=False)
    assert sentence(now) == "1,234 of 5,678+ registries, 45,678 images, 48 requests/s"
    assert sentence(progress(amounts=(Amount("registries", 7),), deadline_s=None)).startswith("7 registries, 48 of 50")


@pytest.mark.parametrize(
    ("requests_per_s", "allowed_per_s", "told"),
    [(48.2, 50.0, "48 of 50"), (50.4, 50.0, "50 of 50"), (55.0, 50.0, "55"), (13.0, 4.31, "13"), (48.2, None, "48")],
)
def test_nothing_looks_as_if_it_were_above_its_limit(
    requests_per_s: float, allowed_per_s: float | None, told: str
) -> None:
    """A burst, or what went before it was throttled, is not said beside what is allowed now."""
    now = progress(requests_per_s=requests_per_s, allowed_per_s=allowed_per_s)
    assert f", {told} requests/s," in sentence(now)


def test_where_no_registry_is_known_yet() -> None:
    """None are said to be left of none."""
    assert sentence(progress(amounts=(Amount("registries", 0, 0),), is_discovered=False)).startswith("0 registries, ")


def test_colour_takes_no_room() -> None:
    """What is going on is yellow; the line is as long as without."""
    now = progress(**STATES["held: jpn 62 s"])
    coloured = line(now, 80, is_coloured=True)
    assert "\x1b[33mheld: jpn 62 s, next try in 12 s\x1b[39m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == line(now, 80)


@given(
    columns=st.integers(2, 200),
    place=st.text(max_size=80),
    state=st.sampled_from(sorted(STATES)),
    seconds=st.floats(0, 1e7),
    rate=st.floats(0, 1e6),
)
def test_no_line_is_too_long(columns: int, place: str, state: str, seconds: float, rate: float) -> None:
    """Whatever a run is at, whatever names it meets: one line, shorter than the terminal, that steers nothing."""
    facts = {"requests_per_s": rate, "left_s": seconds, "deadline_s": seconds, "proving": Proving(place, 2)}
    told = line(progress(**facts | STATES[state]), columns)
    assert width(told) < columns
    assert visible(told) == told


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.2, "0 s"), (62.4, "62 s"), (100.0, "2 min"), (3360.0, "56 min"), (12_000.0, "3 h 20 min")]
)
def test_times(seconds: float, told: str) -> None:
    """In the unit that people would take."""
    assert span(seconds) == told


@pytest.mark.parametrize(("rate", "told"), [(0.2, "0.2"), (4.0, "4"), (4.31, "4.3"), (50.2, "50"), (1200.0, "1,200")])
def test_rates(rate: float, told: str) -> None:
    """With a digit after the point only where that tells something."""
    assert number(rate) == told


# ── terminals ──


@pytest.fixture
async def emulator(request: pytest.FixtureRequest) -> AsyncIterator[Emulator]:
    """An emulator with the options that the test gives."""
    async with Emulator(EmulatorOptions(**request.param)) as emulator:
        yield emulator


@pytest.fixture
def program(tmp_path: Path, emulator: Emulator) -> Program:
    """The program, to be run against that emulator in an empty home."""
    made = Program(tmp_path, emulator)
    made.environ["TERM"] = "xterm"
    return made


async def stopped(process: asyncio.subprocess.Process, shown: Terminal) -> None:
    """Stop the program, and see that it left the terminal as it should be: no line glued to another, none left."""
    process.send_signal(signal.SIGTERM)
    if process.stdout is not None:
        await process.stdout.read()
    async with asyncio.timeout(30):
        assert await process.wait() == 143
    await shown.end()
    assert shown.shown[-1] == ""
    assert "ncrawl: warning: stopping: stopped by SIGTERM" in shown.lines
    assert not [one for one in shown.lines if " of " in one and "requests/s" in one]


LONG = {"registries": 60, "images": 3000, "max_page_size": 5}


@pytest.mark.long
@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize(
    ("emulator", "arguments", "pattern"),
    [
        (LONG, ("--rate", "20"), r"^\d+(/| of )\d+( registries)? · .*\d+ (s|min) left"),
        (LONG | {"rate_limit": 5}, ("--rate", "40"), r"^\d+(/| of )\d+\+?( registries)? · .*throttled to [\d.]+/s"),
        (LONG | {"faults": {"503": 1.0}}, ("--region", "jpn"), r"^0( registries)? · .*held: jpn \d+ s"),
        (
            {"registries": 1, "images": 600, "max_page_size": 5},
            ("--rate", "60", "--region", "kr"),
            r"^0(/| of )1( registries)? · .*proving kr/\S+, pass 2",
        ),
        (LONG, ("--rate", "5", "--deadline", "59s"), r"^\d+(/| of )\d+\+?( registries)? · .*deadline in \d\d s"),
    ],
    ids=["left", "throttled", "held", "proving", "deadline"],
    indirect=["emulator"],
)
async def test_states(program: Program, arguments: tuple[str, ...], pattern: str, columns: int) -> None:
    """Each is seen on a terminal while it lasts, whole at any width, and nothing of the line stays."""
    with terminal(columns) as shown:
        process = await program.start("images", "-o", "x.ndjson", *arguments, stderr=shown.theirs)
        shown.let_go()
        await shown.sees(pattern)
        assert all(width(one) < columns for one in shown.shown if " · " in one)
        await stopped(process, shown)


@pytest.mark.long
@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("emulator", [{"registries": 20, "images": 8000}], indirect=True)
async def test_a_reader_that_sleeps(program: Program, columns: int) -> None:
    """Where nobody reads the lines, the run says that it waits for it, and goes on when somebody does."""
    with terminal(columns) as shown:
        process = await program.start("images", "--rate", "unlimited", stderr=shown.theirs)
        shown.let_go()
        await shown.sees(r"registries · .*waiting for the reader|^\d+/\d+ · waiting for the reader")
        assert process.stdout
        assert (await process.stdout.read()).count(b"\n") == 8000
        async with asyncio.timeout(30):
            assert await process.wait() == 0
        await shown.end()
        assert any(one.startswith("region") for one in shown.lines)
        assert not [one for one in shown.lines if "waiting" in one]


@pytest.mark.parametrize("emulator", [LONG], indirect=True)
async def test_resizing(program: Program) -> None:
    """The line becomes longer and shorter with the terminal; one that does not know its width is as COLUMNS says."""
    with terminal(40) as shown:
        program.environ["COLUMNS"] = "100"
        process = await program.start("images", "-o", "x.ndjson", "--rate", "10", stderr=shown.theirs)
        shown.let_go()
        await shown.sees(" · ")
        assert all(width(one) < 40 for one in shown.shown)
        shown.resize(120)
        await shown.sees("deadline in 60 min")
        shown.resize(0)
        shown.shown.clear()
        await shown.sees("requests/s")
        assert all(width(one) < 100 for one in shown.shown[2:])
        await stopped(process, shown)


@pytest.mark.parametrize("emulator", [LONG | {"rate_limit": 5}], indirect=True)
@pytest.mark.parametrize("no_colour", ["", "1"])
async def test_colour(program: Program, no_colour: str) -> None:
    """What is going on is yellow, unless NO_COLOR is set."""
    program.environ["NO_COLOR"] = no_colour
    with terminal(80) as shown:
        process = await program.start("images", "-o", "x.ndjson", "--rate", "40", stderr=shown.theirs)
        shown.let_go()
        await shown.sees("throttled to")
        await stopped(process, shown)
    colours = set() if no_colour else {"\x1b[33m", "\x1b[39m"}
    assert set(re.findall(r"\x1b\[\d*\w", shown.raw)) == {"\x1b[K"} | colours


@pytest.mark.parametrize("emulator", [LONG | {"rate_limit": 5}], indirect=True)
async def test_log_lines_stand_alone(program: Program) -> None:
    """With -v the line is taken away before each line of the log, and put back after it."""
    with terminal(80) as shown:
        process = await program.start("images", "-o", "x.ndjson", "--rate", "40", "-v", stderr=shown.theirs)
        shown.let_go()
        await shown.sees("throttled to")
        await shown.sees("^ncrawl: info: .*slowing down to ")
        await stopped(process, shown)
    logged = [one for one in shown.lines if "ncrawl: " in one]
    assert all(one.startswith("ncrawl: ") for one in logged)


@pytest.mark.parametrize("emulator", [LONG], indirect=True)
async def test_a_dumb_terminal(program: Program) -> None:
    """Gets plain lines, now and then."""
    program.environ["TERM"] = "dumb"
    with terminal(80) as shown:
        arguments = ("images", "-o", "x.ndjson", "--rate", "10", "--heartbeat", "1s")
        process = await program.start(*arguments, stderr=shown.theirs)
        shown.let_go()
        await shown.sees(r"^ncrawl: info: \d+ of \d+\+? registries, \d+ images, ")
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            assert await process.wait() == 143
        await shown.end()
    assert "\x1b" not in shown.raw


@pytest.mark.parametrize("emulator", [LONG], indirect=True)
async def test_data_on_the_same_terminal(program: Program) -> None:
    """Gets no line in between: records come, and now and then a line of the log."""
    with terminal(80) as shown:
        process = await program.start(
            "images", "--rate", "10", "--heartbeat", "1s", stdout=shown.theirs, stderr=shown.theirs
        )
        shown.let_go()
        await shown.sees(r"^\{")
        await shown.sees(r"^ncrawl: info: .* registries, ")
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            assert await process.wait() == 143
        await shown.end()
    assert "\x1b" not in shown.raw


# ── no terminal ──


async def beats(program: Program, *arguments: str) -> list[str]:
    """Return what the log says until the second heartbeat."""
    process = await program.start("images", "-o", "x.ndjson", "--rate", "10", *arguments)
    assert process.stderr
    lines: list[str] = []
    async with asyncio.timeout(30):
        while sum("registries, " in one for one in lines) < 2:
            lines.append((await process.stderr.readline()).decode())
            assert lines[-1]
        process.send_signal(signal.SIGTERM)
        lines += (await process.stderr.read()).decode().splitlines(keepends=True)
        assert await process.wait() == 143
    return lines


@pytest.mark.parametrize("emulator", [LONG | {"rate_limit": 5}], indirect=True)
async def test_heartbeat(program: Program) -> None:
    """Where it is no terminal's a log says now and then where the run stands; each line has its time and the run."""
    lines = await beats(program, "--heartbeat", "1s")
    assert all(STAMP.match(one) for one in lines)
    assert len({one.split()[1] for one in lines}) == 1
    facts = r" ncrawl: info: \d+ of \d+\+? registries, \d+ images, [\d.]+( of [\d.]+)? requests/s, "
    assert re.search(facts + r".*; throttled to [\d.]+/s", "".join(lines))


@pytest.mark.parametrize("emulator", [LONG | {"rate_limit": 5}], indirect=True)
async def test_heartbeat_in_json(program: Program) -> None:
    """The same facts, for a collector, with the run's id; the end has seconds, exit code and output."""
    told = [json.loads(one) for one in await beats(program, "--heartbeat", "1s", "--log-format", "json")]
    beat = next(one for one in told if one.get("event") == "Heartbeat" and one["throttled"])
    assert beat["amounts"][0]["what"] == "registries"
    assert beat["throttled"][0]["rate_per_s"] <= beat["allowed_per_s"] + 0.1
    assert beat["held"] == []
    assert 0 < beat["deadline_s"] <= 3600
    (end,) = [one for one in told if one.get("event") == "RunEnded"]
    assert (end["exit_code"], end["output"]) == (143, str(program.home / "x.ndjson.partial"))
    assert end["seconds"] >= 2
    assert {one["run"] for one in told} == {end["run"]}


@pytest.mark.long
@pytest.mark.parametrize("emulator", [{"registries": 2, "images": 40, "latency_ms": 400}], indirect=True)
async def test_no_heartbeat(program: Program) -> None:
    """Who wants none gets none; nor does who asked for quiet."""
    asked = ("images", "--region", "kr", "--concurrency", "1", "--page-size", "5")
    ways = (("--heartbeat", "off"), ("--heartbeat", "0"), ("--heartbeat", "1s", "-q"))
    for done in await asyncio.gather(*(program(*asked, *way) for way in ways)):
        assert done.code == 0
        assert "requests/s" not in done.err
