"""What concerns the whole account: refused keys, clocks, odd gateways, odd names and odd records."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest
from faults import misdeeds
from faults.catalogue import HOSTILE_NAMES
from faults.harness import crawl, leaks, problems
from faults.server import ACCESS_KEY, REGIONS, SECRET_KEY, Fault, Gateway, Place, Right, World, image
from support.raw_server import answer, refusal

from crawler.cli import run as run_program

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.raw_server import Answer

pytestmark = pytest.mark.long

USUAL_ATTEMPTS = 28 * len(REGIONS)
HOUR_S, DAY_S = 3600, 86_400


def refuse_all(_right: Right) -> Answer:
    """Refuse the key, with the Date of a clock that is right."""
    return refusal(401, "200", "Authentication Failed", f"Date: {formatdate(time.time(), usegmt=True)}")


def on_all(fault: Fault, after: int = 0) -> Callable[[Place, int, int], Fault | None]:
    """Spoil all answers after the first so many."""
    return lambda _place, _nth, number: fault if number > after else None


# ── keys ──


@pytest.mark.parametrize("code", ["200", 200, None])
def test_wrong_key_on_the_first_answer(code: object, tmp_path: Path) -> None:
    """One request a region at most, exit 4, and every region says why (H6)."""
    gateway = Gateway(meddle=on_all(misdeeds.refused(401, code, "Authentication Failed")))
    outcome = crawl(gateway, tmp_path)
    assert problems(outcome, gateway) == []
    assert outcome.exit_code == 4
    assert len(gateway.attempts) <= len(REGIONS)
    assert len({attempt.place.region for attempt in gateway.attempts}) == len(gateway.attempts)
    assert all("refuses the key" in reason for reason in outcome.reasons.values())


def test_key_that_the_gateway_does_not_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with a gateway that checks signatures and a key that is simply wrong (H6)."""
    monkeypatch.setenv("NCLOUD_SECRET_ACCESS_KEY", "another")
    gateway = Gateway()
    outcome = crawl(gateway, tmp_path)
    assert outcome.exit_code == 4
    assert 1 <= len(gateway.attempts) == len(gateway.problems) <= len(REGIONS)


@pytest.mark.parametrize("after", [3, 12, 200])
def test_key_revoked(after: int, tmp_path: Path) -> None:
    """Nothing is sent after the first refusal but what was under way; what was had before is kept (H8)."""
    gateway = Gateway(World.of(20, 50), meddle=on_all(refuse_all, after))
    outcome = crawl(gateway, tmp_path, concurrency="8")
    assert problems(outcome, gateway) == []
    assert outcome.exit_code == 4
    assert after < len(gateway.attempts) <= after + 2 * 8
    assert (after < 100) or outcome.lines


# ── clocks ──


@pytest.mark.parametrize(
    ("api", "offset_s"),
    [
        *(("v2", sign * size) for sign in (1, -1) for size in (4 * 60, 6 * 60, HOUR_S, DAY_S, 300 * DAY_S)),
        ("v3", HOUR_S),
    ],
)
def test_clock_that_is_off(api: str, offset_s: float, tmp_path: Path) -> None:
    """It is measured, corrected once, said once and told in the summary; one request a region more at most (C1)."""
    gateway = Gateway(clock_offset_s=offset_s, api=api)
    outcome = crawl(gateway, tmp_path)
    assert problems(outcome, gateway) == []
    assert outcome.exit_code == 0
    assert len(gateway.attempts) <= USUAL_ATTEMPTS + len(REGIONS)
    is_corrected = abs(offset_s) > 300
    assert (len(gateway.attempts) > USUAL_ATTEMPTS) is is_corrected
    assert outcome.said.count("signing with the gateway's time") == 2 * is_corrected  # once in each form of the log
    assert outcome.summary["observed"]["clock_skew_s"] == pytest.approx(offset_s if is_corrected else 0, abs=5)


@pytest.mark.parametrize(
    "date", [None, "yesterday", "Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "Mon, 99 Foo 2026"]
)
def test_absurd_date_corrects_nothing(date: str | None, tmp_path: Path) -> None:
    """With a refused signature and no Date, or an absurd one, the run stops: there is nothing to correct by (C4)."""
    heads = [f"Date: {date}"] if date else []
    gateway = Gateway(meddle=on_all(misdeeds.refused(401, "200", "Authentication Failed", *heads)))
    outcome = crawl(gateway, tmp_path)
    assert outcome.exit_code == 4
    assert len(gateway.attempts) <= len(REGIONS)
    assert outcome.summary["observed"]["clock_skew_s"] == 0
    is_far_off = date is not None and date.endswith("GMT")
    assert (
        "days from this machine's clock: if that is wrong, set it" in outcome.summary["observed"]["stopped"]
    ) is is_far_off
    harmless = Gateway(dates=lambda _time_s: date)
    assert crawl(harmless, tmp_path).exit_code == 0


@dataclass
class Jump:
    """A wall clock that is set by so much at the n-th request; the gateway's own is right throughout."""

    by_s: float
    at: int
    monkeypatch: pytest.MonkeyPatch

    def __call__(self, _place: Place, _nth: int, number: int) -> None:
        """Set the clock when the time has come."""
        if number == self.at:
            right = time.time
            self.monkeypatch.setattr(time, "time", lambda: right() + self.by_s)


@pytest.mark.parametrize("by_s", [HOUR_S, -HOUR_S])
def test_wall_clock_that_jumps(by_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour forth or back in mid-run: every signature is good, no request more, no pause longer (C2)."""
    gateway = Gateway(meddle=Jump(by_s, 12, monkeypatch))
    outcome = crawl(gateway, tmp_path, rate="10")
    monkeypatch.undo()
    assert problems(outcome, gateway) == []
    assert outcome.exit_code == 0
    assert len(gateway.attempts) == USUAL_ATTEMPTS
    assert outcome.lasted_s < USUAL_ATTEMPTS / 10 + 2
    assert all(abs(attempt.arrived_s - attempt.signed_s) < 5 for attempt in gateway.attempts)


# ── odd gateways ──


def test_page_is_ignored(tmp_path: Path) -> None:
    """A gateway that gives the first page whatever page is asked for is found out after a few requests (D4)."""
    world = World.usual()

    def first_again(right: Right) -> Answer:
        body = world.page(Place(right.place.region, right.place.registry, 1), 10, 10)
        assert body is not None
        return answer(body)

    gateway = Gateway(
        world,
        meddle=lambda place, _nth, _number: first_again if place.registry == "team-a" and place.page > 1 else None,
    )
    outcome = crawl(gateway, tmp_path)
    assert problems(outcome, gateway) == []
    assert {outcome.verdicts[region, "team-a"] for region in REGIONS} == {"incomplete"}
    assert outcome.exit_code == 3
    assert len(gateway.attempts) < USUAL_ATTEMPTS + len(REGIONS) * 40


@pytest.mark.parametrize("largest", [1, 7, 1000])
def test_page_size_is_clamped(largest: int, tmp_path: Path) -> None:
    """Whatever a gateway gives at once, everything comes (D4)."""
    gateway = Gateway(largest_page=largest)
    outcome = crawl(gateway, tmp_path, page_size="100")
    assert problems(outcome, gateway) == []
    assert set(outcome.verdicts.values()) == {"complete"}


def test_page_size_is_refused(tmp_path: Path) -> None:
    """A smaller size is asked for instead, or none; other registries of the region begin with what is accepted (D4)."""
    gateway = Gateway()
    too_large = misdeeds.refused(400, "100", "pagesize too large")
    gateway.meddle = lambda _place, _nth, _number: too_large if asked_for(gateway) > 20 else None
    outcome = crawl(gateway, tmp_path, page_size="100")
    assert problems(outcome, gateway) == []
    assert set(outcome.verdicts.values()) == {"complete"}
    assert len(gateway.attempts) < 2 * USUAL_ATTEMPTS


def asked_for(gateway: Gateway) -> int:
    """Return the page size of the request that is being answered."""
    return gateway.size or 0


# ── odd records ──

ODD_TEXTS = (
    *(chr(code) for code in (*range(0x20), 0x7F, *range(0x80, 0xA0))),
    "\u2028", "\u2029", "\u202e\u2066\u2069\u200e\u200f\u061c", "\u200b\u200d\ufeff", "🚀👩\u200d👧", "e\u0301",
    "\U0010ffff", "\ufffe\uffff", "한글", '"', "\\", "</script>", "\\u0041", "../../etc/passwd", "$(id)", "%00",
    "'; DROP TABLE x; --",
)  # fmt: skip


def odd_world() -> World:
    """Return an account whose images have every awkward name and field that JSON can hold."""
    named = [image(f"{number}{text}", description=text) for number, text in enumerate(ODD_TEXTS)]
    raw = [
        b'{"name":"half","x":"\\ud800","\\udfff":"\\uDBFF\\u0041"}',
        b'{"name":"lone \\ud83d","x":1}',
        b'{"name":"pair \\ud83d\\ude00"}',
        b'{"name":"numbers","a":18446744073709551616,"b":-9223372036854775809,"c":1.10,"d":1e400,"e":-0,"f":1E+2,"g":%s}'
        % (b"9" * 400),
        b'{"name":"twice","x":1,"x":2,"x":{"y":[]}}',
        b'{ "name" : "blanks" ,\t"x" : [ 1 , 2 ] }',
        b'{"x":{"name":"not this"},"name":"nested"}',
        b'{"name":"empty","x":"","y":{},"z":[]}',
        b'{"name":""}',
        image("n" * 1_000_000),
    ]
    return World({region: {"odd": named + raw} for region in REGIONS})


def test_odd_records_come_out_as_they_are(tmp_path: Path) -> None:
    """Numbers of any size, every character, keys that stand twice, halves of pairs: byte for byte (P4, P5, P6)."""
    gateway = Gateway(odd_world(), largest_page=20)
    outcome = crawl(gateway, tmp_path, page_size="20")
    assert problems(outcome, gateway) == []
    assert set(outcome.verdicts.values()) == {"complete"}
    assert len(outcome.lines) == len(REGIONS) * len(gateway.world.images["kr"]["odd"])


def test_hostile_names_of_discovered_registries(tmp_path: Path) -> None:
    """Each gets a verdict and never becomes part of a request; the others are complete (K6)."""
    world = World.usual()
    for held in world.images.values():
        held.update({name: [] for name in HOSTILE_NAMES})
    gateway = Gateway(world)
    outcome = crawl(gateway, tmp_path)
    assert problems(outcome, gateway) == []
    assert outcome.exit_code == 3
    shown = [name.encode(errors="backslashreplace").decode() for name in HOSTILE_NAMES]
    assert {outcome.verdicts[region, name] for region in REGIONS for name in shown} == {"failed"}
    assert {attempt.place.registry for attempt in gateway.attempts} == {None, "team-a", "team-b", "void"}


@pytest.mark.parametrize("name", [name for name in HOSTILE_NAMES if "\0" not in name and name.isprintable()])
def test_hostile_names_that_are_typed(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """They are refused with exit 2 before anything else happens (K6)."""
    if name == "a/b":
        name = "a/../b"
    assert run_program(["images", "--gateway", "http://127.0.0.1:9", "-o", str(tmp_path / "x"), "--", name]) == 2
    assert capfd.readouterr().out == ""
    assert not list(tmp_path.iterdir())


CONFIGURATIONS = {
    "T5 http off loopback": ["--gateway", "http://ncr.apigw.ntruss.com"],
    "T5 http to a private address": ["--gateway", "http://10.0.0.1"],
    "K5 foreign gateway": ["--gateway", "https://gateway.example"],
    "K5 gateway that only looks like the provider's": ["--gateway", "https://ncr.apigw.ntruss.com.evil.example"],
    "K5 user in the gateway's URL": ["--gateway", "https://ncr.apigw.ntruss.com@evil.example"],
    "K4 unknown profile": ["--gateway", "http://127.0.0.1:9", "--profile", "nobody"],
}


@pytest.mark.parametrize("arguments", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_configurations_that_are_refused(
    arguments: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 2 and a sentence; nobody opens a socket (T5, K4, K5)."""
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("something was requested"))
    assert run_program(["images", *arguments]) == 2
    said = capfd.readouterr()
    assert said.out == ""
    assert "ncrawl: " in said.err
    assert SECRET_KEY not in said.err
    assert ACCESS_KEY not in said.err


# ── what is said ──

MESSAGE = "no\nncrawl: error: forged\r\n\x1b]0;owned\x07\x1b[31mred\x9b1m\u202egnp.exe\u200b\ufeff\x7f \u2028 end"


def test_message_is_one_line_and_harmless(tmp_path: Path) -> None:
    """A newline in a gateway's message makes no second log line, and nothing in it steers a terminal (V1, V2)."""
    fault = misdeeds.refused(403, "230", MESSAGE)
    gateway = Gateway(meddle=lambda place, _nth, _number: fault if place.registry == "team-a" else None)
    outcome = crawl(gateway, tmp_path)
    assert problems(outcome, gateway) == []
    assert "\\x1b[31mred" in outcome.said
    assert not [line for line in outcome.said.split("\n") if line.startswith("ncrawl: error: forged")]
    assert not set("\x1b\x07\x9b\u202e\u200b\ufeff\x7f\u2028\r") & set(outcome.said)
    for line in outcome.said.split("\n"):
        if line.startswith("{"):
            json.loads(line)


def test_gateway_that_echoes_the_request(tmp_path: Path) -> None:
    """Key and signature are not repeated, in whatever a gateway quotes them (K1)."""
    gateway = Gateway()

    def echo(_right: Right) -> Answer:
        return refusal(403, "230", f"you sent {gateway.head.decode('latin-1')!r}")

    gateway.meddle = on_all(echo, after=9)
    outcome = crawl(gateway, tmp_path)
    assert leaks(outcome, gateway.signatures) == []
    assert outcome.exit_code == 3
    assert "you sent" in outcome.said
