"""What registries store at most, for people: those that store most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.cli.columns import fitted
from crawler.core.text import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crawler.snapshot.manifest import RegistrySize

MOST_SHOWN = 10
_LONGEST_NAME = 40


def sizes_table(sizes: Sequence[RegistrySize]) -> str:
    """Return the registries that store most, the largest first, and what all of them come to."""
    ordered = sorted(sizes, key=lambda one: (-(one.bytes_at_most or 0), one.region, one.registry))
    rows = [
        (visible(f"{one.region}/{one.registry}", _LONGEST_NAME), one.tags, one.digests, one.bytes_at_most)
        for one in ordered[:MOST_SHOWN]
    ]
    if len(ordered) > len(rows):
        rows.append((f"{len(ordered) - len(rows):,} more", *_sums(ordered[MOST_SHOWN:])))
    if len(ordered) > 1:
        rows.append(("total", *_sums(ordered)))
    head = ("registry", "tags", "digests", "bytes at most")
    lines = fitted([head, *((place, *map(_number, numbers)) for place, *numbers in rows)])
    if unsized := sum(one.unsized for one in sizes):
        lines.append(f"{unsized:,} images have no size, and are not in it")
    return "\n".join(lines)


def _sums(sizes: Sequence[RegistrySize]) -> tuple[int, int, int]:
    known = [(one.tags, one.digests or 0, one.bytes_at_most or 0) for one in sizes]
    tags, digests, total = map(sum, zip(*known, strict=True))
    return tags, digests, total


def _number(number: int | None) -> str:
    return "unknown" if number is None else f"{number:,}"
