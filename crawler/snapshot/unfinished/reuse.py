"""Take over the tags of images that did not change since an earlier snapshot.

A registry is done when its list of images is over. What is in memory is a batch of lists that are copied, and of those
that are read all the same a digest each, until they have come.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

import anyio.lowlevel
import anyio.to_thread
from msgspec.structs import replace

from crawler.api.collections import IMAGES, TAGS
from crawler.api.pulls import without_times
from crawler.core.collection import label
from crawler.core.model import COPIED
from crawler.core.text import duration, writable
from crawler.snapshot.reading.chunks import UnreadableError
from crawler.snapshot.reading.records import BadLineError
from crawler.snapshot.rotation import class_of
from crawler.snapshot.unfinished.batches import MOST_BYTES, MOST_LISTS

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable

    from crawler.core.model import ListingResult, Place
    from crawler.snapshot.unfinished.earlier import Earlier
    from crawler.snapshot.unfinished.run import UnfinishedRun

MOST_SKEW_S = 3600.0
"""A clock that is wrong by more does not know how old a list is."""
MOST_AT_ONCE = 3
"""Registries that are copied at a time: each may take a few MiB for unpacking, and large ones hold up no small one."""
MOST_DAMAGES_TOLD = 10
_PAUSE_EVERY = 1_000  # images, which take some milliseconds


class Reuse:
    """What a run takes over of an earlier snapshot.

    Mutable state: digests of the lists that are read although nothing shows that they changed; what was told.

    Args:
        run: that takes over.
        earlier: the snapshot.
        due: classes of lists that are read all the same.
        finished: lists that the run has.
        warn: is told of what cannot be taken over, in sentences.
    """

    def __init__(
        self,
        run: UnfinishedRun,
        earlier: Earlier,
        due: frozenset[int],
        *,
        finished: Container[Place],
        warn: Callable[[str], object],
    ) -> None:
        self._run = run
        self._earlier = earlier
        self._due = due
        self._finished = finished
        self._warn = warn
        self._then: dict[Place, bytes] = {}
        self._turns = asyncio.Semaphore(MOST_AT_ONCE)
        self._damages = 0
        self._has_told_of_clock = False

    def covers(self, place: Place) -> bool:
        """Whether tags of images in this list may be taken over."""
        return place[0] == IMAGES.name and self._earlier.has(place[1], place[2][0])

    async def catch_up(self) -> None:
        """Take over what a session that was cut off had not, below the lists of images that it had finished."""
        for place in [place for place in self._run.parts if self.covers(place)]:
            if not self._is_finished(place):
                await self.take_over(place, {}, clock_offset_s=0.0)
        self._run.note_earlier()

    async def take_over(self, place: Place, taken: dict[str, int], *, clock_offset_s: float) -> None:
        """Take over the tags of those images of a list that is over whose records are the same as then.

        Raises:
            OutputError: the run cannot be written.
        """
        if not self._is_timely(clock_offset_s):
            return
        try:
            async with self._turns:
                prove = self._earlier.prove  # which a deadline does not wait for: it only reads
                await anyio.to_thread.run_sync(prove, place[1], place[2][0], abandon_on_cancel=True)
                await self._copy(place, taken)
        except (UnreadableError, BadLineError) as error:
            self._tell_of_damage(place, str(error))

    def judge(self, result: ListingResult, chunks: Iterable[bytes]) -> ListingResult:
        """Return the result of a list of tags, and whether it is what it was if it was read though nothing showed.

        Args:
            result: of a list that is over.
            chunks: its whole lines, sorted.
        """
        then = self._then.pop(result.place, None)
        if then is None or not result.verdict.is_good:
            return result
        return replace(result, refreshed=1, different=int(_digest(chunks) != then))

    async def _copy(self, place: Place, taken: dict[str, int]) -> None:
        chunks = self._run.read_part(self._run.parts[place])
        images = self._earlier.compared(place[1], place[2][0], chunks, path=self._run.path)
        some: dict[str, list[bytes]] = {}
        size = 0
        for number, (name, lines) in enumerate(images):
            if number % _PAUSE_EVERY == 0:
                await anyio.lowlevel.checkpoint()
            if lines is None or not self._is_reusable(place, name, lines):
                continue
            some[name] = lines
            size += sum(map(len, lines))
            if len(some) >= MOST_LISTS or size >= MOST_BYTES:
                await self._commit(place, some, taken)
                some, size = {}, 0
        if some:
            await self._commit(place, some, taken)

    async def _commit(self, place: Place, some: dict[str, list[bytes]], taken: dict[str, int]) -> None:
        counts = {name: len(lines) for name, lines in some.items()}
        result = self._result(place, lists=len(some), lines=sum(counts.values()))
        await self._run.commit_lists(result, [((name,), lines, counts[name]) for name, lines in some.items()])
        taken |= counts

    def _result(self, place: Place, *, lists: int, lines: int) -> ListingResult:
        """Return the result of lists that cost nothing, as a sum; their registry has its times from what was read."""
        return replace(
            self._run.parts[place].result,
            **COPIED | {"records": lines, "lists": lists},
            collection=TAGS,
            verdict=self._earlier.verdict,
            taken_from=self._earlier.id,
        )

    def _is_reusable(self, place: Place, name: str, lines: list[bytes]) -> bool:
        """Whether the tags of an image that did not change are copied; if they are due, keep what they were."""
        region, registry = place[1], place[2][0]
        own: Place = TAGS.name, region, (registry, name)
        if not self._earlier.is_whole(region, registry, name) or own in self._finished or name != writable(name):
            return False
        if class_of(region, registry, name) not in self._due:
            return True
        self._then[own] = _digest(lines)
        return False

    def _is_finished(self, place: Place) -> bool:
        """Whether the run has the tags of all images of a list."""
        names = self._run.names_of(place)
        return all((TAGS.name, place[1], (*place[2], name)) in self._finished for name in names)

    def _is_timely(self, clock_offset_s: float) -> bool:
        """Whether the clock that told how old lists are was right, as far as the gateway's answers show."""
        if abs(clock_offset_s) <= MOST_SKEW_S:
            return True
        if not self._has_told_of_clock:
            self._has_told_of_clock = True
            wrong = duration(abs(clock_offset_s))
            self._warn(f"this machine's clock is wrong by {wrong}, so nobody knows how old a list is: none is reused")
        return False

    def _tell_of_damage(self, place: Place, problem: str) -> None:
        self._damages += 1
        if self._damages <= MOST_DAMAGES_TOLD:
            more = "; of others like it nothing is said" if self._damages == MOST_DAMAGES_TOLD else ""
            where = label(IMAGES, *place[1:])
            self._warn(f"{where}: its tags are fetched, for those of {self._earlier.id} are damaged: {problem}{more}")


def _digest(chunks: Iterable[bytes]) -> bytes:
    """Return what stands for the lines of a list, whoever pulls what."""
    digest = hashlib.blake2b(digest_size=16)
    for chunk in chunks:
        digest.update(without_times(chunk))
    return digest.digest()
