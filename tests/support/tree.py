"""An account of any depth, served page by page, and a snapshot taken of it without the command line."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qs, unquote

from support.raw_server import answer, page, refusal

from crawler.api.collections import COLLECTIONS
from crawler.api.v2 import V2
from crawler.core.errors import GatewayError
from crawler.core.model import Region, Verdict, VerifyMode
from crawler.engine.crawl import Crawl
from crawler.engine.spec import CrawlResult, CrawlSpec
from crawler.jobs.summary import manifest
from crawler.snapshot.manifest import Run
from crawler.snapshot.unfinished.finished import Finished
from crawler.snapshot.unfinished.journal import Header
from crawler.snapshot.unfinished.publishing import assemble, publish
from crawler.snapshot.unfinished.run import UnfinishedRun
from crawler.snapshot.unfinished.writer import SnapshotWriter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.raw_server import Request

    from crawler.core.collection import Collection
    from crawler.core.model import PageRequest
    from crawler.engine.tasks import ListingTask

Names: TypeAlias = "dict[str, Names]"
"""What there is, by name: registries, in each of them images, in each of those tags, and so on."""
KR = Region("kr", "/kr")
NOT_FOUND = GatewayError(404, "300", "Not Found Exception")
DENIED = GatewayError(401, "210", "Permission Denied")
BROKEN = GatewayError(500, "900", "Unexpected Error")
_TIME = "2026-11-26T02:00:00.000Z"


@dataclass
class Tree:
    """One region of a gateway, as a fetcher and as what a server chooses its answers by.

    Attributes:
        names: what there is.
        errors: what the list within these names answers instead.
        most: records a page.
        asked: requests by path.
        order: what the lists are within that were asked for, in the order of their requests.
        on_request: called before each answer.
    """

    names: Names
    errors: dict[tuple[str, ...], GatewayError] = field(default_factory=dict)
    most: int = 100
    asked: Counter[tuple[str, ...]] = field(default_factory=Counter)
    order: list[tuple[str, ...]] = field(default_factory=list)
    on_request: Callable[[tuple[str, ...]], None] = lambda _: None
    clock_offset_s: float = 0.0

    async def fetch(self, request: PageRequest, counter: ListingTask) -> bytes:
        """Answer by the path that the request would go to, after a turn of the event loop."""
        target = V2.target(request)
        counter.requests += 1
        await asyncio.sleep(0)
        body = self.body(target)
        if isinstance(body, GatewayError):
            raise body
        return body

    def choose(self, request: Request) -> bytes:
        """Answer a request as it arrived at a server."""
        body = self.body(request.target)
        return refusal(body.status, body.code) if isinstance(body, GatewayError) else answer(body)

    def body(self, target: str) -> bytes | GatewayError:
        """Return a page, or what is answered in its place."""
        path, _, query = target.partition("?")
        within = tuple(map(unquote, _within(path.removeprefix(KR.base_path))))
        self.asked[within] += 1
        self.order.append(within)
        self.on_request(within)
        held: Names | None = self.names
        for name in within:
            held = None if held is None else held.get(name)
        if within in self.errors or held is None:
            return self.errors.get(within, NOT_FOUND)
        asked = {name: int(values[-1]) for name, values in parse_qs(query).items()}
        size = min(asked.get("pagesize", self.most), self.most)
        first = (asked["page"] - 1) * size
        some = list(held)[first : first + size]
        following = asked["page"] + 1 if first + size < len(held) else None
        return page(*({"name": name, "number": len(held[name])} for name in some), following=following)

    def refuse(self, _region: str, pause_s: float) -> float:
        """Be as slow as asked."""
        return 1 / max(pause_s, 1)

    def send_back(self, region: str) -> None:
        """Nothing waits."""

    def clock_explains(self, _error: GatewayError) -> bool:
        """Be right."""
        return False

    def records(self, collection: Collection) -> list[dict[str, Any]]:
        """Return what the data file of a collection has to hold, in order."""
        found: list[dict[str, Any]] = [
            dict(zip(collection.fields, ("default", "kr", *within), strict=True)) | {"name": name, "number": len(below)}
            for within, held in _lists(self.names, len(collection.within))
            for name, below in held.items()
        ]
        return sorted(found, key=lambda one: [one[name] for name in collection.key])


def _within(path: str) -> list[str]:
    """Return what stands in the places of a path for names."""
    for collection in COLLECTIONS.values():
        fixed, given = collection.paths["v2"].split("/"), path.split("/")
        if len(fixed) == len(given) and all(part in ("{}", other) for part, other in zip(fixed, given, strict=True)):
            return [other for part, other in zip(fixed, given, strict=True) if part == "{}"]
    raise AssertionError(f"no such path: {path}")


def _lists(names: Names, depth: int, within: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Names]]:
    if not depth:
        return [(within, names)]
    return [found for name, below in names.items() for found in _lists(below, depth - 1, (*within, name))]


def tree(depth: int, *widths: int, prefix: str = "") -> Names:
    """Return names ``depth`` levels deep: the first level has ``widths[0]`` of them, and so on."""
    if not depth:
        return {}
    return {
        f"{prefix}{number}": tree(depth - 1, *widths[1:], prefix=f"{prefix}{number}-") for number in range(widths[0])
    }


def spec_of(level: Collection, **changes: Any) -> CrawlSpec:
    """Return the spec of a crawl of one region down to a level."""
    usual: dict[str, Any] = {"account": "default", "regions": (KR,), "roots": None, "verify": VerifyMode.AUTO}
    usual |= {"page_size": 100, "concurrency": 8, "deadline_s": 300.0}
    return CrawlSpec(level=level, **usual | changes)


def begin_run(folder: Path, name: str, level: Collection, compress: str = "none") -> UnfinishedRun:
    """Begin a run in a folder of snapshots."""
    options = {"compress": compress, "verify": "auto", "zone": "public", "level": level.name}
    return UnfinishedRun.begin(folder, Header(id=name, started_ms=0, account="default", identity="me", options=options))


async def crawl_into(run: UnfinishedRun, fetcher: Any, level: Collection, **changes: Any) -> CrawlResult:
    """Crawl what a run has not finished, and leave it as the nightly job does; return how all of it ended."""
    writer = SnapshotWriter(run)
    spec = spec_of(level, finished=Finished(run), names_of=run.names_of, **changes)
    async with asyncio.timeout(320):
        result = await Crawl(spec, fetcher, writer, observe=lambda _event: None).run()
    await writer.end_the_rest(result.listed)
    writer.close()
    return result


def published(run: UnfinishedRun, result: CrawlResult, level: Collection) -> Path:
    """Publish a run's parts as a snapshot, and return its folder."""
    results = run.results
    assembled = assemble(run, results, level)
    whole = CrawlResult(
        registries=[one for one in results if one.depth == 1],
        discoveries=[one for one in results if not one.within],
        deeper=[one for one in results if one.depth > 1],
        stop=result.stop,
        stop_reason=result.stop_reason,
        rate_per_s=result.rate_per_s,
    )
    described = Run(id=run.header.id, started=_TIME, finished=_TIME, identity=run.header.identity)
    made = manifest(
        whole, account="default", run=described, files=assembled.files, extents=assembled.extents, level=level
    )
    folder = publish(run, assembled.folder, made)
    run.close()
    return folder


async def snapshot_of(folder: Path, fetcher: Any, level: Collection, *, name: str = "one", **changes: Any) -> Path:
    """Take a snapshot down to a level, and return its folder."""
    run = begin_run(folder, name, level, changes.pop("compress", "none"))
    return published(run, await crawl_into(run, fetcher, level, **changes), level)


def verdicts_of(result: CrawlResult) -> dict[str, Verdict]:
    """Return the verdict of each list by its label."""
    return {one.label: one.verdict for one in result.listed}
