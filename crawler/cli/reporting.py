"""Tell of a run beyond its log: --ping of its start and end, --metrics-file of its figures. Neither changes its end.

A process that a signal ends while there is no crawl to be stopped tells nothing: a monitor that waits notices.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import anyio

from crawler.cli.basis import tell_basis
from crawler.cli.logs import log
from crawler.cli.tables import missing_lines, what_was_had
from crawler.core.errors import NcrawlError, OutputError
from crawler.jobs.events import RunEnded
from crawler.jobs.metrics import RunFigures, write_metrics
from crawler.jobs.ping import Ping
from crawler.output.files import check_place
from crawler.snapshot.folder.retention import certain_snapshot_names
from crawler.transport import send_ping

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from crawler.core.events import Event
    from crawler.engine.spec import CrawlResult
    from crawler.jobs.caller import KeySource
    from crawler.jobs.events import JobEvent, Observer
    from crawler.settings.credentials import FoundKeys
    from crawler.settings.table import Settings
    from crawler.snapshot.manifest import Manifest

MOST_LINES = 30
"""Lines of the log that a ping ends with."""
MOST_NAMED = 20
"""Registries that it names as missing at most."""


def reported(settings: Settings, command: Callable[[Report], int], folder: Path | None = None) -> int:
    """Run a command, and report of it as the settings say; return its exit code.

    Args:
        settings: whom to tell; its log is configured.
        command: tells the report what it finds out.
        folder: where it makes snapshots.
    """
    report = Report(settings.account, is_wanted=settings.ping is not None or settings.metrics_file is not None)
    if not report.is_wanted:
        return command(report)
    started_s, code = time.time(), 1
    ping = settings.ping and Ping(settings.ping, partial(send_ping, trust_env=settings.trust_env))
    _look_at(settings.metrics_file)
    log.addHandler(report.log)
    try:
        if ping:
            _warn(anyio.run(ping.start))
        code = command(report)
    except NcrawlError as error:
        code = error.exit_code
        report.log.lines.append(f"error: {error}")
        raise
    finally:
        if settings.metrics_file is not None:
            figures = RunFigures(report.account, started_s, time.time(), code, report.manifest, _kept(folder))
            _write(settings.metrics_file, figures)
        log.removeHandler(report.log)
        if ping:
            _warn(anyio.run(partial(ping.end, code, report.log.lines, report.secrets)))
    return code


class LastLines(logging.Handler):
    """Keeps the last lines of a log, as text, however it is shown.

    Mutable state: the lines.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[str] = deque(maxlen=MOST_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(f"{record.levelname.lower()}: {record.getMessage()}")


@dataclass(slots=True)
class Report:
    """What is known so far of a run.

    Attributes:
        account: once it is known.
        is_wanted: whether anybody is told in the end.
        secrets: what must not be in anything that is sent.
        manifest: the run in its own words, when it has ended.
        log: its last lines.
    """

    account: str | None
    is_wanted: bool = False
    secrets: tuple[str, ...] = ()
    manifest: Manifest | None = None
    log: LastLines = field(default_factory=LastLines)

    def finding(self, source: KeySource) -> KeySource:
        """Return a source of keys whose finds are taken in, and logged with what else the run goes by."""

        async def find(settings: Settings, until_s: float) -> FoundKeys:
            found = await source(settings, until_s)
            tell_basis(settings, found)
            self.found(found)
            return found

        return find

    def watching(self, observe: Observer) -> Observer:
        """Return an observer that takes in how the run ends, before ``observe`` tells of it."""
        if not self.is_wanted:
            return observe

        def watch(event: Event | JobEvent, /) -> None:
            if isinstance(event, RunEnded):
                self.ended(event.result, event.manifest())
            observe(event)

        return watch

    def found(self, keys: FoundKeys) -> None:
        """Take in whose the run is."""
        self.account = self.account or keys.account
        self.secrets = keys.credentials.secrets

    def ended(self, result: CrawlResult, made: Manifest) -> None:
        """Take in how the crawl ended."""
        self.manifest = made
        self.log.lines.append(f"{made.verdict}, {what_was_had(made)}")
        self.log.lines.extend(missing_lines(result, MOST_NAMED))


def _look_at(name: str | None) -> None:
    """Say in the beginning, and not only an hour later, that a file of figures cannot be written."""
    try:
        if name is not None:
            check_place(name)
    except OutputError as error:
        log.warning("--metrics-file: %s", error)


def _write(name: str, figures: RunFigures) -> None:
    try:
        for odd in write_metrics(name, figures):
            log.warning("%s", odd)
    except OutputError as error:
        log.warning("--metrics-file: %s", error)


def _kept(folder: Path | None) -> int | None:
    try:
        return None if folder is None else len(certain_snapshot_names(folder))
    except (NcrawlError, OSError):
        return None


def _warn(problem: str | None) -> None:
    if problem is not None:
        log.warning("%s", problem)
