"""What the passes over one listing prove together: that nothing is missing, or that it changed. Pure.

- A pass of one page is a snapshot by itself: nothing that was there can be missing.
- An image that was there throughout can hide from a pass of several pages only because others moved over a page
  boundary while it was read. A move that is no insertion and no deletion brings some name twice. So two closed
  passes with other boundaries that hold the same names, none of them twice, miss nothing.
- On a registry that never stands still no two passes agree. Each pass then misses some share of what is known; with
  other boundaries each time the misses are as good as independent, and passes go on until the expected number of
  images that all of them missed is below `ACCEPTED_LOSS`. Some images may be missed more often than others, those
  that are pushed all day for one: what passes miss twice shows it.

`tests/test_listing.py` runs these grounds against registries that change while they are listed.
"""

from __future__ import annotations

from collections import Counter
from math import comb, inf, prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crawler.passes import Pass

ACCEPTED_LOSS = 1e-6
FEWEST_PASSES_TO_ESTIMATE = 5
"""Before that nothing shows whether some images are missed more often than others."""
FEWEST_BOUNDARIES_TO_ESTIMATE = 4
PASSES_TO_AGREE_UNMOVED = 5
"""A gateway that gives the same pages whatever size is asked for could hide the same image from two passes."""


def one_pass_was_atomic(passes: Sequence[Pass], known: int) -> bool:
    """Whether a single answer held everything; an empty one proves nothing while ``known`` names were seen."""
    return any(p.is_atomic and not p.doubts() and (p.records or not known) for p in passes)


def passes_agree(passes: Sequence[Pass]) -> bool:
    """Whether the last passes hold the same names: two with other boundaries, or five if those cannot be moved."""
    after = passes[-1]
    boundaries = {after.boundaries}
    for agreeing, before in enumerate(reversed(passes[:-1]), start=2):
        clean = all(p.is_closed and not p.signs() for p in (before, after))
        if not (clean and before.names == after.names == after.shared):
            return False
        boundaries.add(before.boundaries)
        if len(boundaries) > 1 or agreeing == PASSES_TO_AGREE_UNMOVED:
            return True
        after = before
    return False


def expected_loss(passes: Sequence[Pass], seen: Mapping[str, int]) -> float:
    """Estimate how many images all closed passes missed; infinity while there are too few passes, or names, to tell.

    Args:
        passes: those taken so far.
        seen: name to the bits of the passes that held it.
    """
    closed = [p for p in passes if p.is_closed]
    boundaries = {p.boundaries for p in closed}
    if not seen or len(closed) < FEWEST_PASSES_TO_ESTIMATE or len(boundaries) < FEWEST_BOUNDARIES_TO_ESTIMATE:
        return inf
    known = len(seen)
    alike = known * prod((known - p.names + 1) / (known + 1) for p in closed)
    return max(alike, _loss_of_unlike(Counter(seen.values()), [p.bit for p in closed]))


def signs_of_change(passes: Sequence[Pass], known: int) -> list[str]:
    """Return every sign of change, within the passes and between them, a phrase each; ``known`` counts all names."""
    found = [sign for p in passes for sign in p.signs()]
    counts = {min(p.counts) for p in passes if p.counts}
    if len(counts) > 1:
        found.append(f"count went from {min(counts)} to {max(counts)} between passes")
    if any(p.names != known for p in passes if p.is_closed):
        fewest = min(p.names for p in passes)
        found.append(f"a pass held {fewest} of {known} names")
    return list(dict.fromkeys(found))


def _loss_of_unlike(held_by: Mapping[int, int], bits: list[int]) -> float:
    """Estimate how many names all passes missed when some names are missed more often than others.

    Taken from the names that were surely there: a pass between two that held them missed them. What they miss twice
    beyond chance is the square of the coefficient of variation of the chance to be missed; with that chance spread as
    a gamma distribution the expectation has a closed form.

    Args:
        held_by: how many names were held by just the passes in each set of bits.
        bits: one a pass, in order.
    """
    total = sum(held_by.values())
    passes = len(bits)
    pairs = comb(passes, 2)
    once = twice = 0
    for held, names in held_by.items():
        missed = "".join("-" if held & bit else "m" for bit in bits)
        if missed.strip("m").count("m") or (missed.startswith("m") and missed.endswith("m")):
            misses = missed.count("m")
            once += names * misses
            twice += names * comb(misses, 2)
    mean = once / (total * (passes - 2))
    square = twice / (total * (pairs - 2))
    if not twice:
        return 0.0
    unlike = max(square / mean**2 - 1, 0.0)
    return total * mean**passes * prod(1 + n * unlike for n in range(1, passes))
