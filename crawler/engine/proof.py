"""What the passes over one listing prove together: that nothing is missing, or that it changed. Pure.

An image that was there throughout can hide from a pass of several pages only at a boundary between two of them: it
moved over it after the one page was read and before the other was. What moves it is an image that came or went before
it, or its own push, which moves it to the front of a list in the order of pushes, or to the end.

- **One page** is a snapshot by itself: `one_pass_was_atomic`.
- **Two passes with other boundaries that hold the same names** miss nothing: `passes_agree`. Oddities that are the same
  in both are no change.
- **Two passes that overlap**: where one page of a pass holds names of two neighbouring pages of the pass before, in
  their order, it holds all that stood between them, so that boundary hid nothing that is not known now. Once no
  boundary is left that hid something from all passes, nothing is missing, however much came and went: `passes_overlap`.
- On a list in no order passes go on until **the expected number of images that all of them missed** is below
  `ACCEPTED_LOSS`: with other boundaries each time the misses are as good as independent. Some images may be missed more
  often than others, those that are pushed all day for one: what passes miss twice shows it. `expected_loss`.

`tests/long/proofs.py` runs these grounds against lists that change while they are read.
"""

from __future__ import annotations

from itertools import pairwise
from math import comb, inf, prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crawler.core.model import Page
    from crawler.engine.passes import Pass

ACCEPTED_LOSS = 1e-6
FEWEST_PASSES_TO_ESTIMATE = 5
"""Before that nothing shows whether some images are missed more often than others."""
FEWEST_BOUNDARIES_TO_ESTIMATE = 4
PASSES_TO_AGREE_UNMOVED = 5
"""A gateway that gives the same pages whatever size is asked for could hide the same image from two passes."""


def one_answer_proves(page: Page, passes: Sequence[Pass]) -> bool:
    """Whether a first page is the whole list beyond doubt, so that nothing of it has to be kept to be judged.

    Nearly every list of tags is one. What `one_pass_was_atomic` and `signs_of_change` come to is the same.
    """
    only = passes[0]
    if page.next is not None or page.defects or len(passes) > 1 or only.is_usual_clamp:
        return False
    return (page.count or 0) <= len(page.names) == len(set(page.names))


def one_pass_was_atomic(passes: Sequence[Pass], known: int) -> bool:
    """Whether a single answer held everything; an empty one proves nothing while ``known`` names were seen."""
    return any(p.is_atomic and not p.is_doubted and (p.records or not known) for p in passes)


def passes_agree(passes: Sequence[Pass]) -> bool:
    """Whether the last passes hold the same names: two with other boundaries, or five if those cannot be moved.

    A third one has to agree where the gateway counts more than it gave in several pages.
    """
    after = passes[-1]
    boundaries = {after.boundaries}
    for agreeing, before in enumerate(reversed(passes[:-1]), start=2):
        clean = all(p.is_closed and not p.signs() for p in (before, after))
        if not (clean and before.names == after.names == after.shared and before.twice == after.twice):
            return False
        boundaries.add(before.boundaries)
        if _is_enough(before, after, agreeing=agreeing, has_moved=len(boundaries) > 1):
            return True
        after = before
    return False


def _is_enough(before: Pass, after: Pass, *, agreeing: int, has_moved: bool) -> bool:
    if not has_moved or (not after.names and after.end != 1):  # nothing in several pages is odder than most
        return agreeing >= PASSES_TO_AGREE_UNMOVED and not after.oddities()
    is_doubted = before.is_doubted and after.is_doubted and not before.is_atomic
    return agreeing >= (3 if is_doubted else 2)


def ends_at_a_page(passes: Sequence[Pass]) -> bool:
    """Whether the gateway seems to give so many pages and no more, whatever their size: it hides all that is behind.

    The last two passes end with the same page, which is full both times, and one of them holds less than the other.
    """
    if len(passes) < 2:
        return False
    before, after = passes[-2:]
    is_same = before.end == after.end and before.records != after.records
    return is_same and all(p.is_closed and p.is_filled for p in (before, after))


def passes_overlap(passes: Sequence[Pass], known: int) -> bool:
    """Whether no boundary is left that may have hidden something from every pass.

    Where images were pushed, one that had hidden at a boundary may have left its place before the next pass came there:
    then a third pass has to find it where it went.
    """
    fewest = 3 if any(map(_shows_pushes, passes)) else 2
    if len(passes) < fewest or any(count > known for count in passes[-1].counts):
        return False
    suspects = None
    for before, after in pairwise(passes):
        if not (before.is_closed and after.is_closed and _keeps_order(before, after)):
            suspects = None
            continue
        suspects = _still_suspect(set(range(1, before.end or 1)) if suspects is None else suspects, after)
    return suspects is not None and not suspects


def _shows_pushes(one: Pass) -> bool:
    """Whether names were pushed while a pass was read, or since the one before: they come twice, or out of order."""
    return bool(one.twice) or not all(overlap.is_ordered for overlap in one.overlaps.values())


def _keeps_order(before: Pass, after: Pass) -> bool:
    """Whether names stand in the order of the pass before, but for those that were pushed to one end meanwhile.

    Its first page has to reach back to what was the first page, its last one to what was among the last: then whatever
    was pushed after it could be missed is on one of the two.
    """
    assert before.end is not None
    assert after.end is not None
    if after.overlaps.keys() != set(range(1, after.end + 1)):
        return False
    parts = [_part(after, page) for page in range(1, after.end + 1)]
    if any(part is None for part in parts):
        return False
    runs = [part for part in parts if part is not None]
    reaches_front = runs[0][0] == 1
    reaches_end = runs[-1][0] >= before.end - 1
    return reaches_front and reaches_end and all(one[1] <= other[0] for one, other in pairwise(runs))


def _part(after: Pass, page: int) -> tuple[int, int] | None:
    """Return the pages of the pass before that the part of a page in its order spans; None if it has none."""
    overlap = after.overlaps[page]
    if overlap.is_ordered:
        return overlap.head
    if page == 1 and after.end != 1:
        return overlap.tail
    return overlap.head if page == after.end else None


def _still_suspect(suspects: set[int], after: Pass) -> set[int]:
    """Return the boundaries of a pass where those ``suspects`` of the pass before lie that none of its pages covers."""
    assert after.end is not None
    left: set[int] = set()
    for page, (part, following) in enumerate(pairwise(_part(after, page) for page in range(1, after.end + 1)), 1):
        if part is not None and following is not None and suspects.intersection(range(part[1], following[0])):
            left.add(page)
    return left


def expected_loss(passes: Sequence[Pass], held_by: Mapping[int, int]) -> float:
    """Estimate how many images all closed passes missed.

    Infinity while there are too few passes, or names, to tell, and where the gateway always counted more than came.

    Args:
        passes: those taken so far.
        held_by: how many names were held by just the passes of each set of bits.
    """
    closed = [p for p in passes if p.is_closed]
    boundaries = {p.boundaries for p in closed}
    if not held_by or len(closed) < FEWEST_PASSES_TO_ESTIMATE or len(boundaries) < FEWEST_BOUNDARIES_TO_ESTIMATE:
        return inf
    known = sum(held_by.values())
    if all(p.counts and min(p.counts) > known for p in closed):
        return inf
    alike = known * prod((known - p.names + 1) / (known + 1) for p in closed)
    return max(alike, _loss_of_unlike(held_by, [p.bit for p in closed]))


def signs_of_change(passes: Sequence[Pass], known: int) -> list[str]:
    """Return every sign of change, within the passes and between them, a phrase each; ``known`` counts all names."""
    found = [sign for p in passes for sign in p.signs()]
    if len(passes) == 1 or any(p.twice != passes[0].twice for p in passes):
        found += [oddity for p in passes for oddity in p.oddities()]
    if ends_at_a_page(passes):
        found.append(f"the last page is always page {passes[-1].end} and always full, whatever size is asked for")
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
    return total * mean**passes * prod(1 + n * unlike for n in range(passes))
