"""Answers whose heads are sloppy, and those that are no HTTP: what a whole run makes of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from faults import misdeeds
from faults.harness import crawl, problems
from faults.server import Gateway, Place, Right
from support.raw_server import answer

if TYPE_CHECKING:
    from pathlib import Path

    from faults.server import Fault
    from support.raw_server import Answer

pytestmark = pytest.mark.long


def test_a_gateway_that_repeats_itself_is_healthy(tmp_path: Path) -> None:
    """Every answer with headers twice and folded: all complete, not one request more."""

    def sloppy(right: Right) -> Answer:
        return answer(right.body, "Server: a", "Server: b", "Content-Type: x", "Content-Type: y", "X-Folded: a\r\n b")

    gateway = Gateway(meddle=lambda _place, _nth, _number: sloppy)
    outcome = crawl(gateway, tmp_path)
    assert problems(outcome, gateway) == []
    assert outcome.exit_code == 0
    assert outcome.summary["totals"]["retries"] == 0


@pytest.mark.parametrize("name", ["two Content-Lengths", "NUL in a header", "no HTTP at all"])
def test_an_answer_that_is_no_http_is_tried_twice(name: str, tmp_path: Path) -> None:
    """Whoever answers so once and again will do so ten times: given up after two tries, with the reason (H14)."""
    hit = Place("kr", "team-a", 1)
    bad: Fault = misdeeds.MALFORMED_HTTP[name]
    gateway = Gateway(meddle=lambda place, _nth, _number: bad if place == hit else None, keep_alive=False)
    outcome = crawl(gateway, tmp_path)
    assert problems(outcome, gateway) == []
    assert outcome.exit_code == 3
    assert outcome.verdicts["kr", "team-a"] == "failed"
    assert sum(attempt.place == hit for attempt in gateway.attempts) == 2
    assert "the answer is not proper HTTP: " in outcome.reasons["kr", "team-a"]


def test_a_hiccup_before_and_after_another_failure_is_no_loss(tmp_path: Path) -> None:
    """Tries that failed in other ways do not make the first answer that is no HTTP the last one."""
    hit = Place("kr", "team-a", 2)
    faults: list[Fault] = [misdeeds.refused(500, "900", "x"), misdeeds.refused(502, None, "x")]
    faults.append(misdeeds.MALFORMED_HTTP["two Content-Lengths"])

    def meddle(place: Place, nth: int, _number: int) -> Fault | None:
        return faults[nth - 1] if place == hit and nth <= len(faults) else None

    gateway = Gateway(meddle=meddle)
    outcome = crawl(gateway, tmp_path)
    assert problems(outcome, gateway) == []
    assert outcome.exit_code == 0
    assert json.loads(outcome.files["summary.json"])["verdict"] == "complete"
