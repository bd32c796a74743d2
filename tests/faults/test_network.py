"""What the way to the gateway can do to a whole crawl: through a toxic proxy, through outages, by name and by TLS."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from faults import misdeeds
from faults.harness import Outcome, crawl, crawl_at, problems
from faults.proxy import Proxy
from faults.server import REGIONS, Gateway, Place, World
from faults.timelapse import now_s, run
from support.raw_server import RawServer

from crawler.engine.retry_policy import BUDGET_BEFORE_FIRST_ANSWER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from faults.server import Fault

pytestmark = pytest.mark.long

USUAL_ATTEMPTS = 28 * len(REGIONS)
NOT_ON_THE_WIRE = "counted"


def without_count(found: list[str]) -> list[str]:
    """Leave out that counted attempts never arrived: those of connections that came to nothing did not."""
    return [problem for problem in found if not problem.startswith(NOT_ON_THE_WIRE)]


def through_proxy(
    gateway: Gateway, folder: Path, meanwhile: Callable[[Proxy], Awaitable[None]] | None = None, **toxics: Any
) -> Outcome:
    """Crawl through a proxy with these toxics while something else is done to it."""

    async def main() -> Outcome:
        async with gateway, Proxy(gateway.port, **toxics) as proxy:
            meddling = asyncio.ensure_future(meanwhile(proxy) if meanwhile else asyncio.sleep(0))
            outcome = await crawl_at(proxy.url, folder)
            await meddling
            return outcome

    return run(main)


async def down_at_first(proxy: Proxy, *, for_s: float) -> None:
    """Refuse connections for a while."""
    await proxy.down()
    await asyncio.sleep(for_s)
    await proxy.up()


async def lossy_at_first(proxy: Proxy, *, for_s: float) -> None:
    """Be a black hole for a while."""
    proxy.lose(1)
    await asyncio.sleep(for_s)
    proxy.lose(0)


async def swallows_at_first(proxy: Proxy, *, for_s: float) -> None:
    """Take everything and answer nothing for a while."""
    await asyncio.sleep(for_s)
    proxy.swallows = False


def assert_healed(outcome: Outcome, gateway: Gateway) -> None:
    """Everything is complete; attempts that never arrived are counted as well."""
    assert without_count(problems(outcome, gateway)) == []
    assert set(outcome.verdicts.values()) == {"complete"}


@pytest.mark.parametrize("for_s", [3, 60])
@pytest.mark.parametrize("trouble", [down_at_first, lossy_at_first], ids=["N1", "N5"])
def test_no_connection_at_first(trouble: Callable[..., Awaitable[None]], for_s: float, tmp_path: Path) -> None:
    """Refused, or never answered: a few tries a region, then it is held; complete once there is a connection (N1, N5).

    A black hole costs the connect time-out, so the slot is free again within 5 s.
    """
    gateway = Gateway()
    outcome = through_proxy(gateway, tmp_path, partial(trouble, for_s=for_s))
    assert_healed(outcome, gateway)
    assert len(gateway.attempts) <= USUAL_ATTEMPTS + len(REGIONS)  # what answers a probe is asked for again
    tries_before_hold, probes = BUDGET_BEFORE_FIRST_ANSWER, for_s / 5 + 1
    assert outcome.requests - USUAL_ATTEMPTS <= len(REGIONS) * (tries_before_hold + probes)
    assert outcome.lasted_s < for_s + 45


def test_no_connection_at_all(tmp_path: Path) -> None:
    """Every region is flagged at the deadline, with the reason; a probe now and then is all the load (N1)."""

    async def main() -> Outcome:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            return await crawl_at(f"http://127.0.0.1:{unused.getsockname()[1]}", tmp_path, deadline="10m")

    outcome = run(main)
    assert outcome.exit_code == 3
    assert outcome.verdicts == {(region, None): "failed" for region in REGIONS}
    assert all("held" in reason and "Connection refused" in reason for reason in outcome.reasons.values())
    assert outcome.requests <= len(REGIONS) * (3 + 600 / 5)
    assert 595 < outcome.lasted_s < 610


def test_packets_get_lost(tmp_path: Path) -> None:
    """With 30 % of all that is sent lost, acknowledgements among it, the crawl completes (N6); by the real clock."""
    gateway = Gateway()

    async def main() -> Outcome:
        async with gateway, Proxy(gateway.port) as proxy:
            proxy.lose(0.3)
            return await crawl_at(proxy.url, tmp_path, concurrency="6")

    outcome = asyncio.run(main())
    assert_healed(outcome, gateway)
    assert outcome.requests >= USUAL_ATTEMPTS


def test_latency(tmp_path: Path) -> None:
    """2 s give or take 2 s before every piece: complete, and not one time-out (N7)."""
    gateway = Gateway()
    outcome = through_proxy(gateway, tmp_path, latency_s=2, jitter_s=2)
    assert_healed(outcome, gateway)
    assert outcome.requests == USUAL_ATTEMPTS


def test_narrow_link(tmp_path: Path) -> None:
    """100 kbit/s shared by pages that take longer than one try may: no time-out while bytes flow (N8)."""
    gateway = Gateway(World.of(2, 300, description="x" * 1000), largest_page=1000)

    async def main() -> Outcome:
        async with gateway, Proxy(gateway.port, bytes_per_s=12_500, slice_bytes=2000) as proxy:
            return await crawl_at(proxy.url, tmp_path, page_size="100", concurrency="6")

    outcome = run(main)
    assert_healed(outcome, gateway)
    assert outcome.summary["totals"]["retries"] == 0
    assert outcome.lasted_s > 100


TOXICS: dict[str, dict[str, Any]] = {
    "slicer": {"slice_bytes": 7},
    "slow close": {"slow_close_s": 30, "limit_bytes": 9_000},
    "limit": {"limit_bytes": 9_000},
    "reset": {"reset_after_s": 0.4, "latency_s": 0.1},
}


@pytest.mark.parametrize("toxics", TOXICS.values(), ids=TOXICS)
def test_other_toxics(toxics: dict[str, Any], tmp_path: Path) -> None:
    """Connections that crumble, close late, die after some bytes or after a while: complete all the same (N2, N3)."""
    gateway = Gateway()
    outcome = through_proxy(gateway, tmp_path, **toxics)
    assert_healed(outcome, gateway)
    assert outcome.requests <= 2 * USUAL_ATTEMPTS


def test_everything_swallowed_for_a_while(tmp_path: Path) -> None:
    """Requests that nobody ever answers time out and are sent again once that helps (N10)."""
    gateway = Gateway()
    outcome = through_proxy(gateway, tmp_path, partial(swallows_at_first, for_s=90), swallows=True)
    assert_healed(outcome, gateway)


@dataclass
class Outage:
    """Spoils every answer in some regions between two times, counted from the first request."""

    regions: tuple[str, ...]
    from_s: float
    until_s: float
    fault: Fault
    began_s: float = 0.0

    def __call__(self, place: Place, _nth: int, number: int) -> Fault | None:
        """Return the fault while the outage lasts."""
        if number == 1:
            self.began_s = now_s()
        is_on = self.from_s <= now_s() - self.began_s < self.until_s
        return self.fault if is_on and place.region in self.regions else None


OUTAGES: dict[str, Fault] = {
    "503": misdeeds.refused(503, "500", "Endpoint Error"),
    "reset": misdeeds.reset,
    "silence": misdeeds.silence,
}
"""What a region that is out of order answers."""


def slow_world() -> World:
    """Return an account that a crawl at 20 requests a second spends some 10 s on."""
    return World.of(20, 30)


@pytest.mark.parametrize(("api", "fault"), [*(("v2", fault) for fault in OUTAGES), ("v3", "503")])
def test_one_region_down_for_minutes(api: str, fault: str, tmp_path: Path) -> None:
    """It is held and probed; the others finish meanwhile; it resumes at the first answer, and all is complete (N11)."""
    outage = Outage(("sgn",), 2, 302, OUTAGES[fault])
    gateway = Gateway(slow_world(), meddle=outage, api=api)
    outcome = crawl(gateway, tmp_path, rate="20")
    assert_healed(outcome, gateway)
    ended_s = {place.region: at_s - outage.began_s for place, at_s in ((a.place, a.at_s) for a in gateway.attempts)}
    assert max(at_s for region, at_s in ended_s.items() if region != "sgn") < 60
    assert 302 < ended_s["sgn"] < 302 + 60
    events = [event for _, event, region in outcome.events if region == "sgn" and event.startswith("Region")]
    assert events == ["RegionHeld", "RegionReleased"]


@pytest.mark.parametrize("api", ["v2", "v3"])
def test_who_waits_where_one_region_is_throttled(api: str, tmp_path: Path) -> None:
    """Behind one host a Retry-After is meant for the account; where each region has a host, for that one's requests."""
    refused = misdeeds.refused(429, "410", "Throttle Limited", "Retry-After: 40")

    def meddle(place: Place, nth: int, _number: int) -> Fault | None:
        return refused if place == Place("sgn", None, 1) and nth == 1 else None

    gateway = Gateway(slow_world(), meddle=meddle, api=api)
    outcome = crawl(gateway, tmp_path, rate="20")
    assert_healed(outcome, gateway)
    began_s = gateway.attempts[0].at_s
    ended_s = {attempt.place.region: attempt.at_s - began_s for attempt in gateway.attempts}
    assert ended_s.pop("sgn") > 40
    assert (max(ended_s.values()) > 40) is (api == "v2")


def test_one_region_down_for_good(tmp_path: Path) -> None:
    """At the deadline everything that was had is kept, and what is missing is flagged, with the reason (N11)."""
    gateway = Gateway(slow_world(), meddle=Outage(("kr",), 2, 10_000, OUTAGES["503"]))
    outcome = crawl(gateway, tmp_path, rate="20")
    assert problems(outcome, gateway) == []
    assert outcome.exit_code == 3
    others = {verdict for (region, _), verdict in outcome.verdicts.items() if region != "kr"}
    assert others == {"complete"}
    missing = [key for key, verdict in outcome.verdicts.items() if verdict != "complete"]
    assert missing
    assert all("; last: 503/500 Endpoint Error; the region was held" in outcome.reasons[key] for key in missing)


@pytest.mark.parametrize("fault", OUTAGES.values(), ids=OUTAGES)
def test_total_outage(fault: Fault, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """Ten minutes without any answer cost one probe a hold; then everything comes (H17).

    The load is what was sent while a region was held, against one probe for each hold and each probe that failed.
    """
    outage = Outage(REGIONS, 2, 602, fault)
    gateway = Gateway(slow_world(), meddle=outage)
    outcome = crawl(gateway, tmp_path, rate="20", deadline="30m")
    assert_healed(outcome, gateway)
    held_s = {region: at_s for at_s, event, region in outcome.events if event == "RegionHeld"}
    assert held_s.keys() == set(REGIONS)
    ends_s = outage.began_s + outage.until_s
    sent = [a for a in gateway.attempts if held_s[a.place.region] + 0.5 < a.at_s < ends_s]
    seen = {a.place for a in sent}
    assert seen == {Place(region, None, 1) for region in REGIONS}
    waits = [
        after.at_s - before.at_s
        for region in REGIONS
        for before, after in pairwise(a for a in sent if a.place.region == region)
    ]
    probes = sum(wait > 1 for wait in waits) + len(REGIONS)
    name = next(name for name, each in OUTAGES.items() if each is fault)
    record_property("outage", {"fault": name, "attempts": len(sent), "probes": probes})
    assert min(wait for wait in waits if wait > 1) > 4.9
    assert len(sent) <= 1.02 * probes
    assert probes <= len(REGIONS) * 602 / 5


class CountlessWorld(World):
    """Says null for `count`, so a registry is asked for one page after the other."""

    def page(self, place: Place, size: int | None, largest: int, *, api: str = "v2") -> bytes | None:
        """Return the body of a page, without a number for `count`."""
        body = super().page(place, size, largest, api=api)
        return body and re.sub(rb'"count":\d+', b'"count":null', body)


@pytest.mark.parametrize("fault", OUTAGES.values(), ids=OUTAGES)
@pytest.mark.parametrize("registries", [1, 2])
def test_outage_with_few_requests_in_flight(registries: int, fault: Fault, tmp_path: Path) -> None:
    """The tries of the only pages in flight, which are fewer than a region's budget, do not lose them (H17)."""
    outage = Outage(REGIONS, 6, 306, fault)
    gateway = Gateway(CountlessWorld.of(registries, 300), meddle=outage)
    assert_healed(crawl(gateway, tmp_path, rate=str(len(REGIONS))), gateway)
    assert {attempt.place.page for attempt in gateway.attempts if attempt.at_s < outage.began_s + 6} > {1, 2}


def test_probes_wait_for_retry_after(tmp_path: Path) -> None:
    """A region that is out of order and says for how long is not probed before (H3)."""
    outage = Outage(("sgn",), 2, 100, misdeeds.refused(503, "500", "Endpoint Error", "Retry-After: 50"))
    gateway = Gateway(slow_world(), meddle=outage)
    assert_healed(crawl(gateway, tmp_path, rate="20"), gateway)
    sent_s = [a.at_s - outage.began_s for a in gateway.attempts if a.place.region == "sgn"]
    waits_s = [after - before for before, after in pairwise(sent_s) if after - before > 4]
    assert len(waits_s) == 2
    assert min(waits_s) > 49


def test_probe_that_is_throttled(tmp_path: Path) -> None:
    """What answers a probe with "too fast" is answering, and no region is asked before its Retry-After is over (H1)."""
    outage = Outage(("sgn",), 2, 20, OUTAGES["503"])
    throttled_s: list[float] = []

    def meddle(place: Place, nth: int, number: int) -> Fault | None:
        fault = outage(place, nth, number)
        if fault is None and place.region == "sgn" and now_s() - outage.began_s >= 20 and not throttled_s:
            throttled_s.append(now_s())
            return misdeeds.refused(429, "410", "Throttle Limited", "Retry-After: 40")
        return fault

    gateway = Gateway(slow_world(), meddle=meddle)
    outcome = crawl(gateway, tmp_path, rate="20")
    assert_healed(outcome, gateway)
    assert [event for _, event, _ in outcome.events].count("Throttled") == outcome.summary["totals"]["throttled"] == 1
    assert min(a.at_s for a in gateway.attempts if a.at_s > throttled_s[0] + 0.5) > throttled_s[0] + 39


def test_name_resolution_flaps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that resolves now and then is asked for again after each failure, and the crawl completes (N12)."""
    asked: list[str] = []
    gateway = Gateway(keep_alive=False)
    look_up = socket.getaddrinfo

    def flapping(host: str, *more: Any, **how: Any) -> Any:
        asked.append(host)
        if len(asked) % 3:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return look_up("127.0.0.1", *more, **how)

    monkeypatch.setattr(socket, "getaddrinfo", flapping)

    async def main() -> Outcome:
        async with gateway:
            return await crawl_at(f"http://localhost:{gateway.port}", tmp_path)

    outcome = run(main)
    assert_healed(outcome, gateway)
    assert len(asked) >= 3
    assert set(asked) == {"localhost"}
    assert "does not resolve" in outcome.said


# ── random failures ──


def shaken(share: float, seed: int) -> Callable[[Place, int, int], Fault | None]:
    """Let this share of all answers meet one of the usual failures, at random."""
    chance = random.Random(seed)
    usual = (
        misdeeds.reset, misdeeds.reset_in_body, misdeeds.cut_by_length, misdeeds.cut_gzip, *OUTAGES.values(),
        misdeeds.refused(500, "900", "Unexpected Error"), misdeeds.refused(504, "510", "Endpoint Timeout"),
        misdeeds.body(misdeeds.MALFORMED_JSON["HTML"]), misdeeds.body(misdeeds.MALFORMED_JSON["cut in half"]),
    )  # fmt: skip
    return lambda _place, _nth, _number: chance.choice(usual) if chance.random() < share else None


def test_random_failures(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """A fifth of all answers fails, in eleven ways: every page comes, at a load of at most 1.30 (H16)."""
    gateway = Gateway(World.of(200, 50), meddle=shaken(0.2, seed=4))
    outcome = crawl(gateway, tmp_path, concurrency="32")
    assert problems(outcome, gateway) == []
    assert set(outcome.verdicts.values()) == {"complete"}
    pages = outcome.summary["totals"]["pages"]
    assert pages == len(REGIONS) * 200 * (5 + 5 + 6)  # one a page and five looks; five pages, and six to prove them
    record_property("random", {"pages": pages, "attempts": len(gateway.attempts), "lost": 0})
    assert len(gateway.attempts) <= 1.30 * pages


# ── TLS ──


@pytest.fixture(scope="module")
def authorities() -> tuple[trustme.CA, trustme.CA]:
    """One that the program trusts, and one that it does not: keys cost time."""
    return trustme.CA(), trustme.CA()


def tls(ca: trustme.CA, *names: str, expires: datetime | None = None) -> ssl.SSLContext:
    """Return a server's context."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*names, not_after=expires).configure_cert(context)
    return context


@pytest.mark.parametrize("fault", ["none", "T1 other host", "T2 expired", "T3 unknown CA"])
def test_certificates(
    fault: str, authorities: tuple[trustme.CA, trustme.CA], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway that cannot prove itself fails every region at once, for good, and gets no signed byte (T1 to T3)."""
    trusted, stranger = authorities
    trusted.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = {
        "T1 other host": lambda: tls(trusted, "ncr.apigw.ntruss.com"),
        "T2 expired": lambda: tls(trusted, "127.0.0.1", expires=datetime.now(UTC) - timedelta(days=1)),
        "T3 unknown CA": lambda: tls(stranger, "127.0.0.1"),
    }.get(fault, lambda: tls(trusted, "127.0.0.1"))()
    gateway = Gateway(tls=context)
    outcome = crawl(gateway, tmp_path)
    if fault == "none":
        assert_healed(outcome, gateway)
        return
    assert gateway.attempts == []
    assert outcome.exit_code == 3
    assert outcome.verdicts == {(region, None): "failed" for region in REGIONS}
    assert outcome.requests == len(REGIONS)
    assert outcome.lasted_s < 5


def test_hostile_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxy variables and .netrc change nothing: all goes to the gateway, with our headers only (T6)."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login mallory password hunter2\n")
    netrc.chmod(0o600)
    gateway = Gateway()

    async def main() -> tuple[Outcome, int]:
        async with gateway, RawServer(b"") as proxy:
            for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv("NETRC", str(netrc))
            monkeypatch.setenv("HOME", str(tmp_path))
            return await crawl_at(gateway.url, tmp_path), proxy.connections

    outcome, connections = run(main)
    assert_healed(outcome, gateway)
    assert connections == 0
