"""Lay a table out so that it fits a terminal; what has no room is summed up in a line below it."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from crawler.core.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_ROW = 80
_GAP = "  "
_TIED = "\u00a0"
_LEAST_MISSED = (
    *("throttled", "retries"),
    *sorted({*Verdict} - {Verdict.COMPLETE}, key=lambda one: (one.is_gap, not one.is_settled, [*Verdict].index(one))),
)
"""Columns that give way, the first one first: what is missing last, and of that last what another run may bring."""


def fitted(table: Sequence[tuple[str, ...]], most: int = LONGEST_ROW) -> list[str]:
    """Return the lines of a table: names to the left, numbers to the right.

    Args:
        table: the heads, then a row a line, the last of which sums the others up if there are several.
        most: characters of a row. Columns that have no room give way, and their sums stand in a line at the end.
    """
    columns = list(zip(*table, strict=True))
    gone = []
    for head in _LEAST_MISSED:
        if _width(columns) <= most:
            break
        gone += [column for column in columns if column[0] == head]
        columns = [column for column in columns if column[0] != head]
    widths = [max(map(len, column)) for column in columns]
    rows = zip(*columns, strict=True)
    lines = [_GAP.join((row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:]))) for row in rows]
    told = [f"{column[-1]}{_TIED}{column[0]}" for column in reversed(gone) if column[-1] != "0"]
    if told:
        wrapped = wrap(f"besides: {', '.join(told)}", max(most, LONGEST_ROW), subsequent_indent=_GAP)
        lines += (line.replace(_TIED, " ") for line in wrapped)
    return lines


def _width(columns: Sequence[tuple[str, ...]]) -> int:
    return sum(max(map(len, column)) for column in columns) + len(_GAP) * (len(columns) - 1)
