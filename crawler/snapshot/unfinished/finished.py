"""What a run had finished when it was taken up: the lists that its next session does not fetch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.snapshot.unfinished.batches import family_of

if TYPE_CHECKING:
    from crawler.core.model import Place
    from crawler.snapshot.unfinished.batches import Family
    from crawler.snapshot.unfinished.run import UnfinishedRun

_MOST_FAMILIES = 8
"""Whose names are in memory at once: a few of each region are under way."""


class Finished:
    """The finished lists, as places.

    Mutable state: the names of the families that were asked about last.
    """

    def __init__(self, run: UnfinishedRun) -> None:
        self._run = run
        self._settled = {place for place, part in run.parts.items() if part.result.verdict.is_settled}
        self._names: dict[Family, set[tuple[str, ...]]] = {}

    def __bool__(self) -> bool:
        return bool(self._settled or self._run.earlier)

    def __contains__(self, place: object) -> bool:
        return place in self._settled or (bool(self._run.earlier) and self._is_in_batch(place))  # type: ignore[arg-type]

    def _is_in_batch(self, place: Place) -> bool:
        if not place[2] or (family := family_of(place)) not in self._run.earlier:
            return False
        if family not in self._names:
            if len(self._names) >= _MOST_FAMILIES:
                del self._names[next(iter(self._names))]
            self._names[family] = self._run.batches.names_of(family)
        return place[2] in self._names[family]
