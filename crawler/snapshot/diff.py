"""What changed between two snapshots or files of images: a merge of two sorted streams.

Only what both sides bear out is certain. An image that one side alone has is `added` or `removed` if the other side
has all of its registry, or knows all registries of the region and not that one; else it is `unknown`. An image that
both have is compared, whatever became of its registry. Each registry of which a side does not have all is `unknown`
by itself, ahead of its images and with ``name`` null; so is each region of which a side does not know all registries,
ahead of everything, with ``account`` and ``registry`` null. A registry that one side excluded is `unknown`, one that
both did is not compared. Plain files have no verdicts and are taken as whole.

Values are compared by their exact text, so 1.10 is not 1.1; blanks and the order of fields do not matter.
"""

from __future__ import annotations

import heapq
import re
import stat
from collections import deque
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, get_args

from crawler.files import mode_of
from crawler.model import Verdict
from crawler.snapshot.manifest import IMAGES, read
from crawler.snapshot.reading import UnreadableError
from crawler.snapshot.records import (
    DisorderError,
    encode_text,
    ordered_records,
    parse_fields,
    sorted_records,
)

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping
    from pathlib import Path

    from msgspec import Raw

    from crawler.snapshot.records import ImageKey, Record

Change: TypeAlias = Literal["added", "removed", "changed", "unknown"]
CHANGES: tuple[Change, ...] = get_args(Change)
_BLANKS = re.compile(rb'("(?:[^"\\]|\\.)*")|[ \t\r\n]+', re.DOTALL)


class Difference(NamedTuple):
    """One difference.

    Attributes:
        change: what is known of it.
        account: None if a whole region is unknown.
        region: of the image.
        registry: None if a whole region is unknown.
        name: of the image; None if a whole registry is unknown.
        before: the old record, exactly as it stands; None if there is none.
        after: the new one.
        fields: names of the fields that changed, in the order of the new record, then those that it lost.
    """

    change: Change
    account: str | None
    region: str
    registry: str | None
    name: str | None = None
    before: bytes | None = None
    after: bytes | None = None
    fields: tuple[str, ...] = ()

    def line(self) -> bytes:
        """Encode as one line of NDJSON, with both records spliced in as they are."""
        place = map(_encode, (self.account, self.region, self.registry, self.name))
        fields = b",".join(map(encode_text, self.fields))
        return (
            b'{"change":"%b","account":%b,"region":%b,"registry":%b,"name":%b,"before":%b,"after":%b,"fields":[%b]}\n'
        ) % (self.change.encode(), *place, _splice(self.before), _splice(self.after), fields)


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two things that are compared.

    Attributes:
        images: the file with its images.
        registries: how the listing of each registry (account, region, registry) ended; empty for a plain file.
        regions: how the listing of each region's registries ended; None for a plain file, which is taken as whole.
        excluded: registries (account, region, registry) that are there, and whose images were not listed.
    """

    images: Path
    registries: Mapping[tuple[str, str, str], Verdict]
    regions: Mapping[str, Verdict] | None
    excluded: frozenset[tuple[str, str, str]] = frozenset()

    def has_all_of(self, account: str, region: str, registry: str) -> bool:
        """Tell whether an image of that registry that this side does not have did not exist."""
        if (account, region, registry) in self.excluded:
            return False
        verdict = self.registries.get((account, region, registry))
        return self.knows_all_of(region) if verdict is None else verdict.is_whole or verdict is Verdict.GONE

    def knows_all_of(self, region: str) -> bool:
        """Tell whether a registry of that region that this side does not have did not exist."""
        return self.regions is None or self.regions.get(region, Verdict.FAILED).is_whole

    def records(self) -> Iterator[Record]:
        """Yield the images in order; a plain file is first read through, and sorted if it has to be.

        Raises:
            UnreadableError: not image records, or one of them is there twice.
            OutputError: the temporary files of the sort cannot be written.
        """
        if self.regions is None and not (stat.S_ISREG(mode_of(self.images)) and _is_sorted(self.images)):
            return sorted_records(self.images)
        return ordered_records(self.images)


def _is_sorted(path: Path) -> bool:
    try:
        deque(ordered_records(path), maxlen=0)
    except DisorderError:
        return False
    return True


def open_side(path: Path) -> Side:
    """Look at a snapshot's folder, or at a file of images (plain, .gz or .zst, in any order).

    Raises:
        UsageError: it is neither, or its size shows that it is damaged.
        ManifestError: the snapshot's manifest is damaged.
    """
    if not stat.S_ISDIR(mode_of(path)):
        return Side(path, {}, None)
    manifest = read(path)
    stored = manifest.stored_file(IMAGES)
    images = path / (stored.name if stored else IMAGES)
    if not stored or not images.is_file() or images.stat().st_size != stored.bytes:
        raise UnreadableError(images, f"is not as its manifest says: `ncrawl verify {path}` tells more")
    verdicts = {registry.place: registry.verdict for registry in manifest.registries}
    regions = {region.region: region.verdict for region in manifest.regions}
    return Side(images, verdicts, regions, frozenset(one.place for one in manifest.excluded))


def diff(old: Side, new: Side, *, ignored: Container[str] = ()) -> Iterator[Difference]:
    """Yield what differs, ordered by account, region, registry and name. Costs O(n), in the memory of two lumps.

    Args:
        old: what was.
        new: what is.
        ignored: names of fields whose changes are none.

    Raises:
        UnreadableError: a side cannot be read.
        OutputError: an unsorted file cannot be sorted, for want of room for temporary files.
    """
    streams = _unknown_regions(old, new), _unknown_registries(old, new), _image_differences(old, new, ignored)
    return heapq.merge(*streams, key=lambda one: (one.account or "", one.region, one.registry or "", one.name or ""))


def _unknown_regions(old: Side, new: Side) -> Iterator[Difference]:
    for region in sorted({*(old.regions or ()), *(new.regions or ())}):
        if not (old.knows_all_of(region) and new.knows_all_of(region)):
            yield Difference("unknown", None, region, None)


def _unknown_registries(old: Side, new: Side) -> Iterator[Difference]:
    places = {*old.registries, *new.registries, *old.excluded, *new.excluded}
    for place in sorted(places - (old.excluded & new.excluded)):
        if not (old.has_all_of(*place) and new.has_all_of(*place)):
            yield Difference("unknown", *place)


def _image_differences(old: Side, new: Side, ignored: Container[str]) -> Iterator[Difference]:
    for key, before, after in _unequal(old.records(), new.records()):
        fields: tuple[str, ...] = ()
        if before is None:
            change: Change = "added" if old.has_all_of(*key.place) else "unknown"
        elif after is None:
            change = "removed" if new.has_all_of(*key.place) else "unknown"
        else:
            change, fields = "changed", _changed_fields(before, after, ignored)
            if not fields:
                continue
        yield Difference(change, *key.place, key.name, before, after, fields)


def _unequal(old: Iterator[Record], new: Iterator[Record]) -> Iterator[tuple[ImageKey, bytes | None, bytes | None]]:
    """Pair the lines of two sorted streams by key; yield the pairs that are not the same byte for byte."""
    both = zip_longest(old, new)
    before, after = next(both, (None, None))
    while before or after:
        if before == after:
            before, after = next(both, (None, None))
        elif before and (after is None or before[0] < after[0]):
            yield *before, None
            before = next(old, None)
        elif after and (before is None or after[0] < before[0]):
            yield after[0], None, after[1]
            after = next(new, None)
        else:
            assert before
            assert after
            yield *before, after[1]
            before, after = next(both, (None, None))


def _changed_fields(before: bytes, after: bytes, ignored: Container[str]) -> tuple[str, ...]:
    old, new = parse_fields(before), parse_fields(after)
    changed = [name for name, value in new.items() if old.get(name) != value]
    lost = [name for name in old if name not in new]
    kept = (name for name in changed if name not in ignored and not _mean_the_same(old.get(name), new[name]))
    return (*kept, *(name for name in lost if name not in ignored))


def _mean_the_same(one: Raw | None, other: Raw) -> bool:
    """Tell whether two different texts differ in their blanks only, which lists and objects alone can have."""
    text = bytes(other)
    return text[:1] in b"[{" and one is not None and _without_blanks(bytes(one)) == _without_blanks(text)


def _without_blanks(text: bytes) -> bytes:
    return _BLANKS.sub(rb"\1", text)


def _encode(text: str | None) -> bytes:
    return b"null" if text is None else encode_text(text)


def _splice(record: bytes | None) -> bytes:
    return b"null" if record is None else record.strip()
