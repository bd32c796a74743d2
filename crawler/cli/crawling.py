"""Run one crawl for a command: put the parts together, listen to signals, say how it went, choose the exit code."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import anyio

from crawler.api.dialect import DIALECTS
from crawler.api.records import lines
from crawler.cli.expectations import tell_of_patterns
from crawler.cli.hardening import forbid_dumps
from crawler.cli.limits import MORE_MEMORY, within_limits
from crawler.cli.logs import configure_logging, log_event, say, tell_end
from crawler.cli.naming import named_registries
from crawler.cli.progress import Progress
from crawler.cli.signals import EXIT_CODES, SIGNALS, run, stopping_on_signals
from crawler.cli.tables import tables
from crawler.core.errors import NcrawlError, UsageError
from crawler.core.lifetime import ends_s, left_s
from crawler.core.patterns import Patterns
from crawler.core.text import writable
from crawler.engine.crawl import Crawl
from crawler.engine.page_size import LARGEST
from crawler.engine.spec import CrawlResult, CrawlSpec, StopReason
from crawler.engine.task_groups import one_error
from crawler.jobs.summary import is_complete, iso, manifest, run_id
from crawler.output.files import check_place, is_standard_output, write_file
from crawler.output.sinks import FileSink, open_sink
from crawler.settings.credentials import find_keys
from crawler.settings.loading import CRAWL_OPTIONS
from crawler.snapshot.manifest import Run, StoredFile, dump
from crawler.transport import Transport, check_files, fetch_metadata, find_proxy, open_clients
from crawler.transport.gcra import RateLimits
from crawler.transport.rate_limiter import RateLimiter

if TYPE_CHECKING:
    from collections.abc import Collection

    from crawler.core.model import ListingResult
    from crawler.engine.interfaces import Output
    from crawler.engine.scheduler import ListingTask
    from crawler.engine.spec import NamedRegistry
    from crawler.output.sinks import Sink
    from crawler.settings.credentials import FoundKeys
    from crawler.settings.loading import Settings

log = logging.getLogger("ncrawl")

_SUMMARY_PATIENCE_S = 1.0
"""How long the reader of a named pipe as --summary is waited for after the deadline, or a signal."""


class LineOutput:
    """Writes each fresh record as one line: images, or with ``registries`` the registries themselves."""

    def __init__(self, sink: Sink, *, registries: bool) -> None:
        self._sink = sink
        self._registries = registries

    async def take(self, task: ListingTask, names: list[str], records: list[bytes]) -> None:
        """Write the records of a task."""
        if (task.registry is None) is self._registries:
            await self._sink.write(lines(task.prefix, records), len(names))

    async def end(self, task: ListingTask, result: ListingResult) -> None:
        """Nothing: a line does not wait for its listing's verdict."""

    async def flush(self) -> None:
        """Pass collected lines on."""
        await self._sink.flush()


def check_surroundings(settings: Settings) -> None:
    """Make sure that what libraries take from the environment can be used: a proxy, certificates.

    Raises:
        UsageError: it cannot; nothing was begun.
    """
    for warning in check_files(trust_env=settings.trust_env):
        log.warning(warning)
    if settings.trust_env:
        for origin in set(settings.origins.values()):
            find_proxy(origin)


def crawl_command(settings: Settings, *, images: bool) -> int:
    """Crawl as the settings say, stream the lines, and return the exit code."""
    configure_logging(settings)
    forbid_dumps()
    settings = within_limits(settings)
    check_surroundings(settings)
    return run(lambda: _crawl_to_sink(settings, images=images))


async def _crawl_to_sink(settings: Settings, *, images: bool) -> int:
    registries = named_registries(settings)
    found = await keys_for(settings, now_s=time.time())
    return await crawl_to_sink(settings, crawl_spec(settings, found, registries, images=images), found)


async def keys_for(settings: Settings, *, now_s: float) -> FoundKeys:
    """Return the keys, under the account's name that the settings give, if they do; say what is odd about them.

    Raises:
        CredentialsError: there are none that can be used.
    """
    found = await find_keys(
        os.environ,
        profile=settings.profile,
        zone=settings.zone,
        fetch=fetch_metadata,
        now_s=now_s,
        until_s=ends_s(settings.deadline),
    )
    for warning in found.warnings:
        log.warning(warning)
    return found if settings.account is None else replace(found, account=settings.account)


async def crawl_to_sink(settings: Settings, spec: CrawlSpec, found: FoundKeys) -> int:
    """Crawl, stream the lines to ``settings.output``, report, and return the exit code.

    Raises:
        UsageError: output and summary are the same; nothing was requested.
        OutputError: the output cannot be written; where it cannot be opened, nothing was requested.
    """
    if settings.summary is not None:
        check_place(settings.summary)
        if settings.output == "-" and is_standard_output(settings.summary):
            raise UsageError("--summary leads to standard output, which is for data: name another file")
    started_ms = int(time.time() * 1000)
    async with open_sink(settings.output, ends_s(spec.deadline_s)) as sink:
        sink.is_hashed = settings.summary is not None
        result = await crawl(settings, spec, found, LineOutput(sink, registries=not spec.images))
        sink.is_whole = _replaces_output(result, sink)
        if result.stop is None:  # then the end waits for a slow reader as long as the lines did
            sink.last_words_s = max(sink.last_words_s, left_s(spec.deadline_s))
    if isinstance(sink, FileSink) and not sink.is_whole:
        kept = f"what was had is in {sink.partial}" if sink.lines else "nothing was had"
        log.warning("%s is not replaced; %s", settings.output, kept)
    report(settings, spec, result, started_ms=started_ms, files=[_stored(sink)])
    return exit_code(result)


def crawl_spec(
    settings: Settings, found: FoundKeys, registries: list[NamedRegistry] | None, *, images: bool
) -> CrawlSpec:
    """Return what to crawl."""
    return CrawlSpec(
        account=found.account,
        regions=settings.region,
        registries=registries,
        images=images,
        page_size=settings.page_size if isinstance(settings.page_size, int) else LARGEST,
        verify=settings.verify,
        concurrency=settings.concurrency,
        deadline_s=settings.deadline,
        excluded=Patterns(settings.exclude),
        expected_gaps=Patterns(settings.expect_gap),
        dialect=DIALECTS[settings.api],
    )


async def crawl(settings: Settings, spec: CrawlSpec, found: FoundKeys, output: Output) -> CrawlResult:
    """Crawl while signals are listened to and progress is shown.

    Raises:
        NcrawlError: there is no memory left; what was written stays.
    """
    try:
        return await _crawl(settings, spec, found, output)
    except (MemoryError, ExceptionGroup) as error:
        if isinstance(error, ExceptionGroup) and error.subgroup(MemoryError) is None:
            raise
        raise NcrawlError(f"out of memory in mid-run: {MORE_MEMORY}, or lower --concurrency") from None


async def _crawl(settings: Settings, spec: CrawlSpec, found: FoundKeys, output: Output) -> CrawlResult:
    regions = [region.code for region in settings.region]
    origins = settings.origins
    has_own_hosts = len(set(origins.values())) > 1
    limits = RateLimits(settings.rate, settings.region_rate, regions, has_own_hosts=has_own_hosts)
    rate_limiter = RateLimiter(limits, regions)
    clients, why = open_clients(origins, trust_env=settings.trust_env)
    log.info("%s", why, extra={"event": {"event": "ClientTaken", "reason": why}})
    spec = replace(spec, deadline_s=left_s(spec.deadline_s))
    async with Transport(found.credentials, rate_limiter, clients, dialect=spec.dialect) as transport:
        one = Crawl(spec, transport, output, log_event)
        with stopping_on_signals(one), one_error():
            async with anyio.create_task_group() as beside:
                beside.start_soon(Progress(one, is_shown=not settings.quiet and settings.log_format == "text").show)
                result = await one.run()
                beside.cancel_scope.cancel()
    return result


def _replaces_output(result: CrawlResult, sink: Sink) -> bool:
    """Whether what was had takes its place: no signal ended the run, and it had something, or there is nothing."""
    if result.stop in SIGNALS.values():
        return False
    return sink.lines > 0 or is_complete(result)


def _stored(sink: Sink) -> StoredFile:
    return StoredFile(name=writable(sink.name), bytes=sink.bytes, sha256=sink.sha256, lines=sink.lines)


def report(
    settings: Settings, spec: CrawlSpec, result: CrawlResult, *, started_ms: int, files: list[StoredFile]
) -> None:
    """Tell how the run went, on standard error, and write --summary."""
    if spec.images:
        tell_of_patterns(settings, result)
    if settings.summary is None and settings.log_format == "text":  # a record of each registry that nobody asked for
        say(settings, tables(result, [region.code for region in spec.regions], images=spec.images))
        return
    summary = manifest(
        result,
        account=spec.account,
        run=Run(
            id=run_id(started_ms),
            started=iso(started_ms),
            finished=iso(time.time() * 1000),
            options=options_of(settings),
        ),
        files=files,
    )
    tell_end(settings, summary, tables(result, [region.code for region in spec.regions], images=spec.images))
    if settings.summary is not None:
        write_file(settings.summary, dump(summary), patience_s=summary_patience_s(settings, result.stop))


def summary_patience_s(settings: Settings, stop: StopReason | None) -> float:
    """Return how long the reader of a named pipe as --summary is waited for: not after a signal."""
    return max(_SUMMARY_PATIENCE_S, 0.0 if stop in SIGNALS.values() else left_s(settings.deadline))


def options_of(settings: Settings, more: Collection[str] = ()) -> dict[str, object]:
    """Return the settings of a crawl, and ``more`` of them, as JSON can hold them; keys are never settings."""
    options = {name: _as_json(value) for name, value in asdict(settings).items() if name in (*CRAWL_OPTIONS, *more)}
    options["region"] = [region.code for region in settings.region]
    options["gateway"] = settings.gateway[0] if len(settings.gateway) == 1 else list(settings.gateway)
    for name in ("rate", "region_rate"):
        if options[name] == float("inf"):
            options[name] = "unlimited"
    return options


def _as_json(value: object) -> object:
    """Return a path whose bytes are no UTF-8 as one that can be written down, and a list as one."""
    if isinstance(value, tuple):
        return list(map(_as_json, value))
    return writable(value) if isinstance(value, str) else value


def exit_code(result: CrawlResult) -> int:
    """Return the contract's exit code for a crawl that wrote its output."""
    if result.stop is not None:
        return EXIT_CODES[result.stop]
    return 0 if is_complete(result) else 3
