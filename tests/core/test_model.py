"""What follows from a verdict, and where each is spoken of: who adds one is told here what else there is to say."""

from __future__ import annotations

import re
from pathlib import Path

from crawler.core.model import Verdict

ROOT = Path(__file__).parents[2]
FOLLOWS = {
    Verdict.COMPLETE: {"is_whole", "is_good", "accounts_for_all", "is_settled"},
    Verdict.COMPLETE_WITH_DRIFT: {"is_whole", "is_good", "accounts_for_all", "is_settled", "is_worth_a_word"},
    Verdict.UNVERIFIED: {"is_good", "is_settled"},
    Verdict.INCOMPLETE: {"is_gap", "is_worth_a_word"},
    Verdict.DENIED: {"is_gap", "is_settled", "is_worth_a_word"},
    Verdict.GONE: {"accounts_for_all"},
    Verdict.FAILED: {"is_gap", "is_worth_a_word"},
}


def test_what_follows() -> None:
    """Of each verdict it is decided whether nothing is missing, whether it is looked at again, whether a log tells."""
    questions = [name for name, one in vars(Verdict).items() if isinstance(one, property)]
    said = {one: {name for name in questions if getattr(one, name)} for one in Verdict}
    assert said == FOLLOWS, "crawler/core/model.py: what follows from a verdict"


def test_where_they_are_spoken_of() -> None:
    """The table of the README has all of them, the alert rules those that are gaps."""
    table = (ROOT / "README.md").read_text().partition("<!-- verdicts -->")[2].partition("<!-- end of verdicts -->")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(Verdict), "README.md: the table of verdicts"
    (alerted,) = re.findall(r'verdict=~"([\w|]+)"', (ROOT / "config/ncrawl-alerts.yaml").read_text())
    gaps = {one for one in Verdict if one.is_gap}
    assert set(alerted.split("|")) == gaps, "config/ncrawl-alerts.yaml: NcrawlRegistriesMissing"
