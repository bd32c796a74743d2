"""Run one crawl in this process as the program runs it for a level, and check what has to hold whatever went wrong."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import logging
import re
import signal
from collections import Counter
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from faults.server import ACCESS_KEY, SECRET_KEY
from faults.timelapse import run
from support.raw_server import RawServer

from crawler.api.collections import IMAGES, TAGS
from crawler.cli.crawling import stream_to_exit_code
from crawler.cli.logs import configure_logging
from crawler.settings.loading import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from faults.server import Gateway, World

    from crawler.core.collection import Collection
    from crawler.settings.table import Settings

USUAL = {"rate": "unlimited", "page_size": "10", "concurrency": "16", "deadline": "10m", "verbose": "2"}
WHOLE = ("complete", "complete_with_drift")
_numbers = itertools.count()

SHOWN = 8
BASE64 = re.compile(rb"[A-Za-z0-9+/]{%d,}" % SHOWN)


@dataclass
class Outcome:
    """What one run left behind.

    Attributes:
        said: everything on standard error, with the log at -vv in both formats and what libraries log.
        lasted_s: by the loop's clock.
        strayed: connections to where redirects led.
        events: what the program logged as (time by the loop's clock, event, region).
    """

    exit_code: int
    lines: list[bytes]
    summary: dict[str, Any]
    said: str
    lasted_s: float
    files: dict[str, bytes] = field(default_factory=dict)
    strayed: int = 0
    events: list[tuple[float, str, str]] = field(default_factory=list)
    level: Collection = IMAGES

    @property
    def verdicts(self) -> dict[tuple[str, str | None], str]:
        """(region, registry) to the verdict of its own list; registry None is the region's list."""
        listings = {
            (one["region"], one["registry"]): one.get("list_verdict", one["verdict"])
            for one in self.summary["registries"]
        }
        return listings | {(one["region"], None): one["verdict"] for one in self.summary["regions"]}

    @property
    def tag_gaps(self) -> dict[tuple[str, ...], str]:
        """(region, registry, image) to verdict, of the lists of tags that are not whole."""
        gaps = self.summary.get("tag_gaps", ())
        return {(one["region"], one["registry"], one["image"]): one["verdict"] for one in gaps}

    @property
    def reasons(self) -> dict[tuple[str, str | None], str]:
        """(region, registry) to what is said about its verdict."""
        listings = {(one["region"], one["registry"]): one["reason"] or "" for one in self.summary["registries"]}
        return listings | {(one["region"], None): one["reason"] or "" for one in self.summary["regions"]}

    @property
    def requests(self) -> int:
        """Wire attempts as the program counted them."""
        return int(self.summary["totals"]["requests"])


def crawl(gateway: Gateway, folder: Path, level: Collection = IMAGES, **flags: str) -> Outcome:
    """Serve and crawl, with time that passes quickly while all wait."""

    async def main() -> Outcome:
        async with RawServer(b"") as elsewhere, gateway:
            gateway.elsewhere = elsewhere.url
            outcome = await crawl_at(gateway.url, folder, level, **({"api": gateway.api} | flags))
        outcome.strayed = elsewhere.connections
        return outcome

    return run(main)


async def crawl_at(url: str, folder: Path, level: Collection = IMAGES, **flags: str) -> Outcome:
    """Crawl the gateway at a URL through the program's composition root; the flags are those of the command line."""
    folder = folder / str(next(_numbers))
    folder.mkdir()
    output, summary = folder / f"{level.name}.ndjson", folder / "summary.json"
    given = USUAL | {"gateway": url, "output": str(output), "summary": str(summary)} | flags
    settings = load_settings(given, {}, cwd=folder, config_home=folder)
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    events: list[tuple[float, str, str]] = []
    with heard(settings, _Events(events)) as said, signal_handlers_kept():
        exit_code = await stream_to_exit_code(settings, level)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return Outcome(
        exit_code=exit_code,
        lines=(files.get(output.name) or files.get(f"{output.name}.partial", b"")).splitlines(keepends=True),
        summary=json.loads(files["summary.json"]),
        said=said.getvalue(),
        lasted_s=loop.time() - began_s,
        files=files,
        events=events,
        level=level,
    )


class _Events(logging.Handler):
    """Notes when the program logged which event."""

    def __init__(self, events: list[tuple[float, str, str]]) -> None:
        super().__init__()
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:
        event = getattr(record, "event", {})
        self._events.append((asyncio.get_running_loop().time(), event.get("event", ""), event.get("region", "")))


@contextmanager
def signal_handlers_kept() -> Iterator[None]:
    """Put back what the program sets for the rest of its process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def heard(settings: Settings, *more: logging.Handler) -> Iterator[io.StringIO]:
    """Collect standard error, the program's log in both formats, and what else anybody logs, as far as is asked for."""
    ours, everybody = logging.getLogger("ncrawl"), logging.getLogger()
    with redirect_stderr(io.StringIO()) as said:
        formats = []
        for log_format in ("text", "json"):
            configure_logging(replace(settings, log_format=log_format))
            formats += ours.handlers
        ours.handlers = [*formats, *more]
        others = logging.StreamHandler(said)
        everybody.addHandler(others)
        level = everybody.level
        everybody.setLevel(ours.level)
        try:
            yield said
        finally:
            everybody.setLevel(level)
            everybody.removeHandler(others)
            ours.handlers = []


def problems(outcome: Outcome, gateway: Gateway) -> list[str]:
    """Return everything that must not be, whatever went wrong; nothing is what a run should give."""
    return [
        *(f"request: {problem}" for problem in gateway.problems),
        *_wrong_lines(outcome, gateway.world),
        *_unflagged(outcome, gateway.world),
        *(_untold_gaps(outcome, gateway.world) if outcome.level is TAGS else ()),
        *_wrong_counts(outcome, gateway),
        *(["something was sent elsewhere"] if outcome.strayed else []),
        *leaks(outcome, gateway.signatures),
    ]


def leaks(outcome: Outcome, signatures: set[str]) -> list[str]:
    """Return where a key, or any SHOWN characters of a signature in a row, can be read.

    Signatures are not looked for in the records: those are compared with what the gateway sent, byte for byte.
    """
    sinks = {"standard error": outcome.said.encode(), **outcome.files}
    keys = {ACCESS_KEY.encode(): "the access key", SECRET_KEY.encode(): "the secret key"}
    found = [f"{name} is in {sink}" for sink, text in sinks.items() for key, name in keys.items() if key in text]
    secret = {piece for signature in signatures for piece in pieces(signature.encode())}
    said = {sink: text for sink, text in sinks.items() if ".ndjson" not in sink}
    return found + [f"a signature is in {sink}" for sink, text in said.items() if not secret.isdisjoint(pieces(text))]


def pieces(text: bytes) -> Iterator[bytes]:
    """Yield every piece of a text that could be one of a signature."""
    for piece in BASE64.findall(text):
        yield from (piece[at : at + SHOWN] for at in range(len(piece) - SHOWN + 1))


def _wrong_lines(outcome: Outcome, world: World) -> list[str]:
    """Return what is wrong with the output by itself: lines that are no JSON, are twice, or nobody sent."""
    found = []
    for line in outcome.lines:
        try:
            json.loads(line)
        except ValueError:
            found.append(f"no JSON: {line!r}")
        if not line.endswith(b"\n"):
            found.append(f"half a line: {line!r}")
    lists: list[tuple[str, ...]] = [(region, name) for region, held in world.images.items() for name in held]
    if outcome.level is TAGS:
        lists = [(*place, image) for place in lists for image in world.names(*place)]
    right = {line + b"\n" for place in lists for line in world.lines(*place)}
    found += [f"foreign: {line!r}" for line in outcome.lines if line not in right]
    found += [f"twice: {line!r}" for line, times in Counter(outcome.lines).items() if times > 1]
    return found


def _unflagged(outcome: Outcome, world: World) -> list[str]:
    """Return which registries lack something although they are called whole, and verdicts that the exit code denies."""
    written, verdicts = set(outcome.lines), outcome.verdicts
    found = [f"no verdict on {region}" for region in world.images if (region, None) not in verdicts]
    for region, held in world.images.items():
        if verdicts.get((region, None)) in WHOLE:
            shown = [name.encode(errors="backslashreplace").decode() for name in held]
            found += [f"no verdict on {region}/{name}" for name in shown if (region, name) not in verdicts]
        for name in held if outcome.level is IMAGES else ():
            lacking = [line for line in world.lines(region, name) if line + b"\n" not in written]
            if lacking and verdicts.get((region, name)) in WHOLE:
                found.append(f"{region}/{name} is called whole and lacks {len(lacking)}")
    excused = {key for key, verdict in verdicts.items() if verdict == "gone" and key[1] is not None}
    missing: list[tuple[str | None, ...]] = [
        key for key, verdict in verdicts.items() if verdict not in WHOLE and key not in excused
    ]
    missing += [key for key, verdict in outcome.tag_gaps.items() if verdict != "gone"]
    if (outcome.exit_code == 0) == bool(missing):
        found.append(f"exit {outcome.exit_code}, but not complete: {missing}")
    if (outcome.summary["verdict"] == "complete") != (outcome.exit_code == 0):
        found.append(f"exit {outcome.exit_code}, and the summary says {outcome.summary['verdict']}")
    return found


def _untold_gaps(outcome: Outcome, world: World) -> list[str]:
    """Return which images lack tags without a word, and what is said of tags that is not so."""
    written, found = set(outcome.lines), []
    for one in outcome.summary["registries"]:
        place = one["region"], one["registry"]
        held = world.names(*place) if place[1] in world.images[place[0]] else []
        gaps = {image for *within, image in outcome.tag_gaps if tuple(within) == place}
        lacking = {name for name in held if any(line + b"\n" not in written for line in world.lines(*place, name))}
        if one["list_verdict"] in WHOLE and not lacking <= gaps:
            found.append(f"{place} is called whole, and nothing is said of {lacking - gaps}")
        if one["verdict"] in WHOLE and (gaps or one["list_verdict"] not in WHOLE):
            found.append(f"{place} is called whole, although {gaps}, {one['list_verdict']}")
        if one["verdict"] in WHOLE and (one["images"], one["tags"]) != _sizes(world, place):
            found.append(f"{place} counts {one['images']} images and {one['tags']} tags")
        if not gaps <= set(held):
            found.append(f"{place} has gaps that are no images: {gaps}")
    return found


def _sizes(world: World, place: tuple[str, str]) -> tuple[int, int]:
    """Return how many images and tags a registry has."""
    names = world.names(*place)
    return len(names), sum(len(world.lines(*place, name)) for name in names)


def _wrong_counts(outcome: Outcome, gateway: Gateway) -> list[str]:
    cut_off = int(USUAL["concurrency"]) if outcome.exit_code == 4 else 0  # counted, and stopped on their way
    if not 0 <= outcome.requests - len(gateway.attempts) <= cut_off:
        return [f"counted {outcome.requests} requests, {len(gateway.attempts)} were on the wire"]
    return []
