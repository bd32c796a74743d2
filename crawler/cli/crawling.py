"""Call a job for a command: hand it the keys' places, the log, signals and progress; choose the exit code."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import anyio

from crawler.api.collections import REGISTRIES
from crawler.cli.hardening import forbid_dumps
from crawler.cli.limits import MORE_MEMORY, within_limits
from crawler.cli.logs import configure_logging, log
from crawler.cli.progress import show, shows_line
from crawler.cli.reporting import Report, reported
from crawler.cli.signals import INTERRUPTED, run, stopping_on_signals
from crawler.cli.systemd import is_listening, show_status
from crawler.cli.telling import teller
from crawler.core.errors import NcrawlError
from crawler.core.lifetime import began_s
from crawler.engine.task_groups import one_error
from crawler.jobs.caller import Caller, providers_chain
from crawler.jobs.crawling import check_surroundings
from crawler.jobs.ends import exit_code
from crawler.jobs.streaming import stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
    from typing import Any, TypeAlias

    from crawler.core.collection import Collection
    from crawler.engine.crawl import Crawl
    from crawler.jobs.caller import KeySource
    from crawler.jobs.progress import Progress
    from crawler.settings.table import Settings

    View: TypeAlias = Callable[[Callable[[], Progress]], Coroutine[Any, Any, None]]


def crawl_command(settings: Settings, level: Collection) -> int:
    """Crawl as the settings say, stream the lines, and return the exit code."""
    configure_logging(settings, is_of_run=True)
    forbid_dumps()
    code = reported(settings, lambda report: _crawl(settings, level, report))
    if level is not REGISTRIES and code in INTERRUPTED:
        log.warning("what was stopped begins anew next time; `ncrawl snapshot DIR --resume` would go on")
    return code


def _crawl(settings: Settings, level: Collection, report: Report) -> int:
    settings = within_limits(settings)
    check_surroundings(settings, teller(settings))
    return run(lambda: stream_to_exit_code(settings, level, report=report))


async def stream_to_exit_code(
    settings: Settings, level: Collection, *, keys: KeySource | None = None, report: Report | None = None
) -> int:
    """Crawl, stream the lines, tell how it goes, and return the exit code.

    Args:
        settings: what was asked for.
        level: what to list.
        keys: where they come from; None looks where the provider's own tools do.
        report: what takes in what there is to report.
    """
    caller = calling(settings, report, keys=keys, to_standard_output=settings.output == "-")
    return exit_code(await stream(settings, caller, level))


def calling(
    settings: Settings,
    report: Report | None = None,
    *,
    keys: KeySource | None = None,
    hint: str = "",
    to_standard_output: bool = False,
) -> Caller:
    """Return the command line as the caller of a job.

    Args:
        settings: what was asked for.
        report: what takes in what there is to report.
        keys: where they come from; None looks where the provider's own tools do.
        hint: how to go on after an interruption.
        to_standard_output: data goes there.
    """
    report = report or Report(settings.account)
    shows = shows_line(settings, to_standard_output=to_standard_output)
    views = [*([show] if shows else []), *([show_status] if is_listening() else [])]
    return Caller(
        find_keys=report.finding(keys or providers_chain(os.environ)),
        observe=report.watching(teller(settings, hint, shows_line=shows)),
        beside=partial(_showing, views) if views else _attended,
        began_s=began_s(),
    )


@asynccontextmanager
async def _showing(views: Iterable[View], crawl: Crawl, look: Callable[[], Progress]) -> AsyncIterator[None]:
    """Listen to signals, and show where a crawl stands while it goes on."""
    async with _attended(crawl, look), anyio.create_task_group() as beside:
        for view in views:
            beside.start_soon(view, look)
        yield
        beside.cancel_scope.cancel()


@asynccontextmanager
async def _attended(crawl: Crawl, _look: Callable[[], Progress]) -> AsyncIterator[None]:
    """Listen to signals while a crawl goes on.

    Raises:
        NcrawlError: there is no memory left; what was written stays.
    """
    try:
        with stopping_on_signals(crawl), one_error():
            yield
    except (MemoryError, ExceptionGroup) as error:
        if isinstance(error, ExceptionGroup) and error.subgroup(MemoryError) is None:
            raise
        raise NcrawlError(f"out of memory in mid-run: {MORE_MEMORY}, or lower --concurrency") from None
