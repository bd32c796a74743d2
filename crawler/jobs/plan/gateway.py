"""What the gateway says of an account: its lists of registries, whole, and the first page of each list of images.

It is read by a crawl as any other, with its limits, retries and holds, that is shown no list of images beyond page 1.
So what a run pays besides for pages that are refused, and for registries that are denied or gone, is paid here as well.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from crawler.api.collections import IMAGES, REGISTRIES
from crawler.core.events import ListingEnded
from crawler.core.model import VerifyMode
from crawler.engine.crawl import Crawl
from crawler.jobs.crawling import crawl_spec, open_transport, run_attended
from crawler.jobs.plan.costs import Held, PageSizes
from crawler.jobs.plan.facts import Facts, RegionFacts
from crawler.jobs.plan.first_pages import FirstPages, OnePageEach, Sizes
from crawler.jobs.progress import Meter, WatchedOutput

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from crawler.core.collection import Collection
    from crawler.core.events import Event
    from crawler.core.model import ListingResult, Place
    from crawler.engine.spec import CrawlResult, CrawlSpec, Root, StopReason
    from crawler.jobs.caller import Caller
    from crawler.jobs.plan.first_pages import FirstPage
    from crawler.settings.table import Settings


class Asked(NamedTuple):
    """What asking brought: facts, unless it was stopped before it had them all."""

    facts: Facts
    stop: StopReason | None


async def from_gateway(settings: Settings, roots: list[Root] | None, level: Collection, *, caller: Caller) -> Asked:
    """Ask the gateway for what a plan rests on.

    Args:
        settings: what a run would be asked for; its limits hold here.
        roots: the registries that are named; None for all there are.
        level: how deep the run would go; nothing below images is asked for.
        caller: whoever calls.

    Raises:
        CredentialsError: there are no keys that can be used.
    """
    found = await caller.keys(settings)
    spec = crawl_spec(settings, found.account, roots, level=REGISTRIES if level is REGISTRIES else IMAGES)
    once = replace(spec, dialect=OnePageEach(spec.dialect), verify=VerifyMode.NEVER)
    async with open_transport(settings, found, caller.observe) as transport:
        seen, sizes = FirstPages(transport, spec.dialect), Sizes()
        watched = WatchedOutput(sizes, "nobody")
        once = replace(once, deadline_s=caller.left_s(settings))
        crawl = Crawl(once, seen, watched, observe=lambda event: _pass_on(event, caller))
        meter = Meter(crawl, lambda: transport.pace, watched)
        result = await run_attended(crawl, meter, settings=settings, caller=caller)
    regions = {region.code: _facts(region.code, spec, result, seen=seen, sizes=sizes) for region in spec.regions}
    source = f"{sum(one.requests for one in result.everything):,} requests to the gateway"
    return Asked(Facts(basis="gateway", regions=regions, source=source, notes=_notes(regions)), result.stop)


def _pass_on(event: Event, caller: Caller) -> None:
    """Tell of everything but of single registries: that one is denied is for the run to say."""
    if not (isinstance(event, ListingEnded) and event.within):
        caller.observe(event)


def _notes(regions: Mapping[str, RegionFacts | None]) -> tuple[str, ...]:
    unknown = sum(known.unknown for known in regions.values() if known)
    go = "list goes" if unknown == 1 else "lists go"
    more = f"{unknown:,} {go} on after page 1, and the gateway does not say how far"
    return (more,) if unknown else ()


def _facts(region: str, spec: CrawlSpec, result: CrawlResult, *, seen: FirstPages, sizes: Sizes) -> RegionFacts | None:
    """Return what is known of a region; None if its list of registries could not be had."""
    top = next((one for one in result.discoveries if one.region == region), None)
    if top is not None and not top.pages:
        return None
    listed = [one for one in result.registries if one.region == region]
    pages = {one.place: seen.pages[one.place] for one in listed if one.place in seen.pages}
    registries = len(pages) if top is None else top.records
    held = _held(pages, registries)
    image_sizes = _image_sizes(pages.values(), spec.page_size)
    return RegionFacts(
        registries=registries,
        top=None if top is None else Held(top.records, top.count),
        images=tuple(held.values()) if spec.level is IMAGES else None,
        unknown=sum(one.count is None and pages[place].goes_on for place, one in held.items()),
        top_sizes=image_sizes if top is None else _top_sizes(top, spec.page_size),
        image_sizes=image_sizes,
        top_extra=_extra([] if top is None else [top]),
        image_extra=_extra(listed) + sum(one.requests - one.retries for one in result.beside if one.region == region),
        registry_bytes=0 if top is None else sizes.bytes[top.place],
        image_bytes=_image_bytes(pages, held, sizes),
        latency_s=seen.latency_s[region] if seen.latency_s[region] < inf else None,
    )


def _top_sizes(top: ListingResult, asked: int) -> PageSizes:
    return PageSizes(top.page_size or asked, top.page_size if top.pages > 1 else None)


def _image_sizes(pages: Iterable[FirstPage], asked: int) -> PageSizes:
    pages = list(pages)
    full = [page.records for page in pages if page.goes_on]
    return PageSizes(max((page.asked for page in pages), default=asked), min(full, default=None))


def _extra(listed: Sequence[ListingResult]) -> int:
    """Return the requests that brought no page, and will not be spared a run: tries again may be."""
    return sum(one.requests - one.retries - one.pages for one in listed)


def _held(pages: Mapping[Place, FirstPage], registries: int) -> dict[Place, Held]:
    """Return what each list holds; one record more than its first page, and no count, where nobody knows how many."""
    is_believed = _counts_records(pages.values(), registries)
    return {place: _held_by(page, is_believed=is_believed) for place, page in pages.items()}


def _counts_records(pages: Iterable[FirstPage], registries: int) -> bool:
    """Whether `count` is to be believed: not where lists of one page differ from it, nor where it counts registries."""
    told = [page for page in pages if page.count is not None]
    is_wrong = any(page.count != page.records for page in told if not page.goes_on)
    return not is_wrong and not (len(told) > 1 and {page.count for page in told} == {registries})


def _held_by(page: FirstPage, *, is_believed: bool) -> Held:
    if not page.goes_on:
        return Held(page.records, page.count)
    if is_believed and page.count is not None and page.count > page.records:
        return Held(page.count, page.count)
    return Held(page.records + 1)


def _image_bytes(pages: Mapping[Place, FirstPage], held: Mapping[Place, Held], sizes: Sizes) -> int | None:
    """Return what all images take if those of later pages are as long as those of the first; None if it is unknown."""
    if any(one.count is None and pages[place].goes_on for place, one in held.items()):
        return None
    return round(sum(sizes.bytes[place] * one.records / max(pages[place].records, 1) for place, one in held.items()))
