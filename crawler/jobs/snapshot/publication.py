"""Describe a run, and make a snapshot of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.core.text import iso
from crawler.jobs.crawling import options_of
from crawler.jobs.sizes import StoredSizing
from crawler.jobs.snapshot.reusing import listed_again_since, reused
from crawler.jobs.summary import manifest, taken_over
from crawler.settings.table import SNAPSHOT_OPTIONS
from crawler.snapshot.manifest import Run
from crawler.snapshot.unfinished.publishing import assemble, publish

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crawler.core.model import Place
    from crawler.engine.spec import CrawlResult
    from crawler.jobs.snapshot.beginning import Begun
    from crawler.jobs.snapshot.run_clock import RunClock
    from crawler.snapshot.manifest import Extent, Manifest, RegistrySize, StoredFile, TakenOver


def publish_run(begun: Begun, clock: RunClock, result: CrawlResult) -> Manifest:
    """Make a snapshot of a run with this result, and return its manifest.

    Raises:
        OutputError: it cannot be written; what was published before is as it was.
    """
    run = begun.run
    sizing = StoredSizing(run.header.account)
    assembled = assemble(run, result.listed, begun.level, look=sizing.look)
    made = describe(begun, clock, result, files=assembled.files, extents=assembled.extents, sizes=sizing.result())
    publish(run, assembled.folder, made)
    return made


def describe(
    begun: Begun,
    clock: RunClock,
    result: CrawlResult,
    *,
    files: Sequence[StoredFile] = (),
    extents: Mapping[Place, Extent] | None = None,
    sizes: Sequence[RegistrySize] = (),
) -> Manifest:
    """Return the manifest of a run; without ``extents``, of one that makes no snapshot."""
    header = begun.run.header
    taken = taken_over(result, header.taken_from) if header.taken_from and extents else None
    return manifest(
        result,
        account=header.account,
        run=_run_of(begun, clock, result, taken=taken),
        files=files,
        extents=extents,
        level=begun.level,
        sizes=sizes,
    )


def _run_of(begun: Begun, clock: RunClock, result: CrawlResult, *, taken: TakenOver | None) -> Run:
    """Return when and how a run went that ends now."""
    header = begun.run.header
    return Run(
        id=header.id,
        started=iso(header.started_ms),
        finished=iso(clock.gateways_now_ms()),
        resumed=header.resumed,
        identity=header.identity,
        options=options_of(begun.settings, SNAPSHOT_OPTIONS),
        taken_over=taken,
        run_id=header.run_id,
        reuse=reused(header, result),
        tags_listed_since=listed_again_since(header),
    )
