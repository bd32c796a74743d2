"""A part of `make proofs`: what changes while it is read, on back-ends that lag, is never called whole wrongly."""

from __future__ import annotations

from statistics import median

import pytest
from long.proofs import KINDS, prove


@pytest.mark.long
def test_what_is_called_whole_lacks_nothing() -> None:
    """2,000 listings: no loss behind a good verdict, nearly all end with one, for about two passes in the median."""
    tally = prove(range(2000))
    assert tally.lost == []
    for kind in KINDS:
        whole = sum(number for verdict, number in tally.verdicts[kind].items() if verdict.is_whole)
        assert whole >= 0.95 * tally.verdicts[kind].total()
        assert round(median(tally.multiples[kind]), 2) <= (2.0 if kind == "quiet" else 3.0)
