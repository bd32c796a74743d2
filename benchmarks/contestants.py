"""Who runs: ncrawl and its peers, each a whole process that leaves one record an image in its output."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

import orjson
from measuring import HERE, Arrivals, Cost, Server, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NCRAWL = HERE.parent / ".venv" / "bin" / "ncrawl"
RESPELT = ("nested", "pretty")  # contents that come out of a peer's JSON library spelt otherwise


class Sample(NamedTuple):
    """What one run cost, each page's share of it, and what the server saw."""

    cost: Cost
    cpu_us: float
    wall_us: float
    arrivals: Arrivals


def ncrawl(command: str, server: Server, *options: object, is_proved: bool = False) -> list[str]:
    """Return the command line of a crawl of everything that a server holds, as fast as it can.

    One pass in the world's pages, as its peers make it, unless it shall be proved, as it is by default.
    """
    fixed = ["--gateway", server.origin, "--region", "kr"]
    if not is_proved:
        fixed += ["--page-size", str(server.world.page_size), "--verify", "never"]
    relay = ["--allow-gateway"] if server.world.tls else []
    return [str(NCRAWL), command, *fixed, "--rate", "unlimited", "--quiet", *relay, *map(str, options)]


@dataclass(frozen=True, slots=True)
class Contestant:
    """Somebody who crawls all that a server holds, down to a level; ``shape`` is how the output is laid out."""

    name: str
    script: str = ""
    options: tuple[str, ...] = ()
    shape: Literal["ours", "spaced", "singer", "dlt"] = "ours"
    is_proved: bool = False
    level: Literal["images", "tags"] = "images"

    def command(self, server: Server, output: Path) -> list[str]:
        """Return the command line."""
        if not self.script:
            return ncrawl(self.level, server, "--output", output, *self.options, is_proved=self.is_proved)
        options = ["--page-size", str(server.world.page_size), *self.options]
        return [sys.executable, str(HERE / "peers" / self.script), server.origin, str(output), *options]

    def measure(self, server: Server, folder: Path) -> Sample:
        """Crawl once, from the start of the process to its end, and check what it left.

        Raises:
            RuntimeError: it failed, did not sign every request, or left other records than those before it.
        """
        output, world = folder / "output", server.world
        server.arrivals()
        cost = run(self.command(server, output), environment=server.trust)
        arrivals = server.arrivals()
        lines, expected = sum(_counts(output, self.shape)), getattr(world, self.level)
        if arrivals.unsigned or lines != expected:
            raise RuntimeError(f"{self.name}: {arrivals.unsigned} unsigned requests, {lines} of {expected} records")
        if self.shape in ("ours", "spaced") and self.name not in server.seen:
            server.seen[self.name] = _digest(output, is_respelt=self.shape == "spaced" or world.content in RESPELT)
            if len(set(server.seen.values())) > 1:
                raise RuntimeError(f"{self.name} left other records than {next(iter(server.seen))}")
        shutil.rmtree(output) if output.is_dir() else output.unlink()
        return sample(cost, world.pages if self.level == "images" else arrivals.requests, arrivals)


def sample(cost: Cost, pages: int, arrivals: Arrivals) -> Sample:
    """Return a run's sample."""
    return Sample(cost, cost.cpu_s / pages * 1e6, cost.wall_s / pages * 1e6, arrivals)


@dataclass(frozen=True, slots=True)
class Slow:
    """Somebody in a race with those too slow for many pages: a page costs the difference between many pages and few.

    So what it takes to start and to stop counts nothing, for nobody.
    """

    peer: Contestant
    few: Server
    many: Server

    def measure(self, folder: Path) -> Sample:
        """Crawl both and return the difference."""
        less, more = self.peer.measure(self.few, folder), self.peer.measure(self.many, folder)
        cpu_s, wall_s = more.cost.cpu_s - less.cost.cpu_s, more.cost.wall_s - less.cost.wall_s
        pages = self.many.world.pages - self.few.world.pages
        return sample(Cost(cpu_s, wall_s, more.cost.peak_mb), pages, more.arrivals)


def measure_wrk(server: Server) -> Sample:
    """Let wrk fetch pages for a second: the ceiling, unsigned and unread."""
    server.arrivals()
    world = server.world
    script = [str(HERE / "peers" / "wrk.lua"), server.origin, "--", world.registries, world.pages, world.page_size]
    cost = run(["wrk", "--threads", "1", "--connections", "64", "--duration", "1s", "--script", *map(str, script)])
    arrivals = server.arrivals()
    return sample(cost, arrivals.requests, arrivals)


def _counts(output: Path, shape: str) -> Iterator[int]:
    """Yield how many records stand in each piece of the output."""
    for part in output.rglob("images/*.jsonl") if shape == "dlt" else [output]:
        with part.open("rb") as file:
            if shape == "singer":
                yield from (line.startswith(b'{"type":"RECORD","stream":"images"') for line in file)
            else:
                yield from (chunk.count(b"\n") for chunk in iter(partial(file.read, 1 << 20), b""))


def _digest(output: Path, *, is_respelt: bool) -> int:
    """Return a number that is the same for the same lines in any order; where asked, for the same JSON."""
    with output.open("rb") as file:
        if is_respelt:
            return sum(hash(orjson.dumps(orjson.loads(line), None, orjson.OPT_APPEND_NEWLINE)) for line in file)
        return sum(map(hash, file))


NCRAWL_ITSELF = Contestant("ncrawl images")
PROVED = Contestant("ncrawl images, proved: the default", is_proved=True)
AIOHTTP = Contestant("aiohttp session.get, tuned, orjson", "aiohttp_loop.py")
PYCURL = Contestant("pycurl multi, orjson", "pycurl_multi.py")
RAW = Contestant("raw asyncio.Protocol, orjson", "raw_protocol.py")
SAME_OUTCOME = (NCRAWL_ITSELF, PROVED, AIOHTTP, PYCURL, RAW)
LIKE_FOR_LIKE = (
    NCRAWL_ITSELF,
    Contestant("aiohttp session.get, tuned, our JSON", "aiohttp_loop.py", ("--ours",)),
    Contestant("pycurl multi, our JSON", "pycurl_multi.py", ("--ours",)),
    Contestant("raw asyncio.Protocol, our JSON", "raw_protocol.py", ("--ours",)),
)
TAGS = (
    Contestant("ncrawl tags", level="tags"),
    Contestant("aiohttp session.get, tuned, orjson", "aiohttp_loop.py", ("--tags",), level="tags"),
)
SLOW_PEERS = (  # and how many pages they can be asked for, what the ratio shall be at least, and the aim
    (Contestant("httpx, 4 in flight, orjson", "httpx_workers.py"), 1260, 6.0, 8.0),
    (Contestant("requests, 4 threads, orjson", "requests_threads.py"), 1260, None, None),
    (Contestant("Scrapy, bytes, orjson", "scrapy_spider.py"), 1260, 10.0, 13.0),
    (Contestant("dlt rest_api", "dlt_source.py", shape="dlt"), 360, 25.0, 35.0),
    (Contestant("Singer SDK", "singer_tap.py", shape="singer"), 360, 28.0, 40.0),
    (Contestant("Scrapy, items and feed", "scrapy_spider.py", ("--items",), shape="spaced"), 360, 60.0, 90.0),
)
