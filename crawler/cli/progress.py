"""Where a run stands, in words: a line on a terminal that is rewritten in its place, and a sentence for a log."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import anyio
import click

from crawler.cli.streams import CLEAR, standard_error
from crawler.cli.working import can_rewrite, fitted, terminal_columns, width
from crawler.core.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from crawler.engine.standing import Amount, Held
    from crawler.jobs.progress import Progress, Throttled
    from crawler.settings.table import Settings

EVERY_S = 0.5
SHORTLY_S = 60.0
"""A deadline that is so near is said before anything else that has less room."""
_BETWEEN = " · "
_YELLOW, _PLAIN = "\x1b[33m", "\x1b[39m"
_LONGEST_PLACE = 60


class Part(NamedTuple):
    """A part of the line.

    Attributes:
        rank: what has the highest has to go first where there is little room.
        text: in full.
        short: the same where there is little room.
        is_state: says what is going on, which is worth a colour.
    """

    rank: int
    text: str
    short: str = ""
    is_state: bool = False


def shows_line(settings: Settings, *, to_standard_output: bool) -> bool:
    """Whether people see a line: they want one, on a terminal that can rewrite it and gets no data in between."""
    if settings.quiet or settings.log_format != "text":
        return False
    return can_rewrite() and not (to_standard_output and os.isatty(1))


async def show(look: Callable[[], Progress]) -> None:
    """Rewrite the line twice a second, as wide as the terminal is by then, and take it away in the end."""
    is_coloured = not os.environ.get("NO_COLOR")
    try:
        while True:
            await anyio.sleep(EVERY_S)
            _write(line(look(), terminal_columns(), is_coloured=is_coloured))
    finally:
        _write("")


def _write(text: str) -> None:
    told = standard_error()
    if told is not None:
        told.show_line(text)
    else:
        click.echo(CLEAR + text, nl=False, err=True)


def line(now: Progress, columns: int, *, is_coloured: bool = False) -> str:
    """Return where a run stands, in one column less than there are: else it could not be taken away."""
    room = columns - 1
    parts = _shortened([*_parts(now)], room)
    chosen: set[Part] = set()
    for part in sorted(parts, key=lambda one: one.rank):
        if width(_joined(one for one in parts if one in chosen or one is part)) <= room:
            chosen.add(part)
    shown = [one for one in parts if one in chosen]
    if not shown:
        return fitted(min(parts).text, room)
    return _joined(shown, is_coloured=is_coloured)


def _shortened(parts: list[Part], room: int) -> list[Part]:
    """Make the two parts that matter most shorter, one after the other, where they have no room beside each other."""
    for first in sorted(parts)[:2]:
        if width(_joined(sorted(parts)[:2])) > room:
            parts = [one._replace(text=one.short or one.text) if one.rank == first.rank else one for one in parts]
    return parts


def _joined(parts: Iterable[Part], *, is_coloured: bool = False) -> str:
    return _BETWEEN.join(f"{_YELLOW}{one.text}{_PLAIN}" if one.is_state and is_coloured else one.text for one in parts)


def sentence(now: Progress) -> str:
    """Return where a run stands, in full."""
    parts = [*_parts(now)]
    facts, states = (", ".join(one.text for one in parts if one.is_state is is_state) for is_state in (False, True))
    return "; ".join(filter(None, (facts, states)))


def _parts(now: Progress) -> Iterator[Part]:
    """Yield what there is to say, in the order in which it is read."""
    for rank, amount in enumerate(now.amounts):
        yield Part(20 * rank, *_amount(amount, is_final=now.is_discovered or rank > 0))
    yield Part(50, f"{_pace(now)} requests/s")
    if now.left_s is not None:
        yield Part(10, f"{span(now.left_s)} left")
    for rank, (text, short) in enumerate(_states(now), 1):
        yield Part(rank, text, short, is_state=True)
    if now.deadline_s is not None and not _is_deadline_near(now):
        yield Part(60, f"deadline in {span(now.deadline_s)}")


def _pace(now: Progress) -> str:
    """Return how fast it goes; of what is allowed only where that is not less, as while it is being throttled."""
    is_within = now.allowed_per_s is not None and round(now.requests_per_s) <= round(now.allowed_per_s)
    of = f" of {number(now.allowed_per_s)}" if is_within and now.allowed_per_s else ""
    return f"{number(now.requests_per_s)}{of}"


def _amount(amount: Amount, *, is_final: bool) -> tuple[str, str]:
    if not amount.known:
        return f"{amount.done:,} {amount.what}", f"{amount.done:,}"
    more = "" if is_final else "+"
    return f"{amount.done:,} of {amount.known:,}{more} {amount.what}", f"{amount.done:,}/{amount.known:,}{more}"


def _states(now: Progress) -> Iterator[tuple[str, str]]:
    """Yield what is going on, what keeps a run most first; each once more where there is less room."""
    if now.waiting is not None:
        text = f"waiting for {now.waiting.whom}"
        yield text, text
    if now.is_unanswered and not now.held:
        yield "no answer yet", "no answer yet"
    yield from map(_held, now.held)
    yield from map(_throttled, now.throttled)
    if now.deadline_s is not None and _is_deadline_near(now):
        text = f"deadline in {span(now.deadline_s)}"
        yield (f"{text}, before the end" if now.is_late else text), text
    if now.proving is not None:
        text = f"proving {visible(now.proving.place, _LONGEST_PLACE)}, pass {now.proving.number}"
        yield text, text


def _held(held: Held) -> tuple[str, str]:
    text = f"held: {held.region} {span(held.silent_s)}"
    following = f"next try in {span(held.next_try_s)}" if held.next_try_s else "being tried"
    return f"{text}, {following}", text


def _throttled(throttled: Throttled) -> tuple[str, str]:
    what = f"{throttled.region} throttled" if throttled.region else "throttled"
    text = f"{what} to {number(throttled.rate_per_s)}/s"
    return (f"{text}, goes on in {span(throttled.pause_s)}" if throttled.pause_s >= 1 else text), text


def _is_deadline_near(now: Progress) -> bool:
    return now.deadline_s is not None and (now.is_late or now.deadline_s <= SHORTLY_S)


def span(seconds: float) -> str:
    """Return a time as people say it: ``62 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60:,} h {minutes % 60} min"


def number(rate: float) -> str:
    """Return a rate with a digit after the point where it is small: ``4.3``, ``50``."""
    return f"{rate:.1f}".removesuffix(".0") if rate < 10 else f"{rate:,.0f}"
