"""A history: each change of one registry, image or tag, and from when to when nothing is known of it.

`unknown` is told once, when it begins; `back` ends it, or an absence, and says what has changed since it was seen last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from crawler.core.errors import UsageError
from crawler.core.text import visible
from crawler.jobs.history.sight import Observer
from crawler.snapshot.comparing.diff import changed_fields
from crawler.snapshot.folder.retention import readable_names
from crawler.snapshot.reading.records import encode_text, parse_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from crawler.jobs.history.sight import Sight
    from crawler.jobs.history.wanted import Wanted

Kind: TypeAlias = Literal["first", "changed", "gone", "unknown", "back"]

_LONGEST_VALUE = 60


class Change(NamedTuple):
    """One change.

    Attributes:
        snapshot: in which it shows.
        change: what became of it.
        wanted: what it is of.
        account: whose that is, as far as it is known.
        before: the record as it was seen last; None if it was not yet.
        after: as it is now; None if it is gone or unknown.
        fields: names of those that differ.
        reason: why nothing is known.
    """

    snapshot: str
    change: Kind
    wanted: Wanted
    account: str | None
    before: bytes | None = None
    after: bytes | None = None
    fields: tuple[str, ...] = ()
    reason: str | None = None

    def line(self) -> bytes:
        """Encode as one line of NDJSON, with both records spliced in as they are."""
        wanted = self.wanted
        names = {
            "snapshot": self.snapshot,
            "change": self.change,
            "level": wanted.collection.singular,
            "account": self.account,
            "region": wanted.region,
            "registry": wanted.registry,
            "image": wanted.image if wanted.tag else None,
            "name": wanted.tag or wanted.image,
        }
        texts = {name: b"null" if text is None else encode_text(text) for name, text in names.items()}
        texts |= {"before": self.before or b"null", "after": self.after or b"null"}
        texts["fields"] = b"[%b]" % b",".join(map(encode_text, self.fields))
        return b"{%b}\n" % b",".join(b'"%b":%b' % (name.encode(), text) for name, text in texts.items())

    def text(self) -> str:
        """Return it for people, on one line."""
        return "  ".join(filter(None, (self.snapshot, self.change.ljust(7), self._told()))).rstrip()

    def _told(self) -> str:
        if self.reason is not None:
            return visible(self.reason)
        old = parse_fields(self.before) if self.before else {}
        new = parse_fields(self.after) if self.after else {}
        return ", ".join(
            f"{visible(name, 40)}: {_shown(old.get(name))} → {_shown(new.get(name))}" for name in self.fields
        )


def _shown(value: object) -> str:
    return "absent" if value is None else visible(bytes(value).decode(), _LONGEST_VALUE)  # type: ignore[call-overload]


def _names(folder: Path) -> list[str]:
    names = readable_names(folder)
    if not names:
        raise UsageError(f"{folder} holds no snapshot: name the folder that snapshots are in")
    return names


def history(
    folder: Path, wanted: Wanted, *, ignored: frozenset[str] = frozenset(), watch: Callable[[int, int], object]
) -> Iterator[Change]:
    """Yield each change, oldest first.

    Args:
        folder: of snapshots.
        wanted: what became of what.
        ignored: names of fields whose changes are none.
        watch: told how many snapshots were looked at, and how many there are.

    Raises:
        UsageError: there is no snapshot, or none that ever heard of what is wanted; or the folder cannot be read.
    """
    names = _names(folder)
    observer = Observer(wanted)
    sights = _looked(observer, folder, names, watch=watch)
    if observer.regions and wanted.region not in observer.regions:
        raise UsageError(f"no snapshot of {folder} is of region {visible(wanted.region, 40)}: {_or(observer.regions)}")
    if not any(sight.record for sight in sights) and (tag := wanted.as_tag) is not None:
        of_tag = _looked(Observer(tag), folder, names, watch=watch)
        if any(sight.record for sight in of_tag):
            wanted, sights = tag, of_tag
    if all(sight.record is None and sight.unknown is None for sight in sights):
        raise UsageError(f"{wanted} is in none of the {len(names):,} snapshots of {folder}: is it spelled so?")
    teller = _Teller(wanted, ignored | {"account"})  # it is part of the key: one account may have had two names
    for name, sight in zip(names, sights, strict=True):
        yield from teller.changes(name, sight)


def _looked(observer: Observer, folder: Path, names: list[str], *, watch: Callable[[int, int], object]) -> list[Sight]:
    sights: list[Sight] = []
    for name in names:
        watch(len(sights), len(names))
        sights.append(observer.look(folder / name))
    return sights


def _or(names: Iterable[str]) -> str:
    return " or ".join(visible(name, 40) for name in sorted(names))


class _Teller:
    """Tells what changed from one snapshot to the next.

    Mutable state: what is known of it so far, and the record that was seen last.
    """

    def __init__(self, wanted: Wanted, ignored: frozenset[str]) -> None:
        self._wanted = wanted
        self._ignored = ignored
        self._is_unknown = self._is_there = False
        self._last: bytes | None = None

    def changes(self, snapshot: str, sight: Sight) -> Iterator[Change]:
        """Take in what the next snapshot says, and yield what that changes, if anything."""
        kind, fields = self._change(sight)
        if kind is not None:
            yield Change(snapshot, kind, self._wanted, sight.account, self._last, sight.record, fields, sight.unknown)
        self._is_unknown = sight.unknown is not None
        self._is_there = sight.record is not None
        self._last = sight.record or self._last

    def _change(self, sight: Sight) -> tuple[Kind | None, tuple[str, ...]]:
        if sight.unknown is not None:
            return None if self._is_unknown else "unknown", ()
        if sight.record is None:
            return "gone" if self._last and (self._is_there or self._is_unknown) else None, ()
        if self._last is None:
            return "first", ()
        fields = changed_fields(self._last, sight.record, self._ignored)
        if not self._is_there:
            return "back", fields
        return "changed" if fields else None, fields
