"""This machine's clock against the gateway's."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from crawler.api.signing import ABSURD_DIFFERENCE_S, TOLERATED_DIFFERENCE_S
from crawler.core.text import duration
from crawler.jobs.doctor.checks import REFUSED, failed, ok, skipped, warning

if TYPE_CHECKING:
    from collections.abc import Collection

    from crawler.jobs.doctor.checks import Check
    from crawler.transport.listening import Heard

FINE_S = 30.0
_MEND = "set the clock: timedatectl set-ntp true, or chronyc makestep"


def skew_of(heard: Collection[Heard]) -> float | None:
    """Return how far the gateway's clock is ahead of ours; None if it told no time."""
    skews = [one.skew_s for one in heard if one.skew_s is not None]
    return median(skews) if skews else None


def of_clock(heard: Collection[Heard]) -> Check:
    """Return how far the two are apart, and what comes of it."""
    skew_s = skew_of(heard)
    if skew_s is None:
        return skipped("clock", "the gateway tells no time" if heard else "nothing was answered")
    if abs(skew_s) <= FINE_S:
        return ok("clock", f"within {max(1.0, abs(skew_s)):.0f} s of the gateway's")
    apart = f"this machine's clock is {duration(abs(skew_s))} {'behind' if skew_s > 0 else 'ahead of'} the gateway's"
    if abs(skew_s) <= TOLERATED_DIFFERENCE_S:
        return warning("clock", f"{apart}; from 5m on requests are refused", _MEND)
    if abs(skew_s) <= ABSURD_DIFFERENCE_S:
        return warning("clock", f"{apart}; a run signs by the gateway's, and --keep-days removes nothing", _MEND)
    return failed("clock", f"{apart}: too far to be corrected", _MEND, exit_code=REFUSED)
