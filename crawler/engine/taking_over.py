"""Let the lists below one that is over begin, but for those that are to be had from an earlier run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crawler.engine.scheduler import RegionQueue
    from crawler.engine.spec import Earlier
    from crawler.engine.tasks import ListingTask


async def take_over(
    earlier: Earlier, queue: RegionQueue, task: ListingTask, *, clock_offset_s: float
) -> dict[str, int]:
    """Take over what earlier runs have below a list that is over, release the rest, and return what was taken over.

    Args:
        earlier: what earlier runs listed.
        queue: in which lists are held.
        task: of the list.
        clock_offset_s: how far the gateway's clock is ahead of ours.

    Raises:
        OutputError: it cannot be written.
    """
    taken: dict[str, int] = {}
    if not earlier.covers(task.place):
        return taken
    try:
        await earlier.take_over(task.place, taken, clock_offset_s=clock_offset_s)
    finally:  # a deadline may cut it off
        queue.waiting.release(task.within, taken)
    return taken
