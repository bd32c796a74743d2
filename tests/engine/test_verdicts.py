"""Lists of registries: nothing that was there throughout is left out, and a 404 is `gone` only if one bears it out."""

from __future__ import annotations

import asyncio
import random
from bisect import insort
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from engine.test_crawl import KR, REGIONS, Fake, Kept, assert_consistent, crawl_emulator, crawl_with, named, spec
from support.lists import place_of, registry_of
from support.raw_server import page

from crawler.core.errors import GatewayError
from crawler.core.events import ListingEnded
from crawler.core.model import Verdict, VerifyMode
from crawler.emulation import Emulator, EmulatorOptions
from crawler.engine.spec import StopReason
from crawler.jobs.summary import is_complete

if TYPE_CHECKING:
    from engine.test_crawl import Outcome

    from crawler.core.events import Event
    from crawler.core.model import PageRequest
    from crawler.engine.crawl import Crawl
    from crawler.engine.tasks import ListingTask

NOT_FOUND = "404/300 Not Found Exception"
STILL_NAMED = f"{NOT_FOUND}, although the list of registries read after it still names it"
ONE_IMAGE = page({"name": "nginx"})


class Listed(Fake):
    """A region whose list of registries is answered as a test says, and registries of one image each, or none at all.

    Args:
        answers: names on page 1 of the list, or what is raised instead, a turn each; the last one repeats.
        absent: registries that answer 404/300.

    Attributes:
        order: what was asked for, None being the list.
    """

    def __init__(self, *answers: list[str] | Exception, absent: str = "") -> None:
        super().__init__({"kr": {}})
        self.answers = answers
        self.absent = absent.split()
        self.order: list[str | None] = []

    async def fetch(self, request: PageRequest, counter: ListingTask) -> bytes:
        """Answer a page of the list in its turn, and a registry by its name."""
        counter.requests += 1
        self.asked[registry_of(request) or ""] += 1
        self.order.append(registry_of(request))
        await asyncio.sleep(0)
        if registry_of(request) is None:
            return self.listed(self.answers[min(self.asked[""], len(self.answers)) - 1])
        if registry_of(request) in self.absent:
            raise GatewayError(404, "300", "Not Found Exception")
        return ONE_IMAGE

    def listed(self, answer: list[str] | Exception) -> bytes:
        """Return a whole list, or the first page of one if its last name is "…"."""
        if isinstance(answer, Exception):
            raise answer
        names, following = (answer[:-1], 2) if answer[-1:] == ["…"] else (answer, None)
        return page(*({"name": name} for name in names), following=following)


async def crawl_kr(fetcher: Fake, **more: Any) -> Outcome:
    watch = more.pop("watch", lambda _crawl, _event: None)
    outcome = await crawl_with(fetcher, spec(regions=(KR,), **more), watch=watch)
    assert_consistent(outcome)
    return outcome


def lists_asked_for(emulator: Emulator) -> list[int]:
    """Return how many requests for its list of registries each region got."""
    return [emulator.statistics.requests_by_path[f"{region.base_path}/repositories"] for region in REGIONS]


# ── a 404 ──


async def test_404_of_all_that_are_listed() -> None:
    """Every registry is denied, and the run is not complete: one page of the documents calls it "no permission"."""
    async with Emulator(EmulatorOptions(registries=10, images=900, hidden=10)) as emulator:
        outcome = await crawl_emulator(emulator)
    assert Counter(outcome.verdicts.values()) == {Verdict.DENIED: 10 * len(REGIONS)}
    assert set(outcome.reasons.values()) == {STILL_NAMED}
    assert not is_complete(outcome.result)
    assert_consistent(outcome)


async def test_gone_is_borne_out_by_one_more_list_a_region() -> None:
    """What is deleted is no failure; the list read after it costs two looks, whose requests are counted."""
    async with Emulator(EmulatorOptions(registries=6, images=60, gone=2)) as emulator:
        outcome = await crawl_emulator(emulator)
    assert Counter(outcome.verdicts.values()) == {
        Verdict.COMPLETE: 4 * len(REGIONS),
        Verdict.GONE: 2 * len(REGIONS),
    }
    assert {reason for reason in outcome.reasons.values() if reason} == {NOT_FOUND}
    assert is_complete(outcome.result)
    assert lists_asked_for(emulator) == [1 + 2] * len(REGIONS)
    assert sum(one.requests for one in outcome.result.everything) == emulator.statistics.requests
    assert_consistent(outcome)


async def test_gone_and_denied_side_by_side() -> None:
    """Each by what the list says of it."""
    outcome = await crawl_kr(Listed(["a", "b", "c"], ["a", "c"], absent="a b"))
    assert outcome.verdicts == {"kr/a": Verdict.DENIED, "kr/b": Verdict.GONE, "kr/c": Verdict.COMPLETE}
    assert not is_complete(outcome.result)


async def test_one_back_end_that_lags_is_no_evidence() -> None:
    """The first look at the list lacks a registry that the second one has: it is not gone."""
    outcome = await crawl_kr(Listed(["a", "b"], ["b"], ["a", "b"], absent="a"))
    assert (outcome.verdicts["kr/a"], outcome.reasons["kr/a"]) == (Verdict.DENIED, STILL_NAMED)


@pytest.mark.parametrize("verify", VerifyMode)
async def test_two_looks_whatever_is_asked_for_otherwise(verify: VerifyMode) -> None:
    """Also with --verify never."""
    fetcher = Listed(["a", "b"], ["b"], absent="a")
    outcome = await crawl_kr(fetcher, verify=verify)
    assert outcome.verdicts["kr/a"] is Verdict.GONE
    assert fetcher.asked[""] == (4 if verify is VerifyMode.ALWAYS else 3)


async def test_list_that_cannot_be_had_again() -> None:
    """Whether a registry is gone is not known then: failed, with both reasons."""
    outcome = await crawl_kr(Listed(["a", "b"], GatewayError(403, "230", "Forbidden"), absent="a"))
    assert outcome.verdicts == {"kr/a": Verdict.FAILED, "kr/b": Verdict.COMPLETE}
    assert outcome.reasons["kr/a"] == (
        f"{NOT_FOUND}; whether it is gone could not be confirmed: "
        "the list of registries read after it: 403/230 Forbidden"
    )
    assert [one.verdict for one in outcome.result.discoveries] == [Verdict.COMPLETE]
    assert not is_complete(outcome.result)


async def test_list_that_breaks_off_still_shows_whom_it_names() -> None:
    """Denied is what its first page names; of the others nothing is known."""
    fetcher = Listed(["a", "b"], ["a", "…"], GatewayError(403, "230", "Forbidden"), absent="a b")
    outcome = await crawl_kr(fetcher)
    assert outcome.verdicts == {"kr/a": Verdict.DENIED, "kr/b": Verdict.FAILED}
    assert "page 2: 403/230 Forbidden" in str(outcome.reasons["kr/b"])


async def test_stop_while_the_list_is_read_again() -> None:
    """What was not confirmed is failed with the reason why not, and is no finished listing of a snapshot."""

    class Stopping(Listed):
        async def fetch(self, request: PageRequest, counter: ListingTask) -> bytes:
            if registry_of(request) is None and self.asked[""] == 1:
                crawls[0].stop(StopReason.TERMINATED)
            return await super().fetch(request, counter)

    def watch(crawl: Crawl, _event: Event) -> None:
        crawls.append(crawl)

    crawls: list[Crawl] = []
    outcome = await crawl_kr(Stopping(["a", "b"], absent="a"), watch=watch)
    assert outcome.verdicts == {"kr/a": Verdict.FAILED, "kr/b": Verdict.COMPLETE}
    assert outcome.reasons["kr/a"] == (
        f"{NOT_FOUND}; whether it is gone could not be confirmed: "
        "the list of registries read after it: stopped by SIGTERM"
    )
    assert [one.registry for one in outcome.output.ended] == [None, "b"]


async def test_stop_before_the_list_is_read_again() -> None:
    """The same where the region was not done yet: the 404 is known, what it means is not."""
    outcome = await crawl_kr(
        Listed(["a", "b"], absent="a"),
        concurrency=1,
        watch=lambda crawl, event: (
            crawl.stop(StopReason.TERMINATED) if isinstance(event, ListingEnded) and registry_of(event) == "b" else None
        ),
    )
    assert outcome.verdicts == {"kr/a": Verdict.FAILED, "kr/b": Verdict.COMPLETE}
    assert "could not be confirmed" in str(outcome.reasons["kr/a"])
    assert "stopped by SIGTERM" in str(outcome.reasons["kr/a"])


async def test_verdict_is_told_once_and_late() -> None:
    """Until the list is read again a 404 has no verdict, neither in the log nor for a snapshot, and counts as open."""
    seen: list[tuple[str | None, int]] = []

    def watch(crawl: Crawl, event: Event) -> None:
        if isinstance(event, ListingEnded):
            seen.append((registry_of(event), fetcher.asked[""]))
        registries, _ = crawl.standing.amounts
        assert registries.done <= (registries.known or 0) <= 3

    fetcher = Listed(["a", "b", "c"], ["b", "c"], absent="a")
    outcome = await crawl_kr(fetcher, concurrency=1, watch=watch)
    assert seen == [(None, 1), ("b", 1), ("c", 1), ("a", 3)]
    assert [one.registry for one in outcome.output.ended] == [None, "b", "c", "a"]
    assert outcome.output.ended[-1].verdict is Verdict.GONE


async def test_list_is_read_after_the_last_404() -> None:
    """However many registries are under way at once: what was read before a 404 is no evidence about it."""
    names = [f"team-{number}" for number in range(60)]
    fetcher = Listed(names, ["other"], absent=" ".join(names[::2]))
    outcome = await crawl_kr(fetcher, concurrency=16)
    assert Counter(outcome.verdicts.values()) == {Verdict.COMPLETE: 30, Verdict.GONE: 30}
    assert fetcher.order[0] is None
    assert fetcher.order[-2:] == [None, None]
    assert sorted(fetcher.order[1:-2], key=str) == sorted(names)


async def test_list_that_is_read_again_gives_nothing_out() -> None:
    """Its records were written, or were not there: a registry that only it names is neither listed nor written."""

    class Tracing(Kept):
        async def take(self, task: ListingTask, names: list[str], records: list[bytes]) -> None:
            taken.extend(names if registry_of(task) is None else [])
            await super().take(task, names, records)

    taken: list[str] = []
    fetcher = Listed(["a", "b"], ["b", "new"], absent="a")
    outcome = await crawl_with(fetcher, spec(regions=(KR,)), Tracing())
    assert taken == ["a", "b"]
    assert fetcher.asked.keys() == {"", "a", "b"}
    assert [one.registry for one in outcome.result.discoveries] == [None]


async def test_region_that_an_earlier_session_discovered() -> None:
    """Its list is read again all the same, and for nothing else."""
    fetcher = Listed(["b"], absent="a")
    outcome = await crawl_kr(
        fetcher, finished={place_of("kr", None), place_of("kr", "b")}, names_of=lambda _: ["a", "b"]
    )
    assert outcome.verdicts == {"kr/a": Verdict.GONE}
    assert (fetcher.asked, outcome.result.discoveries) == ({"a": 1, "": 2}, [])


async def test_region_without_a_404_is_not_listed_again() -> None:
    """One list a region is all that it takes."""
    fetcher = Listed(["a", "b"])
    await crawl_kr(fetcher)
    assert fetcher.asked[""] == 1


async def test_named_registry_needs_no_list() -> None:
    """Whoever names it wants it: it is failed, and nobody looks at the list."""
    fetcher = Listed(["b"], absent="a")
    outcome = await crawl_kr(fetcher, roots=named("kr/a", "kr/b"))
    assert (outcome.verdicts["kr/a"], outcome.reasons["kr/a"]) == (Verdict.FAILED, NOT_FOUND)
    assert fetcher.asked[""] == 0


async def test_many_404_in_several_regions() -> None:
    """With many slots and other registries under way: each region's list is read after its last 404."""
    async with Emulator(EmulatorOptions(registries=60, images=2000, gone=25, hidden=25)) as emulator:
        outcome = await crawl_emulator(emulator, spec(concurrency=32))
    wanted = {(Verdict.GONE, where) for where in emulator.gateway.gone}
    wanted |= {(Verdict.DENIED, where) for where in emulator.gateway.hidden}
    lacking = {(one.verdict, (one.region, one.registry)) for one in outcome.result.registries if not one.exists}
    assert lacking == wanted
    assert lists_asked_for(emulator) == [1 + 2] * len(REGIONS)
    assert_consistent(outcome)


# ── lists that change ──


class Changing(Fake):
    """A region where a registry is deleted and another created before each page of their list; of one image each.

    Attributes:
        throughout: registries that were there at every moment.
    """

    LARGEST_PAGE = 100

    def __init__(self, registries: int, *, seed: int) -> None:
        super().__init__({"kr": {}})
        self.random = random.Random(seed)
        self.names = [f"{self.random.randrange(10**6):06}" for _ in range(registries)]
        self.names.sort()
        self.throughout = set(self.names)

    async def fetch(self, request: PageRequest, counter: ListingTask) -> bytes:
        """Answer as of now, after a turn of the event loop."""
        counter.requests += 1
        await asyncio.sleep(0)
        if registry_of(request) is None:
            return self.listed(request.page, min(request.page_size or 20, self.LARGEST_PAGE))
        if registry_of(request) not in self.names:
            raise GatewayError(404, "300", "Not Found Exception")
        return ONE_IMAGE

    def listed(self, number: int, size: int) -> bytes:
        """Change the list, and return one of its pages."""
        self.throughout.discard(self.names.pop(self.random.randrange(len(self.names))))
        insort(self.names, f"{self.random.randrange(10**6):06}-new")
        start, stop, count = (number - 1) * size, number * size, len(self.names)
        records = [{"name": name} for name in self.names[start:stop]]
        return page(*records, following=number + 1 if stop < count else None, count=count)


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("verify", [VerifyMode.AUTO, VerifyMode.ALWAYS])
async def test_no_registry_is_missing_without_a_word(verify: VerifyMode, seed: int) -> None:
    """Every registry that was there throughout is listed, whichever pass saw it, or the list is not called whole."""
    fetcher = Changing(450, seed=seed)
    outcome = await crawl_kr(fetcher, verify=verify)
    listed = {one.registry for one in outcome.result.registries}
    (discovery,) = outcome.result.discoveries
    assert fetcher.throughout <= listed or not discovery.verdict.is_good
    assert (discovery.passes > 1, discovery.records > 450) == (True, True)
    assert len(listed) == discovery.records
    assert discovery.verdict.is_good or not is_complete(outcome.result)
