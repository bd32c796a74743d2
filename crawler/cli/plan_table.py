"""A plan for people: a row a region, what it comes to, what other options would cost, and what it all rests on."""

from __future__ import annotations

from math import inf
from textwrap import wrap
from typing import TYPE_CHECKING

from crawler.api.collections import COLLECTIONS, IMAGES, TAGS
from crawler.cli.columns import LONGEST_ROW, fitted
from crawler.core.model import VerifyMode
from crawler.core.text import duration, visible
from crawler.jobs.plan.estimate import Choice, is_known, plan, requests_by_level
from crawler.jobs.plan.facts import total_of
from crawler.snapshot.rotation import CLASSES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crawler.jobs.plan.estimate import Limits, Plan
    from crawler.jobs.plan.facts import Facts

_UNKNOWN = "?"
_OTHER_PAGE_SIZE = 100
"""A page that many gateways give."""


def lines(facts: Facts, choice: Choice, limits: Limits) -> Iterator[str]:
    """Yield the lines of a plan, none wider than a terminal."""
    made = plan(facts, choice, limits)
    yield from fitted(_holdings(choice, made))
    yield ""
    yield from fitted(_requests(facts, choice, made))
    yield ""
    yield from _wrapped(_sum(facts, made, limits))
    others = [(told, plan(facts, one, limits)) for told, one in _others(choice)]
    if told := [(option, _count(one.requests), _time(one)) for option, one in others if one.requests is not None]:
        yield ""
        yield from fitted([("instead with", "requests", "time"), *told])
    yield ""
    for sentence in _assumptions(facts, choice):
        yield from _wrapped(sentence)


def _holdings(choice: Choice, made: Plan) -> list[tuple[str, ...]]:
    """Return what each region holds of each level."""
    names = [one.name for one in choice.level.lineage]
    return _table(
        ("region", *names), {code: [getattr(one, name) for name in names] for code, one in made.regions.items()}
    )


def _requests(facts: Facts, choice: Choice, made: Plan) -> list[tuple[str, ...]]:
    """Return the requests that each level of each region takes."""
    levels, rows = choice.level.lineage, {}
    for code, known in facts.regions.items():
        taken = requests_by_level(known, choice) if known is not None and is_known(known, choice.level) else {}
        rows[code] = [*map(taken.get, levels), made.regions[code].requests]
    return _table(("requests for", *(one.name for one in levels), "all"), rows)


def _table(head: tuple[str, ...], rows: dict[str, list[int | None]]) -> list[tuple[str, ...]]:
    """Return the rows of a table as texts, with a total if there are several."""
    if len(rows) > 1:
        rows["total"] = [total_of(column) for column in zip(*rows.values(), strict=True)]
    return [head, *((place, *map(_count, numbers)) for place, numbers in rows.items())]


def _sum(facts: Facts, made: Plan, limits: Limits) -> str:
    if made.requests is None:
        return "How many requests a run takes cannot be told."
    rates = {"--rate": limits.rate_per_s, "--region-rate": limits.region_rate_per_s}
    kept = [f"{option} {rate_per_s:g}" for option, rate_per_s in rates.items() if rate_per_s < inf]
    if all(known is not None and known.latency_s for known in facts.regions.values()):
        kept.append(f"--concurrency {limits.concurrency}")
    size = "" if made.bytes is None else f", {_size(made.bytes)} of lines"
    took = "" if made.seconds is None else f"; {_time(made)} or more, at {', '.join(kept)}"
    return f"{made.requests:,} requests{size}{took}."


def _others(choice: Choice) -> Iterator[tuple[str, Choice]]:
    """Yield other choices, by the option that makes each."""
    for verify in VerifyMode:
        if verify is not choice.verify:
            yield f"--verify {verify}", choice._replace(verify=verify)
    if choice.page_size > _OTHER_PAGE_SIZE:
        yield f"--page-size {_OTHER_PAGE_SIZE}", choice._replace(page_size=_OTHER_PAGE_SIZE)
    for level in COLLECTIONS.values():
        if level is not choice.level:
            yield f"--level {level.name}", choice._replace(level=level, sevenths=CLASSES)
    yield from _with_reuse(choice)


def _with_reuse(choice: Choice) -> Iterator[tuple[str, Choice]]:
    """Yield the choice with --reuse if that is not chosen, else without."""
    whole = choice._replace(level=TAGS, sevenths=CLASSES)
    if choice.sevenths < CLASSES:
        yield "no --reuse", whole
    else:
        level = "" if choice.level is TAGS else f"--level {TAGS.name} "
        yield f"{level}--reuse latest", whole._replace(sevenths=1)


def _assumptions(facts: Facts, choice: Choice) -> Iterator[str]:
    yield f"Told by {visible(facts.source)}."
    what = "a list of tags is one page" if choice.level is TAGS else "lists longer than a page hold what `count` says"
    is_counted = choice.level is TAGS or (choice.level is IMAGES and facts.basis == "gateway")
    if choice.sevenths < CLASSES:
        what = f"{what}, no image is another one than in the snapshot that is reused"
    yield f"Assumed: nothing changes meanwhile, no try fails{f', {what}' if is_counted else ''}."
    for code, known in facts.regions.items():
        if known is None:
            yield f"{code}: nothing is known of it."
    for note in facts.notes:
        yield f"Besides: {note}."


def _wrapped(text: str) -> list[str]:
    return wrap(text, LONGEST_ROW, subsequent_indent="  ", break_on_hyphens=False)


def _count(number: int | None) -> str:
    return _UNKNOWN if number is None else f"{number:,}"


def _time(made: Plan) -> str:
    if made.seconds is None:
        return _UNKNOWN
    return duration(made.seconds) if made.seconds >= 60 else f"{made.seconds:.1f} s"


def _size(number: int) -> str:
    return f"{number / 1e6:,.1f} MB" if number >= 1e6 else f"{number / 1e3:,.1f} kB"
