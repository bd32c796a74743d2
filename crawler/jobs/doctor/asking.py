"""What the gateway is asked, all regions at once, and what its answers say of key, clock, permissions and regions."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

import anyio

from crawler.api.identity import Identity
from crawler.core.errors import CertificateError, ProxyError, RequestError, TimedOutError
from crawler.jobs.doctor import clock, keys, network, regions
from crawler.jobs.doctor.checks import lasting, skipped
from crawler.jobs.doctor.gateway import Answer, late

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Mapping

    from crawler.core.model import Region
    from crawler.jobs.doctor.checks import Check
    from crawler.jobs.doctor.gateway import Gateway
    from crawler.settings.table import Settings

_T = TypeVar("_T")


class Answers(NamedTuple):
    """What came back.

    Attributes:
        lists: the list of registries of each region, by its code.
        identity: whose the key is, or why nobody knows; None where nobody can be asked.
    """

    lists: Mapping[str, Answer]
    identity: Identity | RequestError | None

    @property
    def whose(self) -> str:
        """Whom a permission is to be given to, in words."""
        alias = self.identity.login_alias if isinstance(self.identity, Identity) else None
        return alias or "the key's sub account"


async def ask_lists(settings: Settings, gateway: Gateway, *, limit_s: float) -> Answers:
    """Ask every region for its registries, and STS whose the key is."""
    lists: dict[str, Answer] = {}
    known: list[Identity | RequestError | None] = []

    async def ask_who() -> None:
        silence = TimedOutError(f"no answer within {limit_s:.0f} s")
        known.append(await _in_time(limit_s, gateway.identity(), silence))

    async def ask_region(region: Region) -> None:
        lists[region.code] = await _in_time(limit_s, gateway.first_page(region, None), late(limit_s))

    async with anyio.create_task_group() as at_once:
        for region in settings.region:
            at_once.start_soon(ask_region, region)
        at_once.start_soon(ask_who)
    return Answers(lists, known[0])


def told_by(settings: Settings, gateway: Gateway, answers: Answers, *, host: str) -> Iterator[Check]:
    """Yield what the lists say: of the way, the clock, the key, whose it is, and each region.

    Args:
        settings: what was asked for.
        gateway: that was asked.
        answers: of it.
        host: name of the check of the way to it.
    """
    errors = [answer.error for answer in answers.lists.values()]
    if stopped := [error for error in errors if isinstance(error, ProxyError | CertificateError)]:
        yield network.in_the_way(host, stopped[0])
    yield clock.of_clock(gateway.heard)
    is_known = isinstance(answers.identity, Identity)
    yield keys.of_acceptance(errors, clock.skew_of(gateway.heard), is_known=is_known)
    is_asked = gateway.has_asked_who or not isinstance(answers.identity, RequestError)
    yield keys.of_identity(answers.identity) if is_asked else _no_turn("identity", settings)
    for region in settings.region:
        yield _of_region(region, answers, gateway, settings=settings)


async def ask_images(settings: Settings, gateway: Gateway, answers: Answers, *, limit_s: float) -> list[Check]:
    """Ask every region that has a registry for the images of one."""
    found: dict[str, Check] = {}

    async def ask(region: Region) -> None:
        page = answers.lists[region.code].page
        registry = None if page is None else regions.sample_of(settings, region, page)
        if registry is None:
            found[region.code] = regions.no_images(region, "no registry to look into" if page else "see the region")
            return
        answer = await _in_time(limit_s, gateway.first_page(region, registry), late(limit_s))
        told = regions.of_images(region, registry, answer, whose=answers.whose)
        is_asked = gateway.has_asked(region, registry)
        found[region.code] = lasting(answer.seconds, told) if is_asked else _no_turn(told.name, settings)

    async with anyio.create_task_group() as at_once:
        for region in settings.region:
            at_once.start_soon(ask, region)
    return [found[region.code] for region in settings.region]


def _of_region(region: Region, answers: Answers, gateway: Gateway, *, settings: Settings) -> Check:
    answer = answers.lists[region.code]
    if isinstance(answer.error, ProxyError | CertificateError):
        return skipped(f"region/{region.code}", "nothing gets through to the gateway")
    if not gateway.has_asked(region, None):
        return _no_turn(f"region/{region.code}", settings)
    return lasting(answer.seconds, regions.of_registries(region, answer, whose=answers.whose))


def _no_turn(name: str, settings: Settings) -> Check:
    return skipped(name, f"its turn does not come in time at --rate {settings.rate:g}")


async def _in_time(limit_s: float, work: Awaitable[_T], otherwise: _T) -> _T:
    with anyio.move_on_after(limit_s):
        return await work
    return otherwise
