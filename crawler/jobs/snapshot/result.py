"""What came of a snapshot job, for a caller: JSON-able."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from crawler.engine.spec import StopReason
from crawler.jobs.ends import code_of
from crawler.snapshot.totals import Totals  # noqa: TC001 - msgspec looks at it

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from crawler.snapshot.manifest import Manifest


class SnapshotResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a snapshot.

    Attributes:
        path: the snapshot's folder; None where nothing was published.
        id: the snapshot's name.
        verdict: ``complete`` if nothing is missing but what was excluded or is an expected gap.
        totals: registries by verdict, images, costs; likewise for each region.
        exit_code: what the command would have ended with; 0 is a good end.
        reasons: a sentence for each thing that is missing, and for why the run ended before its work was done.
    """

    path: str | None
    id: str
    verdict: Literal["complete", "incomplete"]
    totals: Totals
    exit_code: int
    reasons: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing."""
        return self.verdict == "complete"

    def as_json(self) -> dict[str, Any]:
        """Return it as values that `json.dumps` takes."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


def result_of(made: Manifest, path: Path | None, stop: StopReason | None) -> SnapshotResult:
    """Return what came of a run by its manifest.

    Args:
        made: the run in its own words.
        path: where the snapshot is, if there is one.
        stop: why the run ended early, if it did.
    """
    return SnapshotResult(
        path=None if path is None else str(path),
        id=made.run.id,
        verdict=made.verdict,
        totals=made.totals,
        exit_code=code_of(stop, is_complete=made.verdict == "complete"),
        reasons=tuple(_reasons(made)),
    )


def stop_of(made: Manifest) -> StopReason | None:
    """Return why the run of a manifest ended early, as far as it says so."""
    told = str(made.observed.get("stopped") or "")
    return next((stop for stop in StopReason if told.startswith(stop.value)), None)


def _reasons(made: Manifest) -> Iterator[str]:
    if told := made.observed.get("stopped"):
        yield str(told)
    for region in made.regions:
        if region.verdict.is_gap:
            yield f"{region.region}, list of registries: {region.verdict}: {region.reason or 'no reason given'}"
    for one in made.missing:
        yield f"{one.label}: {one.verdict}: {one.reason or 'no reason given'}"
