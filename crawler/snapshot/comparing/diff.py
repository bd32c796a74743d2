"""What changed between two snapshots or files of images: a merge of two sorted streams, registry by registry.

Only what both sides bear out is certain. An image that one side alone has is `added` or `removed` if the other side
has all of its registry, or knows all registries of the region and not that one; else it is `unknown`. An image that
both have is compared, whatever became of its registry. Each registry of which a side does not have all, or whose lines
are damaged, is `unknown` by itself, ahead of its images and with ``name`` null; so is each region of which a side does
not know all registries, ahead of everything, with ``account`` and ``registry`` null. Registries themselves follow, by
the same rule and under their name twice, as ``registry`` and ``name``.

Records are compared by what they mean (`values`), not by how they are spelled, and shown as they are.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, get_args

import msgspec

from crawler.api.collections import IMAGES, REGISTRIES
from crawler.snapshot.comparing.sides import paired
from crawler.snapshot.comparing.values import mean_the_same
from crawler.snapshot.reading.records import encode_text, parse_fields
from crawler.snapshot.reading.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from crawler.core.collection import Collection
    from crawler.snapshot.comparing.sides import Group, Side
    from crawler.snapshot.reading.records import Key, Record

Change: TypeAlias = Literal["added", "removed", "changed", "unknown"]
CHANGES: tuple[Change, ...] = get_args(Change)


class Difference(NamedTuple):
    """One difference.

    Attributes:
        change: what is known of it.
        account: None if a whole region is unknown.
        region: where it is.
        registry: what it is in; None of a registry itself, and if a whole region is unknown.
        name: of the record; None if a whole list is unknown.
        before: the old record, exactly as it stands; None if there is none.
        after: the new one.
        fields: names of the fields that changed, in the order of the new record, then those that it lost.
        collection: what it is one of, or what is unknown.
        deeper: what it is within below its registry.
    """

    change: Change
    account: str | None
    region: str
    registry: str | None
    name: str | None = None
    before: bytes | None = None
    after: bytes | None = None
    fields: tuple[str, ...] = ()
    collection: Collection = IMAGES
    deeper: tuple[str, ...] = ()

    @property
    def level(self) -> str:
        """What differs: a record of the collection, or, if a list of such is unknown, that whose list it is."""
        return self.collection.singular if self.name is not None else self.collection.lineage[len(self.deeper)].singular

    def line(self) -> bytes:
        """Encode as one line of NDJSON, with both records spliced in as they are."""
        columns = ("account", "region", "registry", *(self.collection.within[1:] or ("image",)))
        registry = self.name if self.collection is REGISTRIES else self.registry  # which names itself
        values = (self.account, self.region, registry, *self.deeper)
        place = b",".join(
            b"%b:%b" % (encode_text(name), _encode(value)) for name, value in zip_longest(columns, values)
        )
        fields = b",".join(map(encode_text, self.fields))
        return b'{"change":"%b","level":"%b",%b,"name":%b,"before":%b,"after":%b,"fields":[%b]}\n' % (
            self.change.encode(),
            self.level.encode(),
            place,
            _encode(self.name),
            _splice(self.before),
            _splice(self.after),
            fields,
        )


def diff(old: Side, new: Side, witness: Witness | None = None) -> Iterator[Difference]:
    """Yield what differs, ordered by account, region, registry and name; regions that are unknown come first.

    Costs O(n), in the memory of a few chunks. Registries of which both sides have the same lines are only hashed.

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
    below = [level for level in old.levels if level in new.levels and level is not REGISTRIES]
    every = (paired(old.groups(witness, level), new.groups(witness, level)) for level in below)
    pairs = next(every, iter(()))
    first = next(pairs, None)  # whether a file can be read at all is found out before anything is given out
    yield from _unknown_regions(old, new)
    for one in _registry_differences(old, new, witness):
        if one.change != "unknown" or IMAGES not in below:  # else its list of images is unknown, too, and told below
            yield one
    for level, some in zip(below, chain([chain(filter(None, [first]), pairs)], every), strict=False):
        yield from _level_differences(old, new, some, level=level, ignored=witness.ignored)


def _unknown_regions(old: Side, new: Side) -> Iterator[Difference]:
    lists = {*(old.lists or ()), *(new.lists or ())}
    for account, region in sorted(lists, key=lambda one: (one[0] or "", one[1])):
        if not (old.knows_all_of(account, region) and new.knows_all_of(account, region)):
            yield Difference("unknown", account, region, None)


def _registry_differences(old: Side, new: Side, witness: Witness) -> Iterator[Difference]:
    """Yield what differs of the registries themselves; nothing if a side has no list of them, or a damaged one."""
    before, after = old.registries(witness), new.registries(witness)
    if before is None or after is None:
        return
    excluded = old.excluded | new.excluded
    for key, was, now in _unequal(iter(before), iter(after)):
        if (key.account, key.region, key.name) in excluded:
            continue
        fields = changed_fields(was, now, {*witness.ignored, "account"}) if was and now else ()
        if fields or not (was and now):
            change = "changed" if fields else _missing_registry(old, new, key, in_old=was is None)
            yield Difference(change, key.account, key.region, None, key.name, was, now, fields, collection=REGISTRIES)


def _missing_registry(old: Side, new: Side, key: Key, *, in_old: bool) -> Change:
    """Return what to call a registry that the old or the new side lacks."""
    if not (old if in_old else new).knows_all_of(key.account, key.region):
        return "unknown"
    return "added" if in_old else "removed"


def _level_differences(
    old: Side, new: Side, pairs: Iterable[tuple[Group, Group]], *, level: Collection, ignored: Iterable[str]
) -> Iterator[Difference]:
    """Yield what differs of one level, registry by registry: first which of its lists are unknown, then the records."""
    gaps = {place for place in old.gaps | new.gaps if len(place) == len(level.named_by)}
    unknown = sorted(gaps)
    for before, after in pairs:
        place = before.place
        if place in old.excluded & new.excluded:
            continue
        is_whole = before.is_intact and after.is_intact and old.has_all_of(*place) and new.has_all_of(*place)
        if not is_whole and level is IMAGES:
            yield Difference("unknown", *place)
        elif not (before.is_intact and after.is_intact):
            yield Difference("unknown", *place, collection=level)
        for gap in unknown[bisect_left(unknown, place) :]:
            if gap[:3] != place:
                break
            yield Difference("unknown", *place, collection=level, deeper=gap[3:])
        yield from _record_differences(_Pair(old, before, new, after), level, ignored)


class _Pair(NamedTuple):
    """What two sides have of one registry."""

    old: Side
    before: Group
    new: Side
    after: Group

    def missing(self, within: tuple[str, ...], *, in_old: bool) -> Change:
        """Return what to call a record of a list that the old or the new side lacks."""
        if in_old:
            return "added" if self.before.is_intact and self.old.has_all_in(within) else "unknown"
        return "removed" if self.after.is_intact and self.new.has_all_in(within) else "unknown"


def _record_differences(pair: _Pair, level: Collection, ignored: Iterable[str]) -> Iterator[Difference]:
    """Yield what differs of the records of one registry."""
    if pair.before.sha256 is not None and pair.before.sha256 == pair.after.sha256:
        return
    ignored = {*ignored, "account"}  # it is part of the key: one account may have had two names
    for key, before, after in _unequal(iter(pair.before.records), iter(pair.after.records)):
        within = msgspec.structs.astuple(key)[:-1]
        fields: tuple[str, ...] = ()
        if before is None or after is None:
            change = pair.missing(within, in_old=before is None)
        else:
            change, fields = "changed", changed_fields(before, after, ignored)
            if not fields:
                continue
        account, region, registry, *deeper = within
        yield Difference(
            change, account, region, registry, key.name, before, after, fields, collection=level, deeper=tuple(deeper)
        )


def _unequal(old: Iterator[Record], new: Iterator[Record]) -> Iterator[tuple[Key, bytes | None, bytes | None]]:
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
