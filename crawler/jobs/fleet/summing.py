"""The manifest of a fleet's run, of those of its accounts: it is a snapshot's, and holds no time but theirs."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from msgspec import UNSET
from msgspec.structs import asdict, replace

from crawler.core.version import __version__
from crawler.snapshot.manifest import Manifest, Run, Tool, gaps_key, kinds_of
from crawler.snapshot.totals import VerdictCounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from crawler.core.collection import Collection
    from crawler.snapshot.manifest import AccountRecord, RegistryRecord, StoredFile

    Shifts = Mapping[str, int]

_SUMMED = ("images", "pages", "requests", "retries", "throttled", "bytes")


def summed(
    run_id: str,
    merged: Sequence[tuple[Manifest, Shifts]],
    files: Iterable[StoredFile],
    *,
    accounts: Sequence[AccountRecord],
) -> Manifest:
    """Return the manifest of a fleet's run.

    Args:
        run_id: of the run.
        merged: the manifests of the accounts that are in the files, in the order of those, each with the byte at which
            its own begins in the file of each collection.
        files: all of them.
        accounts: what the run has of each account that there is, or should be.
    """
    manifests = [made for made, _ in merged]
    first = manifests[0]
    deeper = tuple(first.deeper)
    registries = [_shifted(one, shifts) for made, shifts in merged for one in made.registries]
    return kinds_of(deeper).manifest_type(
        tool=Tool(name="ncrawl", version=__version__),
        run=_run(run_id, manifests),
        verdict="complete" if all(one.verdict == "complete" for one in accounts) else "incomplete",
        totals=_totals(manifests, registries, deeper),
        files=tuple(files),
        registries=tuple(registries),
        regions=tuple(replace(one, account=name) for name, made in _named(accounts, manifests) for one in made.regions),
        excluded=tuple(one for made in manifests for one in made.excluded),
        expected_gaps=tuple(one for made in manifests for one in made.expected_gaps),
        accounts=tuple(accounts),
        **_of_deeper(manifests, deeper),
    )


def _named(accounts: Iterable[AccountRecord], manifests: Iterable[Manifest]) -> Iterable[tuple[str, Manifest]]:
    """Pair the manifests with the names of their accounts, which those without registries do not say."""
    return zip((one.account for one in accounts if one.verdict != "missing"), manifests, strict=True)


def _of_deeper(manifests: Iterable[Manifest], deeper: Iterable[Collection]) -> dict[str, Any]:
    """Return the keys that manifests of deeper levels have besides."""
    keys = [gaps_key(level) for level in deeper]
    keys += ["sizes"] if keys else []
    return {key: tuple(one for made in manifests for one in getattr(made, key, ())) for key in keys}


def _shifted(record: RegistryRecord, shifts: Shifts) -> RegistryRecord:
    """Return where a registry stands in the joined files."""
    extents = record.extents
    if extents is not UNSET:
        extents = {name: replace(one, offset=one.offset + shifts[name]) for name, one in extents.items()}
    offset = None if record.offset is None else record.offset + shifts["images"]
    return replace(record, offset=offset, extents=extents)


def _run(run_id: str, manifests: Sequence[Manifest]) -> Run:
    """Return a run from the first beginning to the last end, with the options that are the same everywhere."""
    runs = [made.run for made in manifests]
    options = {
        name: value
        for name, value in runs[0].options.items()
        if all(name in run.options and run.options[name] == value for run in runs)
    }
    return Run(
        id=min(run.id for run in runs),
        started=min(run.started for run in runs),
        finished=max(run.finished for run in runs),
        options=options,
        run_id=run_id,
    )


def _totals(manifests: Sequence[Manifest], registries: Sequence[RegistryRecord], deeper: tuple[Collection, ...]) -> Any:
    summed = (*_SUMMED, *(level.name for level in deeper))
    kinds = kinds_of(deeper)
    by_region: defaultdict[str, list[Any]] = defaultdict(list)
    for made in manifests:
        for name, totals in made.totals.regions.items():
            by_region[name].append(totals)
    of_region: defaultdict[str, list[RegistryRecord]] = defaultdict(list)
    for one in registries:
        of_region[one.region].append(one)
    started, finished = (datetime.fromisoformat(one) for one in attrgetter("started", "finished")(_run("", manifests)))
    return kinds.totals_type(
        registries=VerdictCounts.of(registries),
        **_sums([made.totals for made in manifests], summed),
        seconds=round(max(0.0, (finished - started).total_seconds()), 3),
        regions={
            name: kinds.region_totals_type(
                registries=VerdictCounts.of(of_region[name]),
                **_sums(by_region[name], summed),
                seconds=max(one.seconds for one in by_region[name]),
            )
            for name in sorted(by_region)
        },
    )


def _sums(totals: Iterable[Any], names: Iterable[str]) -> dict[str, int]:
    every = [asdict(one) for one in totals]
    return {name: sum(one[name] or 0 for one in every) for name in names}
