"""Run the nightly job: lock, begin or resume, crawl, publish, tidy up, say how it went."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from crawler.cli.crawling import crawl, exit_code, make_plan, options_of, summary_patience_s
from crawler.cli.hardening import forbid_dumps
from crawler.cli.logs import configure_logging, say, tell_end
from crawler.cli.signals import run
from crawler.credentials import find_keys
from crawler.errors import UsageError
from crawler.files import write_file
from crawler.lifetime import ends_s
from crawler.model import Verdict
from crawler.report import Extent, iso, manifest, tables
from crawler.settings import SNAPSHOT_KEYS
from crawler.snapshot.lock import locked
from crawler.snapshot.manifest import Run, dump
from crawler.snapshot.publishing import (
    Retention,
    assemble,
    check_folder,
    new_id,
    point_latest,
    publish,
    published,
    remove_old,
)
from crawler.snapshot.recording import Recorder
from crawler.snapshot.records import RegistryKey, parse_keys
from crawler.snapshot.run import FINISHED, Header, UnfinishedRun, remove_remains, remove_superseded, unfinished_runs
from crawler.snapshot.seeding import seed
from crawler.text import visible, writable
from crawler.transport import fetch_metadata

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crawler.credentials import FoundKeys
    from crawler.plan import CrawlResult, Plan, Stop
    from crawler.settings import Settings
    from crawler.snapshot.manifest import Manifest, RegistryRecord, StoredFile
    from crawler.snapshot.run import Part

log = logging.getLogger("ncrawl")

DECIDING_OPTIONS = ("gateway", "zone", "region", "page_size", "verify", "compress")
"""Options that decide what is in a snapshot: a run is resumed with the same ones only."""

_GO_ON = "run `ncrawl snapshot {} --resume` to go on"


def snapshot_command(folder: Path, settings: Settings) -> int:
    """Take a snapshot below ``folder`` and return the exit code."""
    configure_logging(settings)
    forbid_dumps()
    check_folder(folder)
    if settings.resume and settings.retry_failed:
        raise UsageError("--resume and --retry-failed contradict each other: drop one")
    return run(lambda: _snapshot(folder, settings), when_stopped=_GO_ON.format(folder))


async def _snapshot(folder: Path, settings: Settings) -> int:
    now = datetime.now(UTC)
    with locked(folder, started=iso(now.timestamp() * 1000)):
        now_s = now.timestamp()
        found = await find_keys(
            os.environ,
            profile=settings.profile,
            zone=settings.zone,
            fetch=fetch_metadata,
            now_s=now_s,
            until_s=ends_s(settings.deadline),
        )
        for warning in found.warnings:
            log.warning(warning)
        if settings.resume:
            _finish_published(folder, settings)
        unfinished = _begin_or_resume(folder, settings, await _header(folder, settings, found, now))
        try:
            return await _Night(folder, settings, found, unfinished).spend()
        finally:
            unfinished.close()


async def _header(folder: Path, settings: Settings, found: FoundKeys, now: datetime) -> Header:
    keys = await found.credentials.current(now.timestamp())
    # A role's keys change every few hours; where they come from does not.
    who = keys.access_key.reveal() if keys.expires_at_s is None else keys.source
    options = options_of(settings, SNAPSHOT_KEYS)
    return Header(
        id=new_id(folder, now),
        started_ms=int(now.timestamp() * 1000),
        account=found.account,
        identity=hashlib.sha256(b"ncrawl account\0" + who.encode()).hexdigest(),
        options={name: options[name] for name in DECIDING_OPTIONS},
    )


def _finish_published(folder: Path, settings: Settings) -> None:
    """Do what the newest run left undone if it was cut off after it was published; tonight's is another one."""
    for path in unfinished_runs(folder)[-1:]:
        made = published(path)
        if made is not None:
            log.warning(
                "the run of %s was cut off after it was published; %s", made.run.id, _settle(folder, settings, made)
            )


def _settle(folder: Path, settings: Settings, made: Manifest) -> str:
    """Move `latest` to a snapshot if --accept does, remove what its run left, and return what became of `latest`.

    The order is one that can be cut off anywhere and taken up again.
    """
    is_accepted = accepts(settings.accept, made)
    if is_accepted:
        point_latest(folder / made.run.id)
    remove_remains(folder)
    return "latest points to it" if is_accepted else f"latest is not moved: --accept {settings.accept}"


def _begin_or_resume(folder: Path, settings: Settings, header: Header) -> UnfinishedRun:
    unfinished = unfinished_runs(folder) if settings.resume else []
    if unfinished:
        taken_up = UnfinishedRun.resume(unfinished[-1], header, now=iso(time.time() * 1000))
        log.warning("resuming the run of %s: %d listings are finished", taken_up.header.id, len(taken_up.parts))
        return taken_up
    remove_superseded(folder)
    begun = UnfinishedRun.begin(folder, header)
    if settings.retry_failed:
        try:
            seed(begun, _snapshot_path(folder, settings.retry_failed), [region.code for region in settings.region])
        except BaseException:
            begun.remove()
            raise
    return begun


def _snapshot_path(folder: Path, name: str) -> Path:
    """Return the snapshot that --retry-failed names: a path, or a name in the folder."""
    return Path(name) if Path(name).exists() else folder / name


@dataclass(slots=True)
class _Night:
    """One run from its plan to its publication."""

    folder: Path
    settings: Settings
    found: FoundKeys
    run: UnfinishedRun

    async def spend(self) -> int:
        result = await self._crawl()
        if result.stop is not None:
            return self._leave_unfinished(result)
        result = self._with_earlier_results(result)
        made = await anyio.to_thread.run_sync(self._publish, result)
        self._tell(result, made)
        await anyio.to_thread.run_sync(self._finish, made)
        return 0 if made.verdict == "complete" else 3

    async def _crawl(self) -> CrawlResult:
        recorder = Recorder(self.run)
        try:
            return await crawl(self.settings, self._plan(), self.found, recorder)
        finally:
            recorder.close()

    def _plan(self) -> Plan:
        """Return the crawl of what is not finished yet."""
        finished = {key: part for key, part in self.run.parts.items() if part.result.verdict in FINISHED}
        return replace(
            make_plan(self.settings, self.found, None, images=True),
            known={region: self._names(part) for (region, registry), part in finished.items() if registry is None},
            finished={(region, registry) for region, registry in finished if registry is not None},
        )

    def _names(self, part: Part) -> list[str]:
        lines = b"".join(self.run.read_part(part))
        return [writable(key.name) for key in parse_keys(lines, RegistryKey)] if lines else []

    def _with_earlier_results(self, result: CrawlResult) -> CrawlResult:
        """Return the result of all sessions of the run; a registry that a complete list lacks by now is left out."""
        parts = self.run.parts
        lists = {region: part for (region, registry), part in parts.items() if registry is None}
        known = {region: set(self._names(part)) for region, part in lists.items() if part.result.verdict.is_good}
        registries = [
            part.result
            for (region, registry), part in parts.items()
            if registry is not None and (region not in known or registry in known[region])
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
            finished=iso(time.time() * 1000),
            resumed=header.resumed,
            identity=header.identity,
            options=options_of(self.settings, SNAPSHOT_KEYS),
        )
        return manifest(result, account=header.account, run=described, files=files, extents=extents)

    def _leave_unfinished(self, result: CrawlResult) -> int:
        if self.run.parts:
            log.warning("unfinished: %s", _GO_ON.format(self.folder))
        else:
            self.run.remove()
        made = self._manifest(result)
        self._tell(result, made)
        self._summarize(made, result.stop)
        return exit_code(result)

    def _finish(self, made: Manifest) -> None:
        """Do what comes after publishing; a summary that fails must not let every night take up this run."""
        latest = _settle(self.folder, self.settings, made)
        self._summarize(made)
        snapshot = visible(str(self.folder / made.run.id))
        say(self.settings, f"{snapshot}: {made.verdict}, {made.totals.images:,} images; {latest}")
        if self.settings.quiet and made.verdict != "complete":
            log.error("%s is incomplete: %s; its manifest.json says what is missing", snapshot, _lacking(made))
        retention = Retention(self.settings.keep, self.settings.keep_days)
        for name in remove_old(self.folder, retention, now=datetime.now(UTC)):
            say(self.settings, f"removed {visible(str(self.folder / name))}")

    def _summarize(self, made: Manifest, stop: Stop | None = None) -> None:
        if self.settings.summary is not None:
            write_file(self.settings.summary, dump(made), patience_s=summary_patience_s(self.settings, stop))

    def _tell(self, result: CrawlResult, made: Manifest) -> None:
        tell_end(self.settings, made, tables(result, [region.code for region in self.settings.region]))


def _lacking(made: Manifest) -> str:
    """Return how much a snapshot lacks, for a mail of one line."""
    regions = [one.region for one in made.regions if not one.verdict.is_good]
    if regions:
        return f"not every registry of {', '.join(regions)} could be listed"
    return f"{len(_missing(made)):,} of {len(made.registries):,} registries"


def _missing(made: Manifest) -> list[RegistryRecord]:
    return [one for one in made.registries if not one.verdict.is_good and one.verdict is not Verdict.GONE]


def accepts(policy: str, made: Manifest) -> bool:
    """Whether `latest` may point to a snapshot: ``complete``, ``partial``, or at most so many registries missing."""
    if policy == "partial" or made.verdict == "complete":
        return True
    if policy == "complete" or not all(region.verdict.is_good for region in made.regions):
        return False
    return 100 * len(_missing(made)) <= float(policy.removesuffix("%")) * len(made.registries)
