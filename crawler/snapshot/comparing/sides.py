"""One side of a diff: images registry by registry, and of which registries it has all.

What is not as the manifest says is told, and never given out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import ExitStack
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import msgspec

from crawler.core.model import Verdict
from crawler.core.text import visible
from crawler.snapshot.comparing.extents import Extents
from crawler.snapshot.manifest import IMAGES
from crawler.snapshot.reading.chunks import DamagedError, UnreadableError, open_regular
from crawler.snapshot.reading.records import ordered_batches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from crawler.snapshot.manifest import Manifest, RegistryRecord
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
        verdicts: how the listing of each registry ended.
        regions: how the listing of each region's registries ended; None for a file that is taken as whole.
        excluded: registries that are there, and whose images were not listed.
    """

    def __init__(self, path: Path, manifest: Manifest | None) -> None:
        self.path = path
        self.manifest = manifest
        self.verdicts = {record.place: record.verdict for record in manifest.registries} if manifest else {}
        self.regions = {region.region: region.verdict for region in manifest.regions} if manifest else None
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

    def has_all_of(self, account: str, region: str, registry: str) -> bool:
        """Tell whether an image of that registry that this side does not have did not exist."""
        place = (account, region, registry)
        if place in self.excluded:
            return False
        verdict = self.verdicts.get(place)
        return self.knows_all_of(region) if verdict is None else verdict.is_whole or verdict is Verdict.GONE

    def knows_all_of(self, region: str) -> bool:
        """Tell whether a registry of that region that this side does not have did not exist."""
        return self.regions is None or self.regions.get(region, Verdict.FAILED).is_whole

    @abstractmethod
    def groups(self, witness: Witness) -> Iterator[Group]:
        """Yield a group for each registry that it knows or has images of, sorted.

        Raises:
            UnreadableError: no image records.
            DamagedError: not as its manifest says, in a way that cannot be told of one registry.
            OutputError: the temporary files of a sort cannot be written.
        """

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
        stored = manifest.stored_file(IMAGES)
        self._images = path / (stored.name if stored else IMAGES)
        self._stored = stored
        self._records = {record.place: record for record in manifest.registries}

    def groups(self, witness: Witness) -> Iterator[Group]:
        """Yield each registry after it was read through and proved."""
        records = {self._called_now(place): record for place, record in self._records.items()}
        with ExitStack() as stack:
            extents = self._open(stack, witness)
            for place in self.known:
                yield self._group(place, records.get(place), extents, witness)

    def _open(self, stack: ExitStack, witness: Witness) -> Extents | None:
        try:
            file = stack.enter_context(open_regular(self._images))
            extents = Extents(file, self._images, witness.look)
            for problem in extents.differences(self._stored) if self._stored else ():
                self._tell(witness, problem)
        except UnreadableError as error:
            self._tell(witness, error.problem)
        except OSError as error:
            self._tell(witness, f"cannot be read: {error.strerror}")
        else:
            return extents
        return None

    def _tell(self, witness: Witness, problem: str) -> None:
        witness.damaged(f"{self._images} {problem}; `ncrawl verify {self.path}` tells more")

    def _called_now(self, place: Place) -> Place:
        return self._renamed.get(place[0], place[0]), *place[1:]

    def _group(self, place: Place, record: RegistryRecord | None, extents: Extents | None, witness: Witness) -> Group:
        if record is None or not (record.images or record.length):
            return Group(place)
        if extents is None:
            return Group(place, is_intact=False)
        proof = extents.prove(record)
        if proof.problem is not None:
            witness.damaged(f"{self._images}: {visible(record.label)} {proof.problem}: its images are unknown")
            return Group(place, is_intact=False)
        records = chain.from_iterable(self._batches(record, extents.lumps(record, proof)))
        return Group(place, self.called_now(records), record.sha256)

    def _batches(self, record: RegistryRecord, lumps: Iterator[bytes]) -> Iterator[Iterable[Record]]:
        """Yield a proved registry's records; what is wrong with them was so when they were written."""
        try:
            yield from ordered_batches(lumps, self._images, record.place)
        except DamagedError:
            raise
        except UnreadableError as error:
            raise DamagedError(self._images, f"{record.label}: {error.problem}") from error


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
