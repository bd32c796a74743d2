"""A plan against emulated accounts: its requests are those of the run, as the gateway counts them, within 5 %."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any

import pytest

from crawler.api.collections import IMAGES, REGISTRIES, TAGS
from crawler.emulation import Emulator, EmulatorOptions
from crawler.engine.page_size import LARGEST
from crawler.engine.spec import Root
from crawler.jobs.caller import Caller
from crawler.jobs.crawling import crawl, crawl_spec
from crawler.jobs.naming import named_roots
from crawler.jobs.plan.estimate import Choice, Limits, plan
from crawler.jobs.plan.gateway import from_gateway
from crawler.jobs.plan.snapshot import from_snapshot
from crawler.jobs.python.keys import Keys, source_of
from crawler.jobs.snapshot.job import snapshot
from crawler.settings.calling import given_settings
from crawler.snapshot.manifest import read

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from crawler.core.collection import Collection
    from crawler.core.model import ListingResult
    from crawler.engine.tasks import ListingTask
    from crawler.jobs.plan.estimate import Plan
    from crawler.jobs.plan.facts import Facts
    from crawler.settings.table import Settings

ACCOUNTS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "as it comes": ({}, {}),
    "large": ({"seed": 2, "registries": 10, "images": 40_000}, {}),
    "always": ({"seed": 3, "images": 6_000}, {"verify": "always"}),
    "never": ({"seed": 4, "images": 9_000, "max_page_size": 1_000}, {"verify": "never"}),
    "refuses large pages": ({"seed": 5, "registries": 20, "max_page_size": 30, "oversize": "refuse"}, {}),
    "denies some": ({"seed": 6, "denied": 3, "hidden": 2, "oversize": "refuse"}, {}),
    "counts registries": ({"seed": 7, "registries": 60, "max_page_size": 1_000, "count": "registries"}, {}),
    "counts wrong": ({"seed": 8, "registries": 5, "images": 900, "max_page_size": 1_000, "count": "wrong"}, {}),
    "version 3": ({"seed": 9, "api": "v3", "images": 20_000}, {"api": "v3"}),
    "many registries": ({"seed": 10, "registries": 150, "images": 20_000}, {"page_size": 50}),
}
"""What the emulator is to be, and what else a run is asked for, by what there is to it."""


def settings_of(emulator: Emulator, **options: Any) -> Settings:
    """Return the settings of a run against an emulator."""
    gateway = emulator.urls if emulator.options.api == "v3" else emulator.url
    return given_settings({"gateway": gateway, "rate": None, **options}, timeout_s=60)


def caller_of(emulator: Emulator) -> Caller:
    """Return a caller with the account's keys."""
    return Caller(find_keys=source_of(Keys(emulator.access_key, emulator.secret_key)))


async def asked(
    emulator: Emulator, settings: Settings, level: Collection = IMAGES, roots: list[Root] | None = None
) -> Facts:
    """Ask the gateway for what a plan rests on."""
    facts, stop = await from_gateway(settings, roots, level, caller=caller_of(emulator))
    assert stop is None
    return facts


def planned(facts: Facts, settings: Settings, level: Collection = IMAGES) -> Plan:
    """Return the plan of a run."""
    page_size = settings.page_size if isinstance(settings.page_size, int) else LARGEST
    limits = Limits(settings.rate, settings.region_rate, settings.concurrency)
    return plan(facts, Choice(level, settings.verify, page_size), limits)


class Nowhere:
    """An output that keeps nothing."""

    async def take(self, task: ListingTask, names: list[str], records: list[bytes]) -> None:
        """Nothing."""

    async def end(self, task: ListingTask, result: ListingResult) -> None:
        """Nothing."""

    async def flush(self) -> None:
        """Nothing."""


async def requests_of(
    emulator: Emulator, settings: Settings, level: Collection, roots: list[Root] | None = None
) -> int:
    """Crawl, and return how many requests came to the gateway."""
    before, caller = emulator.statistics.requests, caller_of(emulator)
    found = await caller.keys(settings)
    spec = crawl_spec(settings, found.account, roots, level=level)
    await crawl(spec, Nowhere(), settings=settings, found=found, caller=caller)
    return emulator.statistics.requests - before


@pytest.mark.long
@pytest.mark.parametrize("name", ACCOUNTS)
async def test_within_five_percent(name: str, tmp_path: Path) -> None:
    """From the gateway and from a snapshot, in total and in each region, with what the account holds."""
    of_account, options = ACCOUNTS[name]
    async with Emulator(EmulatorOptions(**of_account)) as emulator:
        settings = settings_of(emulator, **options)
        first = planned(await asked(emulator, settings), settings)
        before = emulator.statistics.requests
        await snapshot(tmp_path, settings, caller_of(emulator))
        took = emulator.statistics.requests - before
        again = planned(from_snapshot(tmp_path, settings, None), settings)
        world = emulator.world
    for made in (first, again):
        assert made.requests == pytest.approx(took, rel=0.05)
        assert sum(one.requests or 0 for one in made.regions.values()) == made.requests
        assert {code: one.registries for code, one in made.regions.items()} == {
            code: len(world.registry_names(code)) for code in world.regions
        }
    if not of_account.get("denied"):
        assert sum(one.images or 0 for one in first.regions.values()) == world.image_total()


@pytest.mark.parametrize("level", [REGISTRIES, TAGS])
async def test_other_levels(level: Collection) -> None:
    """Registries alone, and tags: a request for the tags of each image, without asking for one of them."""
    async with Emulator(EmulatorOptions(registries=12, images=400, max_page_size=100)) as emulator:
        settings = settings_of(emulator, page_size=10) if level is REGISTRIES else settings_of(emulator)
        made = planned(await asked(emulator, settings, level), settings, level)
        assert not any("/tags" in target for target in emulator.statistics.targets)
        took = await requests_of(emulator, settings, level)
    assert took > 3
    assert made.requests == pytest.approx(took, rel=0.05)


async def test_lists_that_do_not_say_how_long_they_are() -> None:
    """What is not known is no number, in total and where it is; what fits into a page is known all the same."""
    async with Emulator(EmulatorOptions(seed=3, images=1_000, count="null")) as emulator:
        settings = settings_of(emulator)
        facts = await asked(emulator, settings)
        sizes = {code: [len(one) for one in emulator.world.listed(code)] for code in emulator.world.regions}
    made = planned(facts, settings)
    long = {code: sum(size > 100 for size in found) for code, found in sizes.items()}
    assert 0 < sum(1 for number in long.values() if not number) < 3, "the world has both"
    assert {code: known and known.unknown for code, known in facts.regions.items()} == long
    assert {code: one.requests is None for code, one in made.regions.items()} == {c: bool(n) for c, n in long.items()}
    assert (made.requests, made.seconds, made.bytes) == (None, None, None)
    assert facts.notes == (f"{sum(long.values())} lists go on after page 1, and the gateway does not say how far",)


async def test_named_registries() -> None:
    """Lists of registries are not asked for; a name without a region costs a request in each where it is not."""
    async with Emulator(EmulatorOptions(registries=6, images=900)) as emulator:
        here, there = emulator.world.registry_names("kr")[0], emulator.world.registry_names("sgn")[1]
        settings = settings_of(emulator, rate=None)
        roots = named_roots(replace(settings, registry=(here, f"sgn/{there}")), IMAGES, inf)
        made = planned(await asked(emulator, settings, roots=roots), settings)
        took = await requests_of(emulator, settings, IMAGES, roots)
    assert made.requests == took


@pytest.mark.parametrize("compress", ["none", "zstd"])
async def test_bytes_by_a_snapshot(tmp_path: Path, compress: str) -> None:
    """They are those of its data files; with tags they are not known where it has none."""
    async with Emulator(EmulatorOptions(registries=3, images=200)) as emulator:
        settings = replace(settings_of(emulator), compress=compress)
        await snapshot(tmp_path, settings, caller_of(emulator))
    made = read(tmp_path / "latest")
    facts = from_snapshot(tmp_path / "latest", settings, None)
    assert planned(facts, settings).bytes == made.totals.bytes
    assert planned(facts, settings, TAGS).bytes is None
    assert (planned(facts, settings, REGISTRIES).bytes or 0) < made.totals.bytes / 4


async def test_what_a_snapshot_excluded(tmp_path: Path) -> None:
    """What is excluded now costs nothing; what was excluded then, and is not now, nobody knows."""
    async with Emulator(EmulatorOptions(registries=3, images=200)) as emulator:
        all_of_it = settings_of(emulator)
        first, second, third = (f"kr/{name}" for name in emulator.world.registry_names("kr"))
        less = replace(all_of_it, exclude=(first,))
        await snapshot(tmp_path, less, caller_of(emulator))
        still_less = replace(all_of_it, exclude=(first, second))
        took = await requests_of(emulator, still_less, IMAGES)
    assert planned(from_snapshot(tmp_path, still_less, None), still_less).requests == took
    unknown = from_snapshot(tmp_path, all_of_it, None)
    assert planned(unknown, all_of_it).regions["kr"].requests is None
    assert planned(unknown, all_of_it).regions["kr"].registries == 3
    named = [Root(all_of_it.region[0], IMAGES, (third.partition("/")[2],))]
    assert planned(from_snapshot(tmp_path, all_of_it, named), all_of_it).requests == 1


async def test_a_list_that_was_not_whole(tmp_path: Path) -> None:
    """What was had of it counts, and that is said."""
    async with Emulator(EmulatorOptions(registries=3, images=2_000, next_loop=1)) as emulator:
        settings = settings_of(emulator)
        await snapshot(tmp_path, settings, caller_of(emulator))
    facts = from_snapshot(tmp_path, settings, None)
    assert facts.notes == (f"{len(facts.regions)} lists were not whole then: only what was had counts",)
    assert planned(facts, settings).requests is not None


async def test_trouble_is_not_planned() -> None:
    """Tries that fail while it asks, throttling and a wrong clock are gone by the time of a run: they count nothing."""
    account = EmulatorOptions(seed=3, registries=10, images=2_000)
    async with Emulator(account) as quiet:
        settings = settings_of(quiet)
        expected = planned(await asked(quiet, settings), settings).requests
    trouble = replace(account, faults={"503": 0.2}, rate_limit=30, clock_skew_s=3_600)
    async with Emulator(trouble) as emulator:
        settings = settings_of(emulator)
        facts = await asked(emulator, settings)
        assert emulator.statistics.requests > 3 + 30
    assert planned(facts, settings).requests == expected
