"""What happens in a crawl, as frozen records for an `Observer`: logging and progress are adapters of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct
from msgspec.structs import asdict

if TYPE_CHECKING:
    from crawler.core.collection import Collection
    from crawler.core.model import Verdict


class TryFailed(Struct, frozen=True):
    """A try of one page failed; ``pause_s`` until the next one, None if it is given up."""

    region: str
    collection: Collection
    within: tuple[str, ...]
    page: int
    reason: str
    pause_s: float | None


class Throttled(Struct, frozen=True):
    """The gateway said that requests come too fast; ``rate_per_s`` is what goes to it from now on."""

    region: str
    reason: str
    rate_per_s: float


class RegionHeld(Struct, frozen=True):
    """A region seems to be out of order: it is asked nothing but a probe now and then."""

    region: str
    reason: str


class RegionReleased(Struct, frozen=True):
    """A held region answers again, after so many seconds in which it did not."""

    region: str
    silent_s: float


class ClockCorrected(Struct, frozen=True):
    """Our clock differs from the gateway's by ``skew_s``; requests are signed with the gateway's time from now on."""

    skew_s: float


class ListingEnded(Struct, frozen=True):
    """A listing of so many records has its verdict; ``is_expected`` if it may well be a gap."""

    region: str
    collection: Collection
    within: tuple[str, ...]
    verdict: Verdict
    reason: str | None
    records: int
    is_expected: bool = False


class FieldOverridden(Struct, frozen=True):
    """The gateway sent a field that has the name of one of ours; ours wins. Told once a run."""

    region: str
    collection: Collection
    within: tuple[str, ...]


class RunStopped(Struct, frozen=True):
    """The crawl ends before its work is done."""

    reason: str


Event = (
    TryFailed | Throttled | RegionHeld | RegionReleased | ClockCorrected | ListingEnded | FieldOverridden | RunStopped
)


class Observer(Protocol):
    """Is told of events, in order, from the crawl's own task; must not block."""

    def __call__(self, event: Event, /) -> object:
        """Take an event."""


def fields_of(event: Event) -> dict[str, object]:
    """Return an event's fields as a log has them: what a list is within by name, and its records as ``images``."""
    fields: dict[str, object] = {}
    for name, value in asdict(event).items():
        if name == "collection":
            fields["registry"] = None
        elif name == "within":
            collection: Collection = event.collection  # type: ignore[union-attr]
            fields |= zip(collection.within, value, strict=True)
        else:
            fields["images" if name == "records" else name] = value
    return fields
