"""Run the nightly job: lock, begin or resume, crawl, publish, tidy up, say how it went."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anyio.to_thread

from crawler.cli.afterwards import clock_of, finish_earlier, retain, settle
from crawler.cli.beginning import hint_to_go_on, take_up_or_begin
from crawler.cli.crawling import check_surroundings, crawl, crawl_spec, exit_code, options_of, summary_patience_s
from crawler.cli.expectations import tell_of_patterns
from crawler.cli.hardening import forbid_dumps
from crawler.cli.limits import within_limits
from crawler.cli.logs import WHOLE, configure_logging, say, tell_end
from crawler.cli.signals import run
from crawler.cli.tables import tables
from crawler.core.errors import OutputError, UsageError
from crawler.core.model import Verdict
from crawler.core.patterns import Patterns
from crawler.core.text import visible, writable
from crawler.engine.spec import StopReason
from crawler.jobs.summary import Extent, iso, manifest, taken_over
from crawler.output.files import check_place, write_file
from crawler.settings.loading import SNAPSHOT_OPTIONS
from crawler.snapshot.folder.abilities import check_folder, find_out
from crawler.snapshot.folder.lock import locked
from crawler.snapshot.folder.names import new_id, right_start_ms
from crawler.snapshot.manifest import Run, dump
from crawler.snapshot.reading.records import RegistryKey, parse_keys
from crawler.snapshot.unfinished.publishing import assemble, publish
from crawler.snapshot.unfinished.run import FINISHED
from crawler.snapshot.unfinished.runs import remove_superseded
from crawler.snapshot.unfinished.writer import SnapshotWriter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from crawler.cli.beginning import Tonight
    from crawler.engine.spec import CrawlResult, CrawlSpec
    from crawler.settings.loading import Settings
    from crawler.snapshot.manifest import Manifest, StoredFile
    from crawler.snapshot.unfinished.journal import Part
    from crawler.snapshot.unfinished.run import UnfinishedRun

log = logging.getLogger("ncrawl")

_BY_ITSELF = (None, StopReason.DEADLINE, StopReason.KEY_REFUSED, StopReason.QUOTA, StopReason.PROXY)
"""How a run ends that publishes what it has; what a signal ended goes on with --resume."""


def snapshot_command(folder: Path, settings: Settings, flags: Mapping[str, object]) -> int:
    """Take a snapshot below ``folder`` and return the exit code.

    Args:
        folder: where to.
        settings: what was asked for.
        flags: what the command line gave, by key: whoever is told how to go on needs some of it again.
    """
    configure_logging(settings)
    forbid_dumps()
    check_surroundings(settings)
    check_folder(folder)
    if settings.summary is not None:
        check_place(settings.summary)
    if settings.resume and settings.retry_failed:
        raise UsageError("--resume and --retry-failed contradict each other: drop one")
    settings = within_limits(settings)
    hint = hint_to_go_on(folder, flags)
    return run(lambda: _snapshot(folder, settings, hint), when_stopped=hint)


async def _snapshot(folder: Path, settings: Settings, hint: str) -> int:
    now = datetime.now(UTC)
    with locked(folder, started=iso(now.timestamp() * 1000)):
        finish_earlier(folder, lambda made: accepts(settings.accept, made))  # which also frees space
        _find_out(folder, settings)
        tonight = await take_up_or_begin(folder, settings, now)
        try:
            return await _Night(folder, tonight, hint).spend()
        finally:
            tonight.run.close()


def _find_out(folder: Path, settings: Settings) -> None:
    """See what the folder's file system can do, and say what it cannot.

    Raises:
        OutputError: it can do less than a snapshot takes.
    """
    able = find_out(folder)
    place = visible(str(folder))
    if not able.has_links:
        say(settings, f"{place} cannot hold symbolic links: latest is a file with the snapshot's name in it")
    if not able.syncs_folders:
        log.warning("%s cannot be synced as a folder: a power loss may undo what is published", place)


@dataclass(slots=True)
class _Night:
    """One run from its beginning to its publication.

    Attributes:
        hint: what whoever interrupts it is told.
        clock_offset_s: how far the gateway's clock was found to be ahead.
        is_clock_proven: the gateway has taken a signature that this machine's clock was good enough for.
    """

    folder: Path
    tonight: Tonight
    hint: str
    clock_offset_s: float = 0.0
    is_clock_proven: bool = False
    _epoch_s: float = field(default_factory=lambda: time.time() - time.monotonic())  # see `Transport`

    @property
    def settings(self) -> Settings:
        """What the run goes by: what was asked for, and its own."""
        return self.tonight.settings

    @property
    def run(self) -> UnfinishedRun:
        """Where what is finished is."""
        return self.tonight.run

    async def spend(self) -> int:
        result = await self._crawl()
        if result.stop not in _BY_ITSELF:
            return self._leave_unfinished(result)
        if result.stop is not None and not self._has_anything():
            return self._give_up(result)
        result = self._with_earlier_results(result)
        made = await anyio.to_thread.run_sync(self._publish, result)
        self._tell(result, made)
        await anyio.to_thread.run_sync(self._finish, made)
        return exit_code(result)

    async def _crawl(self) -> CrawlResult:
        writer = SnapshotWriter(self.run)
        try:
            result = await crawl(self.settings, self._spec(), self.tonight.found, writer)
            if result.stop in _BY_ITSELF:
                await writer.end_the_rest([*result.discoveries, *result.registries])
        finally:
            writer.close()
        self.clock_offset_s = result.clock_offset_s
        self.is_clock_proven = any(one.pages for one in result.everything)
        self._follow_clock()
        return result

    def _has_anything(self) -> bool:
        """Whether the run itself has had a record, or an answer that settles what is there."""
        listed = (part for part in self.run.parts.values() if part.result.taken_from is None)
        return any(part.lines or part.result.verdict is not Verdict.FAILED for part in listed)

    def _follow_clock(self) -> None:
        """Name the run after its start by the gateway's clock, where ours was found to be wrong."""
        header = self.run.header
        started_ms = right_start_ms(
            header.started_ms,
            now_ms=self._now_ms(),
            offset_ms=round(self.clock_offset_s * 1000),
            is_resumed=bool(header.resumed),
        )
        if started_ms != header.started_ms:
            name = new_id(self.folder, datetime.fromtimestamp(started_ms / 1000, UTC))
            self.run.start_at(name, started_ms)

    def _now_ms(self) -> int:
        """Return the time by this machine's clock as it was when the run began."""
        return round((self._epoch_s + time.monotonic()) * 1000)

    def _spec(self) -> CrawlSpec:
        """Return the crawl of what is not finished yet."""
        finished = {key: part for key, part in self.run.parts.items() if part.result.verdict in FINISHED}
        return replace(
            crawl_spec(self.settings, self.tonight.found, None, images=True),
            known={region: self._names(part) for (region, registry), part in finished.items() if registry is None},
            finished={(region, registry) for region, registry in finished if registry is not None},
        )

    def _names(self, part: Part) -> list[str]:
        lines = b"".join(self.run.read_part(part))
        return [writable(key.name) for key in parse_keys(lines, RegistryKey)] if lines else []

    def _with_earlier_results(self, result: CrawlResult) -> CrawlResult:
        """Return the result of all sessions of the run, without what is excluded.

        A registry of an earlier session that a whole list lacks by now is left out.
        """
        parts, excluded = self.run.parts, Patterns(self.settings.exclude)
        listed_now = {(one.region, one.registry) for one in result.registries}
        lists = {region: part for (region, registry), part in parts.items() if registry is None}
        known = {region: set(self._names(part)) for region, part in lists.items() if part.result.verdict.is_good}
        registries = [
            part.result
            for (region, registry), part in parts.items()
            if registry is not None
            and ((region, registry) in listed_now or region not in known or registry in known[region])
            and not excluded.match(region, registry)
        ]
        return replace(result, registries=registries, discoveries=[part.result for part in lists.values()])

    def _publish(self, result: CrawlResult) -> Manifest:
        listings = [*result.registries, *result.discoveries]
        parts = [self.run.parts[one.region, one.registry] for one in listings]
        assembled, files = assemble(self.run, parts)
        extents = {key: Extent(part.length, part.sha256) for key, part in self.run.parts.items()}
        made = self._manifest(result, files, extents)
        publish(self.run, assembled, made)
        return made

    def _manifest(
        self,
        result: CrawlResult,
        files: Sequence[StoredFile] = (),
        extents: Mapping[tuple[str, str | None], Extent] | None = None,
    ) -> Manifest:
        header = self.run.header
        described = Run(
            id=header.id,
            started=iso(header.started_ms),
            finished=iso(self._now_ms() + self.clock_offset_s * 1000),
            resumed=header.resumed,
            identity=header.identity,
            options=options_of(self.settings, SNAPSHOT_OPTIONS),
            taken_over=taken_over(result, header.taken_from) if header.taken_from and extents else None,
        )
        return manifest(result, account=header.account, run=described, files=files, extents=extents)

    def _leave_unfinished(self, result: CrawlResult) -> int:
        """Keep what an interruption left, if it is worth taking up: then nothing older is any more."""
        if self.run.parts:
            remove_superseded(self.folder, newest=self.run.path)
            log.warning("unfinished: %s", self.hint, extra=WHOLE)
        else:
            self.run.remove()
        return self._end_without_snapshot(result)

    def _give_up(self, result: CrawlResult) -> int:
        """End a run that had nothing: a snapshot of nothing would be no inventory, and push better ones out."""
        self.run.remove()
        log.error("nothing was had, so no snapshot is published: %s", result.stop_reason)
        return self._end_without_snapshot(result)

    def _end_without_snapshot(self, result: CrawlResult) -> int:
        made = self._manifest(result)
        self._tell(result, made)
        self._summarize(made, result.stop)
        return exit_code(result)

    def _finish(self, made: Manifest) -> None:
        """Do what comes after the result is safe: what fails warns, and is tried again by the next run."""
        snapshot = visible(str(self.folder / made.run.id))
        say(self.settings, f"{snapshot} is published; what follows changes no exit code")
        self.run.close()  # some file systems remove no file that is open
        is_accepted = accepts(self.settings.accept, made)
        latest = settle(self.folder, made, is_accepted=is_accepted, policy=self.settings.accept)
        self._summarize(made)
        say(self.settings, f"{snapshot}: {made.verdict}, {made.totals.images:,} images; {latest}")
        if self.settings.quiet and made.verdict != "complete":
            log.error("%s is incomplete: %s; its manifest.json says what is missing", snapshot, _lacking(made))
        clock = clock_of(self._now_ms() / 1000, self.clock_offset_s, is_proven=self.is_clock_proven)
        retain(self.folder, self.settings, made=made.run.id, clock=clock)

    def _summarize(self, made: Manifest, stop: StopReason | None = None) -> None:
        if self.settings.summary is None:
            return
        try:
            write_file(self.settings.summary, dump(made), patience_s=summary_patience_s(self.settings, stop))
        except OutputError as error:
            log.warning("%s; the manifest says the same", error)

    def _tell(self, result: CrawlResult, made: Manifest) -> None:
        tell_of_patterns(self.settings, result)
        regions = [region.code for region in self.settings.region]
        tell_end(self.settings, made, tables(result, regions, taken=made.run.taken_over))


def _lacking(made: Manifest) -> str:
    """Return how much a snapshot lacks, for a mail of one line."""
    regions = [one.region for one in made.regions if not one.verdict.is_good]
    if regions:
        return f"not every registry of {', '.join(regions)} could be listed"
    return f"{len(made.missing):,} of {len(made.registries):,} registries"


def accepts(policy: str, made: Manifest) -> bool:
    """Whether `latest` may point to a snapshot: ``complete``, ``partial``, or at most so many registries missing."""
    if policy == "partial" or made.verdict == "complete":
        return True
    if policy == "complete" or not all(region.verdict.is_good for region in made.regions):
        return False
    return 100 * len(made.missing) <= float(policy.removesuffix("%")) * len(made.registries)
