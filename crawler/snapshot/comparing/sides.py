"""One side of a diff: images registry by registry, and of which registries it has all.

What is not as the manifest says is told, and never given out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import ExitStack
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import msgspec

from crawler.api.collections import IMAGES, REGISTRIES
from crawler.core.model import Verdict
from crawler.core.text import visible
from crawler.snapshot.comparing.extents import Extents
from crawler.snapshot.comparing.registries import registry_records
from crawler.snapshot.frames import Frame
from crawler.snapshot.reading.chunks import DamagedError, UnreadableError, open_regular
from crawler.snapshot.reading.records import ordered_batches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from crawler.core.collection import Collection
    from crawler.snapshot.manifest import Manifest, StoredFile
    from crawler.snapshot.reading.records import Record
    from crawler.snapshot.reading.witness import Witness

Place: TypeAlias = tuple[str, str, str]  # account, region and registry


class Group(NamedTuple):
    """What a side has of one registry.

    Attributes:
        place: account, region and registry.
        records: its images, sorted, if it is intact; to be taken before the next group is.
        sha256: of its lines, if that was proved.
        is_intact: False if it is damaged, so that nothing is known of its images.
    """

    place: Place
    records: Iterable[Record] = ()
    sha256: str | None = None
    is_intact: bool = True


class Side(ABC):
    """One of the two things that are compared.

    Attributes:
        path: the snapshot or the file.
        manifest: its manifest or summary; None for a file that is taken as whole.
        verdicts: how the list of each registry's images ended.
        gaps: lists below that are not whole: account, region, and what each is within.
        lists: how the listing of each region's registries ended, by account, which is None where there is but one; None
            for a file that is taken as whole.
        excluded: registries that are there, and whose images were not listed.
    """

    def __init__(self, path: Path, manifest: Manifest | None) -> None:
        self.path = path
        self.manifest = manifest
        self.verdicts = {record.place: record.own_verdict for record in manifest.registries} if manifest else {}
        self.gaps = set(_gaps(manifest)) if manifest else set()
        self.lists = {(one.owner, one.region): one.verdict for one in manifest.regions} if manifest else None
        self.excluded = {one.place for one in manifest.excluded} if manifest else set()
        self._renamed: dict[str, str] = {}

    @property
    def account(self) -> str | None:
        """What it calls its account, if all registries are of one."""
        accounts = {account for account, _, _ in self.verdicts}
        return accounts.pop() if len(accounts) == 1 else None

    @property
    def known(self) -> list[Place]:
        """Every registry that its manifest speaks of, sorted."""
        return sorted({*self.verdicts, *self.excluded})

    def rename_account(self, name: str) -> None:
        """Call its only account otherwise: the keys of its records change, their lines do not."""
        self._renamed = {self.account or "": name}
        self.verdicts = {(name, region, registry): one for (_, region, registry), one in self.verdicts.items()}
        self.excluded = {(name, region, registry) for _, region, registry in self.excluded}
        self.gaps = {(name, *place[1:]) for place in self.gaps}
        self.lists = self.lists and {(owner and name, region): one for (owner, region), one in self.lists.items()}

    @property
    def levels(self) -> list[Collection]:
        """What it has records of, from the top down."""
        return [IMAGES]

    def has_all_in(self, within: tuple[str, ...]) -> bool:
        """Tell whether what a list does not have on this side did not exist.

        Args:
            within: account, region, registry, and what else the list is within.
        """
        account, region, registry, *deeper = within
        above = (within[: 3 + length] for length in range(1, len(deeper) + 1))
        return self.has_all_of(account, region, registry) and self.gaps.isdisjoint(above)

    def has_all_of(self, account: str, region: str, registry: str) -> bool:
        """Tell whether an image of that registry that this side does not have did not exist."""
        place = (account, region, registry)
        if place in self.excluded:
            return False
        verdict = self.verdicts.get(place)
        return self.knows_all_of(account, region) if verdict is None else verdict.accounts_for_all

    def knows_all_of(self, account: str | None, region: str) -> bool:
        """Tell whether a registry of that region that this side does not have did not exist."""
        if self.lists is None:
            return True
        verdict = self.lists.get((account, region)) or self.lists.get((None, region))
        return verdict is not None and verdict.is_whole

    @abstractmethod
    def groups(self, witness: Witness, collection: Collection = IMAGES) -> Iterator[Group]:
        """Yield a group for each registry that it knows or has records of, sorted.

        Raises:
            UnreadableError: no records of that collection.
            DamagedError: not as its manifest says, in a way that cannot be told of one registry.
            OutputError: the temporary files of a sort cannot be written.
        """

    def registries(self, witness: Witness) -> Iterable[Record] | None:  # noqa: ARG002 - what a file does not have
        """Return its registries, sorted; None if they are damaged, or it has none."""
        return None

    def called_now(self, records: Iterable[Record]) -> Iterable[Record]:
        """Return records under the account's name of now."""
        if not self._renamed:
            return records
        names = self._renamed
        return ((msgspec.structs.replace(key, account=names[key.account]), line) for key, line in records)


class Snapshot(Side):
    """A snapshot's folder."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        super().__init__(path, manifest)
        self._manifest = manifest

    @property
    def levels(self) -> list[Collection]:
        """What it has a file of."""
        registries = [REGISTRIES] if self._manifest.stored_file(REGISTRIES) else []
        images = [IMAGES] if self._manifest.has_images else []  # without its file they are lost, not absent
        return [*registries, *images, *(one for one in self._manifest.framed if one is not IMAGES)]

    def groups(self, witness: Witness, collection: Collection = IMAGES) -> Iterator[Group]:
        """Yield each registry after it was read through and proved."""
        frames = {self._called_now(one.place): Frame.of(one, collection) for one in self._manifest.registries}
        stored = self._manifest.stored_file(collection)
        file = _File(self.path / (stored.name if stored else collection.file), collection, witness)
        with ExitStack() as stack:
            extents = file.open(stack, stored)
            for place in self.known:
                group = file.group(place, frames.get(place), extents)
                yield group._replace(records=self.called_now(group.records))

    def registries(self, witness: Witness) -> Iterable[Record] | None:
        """Return its registries, after they were read through and proved."""
        stored = self._manifest.stored_file(REGISTRIES)
        found = registry_records(self.path, stored, witness) if stored else None
        return found if found is None else self.called_now(found)

    def _called_now(self, place: Place) -> Place:
        return self._renamed.get(place[0], place[0]), *place[1:]


class _File:
    """A data file of a snapshot, read registry by registry."""

    def __init__(self, path: Path, collection: Collection, witness: Witness) -> None:
        self._path = path
        self._collection = collection
        self._witness = witness

    def open(self, stack: ExitStack, stored: StoredFile | None) -> Extents | None:
        """Open it until the stack is left; tell what is not as the manifest says, None if it cannot be read."""
        try:
            file = stack.enter_context(open_regular(self._path))
            extents = Extents(file, self._path, self._witness.look)
            for problem in extents.differences(stored) if stored else ():
                self._tell(problem)
        except UnreadableError as error:
            self._tell(error.problem)
        except OSError as error:
            self._tell(f"cannot be read: {error.strerror}")
        else:
            return extents
        return None

    def _tell(self, problem: str) -> None:
        self._witness.damaged(f"{self._path} {problem}; `ncrawl verify {self._path.parent}` tells more")

    def group(self, place: Place, frame: Frame | None, extents: Extents | None) -> Group:
        """Return what it has of a registry, after it was proved."""
        if frame is None or not (frame.lines or frame.length):
            return Group(place)
        if extents is None:
            return Group(place, is_intact=False)
        proof = extents.prove(frame)
        if proof.problem is not None:
            unknown = f"its {self._collection.name} are unknown"
            self._witness.damaged(f"{self._path}: {visible(frame.label)} {proof.problem}: {unknown}")
            return Group(place, is_intact=False)
        records = chain.from_iterable(self._batches(frame, extents.chunks(frame, proof)))
        return Group(place, records, frame.sha256)

    def _batches(self, frame: Frame, chunks: Iterator[bytes]) -> Iterator[Iterable[Record]]:
        """Yield a proved registry's records; what is wrong with them was so when they were written."""
        try:
            yield from ordered_batches(chunks, self._path, self._collection, place=frame.place)
        except DamagedError:
            raise
        except UnreadableError as error:
            raise DamagedError(self._path, f"{frame.label}: {error.problem}") from error


def _gaps(manifest: Manifest) -> Iterator[tuple[str, ...]]:
    """Yield the lists of deeper levels that do not account for all that they should hold."""
    for collection in manifest.deeper:
        for gap in manifest.gaps_of(collection):
            if not Verdict(gap["verdict"] or "").accounts_for_all:
                yield tuple(gap[name] or "" for name in collection.named_by)


def paired(one: Iterator[Group], other: Iterator[Group]) -> Iterator[tuple[Group, Group]]:
    """Pair the groups of two sides by place; what one of them lacks is empty."""
    before, after = next(one, None), next(other, None)
    while before or after:
        if after is None or (before is not None and before.place < after.place):
            assert before
            yield before, Group(before.place)
            before = next(one, None)
        elif before is None or after.place < before.place:
            yield Group(after.place), after
            after = next(other, None)
        else:
            yield before, after
            before, after = next(one, None), next(other, None)
