"""What the wire sees in the long run: never above the rate, nothing signed long before it is sent, all counted.

By the real clock and on the program's own loop. When a request was sent is what its signature says; on its way to this
process' own server it can be held up by as much as `oldest_s`, and that much closer others can follow it. `make wire`
makes 100,000 attempts; otherwise it is a few thousand.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest
import uvloop
from faults import misdeeds
from faults.harness import crawl_at, problems
from faults.server import ACCESS_KEY, SECRET_KEY, Gateway, World

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from faults.harness import Outcome
    from faults.server import Meddle

pytestmark = pytest.mark.long

ATTEMPTS = int(os.environ.get("WIRE_ATTEMPTS", "3000"))
RATE = 1000
BURST = RATE // 10
SHARE = 0.2
FAULTS = (
    misdeeds.reset, misdeeds.reset_in_body, misdeeds.cut_by_length, misdeeds.cut_gzip,
    misdeeds.refused(500, "900", "Unexpected Error"), misdeeds.refused(503, "500", "Endpoint Error"),
    misdeeds.body(misdeeds.MALFORMED_JSON["HTML"]), misdeeds.body(misdeeds.MALFORMED_JSON["cut in half"]),
)  # fmt: skip


def most_in(window_s: float, times_s: Sequence[float]) -> int:
    """Return the largest number of times within a window; O(n)."""
    first = most = 0
    for last, time_s in enumerate(times_s):
        while time_s - times_s[first] >= window_s:
            first += 1
        most = max(most, last - first + 1)
    return most


def shaken(seed: int) -> Meddle:
    """Let a fifth of all answers fail."""
    chance = random.Random(seed)
    return lambda _place, _nth, _number: chance.choice(FAULTS) if chance.random() < SHARE else None


def test_wire(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Under 20 % faults no second sees more than rate and burst, nothing is signed 5 s before it arrives."""
    monkeypatch.setenv("NCLOUD_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("NCLOUD_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("NCLOUD_METADATA_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HOME", str(tmp_path))
    pages_a_registry = 14  # two passes of five pages or six, the lists of registries, and what is tried again
    gateway = Gateway(World.of(round(ATTEMPTS * (1 - SHARE) / 3 / pages_a_registry), 50), meddle=shaken(11))

    async def main() -> Outcome:
        async with gateway:
            return await crawl_at(gateway.url, tmp_path, rate=str(RATE), concurrency="64", deadline="10m", verbose="0")

    outcome = uvloop.run(main())
    assert problems(outcome, gateway) == []
    assert {key: why for key, why in outcome.reasons.items() if outcome.verdicts[key] != "complete"} == {}
    attempts = gateway.attempts
    signed_s = sorted(attempt.signed_s for attempt in attempts)
    sent = most_in(1.0, signed_s)
    used = len(attempts) / (signed_s[-1] - signed_s[0]) / RATE
    arrived = most_in(1.0, [attempt.arrived_s for attempt in attempts])
    oldest_s = max(attempt.arrived_s - attempt.signed_s for attempt in attempts)
    load = len(attempts) / outcome.summary["totals"]["pages"]
    figures = {
        "attempts": len(attempts),
        "sent": sent,
        "arrived": arrived,
        "oldest_s": oldest_s,
        "load": load,
        "used": used,
    }
    record_property("client", figures | {"most": RATE + BURST})
    if ATTEMPTS > 5000:
        with capsys.disabled():
            print("\n", figures, f"of {RATE + BURST} in a second")  # noqa: T201 - what `make wire` is for
    assert len(attempts) >= 0.9 * ATTEMPTS
    assert sent <= RATE + BURST
    assert arrived <= RATE * (1 + oldest_s) + BURST
    assert oldest_s < 5
    assert load <= 1.30
