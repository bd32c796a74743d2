"""What changed between two snapshots or files of images: a merge of two sorted streams, registry by registry.

Only what both sides bear out is certain. An image that one side alone has is `added` or `removed` if the other side
has all of its registry, or knows all registries of the region and not that one; else it is `unknown`. An image that
both have is compared, whatever became of its registry. Each registry of which a side does not have all, or whose lines
are damaged, is `unknown` by itself, ahead of its images and with ``name`` null; so is each region of which a side does
not know all registries, ahead of everything, with ``account`` and ``registry`` null.

Records are compared by what they mean (`values`), not by how they are spelled, and shown as they are.
"""

from __future__ import annotations

from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, get_args

from crawler.snapshot.comparing.sides import paired
from crawler.snapshot.comparing.values import mean_the_same
from crawler.snapshot.reading.records import encode_text, parse_fields
from crawler.snapshot.reading.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from crawler.snapshot.comparing.sides import Group, Side
    from crawler.snapshot.reading.records import ImageKey, Record

Change: TypeAlias = Literal["added", "removed", "changed", "unknown"]
CHANGES: tuple[Change, ...] = get_args(Change)


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

    @property
    def level(self) -> str:
        """What it is a difference of: a ``registry`` or an ``image``."""
        return "registry" if self.name is None else "image"

    def line(self) -> bytes:
        """Encode as one line of NDJSON, with both records spliced in as they are."""
        place = map(_encode, (self.account, self.region, self.registry))
        fields = b",".join(map(encode_text, self.fields))
        return (
            b'{"change":"%b","level":"%b","account":%b,"region":%b,"registry":%b,"image":null,"name":%b,'
            b'"before":%b,"after":%b,"fields":[%b]}\n'
        ) % (
            self.change.encode(),
            self.level.encode(),
            *place,
            _encode(self.name),
            _splice(self.before),
            _splice(self.after),
            fields,
        )


def diff(old: Side, new: Side, witness: Witness | None = None) -> Iterator[Difference]:
    """Yield what differs, ordered by account, region, registry and name; regions that are unknown come first.

    Costs O(n), in the memory of a few lumps. Registries of which both sides have the same lines are only hashed.

    Args:
        old: what was.
        new: what is.
        witness: takes note of what is damaged, and knows the fields whose changes are none.

    Raises:
        UnreadableError: a side cannot be read.
        DamagedError: a side is damaged, and it cannot be told which registries are.
        OutputError: an unsorted file cannot be sorted, for want of room for temporary files.
    """
    witness = witness or Witness()
    pairs = paired(old.groups(witness), new.groups(witness))
    first = next(pairs, None)  # whether a file can be read at all is found out before anything is given out
    yield from _unknown_regions(old, new)
    for before, after in chain(filter(None, [first]), pairs):
        if before.place in old.excluded & new.excluded:
            continue
        has_old = before.is_intact and old.has_all_of(*before.place)
        has_new = after.is_intact and new.has_all_of(*after.place)
        if not (has_old and has_new):
            yield Difference("unknown", *before.place)
        missing: tuple[Change, Change] = "added" if has_old else "unknown", "removed" if has_new else "unknown"
        yield from _image_differences(before, after, missing, witness.ignored)


def _unknown_regions(old: Side, new: Side) -> Iterator[Difference]:
    for region in sorted({*(old.regions or ()), *(new.regions or ())}):
        if not (old.knows_all_of(region) and new.knows_all_of(region)):
            yield Difference("unknown", None, region, None)


def _image_differences(
    old: Group, new: Group, missing: tuple[Change, Change], ignored: Iterable[str]
) -> Iterator[Difference]:
    """Yield what differs of one registry; ``missing`` is what to call an image that the old or the new side lacks."""
    if old.sha256 is not None and old.sha256 == new.sha256:
        return
    ignored = {*ignored, "account"}  # it is part of the key: one account may have had two names
    for key, before, after in _unequal(iter(old.records), iter(new.records)):
        fields: tuple[str, ...] = ()
        if before is None:
            change = missing[0]
        elif after is None:
            change = missing[1]
        else:
            change, fields = "changed", changed_fields(before, after, ignored)
            if not fields:
                continue
        yield Difference(change, *key.place, key.name, before, after, fields)


def _unequal(old: Iterator[Record], new: Iterator[Record]) -> Iterator[tuple[ImageKey, bytes | None, bytes | None]]:
    """Pair the lines of two sorted streams by key; yield the pairs that are not the same byte for byte."""
    both = zip_longest(old, new)
    before, after = next(both, (None, None))
    while before or after:
        if before and after and before[1] == after[1]:
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


def changed_fields(before: bytes, after: bytes, ignored: Container[str]) -> tuple[str, ...]:
    """Return the names of the fields that differ in what they mean: those of the new record, then those it lost."""
    old, new = parse_fields(before), parse_fields(after)
    differing = [name for name, value in new.items() if old.get(name) != value and name not in ignored]
    changed = (name for name in differing if name not in old or not mean_the_same(bytes(old[name]), bytes(new[name])))
    return (*changed, *(name for name in old if name not in new and name not in ignored))


def _encode(text: str | None) -> bytes:
    return b"null" if text is None else encode_text(text)


def _splice(record: bytes | None) -> bytes:
    return b"null" if record is None else record.strip()
