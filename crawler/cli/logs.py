"""Logs to standard error, one line an event, as text or JSON."""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING, Any, assert_never

import click
import msgspec
import orjson

from crawler.cli.progress import sentence, span
from crawler.cli.streams import standard_error
from crawler.core.collection import label
from crawler.core.events import (
    ClockCorrected,
    FieldOverridden,
    ListingEnded,
    RegionHeld,
    RegionReleased,
    RunStopped,
    Throttled,
    TryFailed,
    fields_of,
)
from crawler.core.text import iso, visible
from crawler.engine.retry_policy import LONGEST_HOLD_S, SHORTEST_HOLD_S
from crawler.engine.spec import StopReason

if TYPE_CHECKING:
    from crawler.core.events import Event
    from crawler.jobs.events import RunEnded
    from crawler.jobs.progress import Progress
    from crawler.settings.table import Settings

log = logging.getLogger("ncrawl")

LONGEST_MESSAGE = 300
_LONGEST_COMPLAINT = 10_000
WHOLE = {"longest": _LONGEST_COMPLAINT}
"""Extra of a record that is to be shown whole, because somebody may paste it."""
_REFUSALS = (StopReason.KEY_REFUSED.value, StopReason.QUOTA.value)


class _Formatter(logging.Formatter):
    """Makes lines of records. Mutable state: the id of the run, once it has one.

    Attributes:
        run_id: empty before.
    """

    def __init__(self) -> None:
        super().__init__()
        self.run_id = ""


class _TextFormatter(_Formatter):
    """Makes text; with ``is_stamped`` the time and the run stand before each line, which a terminal shows anyway."""

    def __init__(self, *, is_stamped: bool) -> None:
        super().__init__()
        self._is_stamped = is_stamped

    def format(self, record: logging.LogRecord) -> str:
        return self.stamped(f"ncrawl: {record.levelname.lower()}: {_message(record)}", record.created)

    def stamped(self, text: str, time_s: float) -> str:
        """Return lines with what stands before each."""
        if not self._is_stamped:
            return text
        stamp = f"{iso(time_s * 1000)} {self.run_id or '-'}"
        return "\n".join(f"{stamp} {line}" for line in text.splitlines() if line)


class _JsonFormatter(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": iso(record.created * 1000),
            "level": record.levelname.lower(),
            **({"run": self.run_id} if self.run_id else {}),
            "message": _message(record),
            **getattr(record, "event", {}),
        }
        return orjson.dumps(line).decode()


def _message(record: logging.LogRecord) -> str:
    return visible(record.getMessage(), getattr(record, "longest", LONGEST_MESSAGE))


def configure_logging(settings: Settings, *, is_of_run: bool = False) -> None:
    """Send the program's logs to standard error in the form and detail that the settings ask for.

    Args:
        settings: likewise.
        is_of_run: where it is no terminal's, each line has its time and the id of the run.
    """
    handler = logging.StreamHandler(sys.stderr)
    as_text = _TextFormatter(is_stamped=is_of_run and not sys.stderr.isatty())
    handler.setFormatter(_JsonFormatter() if settings.log_format == "json" else as_text)
    log.handlers = [handler]
    log.propagate = False
    logging.getLogger("aiohttp").handlers = [logging.NullHandler()]  # raw words, for each request, maybe of a .netrc
    detail = [logging.WARNING, logging.INFO, logging.DEBUG][settings.verbose]
    log.setLevel(logging.ERROR if settings.quiet else detail)
    if (told := standard_error()) is not None:
        told.tell_loss = lambda text: _log_anyway(logging.WARNING, text)


def name_run(run_id: str) -> None:
    """Let the lines from now on say of which run they are."""
    if (formatter := _formatter()) is not None:
        formatter.run_id = run_id


def log_event(event: Event) -> None:
    """Log an event of the crawl at the level it deserves."""
    is_usual = isinstance(event, ListingEnded) and not event.verdict.is_worth_a_word
    if is_usual and not log.isEnabledFor(logging.DEBUG):
        return  # one a list: not even worth a sentence
    level = _level(event)
    if log.isEnabledFor(level):
        fields = {name: visible(value) if isinstance(value, str) else value for name, value in fields_of(event).items()}
        log.log(level, "%s", _told(event), extra={"event": {"event": type(event).__name__, **fields}})


def say(settings: Settings, text: str) -> None:
    """Tell people how it goes, unless they asked for quiet: plainly, or as log lines if those are JSON."""
    if settings.quiet:
        return
    if settings.log_format == "json":
        for line in filter(None, text.splitlines()):
            _log_anyway(logging.INFO, line)
    else:
        click.echo(_stamped(text), err=True)


def tell_standing(settings: Settings, now: Progress) -> None:
    """Tell where the run stands, unless they asked for quiet; at whatever level they listen."""
    if not settings.quiet:
        _log_anyway(logging.INFO, sentence(now), {"event": "Heartbeat"} | _shown(msgspec.to_builtins(now)))


def tell_end(settings: Settings, ended: RunEnded, tables: str) -> None:
    """Tell how the run ended: by tables to people, by a line with the totals to a collector of JSON lines."""
    if settings.log_format != "json" or settings.quiet:
        say(settings, tables)
        return
    made = ended.manifest()
    event = {
        "event": "RunEnded",
        "verdict": made.verdict,
        "seconds": round(ended.seconds, 3),
        "exit_code": ended.exit_code,
        "output": ended.place and visible(ended.place, _LONGEST_COMPLAINT),
        "totals": msgspec.to_builtins(made.totals),
    }
    if made.run.taken_over is not None:
        event["taken_over"] = msgspec.to_builtins(made.run.taken_over)
    if made.run.reuse:
        event["reuse"] = msgspec.to_builtins(made.run.reuse)
    level = logging.INFO if made.verdict == "complete" else logging.WARNING
    _log_anyway(level, f"{made.verdict}, {made.totals.images:,} images", event)


def _shown(value: Any) -> Any:
    """Return what JSON can hold with texts that are safe to show."""
    if isinstance(value, dict):
        return {name: _shown(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shown(one) for one in value]
    return visible(value) if isinstance(value, str) else value


def _log_anyway(level: int, message: str, event: dict[str, object] | None = None) -> None:
    """Log whatever the level that was asked for."""
    log.handle(log.makeRecord(log.name, level, __file__, 0, message, (), None, extra={"event": event or {}}))


def complain(text: str) -> None:
    """Say in one or more lines why the program ends: plainly, or as log lines if those are JSON, or if a run began."""
    formatter = _formatter()
    has_begun = formatter is not None and bool(formatter.run_id)
    for line in text.split("\n"):
        if _is_json():
            log.error("%s", line)
        else:
            told = f"ncrawl: {visible(line, _LONGEST_COMPLAINT)}"
            click.echo(_stamped(told) if has_begun else told, err=True)


def _told(event: Event) -> str:
    """Return an event as a sentence."""
    match event:
        case TryFailed(region, what, within, page, reason, pause_s):
            told = f"{label(what, region, within)}: page {page}"
            told += f" is given up: {reason}" if pause_s is None else f": {reason}; again in {pause_s:.1f} s"
        case Throttled(region, reason, rate_per_s):
            told = f"{region}: {reason}; slowing down to {rate_per_s:.1f} requests a second"
        case RegionHeld(region, reason):
            told = f"{region} is held: {reason}; asking every {SHORTEST_HOLD_S:.0f} to {LONGEST_HOLD_S:.0f} s"
            told += " until it answers or the deadline comes"
        case RegionReleased(region, silent_s):
            told = f"{region} answers again, after {span(silent_s)}"
        case ClockCorrected(skew_s):
            told = f"this machine's clock is {abs(skew_s):.0f} s {'behind' if skew_s > 0 else 'ahead of'} the gateway's"
            told += "; signing with the gateway's time"
        case ListingEnded(region, what, within, verdict, reason, records):
            told = f"{label(what, region, within)}: {verdict}, {records} found" + (f": {reason}" if reason else "")
        case FieldOverridden(region, what, within):
            told = f"{label(what, region, within)} sent {_or(what.fields)} in a record; ours take their place"
        case RunStopped(reason):
            told = f"stopping: {reason}"
        case unknown:
            assert_never(unknown)
    return told


def _level(event: Event) -> int:
    """Return how much an event matters."""
    match event:
        case TryFailed(pause_s=None):
            return logging.DEBUG
        case TryFailed() | Throttled():
            return logging.INFO
        case ListingEnded(verdict=verdict):
            return _level_of_lack(event) if verdict.is_worth_a_word else logging.DEBUG
        case RunStopped(reason) if reason.startswith(_REFUSALS):
            return logging.ERROR
    return logging.WARNING


def _level_of_lack(event: ListingEnded) -> int:
    """A table tells people of every registry that is not complete; to a collector of JSON lines only the log does."""
    is_worth_a_warning = not event.verdict.is_good and not event.is_expected
    return logging.WARNING if _is_json() and is_worth_a_warning else logging.INFO


def _stamped(text: str) -> str:
    formatter = _formatter()
    return formatter.stamped(text, time.time()) if isinstance(formatter, _TextFormatter) else text


def _formatter() -> _Formatter | None:
    found = log.handlers[0].formatter if log.handlers else None
    return found if isinstance(found, _Formatter) else None


def _is_json() -> bool:
    return isinstance(_formatter(), _JsonFormatter)


def _or(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
