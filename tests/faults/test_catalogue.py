"""Every fault of the catalogue that an answer can have, at the first, a middle and the last page, in each region."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from faults.catalogue import INJECTED, NOT_RUN, NUMBERS, PROVED, ROWS, Expect, Reach, Row
from faults.harness import WHOLE, Outcome, crawl, problems
from faults.server import REGIONS, Gateway, Place, World

from crawler.api.collections import COLLECTIONS, TAGS

if TYPE_CHECKING:
    from collections.abc import Callable

    from faults.server import Fault

pytestmark = pytest.mark.long

WORLDS = {"images": World.usual, "tags": World.tagged}
USUAL_ATTEMPTS = {"images": 28 * len(REGIONS), "tags": 45 * len(REGIONS)}
"""Of a crawl down to a level without faults."""
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
            reach is Reach.ACCOUNT
            or (reach is Reach.LISTING and (place.region, place.within) == (self.at.region, self.at.within))
        )
        if not (is_here or is_after):
            return None
        self.struck += 1
        return self.row.fault


def unexpected(row: Row, at: Place, outcome: Outcome) -> list[str]:
    """Return how a run ended otherwise than its row says."""
    verdicts: dict[tuple[str, ...], str] = {
        (region, *([name] if name else [])): verdict for (region, name), verdict in outcome.verdicts.items()
    }
    verdicts.update(outcome.tag_gaps)
    hit = verdicts.get((at.region, *at.within), "unlisted")
    flagged = {key for key, verdict in verdicts.items() if verdict not in WHOLE}
    right = {
        Expect.HEALED: outcome.exit_code == 0 and set(verdicts.values()) == {"complete"},
        Expect.WHOLE: outcome.exit_code == 0 and not flagged,
        Expect.FLAGGED: outcome.exit_code == 3 and flagged == {(at.region, *at.within)},
        Expect.STOPPED: outcome.exit_code == 4,
    }[row.expect]
    return [] if right else [f"exit {outcome.exit_code}; {hit}; flagged {flagged}; {outcome.reasons}"]


def out_of_bounds(row: Row, outcome: Outcome, attempts: int) -> list[str]:
    """Return which bounds a run did not keep."""
    found = []
    usual = USUAL_ATTEMPTS[row.level]
    if attempts > usual + row.most_more:
        found.append(f"{attempts} attempts instead of {usual} and {row.most_more} more")
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
        gateway = Gateway(
            WORLDS[row.level](), injection, api=row.api, keep_alive=row.keep_alive, largest_page=row.largest_page
        )
        outcome = crawl(gateway, tmp_path, COLLECTIONS[row.level], **dict(row.flags))
        assert injection.struck
        wrong = problems(outcome, gateway) + unexpected(row, at, outcome)
        if wrong := wrong + out_of_bounds(row, outcome, len(gateway.attempts)):
            found[str(at)] = wrong
        attempts.append(len(gateway.attempts))
        healed += outcome.exit_code == 0
    record_property(
        "fault",
        {
            "number": row.number,
            "level": row.level,
            "runs": len(row.at),
            "healed": healed,
            "load": max(attempts) / USUAL_ATTEMPTS[row.level],
        },
    )
    assert not found


def lose_a_tag(outcome: Outcome) -> None:
    """Lose one line."""
    del outcome.lines[0]


def lose_an_image(outcome: Outcome) -> None:
    """Lose all lines of one image, as if its list had never been asked for."""
    outcome.lines[:] = [line for line in outcome.lines if b'"image":"app-02"' not in line]


def write_twice(outcome: Outcome) -> None:
    """Write a line once more."""
    outcome.lines.append(outcome.lines[0])


def mix_up(outcome: Outcome) -> None:
    """Write a tag under another image's name."""
    outcome.lines[0] = outcome.lines[0].replace(b'"image":"app-', b'"image":"app-x')


def hide_a_gap(outcome: Outcome) -> None:
    """Call a registry whole of which a list of tags is not."""
    registry = outcome.summary["registries"][0]
    place = {name: registry[name] for name in ("region", "registry")}
    outcome.summary["tag_gaps"] = [place | {"image": "app-01", "verdict": "denied"}]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lose_a_tag, "nothing is said of"),
        (lose_an_image, "nothing is said of"),
        (write_twice, "twice"),
        (mix_up, "foreign"),
        (hide_a_gap, "is called whole, although"),
    ],
)
def test_what_is_wrong_is_caught(tmp_path: Path, spoil: Callable[[Outcome], None], said: str) -> None:
    """A tag or an image that is lost without a word, or stands twice, or in a wrong place: the tests above can fail."""
    gateway = Gateway(World.tagged())
    outcome = crawl(gateway, tmp_path, TAGS)
    assert problems(outcome, gateway) == []
    spoil(outcome)
    assert any(said in problem for problem in problems(outcome, gateway))


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
