"""Crawl, and stream the lines to where they are wanted: a file, a pipe, standard output."""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING

from crawler.api.collections import REGISTRIES, TAGS
from crawler.api.records import lines
from crawler.core.errors import UsageError
from crawler.core.text import iso, writable
from crawler.jobs.crawling import crawl, crawl_spec, options_of
from crawler.jobs.ends import INTERRUPTIONS, exit_code
from crawler.jobs.events import OutputKept, RunEnded, RunNamed
from crawler.jobs.expectations import tell_of_patterns
from crawler.jobs.naming import named_roots
from crawler.jobs.sizes import Sizing
from crawler.jobs.summary import is_complete, manifest, run_id
from crawler.output.files import check_place, is_standard_output, write_file
from crawler.output.sinks import open_sink
from crawler.snapshot.manifest import Run, StoredFile, dump

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.core.collection import Collection
    from crawler.core.model import ListingResult
    from crawler.engine.spec import CrawlResult, CrawlSpec, StopReason
    from crawler.engine.tasks import ListingTask
    from crawler.jobs.caller import Caller
    from crawler.output.sinks import Sink
    from crawler.settings.credentials import FoundKeys
    from crawler.settings.table import Settings
    from crawler.snapshot.manifest import Manifest

_SUMMARY_PATIENCE_S = 1.0
"""How long the reader of a named pipe as --summary is waited for after the deadline, or a signal."""


class LineOutput:
    """Writes each fresh record of one level as one line."""

    def __init__(self, sink: Sink, level: Collection, sizing: Sizing | None = None) -> None:
        self._sink = sink
        self._level = level
        self._sizing = sizing

    async def take(self, task: ListingTask, names: list[str], records: list[bytes]) -> None:
        """Write the records of a task."""
        if self._sizing is not None:
            self._sizing.take(task, records)
        if task.collection is self._level:
            await self._sink.write(lines(task.prefix, records), len(names))

    async def end(self, task: ListingTask, result: ListingResult) -> None:  # noqa: ARG002 - nobody waits for a verdict
        """Take in that a list is over; a line does not wait for its listing's verdict."""
        if self._sizing is not None:
            self._sizing.end(task)

    async def flush(self) -> None:
        """Pass collected lines on."""
        await self._sink.flush()


async def stream(settings: Settings, caller: Caller, level: Collection) -> CrawlResult:
    """Crawl as the settings say, stream the lines to ``settings.output``, write the summary, and return the result.

    Raises:
        UsageError: what is named cannot be, there are no keys, or output and summary are the same; nothing was
            requested.
        OutputError: the output cannot be written; where it cannot be opened, nothing was requested.
    """
    roots = named_roots(settings, level, caller.ends_s(settings))
    found = await caller.keys(settings)
    _check_summary(settings)
    started_ms = int(time.time() * 1000)
    caller.observe(RunNamed(run_id(started_ms)))
    spec = crawl_spec(settings, found.account, roots, level=level)
    sizing = Sizing(spec.account) if level is TAGS else None
    result, files = await _crawl_to_sink(spec, sizing, settings=settings, found=found, caller=caller)
    sizes = sizing.result() if sizing else ()

    @cache
    def described() -> Manifest:
        run = _run_of(settings, started_ms)
        return manifest(result, account=spec.account, run=run, files=files, level=level, sizes=sizes)

    if level is not REGISTRIES:
        tell_of_patterns(settings, result, caller.observe)
    regions = tuple(region.code for region in spec.regions)
    output, seconds, code = next(iter(files), None), time.monotonic() - caller.began_s, exit_code(result)
    caller.observe(
        RunEnded(result, described, regions, level, output=output, sizes=sizes, seconds=seconds, exit_code=code)
    )
    write_summary(settings, described, result.stop, caller=caller)
    return result


def _run_of(settings: Settings, started_ms: int) -> Run:
    """Return when and how a run went that ends now."""
    started, finished = iso(started_ms), iso(time.time() * 1000)
    return Run(id=run_id(started_ms), started=started, finished=finished, options=options_of(settings))


def _check_summary(settings: Settings) -> None:
    if settings.summary is not None:
        check_place(settings.summary)
        if settings.output == "-" and is_standard_output(settings.summary):
            raise UsageError("--summary leads to standard output, which is for data: name another file")


async def _crawl_to_sink(
    spec: CrawlSpec, sizing: Sizing | None, *, settings: Settings, found: FoundKeys, caller: Caller
) -> tuple[CrawlResult, list[StoredFile]]:
    """Crawl; return also where the lines are: nowhere, if nothing was had and so took nothing's place."""
    hashed, until_s = settings.summary is not None, caller.ends_s(settings)
    async with open_sink(settings.output, hashed=hashed, until_s=until_s) as sink:
        output = LineOutput(sink, spec.level, sizing)
        result = await crawl(spec, output, settings=settings, found=found, caller=caller, knows_neighbours=True)
        if _replaces_output(result, sink):
            # The end waits for a slow reader as long as the lines did.
            await sink.commit(0.0 if result.stop else caller.left_s(settings))
    is_kept = sink.partial is not None and not sink.is_committed
    rest = sink.partial if is_kept and sink.lines else None
    if is_kept:
        caller.observe(OutputKept(settings.output, rest))
    if is_kept and rest is None:
        return result, []
    name = writable(str(rest or sink.name))
    return result, [StoredFile(name=name, bytes=sink.bytes, sha256=sink.sha256, lines=sink.lines)]


def _replaces_output(result: CrawlResult, sink: Sink) -> bool:
    """Whether what was had takes its place: nobody interrupted the run, and it had something, or there is nothing."""
    if result.stop in INTERRUPTIONS:
        return False
    return sink.lines > 0 or is_complete(result)


def write_summary(
    settings: Settings, described: Callable[[], Manifest], stop: StopReason | None, *, caller: Caller
) -> None:
    """Write what a run says of itself to --summary, if there is to be one; no pipe is waited for after an interruption.

    Raises:
        OutputError: it cannot be written.
    """
    if settings.summary is not None:
        left_s = 0.0 if stop in INTERRUPTIONS else caller.left_s(settings)
        write_file(settings.summary, dump(described()), patience_s=max(_SUMMARY_PATIENCE_S, left_s))
