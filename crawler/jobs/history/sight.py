"""What one snapshot says of a registry, image or tag: there, not there, or not known.

An image is looked for by offset and length alone, in its registry's part of the file, which is proved first; one that
is large and not packed is bisected, and proved only where what was there is missing. What the manifest calls the same
lines as in the snapshot before is not read again: hashes tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from crawler.api.collections import REGISTRIES
from crawler.core.errors import NcrawlError, UsageError
from crawler.jobs.history.parts import Part, Sought
from crawler.snapshot.comparing.opening import open_side
from crawler.snapshot.frames import Frame
from crawler.snapshot.reading.records import key_type, parse_key
from crawler.snapshot.reading.witness import Witness

if TYPE_CHECKING:
    from pathlib import Path

    from crawler.jobs.history.wanted import Wanted
    from crawler.snapshot.comparing.sides import Place, Side
    from crawler.snapshot.manifest import Manifest


class Sight(NamedTuple):
    """What a snapshot says; with neither a record nor a reason, that it was not there.

    Attributes:
        account: whose it is, as far as that is known.
        record: its line, without the newline.
        unknown: why nothing is known.
    """

    account: str | None
    record: bytes | None = None
    unknown: str | None = None


class Observer:
    """Looks for one thing in one snapshot after the other.

    Mutable state: ``regions``, which any snapshot lists; and what was found last, by the hash of the lines around it.
    """

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._kind = key_type(wanted.collection)
        self._last: tuple[str | None, bytes | None] = (None, None)
        self.regions: set[str] = set()

    def look(self, folder: Path) -> Sight:
        """Return what a snapshot says.

        Raises:
            UsageError: it is of several accounts, of which more than one has it.
        """
        try:
            side = open_side(folder)
        except NcrawlError as error:
            return Sight(None, unknown=str(error))
        self.regions.update(region for _, region in side.lists or ())
        place = self._place(side)
        try:
            record = self._find(side, place)
        except NcrawlError as error:
            return Sight(place[0], unknown=str(error))
        return Sight(place[0] or None, record, None if record else self._why_unknown(side, place))

    def _place(self, side: Side) -> Place:
        wanted = self._wanted
        known = side.known if side.verdicts else _listed(side)
        places = [one for one in known if one[1:] == (wanted.region, wanted.registry)]
        if len(places) > 1:
            raise UsageError(f"{side.path} is of several accounts, and {len(places)} of them have {wanted}")
        accounts = {account for account, _, _ in known}
        account = accounts.pop() if len(accounts) == 1 else ""
        return places[0] if places else (account, wanted.region, wanted.registry)

    def _find(self, side: Side, place: Place) -> bytes | None:
        """Return the line of what is wanted; None if it is not there."""
        assert side.manifest
        part = _part(side.path, side.manifest, self._wanted, place=place)
        if part is None:
            return None
        if part.sha256 is None or part.sha256 != self._last[0]:
            found = self._search(part, Sought((*place, *self._wanted.rest), self._key_of))
            self._last = part.sha256, found
        return self._last[1]

    def _search(self, part: Part, sought: Sought) -> bytes | None:
        """Search a large part without a proof, unless what was there is not there any more."""
        if part.is_large:
            found = part.bisect(sought)
            if found is not None or self._last[1] is None:
                return found
        return part.find(sought)

    def _key_of(self, line: bytes) -> tuple[str, ...]:
        return msgspec.structs.astuple(parse_key(line, self._kind))

    def _why_unknown(self, side: Side, place: Place) -> str | None:
        """Return why it cannot be known that what is not there was not there; None if it can."""
        assert side.manifest
        if side.manifest.stored_file(self._wanted.collection) is None:
            return f"the snapshot has no {self._wanted.collection.name}"
        if self._wanted.collection is REGISTRIES:
            return None if side.knows_all_of(*place[:2]) else _of_region(side.manifest, place)
        if not side.has_all_of(*place):
            return _of_registry(side.manifest, place)
        gaps = msgspec.to_builtins(getattr(side.manifest, "tag_gaps", ())) if self._wanted.tag else ()
        here = (gap for gap in gaps if (gap["region"], gap["registry"], gap["image"]) == self._wanted[:3])
        return next((f"its tags: {gap['verdict']}: {gap['reason']}" for gap in here), None)


def _listed(side: Side) -> list[Place]:
    """Return the registries of a snapshot whose manifest speaks of none, for their images were not listed."""
    return [(key.account, key.region, key.name) for key, _ in side.registries(Witness()) or ()]


def _part(folder: Path, manifest: Manifest, wanted: Wanted, *, place: Place) -> Part | None:
    """Return where to look for it; None if the snapshot has nothing there."""
    stored = manifest.stored_file(wanted.collection)
    if stored is None:
        return None
    whole = Part(folder / stored.name, stored, stored.sha256)
    if wanted.collection is REGISTRIES:
        return whole
    record = next((one for one in manifest.registries if one.place == place), None)
    if record is None:
        return None
    frame = Frame.of(record, wanted.collection)
    return whole._replace(frame=frame, sha256=frame.sha256) if frame.length else None


def _of_region(manifest: Manifest, place: Place) -> str:
    account, region, _ = place
    here = (one for one in manifest.regions if one.region == region and one.owner in (None, account))
    found = next(here, None)
    told = f"{found.verdict}: {found.reason or 'no reason given'}" if found else "not crawled"
    return f"{region}, list of registries: {told}"


def _of_registry(manifest: Manifest, place: Place) -> str:
    if left_out := next((one for one in manifest.excluded if one.place == place), None):
        return f"excluded: --exclude {left_out.pattern}"
    found = next((one for one in manifest.registries if one.place == place), None)
    return f"{found.verdict}: {found.reason or 'no reason given'}" if found else _of_region(manifest, place)
