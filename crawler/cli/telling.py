"""Turn what a job announces into log lines, and into words for people."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from crawler.cli.basis import tell_page_sizes
from crawler.cli.logs import WHOLE, log, log_event, name_run, say, tell_end, tell_standing
from crawler.cli.sizes import sizes_table
from crawler.cli.tables import missing_lines, tables, what_was_had
from crawler.core.text import visible
from crawler.jobs.events import (
    ClientTaken,
    Heartbeat,
    LatestSettled,
    Noted,
    NothingHad,
    OutputKept,
    RunEnded,
    RunLeft,
    RunNamed,
    RunTakenUp,
    SnapshotPublished,
    SnapshotPushed,
    SnapshotRemoved,
    Told,
    Warned,
)

if TYPE_CHECKING:
    from crawler.core.events import Event
    from crawler.jobs.events import JobEvent, Observer
    from crawler.settings.table import Settings
    from crawler.snapshot.manifest import Manifest


MOST_IN_A_MAIL = 5
"""Registries that are named under --quiet, which is for mails of cron."""


def teller(settings: Settings, hint: str = "", *, shows_line: bool = False) -> Observer:
    """Return what tells of a job, as the settings of its log say.

    Args:
        settings: form and detail of the log.
        hint: how to go on after an interruption.
        shows_line: a terminal shows where the run stands, so that no line of the log has to.
    """

    def tell(event: Event | JobEvent, /) -> None:
        if not (shows_line and isinstance(event, Heartbeat)):
            _tell(settings, hint, event)

    return tell


def _tell(settings: Settings, hint: str, event: Event | JobEvent) -> None:
    match event:
        case RunNamed(name):
            name_run(name)
        case Heartbeat(now):
            tell_standing(settings, now)
        case Told() | SnapshotPublished() | LatestSettled() | SnapshotRemoved() | SnapshotPushed():
            _say(settings, event)
        case RunEnded():
            _tell_end(settings, event)
        case Warned() | Noted() | OutputKept() | RunTakenUp() | RunLeft() | NothingHad():
            level, text, extra = _sentence(event, hint)
            log.log(level, "%s", text, extra=extra)
        case ClientTaken(reason):
            log.info("%s", reason, extra={"event": {"event": "ClientTaken", "reason": reason}})
        case _:
            log_event(event)


def _say(
    settings: Settings, event: Told | SnapshotPublished | LatestSettled | SnapshotRemoved | SnapshotPushed
) -> None:
    """Tell people how it goes; of a bad night also those who asked for quiet."""
    match event:
        case Told(text):
            say(settings, text)
        case SnapshotPublished(path):
            say(settings, f"{visible(str(path))} is published; what follows changes no exit code")
        case LatestSettled(path, made, told):
            place = visible(str(path))
            say(settings, f"{place}: {made.verdict}, {what_was_had(made)}; {told}")
            if settings.quiet and made.verdict != "complete":
                log.error("%s is incomplete: %s; its manifest.json says what is missing", place, _lacking(made))
        case SnapshotRemoved(path):
            say(settings, f"removed {visible(str(path))}")
        case SnapshotPushed(pushed):
            say(settings, visible(pushed.told, 1_000))


def _tell_end(settings: Settings, ended: RunEnded) -> None:
    """Tell how the run ended: a record of each registry is not made where nobody asked for it."""
    tell_page_sizes(ended.result)
    if settings.quiet:
        for line in missing_lines(ended.result, MOST_IN_A_MAIL):
            log.error("%s", line)
        return
    text = tables(
        ended.result,
        ended.regions,
        level=ended.level,
        taken=ended.taken_over,
        reused=ended.reused,
        output=ended.output,
    )
    if any(one.tags for one in ended.sizes):
        text += f"\n\n{sizes_table(ended.sizes)}"
    tell_end(settings, ended, text)


def _sentence(
    event: Warned | Noted | OutputKept | RunTakenUp | RunLeft | NothingHad, hint: str
) -> tuple[int, str, dict[str, int] | None]:
    """Return the level of an event, its words, and what else there is to say of how to log them."""
    match event:
        case Warned(text, is_whole):
            return logging.WARNING, text, WHOLE if is_whole else None
        case Noted(text):
            return logging.INFO, text, None
        case OutputKept(output, rest):
            kept = "nothing was had" if rest is None else f"what was had is in {rest}"
            return logging.WARNING, f"{output} is not replaced; {kept}", None
        case RunTakenUp(name, listings):
            return logging.WARNING, f"resuming the run of {name}: {listings} listings are finished", None
        case RunLeft():
            return logging.WARNING, f"unfinished: {hint}", WHOLE
        case NothingHad(reason):
            return logging.ERROR, f"nothing was had, so no snapshot is published: {reason}", None


def _lacking(made: Manifest) -> str:
    """Return how much a snapshot lacks, for a mail of one line."""
    regions = [one.region for one in made.regions if not one.verdict.is_good]
    if regions:
        return f"not every registry of {', '.join(regions)} could be listed"
    return f"{len(made.missing):,} of {len(made.registries):,} registries"
