"""What a job announces beside what happens in its crawl, as frozen records; a caller makes words of them, or none.

An observer is told in order. It must not block, and raises nothing. What comes after a snapshot is published is told
from a thread beside the event loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from crawler.api.collections import IMAGES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from crawler.core.collection import Collection
    from crawler.core.events import Event
    from crawler.engine.spec import CrawlResult
    from crawler.jobs.progress import Progress
    from crawler.jobs.push.job import Pushed
    from crawler.snapshot.manifest import Manifest, RegistrySize, Reused, StoredFile, TakenOver


class Warned(Struct, frozen=True):
    """Something is odd; ``is_whole`` where the sentence holds what somebody may paste, and must not be cut."""

    text: str
    is_whole: bool = False


class Noted(Struct, frozen=True):
    """Something that is only worth telling to who wants details."""

    text: str


class Told(Struct, frozen=True):
    """Something that people want to know and that is not odd."""

    text: str


class ClientTaken(Struct, frozen=True):
    """Which HTTP client requests go by, and why."""

    reason: str


class OutputKept(Struct, frozen=True):
    """An output is left as it was; what was had is in ``partial``, if there was anything."""

    output: str
    partial: Path | None


class RunTakenUp(Struct, frozen=True):
    """An interrupted run goes on; so many of its listings are finished."""

    id: str
    listings: int


class RunLeft(Struct, frozen=True):
    """An interruption ended a run that can be taken up."""

    path: Path


class NothingHad(Struct, frozen=True):
    """A run ended before it had anything, so it publishes nothing."""

    reason: str | None


class RunNamed(Struct, frozen=True):
    """A run has its id; told once more where the gateway's clock gives it another one."""

    id: str


class Heartbeat(Struct, frozen=True):
    """Where a run stands; told once in a while, as the settings have it."""

    progress: Progress


class RunEnded(Struct, frozen=True):
    """A run has its result, and what was to be written stands.

    Attributes:
        result: how every listing ended.
        manifest: the run in its own words; made when it is asked for, for it has a record of each registry.
        regions: codes of those that were crawled.
        level: what was listed.
        taken_over: what was copied from an earlier snapshot.
        reused: what --reuse came to.
        output: where the lines are that were streamed.
        sizes: what the tags of each registry come to.
        path: of the snapshot that was published.
        seconds: since the start, for which the deadline counts as well.
        exit_code: what the command ends with.
    """

    result: CrawlResult
    manifest: Callable[[], Manifest]
    regions: tuple[str, ...]
    level: Collection = IMAGES
    taken_over: TakenOver | None = None
    reused: Reused | None = None
    output: StoredFile | None = None
    sizes: tuple[RegistrySize, ...] = ()
    path: Path | None = None
    seconds: float = 0.0
    exit_code: int = 0

    @property
    def place(self) -> str | None:
        """Where what was had is; None if it is nowhere."""
        if self.output is not None:
            return self.output.name
        return None if self.path is None else str(self.path)


class SnapshotPublished(Struct, frozen=True):
    """A snapshot has its name; what follows changes nothing of it."""

    path: Path


class LatestSettled(Struct, frozen=True):
    """What became of `latest` is decided; ``told`` says so in words."""

    path: Path
    manifest: Manifest
    told: str


class SnapshotRemoved(Struct, frozen=True):
    """An old snapshot is gone."""

    path: Path


class SnapshotPushed(Struct, frozen=True):
    """A snapshot is in a store as well."""

    pushed: Pushed


JobEvent = (
    Warned
    | Noted
    | Told
    | ClientTaken
    | OutputKept
    | RunTakenUp
    | RunLeft
    | NothingHad
    | RunNamed
    | Heartbeat
    | RunEnded
    | SnapshotPublished
    | LatestSettled
    | SnapshotRemoved
    | SnapshotPushed
)


class Observer(Protocol):
    """Is told of what a job announces and of what happens in its crawl."""

    def __call__(self, event: Event | JobEvent, /) -> object:
        """Take an event."""
