"""Every fault of the catalogue that an answer can have, at the first, a middle and the last page, in each region."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from faults.catalogue import INJECTED, NOT_RUN, NUMBERS, PROVED, ROWS, Expect, Reach, Row
from faults.harness import WHOLE, Outcome, crawl, problems
from faults.server import REGIONS, Gateway, Place

if TYPE_CHECKING:
    from collections.abc import Callable

    from faults.server import Fault

pytestmark = pytest.mark.long

USUAL_ATTEMPTS = 28 * len(REGIONS)
REPOSITORY = Path(__file__).parents[2]


@dataclass
class Injection:
    """Spoils answers as a row says, at one of its places."""

    row: Row
    at: Place
    struck: int = 0

    def __call__(self, place: Place, nth: int, _number: int) -> Fault | None:
        """Return the row's fault where it strikes."""
        reach = self.row.reach
        is_here = place == self.at and (nth <= (reach is Reach.TWICE) + 1 or reach is Reach.ALWAYS)
        is_after = bool(self.struck) and (
            reach is Reach.ACCOUNT or (reach is Reach.LISTING and place[:2] == self.at[:2])
        )
        if not (is_here or is_after):
            return None
        self.struck += 1
        return self.row.fault


def unexpected(row: Row, at: Place, outcome: Outcome) -> list[str]:
    """Return how a run ended otherwise than its row says."""
    verdicts = outcome.verdicts
    hit = verdicts.get((at.region, at.registry), "unlisted")
    flagged = {key for key, verdict in verdicts.items() if verdict not in WHOLE}
    right = {
        Expect.HEALED: outcome.exit_code == 0 and set(verdicts.values()) == {"complete"},
        Expect.WHOLE: outcome.exit_code == 0 and not flagged,
        Expect.FLAGGED: outcome.exit_code == 3 and flagged == {(at.region, at.registry)},
        Expect.STOPPED: outcome.exit_code == 4,
    }[row.expect]
    return [] if right else [f"exit {outcome.exit_code}; {hit}; flagged {flagged}; {outcome.reasons}"]


def out_of_bounds(row: Row, outcome: Outcome, attempts: int) -> list[str]:
    """Return which bounds a run did not keep."""
    found = []
    if attempts > USUAL_ATTEMPTS + row.most_more:
        found.append(f"{attempts} attempts instead of {USUAL_ATTEMPTS} and {row.most_more} more")
    if not row.least_s <= outcome.lasted_s <= row.most_s:
        found.append(f"lasted {outcome.lasted_s:.1f} s, not {row.least_s} to {row.most_s}")
    return found


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_fault(row: Row, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """The run heals or the listing is flagged, within its bounds; nothing foreign, double, leaked or lost."""
    found = {}
    attempts = []
    healed = 0
    for at in row.at:
        injection = Injection(row, at)
        gateway = Gateway(api=row.api, meddle=injection, keep_alive=row.keep_alive, largest_page=row.largest_page)
        outcome = crawl(gateway, tmp_path, **dict(row.flags))
        assert injection.struck
        wrong = problems(outcome, gateway) + unexpected(row, at, outcome)
        if wrong := wrong + out_of_bounds(row, outcome, len(gateway.attempts)):
            found[str(at)] = wrong
        attempts.append(len(gateway.attempts))
        healed += outcome.exit_code == 0
    record_property(
        "fault",
        {"number": row.number, "runs": len(row.at), "healed": healed, "load": max(attempts) / USUAL_ATTEMPTS},
    )
    assert not found


def test_every_fault_has_its_proof() -> None:
    """Each number of the catalogue has a row here, or a test that exists; there are 500 injected runs and more."""
    assert set(NUMBERS) == {row.number for row in ROWS} | PROVED.keys()
    assert NOT_RUN.keys() <= PROVED.keys()
    assert INJECTED >= 500
    missing = []
    for proof in PROVED.values():
        for place in proof.split("; "):
            path, *tests = re.split(r"(?:, )?::", place)
            text = (REPOSITORY / path).read_text()
            missing += [f"{path}::{test}" for test in tests if f"def {test}(" not in text]
    assert not missing
