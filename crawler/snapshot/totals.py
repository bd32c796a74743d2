"""The sums in a manifest: of the whole run, and of each region."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Self

import msgspec

from crawler.core.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crawler.snapshot.manifest import RegistryRecord

Natural = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]  # what a system call can take


class _VerdictCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many registries ended with each verdict: a number for each that there is."""

    if TYPE_CHECKING:  # what is made of `Verdict` below

        def __init__(self, **counts: int) -> None: ...
        def __getattr__(self, verdict: str) -> int: ...

    @classmethod
    def of(cls, registries: Iterable[RegistryRecord]) -> Self:
        """Count the verdicts of ``registries``."""
        counts = Counter(registry.verdict.value for registry in registries)
        return cls(**counts)


if TYPE_CHECKING:
    VerdictCounts = _VerdictCounts
else:
    VerdictCounts = msgspec.defstruct(
        "VerdictCounts",
        [(verdict.value, Natural, 0) for verdict in Verdict],
        bases=(_VerdictCounts,),
        frozen=True,
        kw_only=True,
    )


class _Sums(msgspec.Struct, frozen=True, kw_only=True):
    """``pages`` and ``requests`` include those that list the registries themselves."""

    registries: VerdictCounts
    images: Natural
    pages: Natural
    requests: Natural
    retries: Natural
    throttled: Natural


class RegionTotals(_Sums, frozen=True, kw_only=True):
    """Sums over a region.

    Attributes:
        bytes: as they are stored; None where the lines of all regions go into one stream.
        seconds: from the first request of this run to the last answer.
    """

    bytes: Natural | None
    seconds: float


class Totals(_Sums, frozen=True, kw_only=True):
    """Sums over the whole run.

    Attributes:
        seconds: from the start of the run to its end; None in format 1.
        regions: the same by region; empty in format 1.
    """

    bytes: Natural
    seconds: float | None = None
    regions: dict[str, RegionTotals] = {}
