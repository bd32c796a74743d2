"""Find what a fleet's run has of each account, in a folder or in an object storage: by the manifests alone."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from crawler.api.collections import IMAGES
from crawler.core.errors import NcrawlError
from crawler.jobs.fleet.layout import FLEET
from crawler.output.files import reading
from crawler.snapshot.folder.names import started
from crawler.snapshot.manifest import MANIFEST, AccountRecord, Manifest, load

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from crawler.output.stores.interface import Store
    from crawler.snapshot.manifest import RegistryRecord

_AT_ONCE: Final = 16
"""Accounts that are looked at at once: a storage far away takes its time for each."""
NOT_THERE: Final = "has no snapshot of this run"


class Part(NamedTuple):
    """What there is of one account.

    Attributes:
        account: its name.
        made: the manifest of its newest snapshot of the run; None if there is none that can be read.
        sha256: of that manifest's bytes.
        problem: why there is none.
    """

    account: str
    made: Manifest | None = None
    sha256: str | None = None
    problem: str = NOT_THERE

    @property
    def folder(self) -> str:
        """Where the snapshot is."""
        assert self.made
        return f"{self.account}/{self.made.run.id}"

    def record(self) -> AccountRecord:
        """Return what is said of the account."""
        made = self.made
        if made is None:
            return AccountRecord(account=self.account, verdict="missing", reason=self.problem)
        gaps = len(made.missing) + sum(one.verdict.is_gap for one in made.regions)
        return AccountRecord(
            account=self.account,
            verdict=made.verdict,
            reason=_reason(made),
            snapshot=made.run.id,
            manifest_sha256=self.sha256,
            started=made.run.started,
            finished=made.run.finished,
            registries=len(made.registries) or sum(one.registries for one in made.regions),
            images=made.totals.images,
            gaps=gaps,
        )


def find_parts(store: Store, run_id: str, expected: Iterable[str] = (), *, most: int | None = None) -> list[Part]:
    """Return what there is of each account in a run, by name; of those that are expected also that there is nothing.

    Costs reading the manifests that are newer than the run, of each account; all of them, where there is none.

    Args:
        store: where the accounts' folders are.
        run_id: of the fleet's run.
        expected: names of accounts.
        most: how many of each account are looked at, the newest first.

    Raises:
        OutputError: the storage cannot be read.
    """
    with reading(store.url):
        return _find_parts(store, run_id, expected, most=most)


def _find_parts(store: Store, run_id: str, expected: Iterable[str], *, most: int | None) -> list[Part]:
    expected = set(expected)
    names = sorted({*expected, *store.folders()} - {FLEET})
    sought = msgspec.json.encode(run_id)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        found = zip(names, threads.map(partial(_first, store, sought=sought, most=most), names), strict=True)
        parts = [_part(account, candidates, run_id) for account, candidates in found]
    return [part for part in parts if part.made or part.account in expected or part.problem is not NOT_THERE]


def find_part(store: Store, account: str, run_id: str) -> Part:
    """Return what there is of one account in a run.

    Raises:
        OutputError: the storage cannot be read.
    """
    with reading(store.url):
        return _part(account, _candidates(store, account, msgspec.json.encode(run_id)), run_id)


def _first(store: Store, account: str, *, sought: bytes, most: int | None) -> Iterable[tuple[str, bytes]]:
    """Return the manifests of an account that may be of the run, newest first; the first of them is read already."""
    candidates = _candidates(store, account, sought, most=most)
    first = next(candidates, None)
    return () if first is None else chain([first], candidates)


def _candidates(store: Store, account: str, sought: bytes, *, most: int | None = None) -> Iterator[tuple[str, bytes]]:
    for name in sorted(filter(started, store.folders(account)), reverse=True)[:most]:
        stored = store.read(f"{account}/{name}/{MANIFEST}")
        if stored is not None and sought in stored.data:
            yield name, stored.data


def _part(account: str, candidates: Iterable[tuple[str, bytes]], run_id: str) -> Part:
    for name, data in candidates:
        try:
            made = load(data)
        except NcrawlError as error:
            return Part(account, problem=f"{name}: {error}")
        if made.run.run_id != run_id:
            continue
        if problem := _problem(account, name, made):
            return Part(account, problem=f"{name}: {problem}")
        return Part(account, made, hashlib.sha256(data).hexdigest())
    return Part(account)


def _problem(account: str, name: str, made: Manifest) -> str | None:
    """Return why a manifest is nothing to read, write, remove or reckon by, whoever wrote it; None if it is."""
    if made.run.id != name or not made.has_files_of_ours:
        return "its manifest leads out of its folder"
    if strangers := {one.account for one in made.registries} - {account}:
        return f"is of account {min(strangers)}, in a folder of another name"
    if lacking := {of for one in made.registries for of in _files_of(one)} - {one.name for one in made.framed}:
        return f"its manifest has places in a file of {min(lacking)} and names none"
    if None in (_moment(made.run.started), _moment(made.run.finished)):
        return "its manifest has times that are none"
    return None


def _files_of(record: RegistryRecord) -> Iterator[str]:
    """Yield the collections in whose files a registry has its place."""
    yield from record.extents or ()
    if record.offset is not None:
        yield IMAGES.name


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _reason(made: Manifest) -> str | None:
    """Return in few words why a snapshot is incomplete."""
    if made.verdict == "complete":
        return None
    if told := made.observed.get("stopped"):
        return str(told)
    lacking = [one for one in made.regions if one.verdict.is_gap] or made.missing
    if not lacking:
        return "something is missing"
    more = f" (and {len(lacking) - 1:,} more)" if len(lacking) > 1 else ""
    return f"{lacking[0].label}: {lacking[0].reason or lacking[0].verdict}{more}"
