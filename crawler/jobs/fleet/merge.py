"""Make one snapshot of all accounts of a fleet's run, next to theirs: `fleet/RUN`, which every reader can read.

Ordered by account, so its files are the same, byte for byte, whoever took the snapshots and in whichever order. What
cannot be merged costs its own account: the manifest says so.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from crawler.core.errors import UsageError
from crawler.core.text import iso
from crawler.jobs.fleet.joining import JoinedFile, NotJoinedError
from crawler.jobs.fleet.keeping import can_lease, leased
from crawler.jobs.fleet.layout import checked_run_id, merged_folder
from crawler.jobs.fleet.lease import GOOD_FOR_S, Lease
from crawler.jobs.fleet.parts import find_parts
from crawler.jobs.fleet.summing import summed
from crawler.output.files import remove_tree, sync_folder, writing
from crawler.snapshot.folder.lock import locked
from crawler.snapshot.manifest import MANIFEST, dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from crawler.jobs.fleet.parts import Part
    from crawler.output.stores.interface import Store
    from crawler.snapshot.manifest import AccountRecord, Manifest, StoredFile

    Tell = Callable[[int, int], object]

_PARTIAL: Final = ".ncrawl-merge-"
_OLD: Final = ".ncrawl-old-"
_PATIENCE_S: Final = 4 * GOOD_FOR_S
"""How long another merge into a storage is waited for: long enough for the lease of one that died."""


class Shape(NamedTuple):
    """What snapshots have to have in common to be merged: which files they have, and how those are packed."""

    files: tuple[str, ...]

    @classmethod
    def of(cls, made: Manifest) -> Shape:
        """Return a snapshot's."""
        return cls(tuple(sorted(file.name for file in made.files)))


@dataclass(slots=True)
class _Merging:
    """What was merged so far. Mutable state: all of it."""

    merged: list[tuple[Manifest, Mapping[str, int]]] = field(default_factory=list)
    accounts: list[AccountRecord] = field(default_factory=list)


def merge(
    folder: Path, run_id: str, store: Store, *, expected: Iterable[str] = (), tell: Tell | None = None
) -> Manifest:
    """Merge a run's snapshots below a folder into `fleet/RUN` there; one that is there is replaced.

    Args:
        folder: where the accounts' folders are.
        run_id: of the run.
        store: the folder as a store.
        expected: accounts that are missing if there is nothing of them.
        tell: is told how many accounts of how many are done.

    Raises:
        UsageError: there is nothing of this run.
        LockedError: another merge goes on below the folder.
        OutputError: it cannot be written; what was merged before is as it was.
    """
    final = folder / merged_folder(checked_run_id(run_id))
    with writing(final):
        final.parent.mkdir(exist_ok=True)
    with locked(final.parent, started=iso(time.time() * 1000)):
        _tidy(final.parent)
        with writing(final):
            work = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=final.parent))
        try:
            made = merge_into(work, store, run_id, expected=expected, tell=tell)
            with writing(final):
                _exchange(work, final)
            sync_folder(final.parent)
        finally:
            _tidy(final.parent)
    return made


def _exchange(work: Path, final: Path) -> None:
    """Put a folder in the place of what is there, or leave that as it was."""
    old = final.with_name(_OLD + final.name)
    work.chmod(0o755)
    if not final.exists():
        work.rename(final)
        return
    final.rename(old)
    try:
        work.rename(final)
    except OSError:
        old.rename(final)
        raise


def _tidy(folder: Path) -> None:
    """Remove what a merge left behind; what one was killed over, when it was about to replace it, is put back."""
    with writing(folder):
        for old in folder.glob(f"{_OLD}*"):
            if not (final := old.with_name(old.name.removeprefix(_OLD))).exists():
                old.rename(final)
        left = [path for start in (_PARTIAL, _OLD) for path in folder.glob(f"{start}*")]
    for path in left:
        remove_tree(path)


def merge_far(
    store: Store, run_id: str, *, expected: Iterable[str] = (), tell: Tell | None = None, scratch: Path | None = None
) -> Manifest:
    """Merge a run's snapshots in a storage into `fleet/RUN` there, by way of a local folder.

    The manifest goes first and comes last: in between there is no merged snapshot. Of two merges of a run at once one
    waits for the other, by a lease; on a storage without compare-and-swap whoever calls sees to that.

    Raises:
        UsageError: there is nothing of this run.
        LockedError: another merge of it takes longer than is waited for.
        OutputError: it cannot be written.
    """
    name = merged_folder(checked_run_id(run_id))
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ncrawl-merge-", dir=scratch)))
        check: Callable[[], object] = _nothing
        if can_lease(store):
            lease = leased(Lease(store, name, run_id), store, patience_s=_PATIENCE_S)
            check = stack.enter_context(lease).check
        made = merge_into(work, store, run_id, expected=expected, tell=tell)
        with writing(f"{store.url}/{name}"):
            _send(made, work, store.below(name), check=check)
    return made


def _send(made: Manifest, work: Path, target: Store, *, check: Callable[[], object]) -> None:
    """Put a merged snapshot in the place of what is there, and see before each step that nobody else is at it."""
    check()
    target.remove(MANIFEST)
    for file in made.files:
        if not target.holds(file.name, file.bytes, file.sha256):
            check()
            target.put(file.name, work / file.name, sha256=file.sha256)
    check()
    target.replace(MANIFEST, dump(made))


def _nothing() -> None:
    """See to nothing."""


def merge_into(
    work: Path, store: Store, run_id: str, *, expected: Iterable[str] = (), tell: Tell | None = None
) -> Manifest:
    """Write the files of a run's merged snapshot into an empty folder, the manifest last; synced."""
    parts = find_parts(store, run_id, expected)
    shapes = Counter(Shape.of(part.made) for part in parts if part.made)
    if not shapes:
        raise UsageError(f"{store.url} has no snapshot of the run {run_id}: there is nothing to merge")
    shape = min(shapes, key=lambda one: (-shapes[one], one))
    merging = _Merging()
    with ExitStack() as stack:
        joined = {name: stack.enter_context(JoinedFile(work / name)) for name in shape.files}
        for number, part in enumerate(parts, 1):
            _add(merging, part, joined, store=store)
            if tell is not None:
                tell(number, len(parts))
        files = [one.finish() for one in joined.values()]
    if not merging.merged:
        raise UsageError(f"{store.url}: no snapshot of the run {run_id} can be merged: {merging.accounts[0].reason}")
    made = summed(run_id, merging.merged, _in_order(files, merging.merged[0][0]), accounts=merging.accounts)
    with writing(work / MANIFEST):
        _write(work / MANIFEST, dump(made))
    sync_folder(work)
    return made


def _add(merging: _Merging, part: Part, joined: Mapping[str, JoinedFile], *, store: Store) -> None:
    """Append an account's files to the joined ones, all or none."""
    record = part.record()
    if part.made is not None:
        marks = {name: one.mark() for name, one in joined.items()}
        try:
            _append(part, joined, store)
        except NotJoinedError as error:
            for name, one in joined.items():
                one.go_back(marks[name])
            record = replace(record, verdict="missing", reason=f"{record.snapshot}: {error}")
        else:
            merging.merged.append((part.made, {_collection(name): mark.bytes for name, mark in marks.items()}))
    merging.accounts.append(record)


def _append(part: Part, joined: Mapping[str, JoinedFile], store: Store) -> None:
    assert part.made
    if Shape.of(part.made).files != tuple(joined):
        names = ", ".join(file.name for file in part.made.files)
        raise NotJoinedError(
            f"has {names}, where most accounts have {', '.join(joined)}: take it with the same options"
        )
    for stored in part.made.files:
        joined[stored.name].append(store, f"{part.folder}/{stored.name}", stored)


def _collection(name: str) -> str:
    """Return the collection that a file holds."""
    return name.partition(".")[0]


def _in_order(files: Sequence[StoredFile], like: Manifest) -> list[StoredFile]:
    """Return files in the order in which a snapshot has them."""
    by_name = {one.name: one for one in files}
    return [by_name[one.name] for one in like.files]


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
