"""All that a report says, gathered from a snapshot and those before it; what it looks like is the page's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crawler.api.collections import IMAGES
from crawler.core.errors import UsageError
from crawler.jobs.report.changes import changes
from crawler.jobs.report.choosing import choose
from crawler.jobs.report.history import history, moment
from crawler.jobs.report.images import MOST_LISTED, holdings
from crawler.jobs.report.sizes import sizes
from crawler.snapshot.manifest import ManifestError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from crawler.jobs.report.changes import Changes
    from crawler.jobs.report.history import History
    from crawler.jobs.report.images import Holdings
    from crawler.jobs.report.sizes import Size
    from crawler.snapshot.comparing.sides import Place
    from crawler.snapshot.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known.

    Attributes:
        manifest: of the snapshot that is shown.
        now_ms: when it was begun: ages are counted from then, so that a report is the same whenever it is made.
        latest: name of the snapshot that `latest` means; empty if there is none.
        holdings: what its images come to.
        sizes: what its registries store at most; None if it has no tags.
        changes: since the one before.
        history: of all up to this one.
    """

    manifest: Manifest
    now_ms: int
    latest: str
    holdings: Holdings
    sizes: dict[Place, Size] | None
    changes: Changes
    history: History

    @property
    def accounts(self) -> list[str]:
        """The accounts that the snapshot is of."""
        return sorted({record.account for record in self.manifest.registries})

    def label(self, place: Place) -> str:
        """Return a registry as users write it, with its account where there are several."""
        account, region, registry = place
        return f"{account}: {region}/{registry}" if len(self.accounts) > 1 else f"{region}/{registry}"


def gather(path: Path, *, most_listed: int = MOST_LISTED, watch: Callable[[int], object] = lambda _: None) -> Facts:
    """Read what a report is made of.

    Args:
        path: a snapshot, or a folder of snapshots, of which the newest is shown.
        most_listed: how many images the list holds at most.
        watch: told how many bytes were read, each time some were.

    Raises:
        UsageError: there is no snapshot, or it cannot be read.
        ManifestError: it is damaged.
        DamagedError: likewise.
    """
    snapshot, earlier, latest = choose(path)
    if IMAGES not in snapshot.levels:
        raise UsageError(f"{snapshot.path} has no images to report: it is a snapshot of --level registries")
    manifest = snapshot.manifest
    assert manifest
    try:
        now_ms = int(moment(manifest.run.started).timestamp() * 1000)
        past = history(earlier, manifest)
    except ValueError as error:
        raise ManifestError(f"{snapshot.path}: the manifest is damaged: {error}") from error
    return Facts(
        manifest=manifest,
        now_ms=now_ms,
        latest=latest,
        holdings=holdings(snapshot, now_ms, most_listed=most_listed, watch=watch),
        sizes=sizes(snapshot, watch),
        changes=changes(earlier, snapshot, watch=watch),
        history=past,
    )
