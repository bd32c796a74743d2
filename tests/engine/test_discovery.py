"""A crawl to a deeper level: every list once, close together, and what vanishes between the levels is told apart."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING

import pytest
from engine.test_crawl import REGIONS, transport_to
from support.tree import (
    BROKEN,
    DENIED,
    KR,
    NOT_FOUND,
    Tree,
    begin_run,
    crawl_into,
    snapshot_of,
    spec_of,
    tree,
    verdicts_of,
)

from crawler.api.collections import IMAGES, REGISTRIES, TAGS
from crawler.core.errors import GatewayError
from crawler.core.model import Verdict
from crawler.emulation import Emulator, EmulatorOptions
from crawler.engine.crawl import Crawl
from crawler.engine.spec import Root, StopReason
from crawler.jobs.summary import is_complete
from crawler.snapshot.manifest import read
from crawler.snapshot.unfinished.finished import Finished
from crawler.snapshot.unfinished.writer import SnapshotWriter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from crawler.core.model import ListingResult, Place
    from crawler.engine.spec import CrawlResult
    from crawler.engine.tasks import ListingTask
    from crawler.snapshot.unfinished.run import UnfinishedRun


class Names:
    """An output that keeps the names of each list, and in which order they came."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, ...], list[str]] = {}
        self.ended: list[tuple[str, ...]] = []

    async def take(self, task: ListingTask, names: list[str], _records: list[bytes]) -> None:
        """Keep names."""
        self.held.setdefault(task.within, []).extend(names)

    async def end(self, task: ListingTask, _result: ListingResult) -> None:
        """Keep the order."""
        self.ended.append(task.within)

    async def flush(self) -> None:
        """Keep nothing back."""


async def crawl(there: Tree, output: Names | None = None, **changes: object) -> CrawlResult:
    """Crawl down to tags."""
    return await Crawl(spec_of(TAGS, **changes), there, output or Names(), observe=lambda _event: None).run()


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed page is tried again at once, and not often."""
    monkeypatch.setattr("crawler.engine.failed_tries.pause_s", lambda *_, **__: 0.0)
    monkeypatch.setattr("crawler.engine.failed_tries.MAX_TRIES", 3)


# ── all of it ──


async def test_every_list_once() -> None:
    """One request a list where a page holds it, and every name of every level comes out once."""
    there, output = Tree(tree(3, 5, 7, 3)), Names()
    result = await crawl(there, output)
    assert set(verdicts_of(result).values()) == {Verdict.COMPLETE}
    assert set(there.asked.values()) == {1}
    assert len(there.asked) == 1 + 5 + 5 * 7 == sum(one.lists for one in result.listed)
    assert len(result.listed) == 1 + 5 + 5, "what is whole and unremarkable is one sum a registry"
    assert sum(len(names) for names in output.held.values()) == 5 + 35 + 105
    assert is_complete(result)


async def test_images_of_a_registry_have_their_tags_fetched_close_together() -> None:
    """And nothing waits for the whole first level: the first tags are asked for before most registries are."""
    there = Tree(tree(3, 40, 30, 1), most=1000)
    await crawl(there, concurrency=4)
    first_tags = next(at for at, within in enumerate(there.order) if len(within) == 2)
    assert first_tags <= 4
    of_tags = [within[0] for within in there.order if len(within) == 2]
    assert len([*groupby(of_tags)]) < 400, "of 1,200: they are not jumbled"
    seen_at = {name: [at for at, one in enumerate(of_tags) if one == name] for name in set(of_tags)}
    assert max(times[-1] - times[0] for times in seen_at.values()) < 200


async def test_a_large_registry_does_not_hold_up_the_small_ones() -> None:
    """While its 900 images are on their way others begin, and end."""
    there = Tree({"large": tree(2, 900, 1), **tree(3, 30, 1, 1)}, most=1000)
    await crawl(there, concurrency=4)
    last_of_large = max(at for at, within in enumerate(there.order) if within[:1] == ("large",))
    others = [at for at, within in enumerate(there.order) if len(within) == 2 and within[0] != "large"]
    assert sum(at < last_of_large for at in others) == 30


async def test_a_page_size_is_learned_for_each_kind_of_list() -> None:
    """What tags are refused is learned once a region, and not asked of images."""
    there = Tree(tree(3, 4, 4, 1), most=1000)
    refused: list[str] = []
    original = there.body

    def body(target: str) -> bytes | GatewayError:
        if "/tags?" in target and int(target.rpartition("=")[2]) > 50:
            refused.append(target)
            return GatewayError(400, "100", "Bad Request Exception")
        return original(target)

    there.body = body  # type: ignore[method-assign]
    result = await crawl(there, page_size=1000)
    assert set(verdicts_of(result).values()) == {Verdict.COMPLETE}
    assert len(refused) == 3


# ── named ──


async def test_named_images_and_registries() -> None:
    """Only what was named is listed; an image of a registry that is named as well is listed once."""
    there = Tree(tree(3, 3, 3, 2))
    roots = [Root(KR, TAGS, ("0", "0-1")), Root(KR, IMAGES, ("1",)), Root(KR, TAGS, ("1", "1-1"))]
    result = await crawl(there, roots=roots)
    assert verdicts_of(result) == dict.fromkeys(("kr/1", "kr/0/0-1", "kr/1/1-1"), Verdict.COMPLETE)
    assert {(one.within, one.lists) for one in result.deeper} == {(("0", "0-1"), 1), (("1", "1-1"), 1), (("1",), 2)}
    assert there.asked.keys() == {("0", "0-1"), ("1",), ("1", "1-0"), ("1", "1-1"), ("1", "1-2")}
    assert set(there.asked.values()) == {1}


async def test_a_named_image_that_is_not_there_is_a_failure() -> None:
    """Whoever names it means that it is there; nothing else is read."""
    there = Tree(tree(3, 1, 1, 1))
    result = await crawl(there, roots=[Root(KR, TAGS, ("0", "nothing"))])
    assert verdicts_of(result) == {"kr/0/nothing": Verdict.FAILED}
    assert there.asked == {("0", "nothing"): 1}


# ── what vanishes between the levels ──


@pytest.mark.parametrize("error", [NOT_FOUND, BROKEN], ids=["404", "lasting 500"])
async def test_an_image_that_is_named_no_more_is_gone(error: GatewayError) -> None:
    """Its registry's list is read again once, when the other tags are done, and the registry is whole."""
    there = Tree(tree(3, 2, 3, 1))
    there.errors["0", "0-1"] = error

    def vanish(within: tuple[str, ...]) -> None:
        if within == ("0", "0-1"):
            there.names["0"].pop("0-1", None)

    there.on_request = vanish
    result = await crawl(there)
    verdicts = verdicts_of(result)
    assert verdicts.pop("kr/0/0-1") is Verdict.GONE
    assert set(verdicts.values()) == {Verdict.COMPLETE}
    assert there.asked["0",] == 3, "once, and once more, which takes two looks"
    again = [at for at, within in enumerate(there.order) if within == ("0",)][1:]
    assert all(at < again[0] for at, within in enumerate(there.order) if within[:1] == ("0",) and len(within) == 2)
    assert is_complete(result)
    assert sum(one.requests for one in result.everything) == there.asked.total()


@pytest.mark.parametrize(
    ("error", "verdict"), [(NOT_FOUND, Verdict.DENIED), (BROKEN, Verdict.FAILED), (DENIED, Verdict.DENIED)], ids=str
)
async def test_an_image_that_is_still_named_is_a_gap(error: GatewayError, verdict: Verdict) -> None:
    """A 404 is a refusal then; what keeps failing has failed; what is denied is so without another look."""
    there = Tree(tree(3, 1, 3, 1), errors={("0", "0-1"): error})
    result = await crawl(there)
    assert verdicts_of(result)["kr/0/0-1"] is verdict
    assert there.asked["0",] == (1 if error is DENIED else 3)
    assert not is_complete(result)


async def test_whether_an_image_is_gone_is_not_known_where_its_list_fails() -> None:
    """A list that cannot be read again bears nothing out."""
    there = Tree(tree(3, 1, 2, 1), errors={("0", "0-1"): NOT_FOUND})
    there.on_request = lambda _: there.errors.update({("0",): DENIED} if there.asked["0",] > 1 else {})
    result = await crawl(there)
    (gap,) = result.missing
    assert (gap.label, gap.verdict) == ("kr/0/0-1", Verdict.FAILED)
    assert "could not be confirmed: the list of images read after it" in (gap.reason or "")


def vanishing_registry(*, error: GatewayError = NOT_FOUND, is_named: bool = False) -> Tree:
    """Return an account whose registry 0 goes when tags of its second image are asked for: nothing of it is there."""
    there = Tree(tree(3, 2, 3, 1))

    def vanish(within: tuple[str, ...]) -> None:
        if within == ("0", "0-1"):
            there.errors["0",] = NOT_FOUND
            there.errors.update({("0", f"0-{number}"): error for number in range(3)})
            if not is_named:
                there.names.pop("0", None)

    there.on_request = vanish
    return there


@pytest.mark.parametrize("error", [NOT_FOUND, BROKEN], ids=["404", "lasting 500"])
async def test_what_a_registry_held_is_gone_with_it(error: GatewayError) -> None:
    """Its own list answers 404 when it is read again; so the list of registries is, and that names it no more."""
    there = vanishing_registry(error=error)
    result = await crawl(there, concurrency=1)
    verdicts = verdicts_of(result)
    assert {verdicts.pop(f"kr/0/0-{number}") for number in (1, 2)} == {Verdict.GONE}
    assert set(verdicts.values()) == {Verdict.COMPLETE}
    assert (there.asked["0",], there.asked[()]) == (2, 1 + 2)
    assert is_complete(result)
    assert sum(one.requests for one in result.everything) == there.asked.total()


async def test_what_a_registry_held_that_is_still_named_has_failed() -> None:
    """A gateway that lists it and answers 404 for all of it says two things, and none is believed."""
    result = await crawl(vanishing_registry(is_named=True), concurrency=1)
    gaps = {one.label: one for one in result.missing}
    assert {label: gap.verdict for label, gap in gaps.items()} == dict.fromkeys(
        ("kr/0/0-1", "kr/0/0-2"), Verdict.FAILED
    )
    assert "although that of registries still names it" in str(gaps["kr/0/0-1"].reason)


async def test_what_a_registry_held_has_failed_where_nobody_knows_whether_that_is_gone() -> None:
    """The list of registries cannot be read again."""
    there = vanishing_registry()
    vanish = there.on_request
    there.on_request = lambda within: (
        vanish(within),
        there.errors.update({(): DENIED} if there.asked[()] > 1 else {}),
    )[0]
    result = await crawl(there, concurrency=1)
    assert {one.verdict for one in result.missing} == {Verdict.FAILED}
    assert "the list of registries read after it: 401/210" in str(result.missing[0].reason)


async def test_what_a_named_registry_held_has_failed_when_it_goes() -> None:
    """Whoever names it means that it is there, and the list of registries is not asked for."""
    there = vanishing_registry()
    result = await crawl(there, concurrency=1, roots=[Root(KR, IMAGES, ("0",))])
    assert {one.label: one.verdict for one in result.missing} == dict.fromkeys(("kr/0/0-1", "kr/0/0-2"), Verdict.FAILED)
    assert there.asked[()] == 0


async def test_a_registry_that_fails_has_no_tags_and_says_so() -> None:
    """Nothing below it has a verdict: nobody knows what there is."""
    there = Tree(tree(3, 2, 2, 1), errors={("0",): DENIED})
    result = await crawl(there)
    assert verdicts_of(result)["kr/0"] is Verdict.DENIED
    assert {one.within[0] for one in result.deeper} == {"1"}


# ── names ──


async def test_names_of_any_kind_are_data() -> None:
    """Slashes, dots, spaces, percent signs, controls: each reaches the wire as one segment, or is refused."""
    images = ["a/b", "..", ".", "a b", "100%", "?x=1", "#", "é中🚀", "\x00\n", "a/../b", "%2e%2e", "\\", "\ud800", ""]
    there, output = Tree({"r": {name: tree(1, 2) for name in images}}), Names()
    result = await crawl(there, output)
    unsent = {one.within[1] for one in result.deeper if one.verdict is Verdict.FAILED}
    assert unsent == {"\\ud800", ""}
    assert {within[1] for within in output.held if len(within) == 2} == set(images) - {"\ud800", ""}
    assert all("cannot be sent as a name" in (one.reason or "") for one in result.missing)
    assert there.asked["r",] == 1, "its list is not read again for what was never asked for"


# ── stopped and taken up ──


async def test_a_stopped_run_goes_on_within_a_registry(tmp_path: Path) -> None:
    """What tag lists were finished is not fetched again, nor is the list of images that named them."""
    there = Tree(tree(3, 3, 40, 2), most=1000)
    run = begin_run(tmp_path, "one", TAGS)

    writer, holder = SnapshotWriter(run), list[Crawl]()

    def stop(_within: tuple[str, ...]) -> None:
        if there.asked.total() >= 40:
            holder[0].stop(StopReason.TERMINATED)

    there.on_request = stop
    holder.append(Crawl(spec_of(TAGS), there, writer, observe=lambda _event: None))
    await holder[0].run()
    await writer.end_batches()
    writer.close()
    done = set(finished_lists(run))
    run.close()
    assert 20 < len(done) <= 40
    there.on_request, before = lambda _: None, there.asked.copy()
    again = type(run).resume(run.path, now="2026-11-26T03:00:00.000Z")
    assert set(finished_lists(again)) == done
    assert done <= {within for within in before if Finished(again).__contains__(place_of(within))}
    await crawl_into(again, there, TAGS)
    asked = there.asked - before
    assert not done & set(asked)
    assert len([*finished_lists(again)]) == len({*finished_lists(again)}) == 1 + 3 + 120
    again.close()


def place_of(within: tuple[str, ...]) -> Place:
    """Return the place of a list in the one region that there is."""
    return (REGISTRIES, IMAGES, TAGS)[len(within)].name, "kr", within


def finished_lists(run: UnfinishedRun) -> Iterator[tuple[str, ...]]:
    """Yield what each list is within that a run has finished, by itself or in a batch."""
    yield from (within for _, _, within in run.parts)
    for family in run.batches:
        yield from run.batches.names_of(family)


async def test_what_the_deadline_cut_off_has_its_verdict() -> None:
    """Lists that were not begun say so, and each list has one verdict."""
    there = Tree(tree(3, 2, 10, 1), most=1000)
    holder: list[Crawl] = []

    def stop(_within: tuple[str, ...]) -> None:
        if there.asked.total() == 8:
            holder[0].stop(StopReason.DEADLINE)

    there.on_request = stop
    holder.append(Crawl(spec_of(TAGS, concurrency=1), there, Names(), observe=lambda _event: None))
    result = await holder[0].run()
    assert len(result.deeper) == len({one.place for one in result.deeper})
    assert sum(one.lists for one in result.deeper) >= 10
    unbegun = [one for one in result.deeper if (one.reason or "").startswith("not begun")]
    assert len(unbegun) >= 4
    assert not is_complete(result)


async def test_a_registry_is_whole_only_if_all_in_it_is(tmp_path: Path) -> None:
    """Its entry says what is lacking, and that its list of images is whole all the same."""
    there = Tree(tree(3, 2, 3, 1), errors={("1", "1-1"): DENIED})
    made = read(await snapshot_of(tmp_path, there, TAGS))
    good, bad = made.registries
    assert (good.verdict, good.own_verdict) == (Verdict.COMPLETE, Verdict.COMPLETE)
    assert (bad.verdict, bad.own_verdict) == (Verdict.INCOMPLETE, Verdict.COMPLETE)
    assert bad.reason == "tags of kr/1/1-1: 401/210 Permission Denied"
    assert made.verdict == "incomplete"
    assert [gap["image"] for gap in made.gaps_of(TAGS)] == ["1-1"]
    assert (made.totals.registries.complete, made.totals.registries.incomplete) == (1, 1)


async def test_all_tags_of_an_emulated_account() -> None:
    """Every tag of every image of three regions, under faults and rates, and the first of them soon."""
    options = EmulatorOptions(registries=4, images=120, latency_ms=5, faults={"503": 0.02, "reset": 0.01})
    async with Emulator(options) as emulator:
        output = Names()
        async with transport_to(emulator.url, (emulator.access_key, emulator.secret_key)) as transport:
            spec = spec_of(TAGS, regions=REGIONS, concurrency=16)
            result = await Crawl(spec, transport, output, observe=lambda _event: None).run()
    assert is_complete(result)
    world = emulator.world
    there = Counter(
        ((registry, image["name"]), tag["name"])
        for region in world.regions
        for registry in world.registry_names(region)
        for image in world.images(region, registry)
        for tag in world.tags(region, registry, image["name"])
    )
    of_tags = {within: names for within, names in output.held.items() if len(within) == 2}
    assert Counter((within, name) for within, names in of_tags.items() for name in names) == there
    assert sum(one.lists for one in result.deeper) == world.image_total()
    assert sum(one.records for one in result.deeper) == there.total()
