"""Lists that are finished together: nothing is lost by it, by a kill or by a deadline, and nothing comes twice."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest
from core.test_sums import result_of
from support import lists
from support.tree import begin_run

from crawler.api.collections import IMAGES, TAGS
from crawler.api.records import line_prefix
from crawler.core.model import ListingResult, Region, Verdict, VerifyMode
from crawler.engine.listing import Listing
from crawler.engine.page_size import PageSize
from crawler.engine.tasks import ListingTask
from crawler.snapshot.unfinished.batches import MOST_LISTS
from crawler.snapshot.unfinished.finished import Finished
from crawler.snapshot.unfinished.journal import read_journal
from crawler.snapshot.unfinished.run import UnfinishedRun
from crawler.snapshot.unfinished.writer import SnapshotWriter

if TYPE_CHECKING:
    from pathlib import Path

FAMILY = ("tags", "kr", "a")


def task_of(image: str) -> ListingTask:
    """Return the task of an image's tags."""
    within = ("a", image)
    listing = Listing(PageSize(100), VerifyMode.AUTO)
    prefix = line_prefix(TAGS.fields, ("default", "kr", *within))
    return ListingTask(Region("kr", "/kr"), TAGS, within, listing, prefix, started_ms=0)


async def end(writer: SnapshotWriter, image: str, tags: list[str], **changes: Any) -> None:
    """Take an image's tags, and end it."""
    task = task_of(image)
    if tags:
        await writer.take(task, tags, [b'"name":"%b"}' % tag.encode() for tag in tags])
    await writer.end(task, result_of("a", image, records=len(tags), count=len(tags), **changes))


def lines_of(run: UnfinishedRun) -> list[bytes]:
    """Return the lines of the family in the order of a file."""
    return b"".join(run.read_part(*sorted(run.batches.stretches_of(FAMILY)))).splitlines()


def line_of(image: str, tag: str) -> bytes:
    """Return a line."""
    return b'{"account":"default","region":"kr","registry":"a","image":"%b","name":"%b"}' % (
        image.encode(),
        tag.encode(),
    )


@pytest.mark.parametrize("compress", ["none", "gzip", "zstd"])
def test_many_lists_are_a_line_of_the_journal(tmp_path: Path, compress: str) -> None:
    """Their lines can be had in order, those without any tags are finished as well, and a run goes on with them."""

    async def write() -> None:
        writer = SnapshotWriter(run)
        for image in ("d", "b/c", "a", "none"):
            await end(writer, image, [] if image == "none" else ["2", "1"])
        assert not run.batches
        await writer.flush()
        await end(writer, "e", ["1"])
        await writer.end_batches()
        writer.close()

    run = begin_run(tmp_path, "one", TAGS, compress)
    anyio.run(write)
    expected = [line_of(image, tag) for image in ("a", "b/c", "d") for tag in "12"] + [line_of("e", "1")]
    assert lines_of(run) == expected
    assert not Finished(run), "of an earlier session"
    run.close()
    assert [(entry.part.lines, entry.part.result.lists) for entry in read_journal(run.path)] == [(6, 4), (1, 1)]
    again = UnfinishedRun.resume(run.path, now="2026-11-26T03:00:00.000Z")
    assert lines_of(again) == expected
    finished = Finished(again)
    assert all(("tags", "kr", ("a", image)) in finished for image in ("a", "b/c", "d", "e", "none"))
    for place in (
        ("tags", "kr", ("a", "f")),
        ("tags", "sgn", ("a", "a")),
        ("images", "kr", ("a",)),
        ("registries", "kr", ()),
    ):
        assert place not in finished
    (result,) = again.results
    assert (result.lists, result.records, result.requests, result.is_sum) == (5, 7, 5, True)
    again.close()


def test_a_batch_that_is_damaged_is_fetched_anew(tmp_path: Path) -> None:
    """All of it, and nothing else."""

    async def write() -> None:
        writer = SnapshotWriter(run)
        for image in ("a", "b"):
            await end(writer, image, ["1"])
            await writer.flush()
        writer.close()

    run = begin_run(tmp_path, "one", TAGS)
    anyio.run(write)
    run.close()
    with (run.path / "parts").open("r+b") as file:
        file.seek(-3, os.SEEK_END)
        file.write(b"X")
    again = UnfinishedRun.resume(run.path, now="2026-11-26T03:00:00.000Z")
    assert lines_of(again) == [line_of("a", "1")]
    finished = Finished(again)
    assert [("tags", "kr", ("a", image)) in finished for image in ("a", "b")] == [True, False]
    again.close()


def test_a_full_batch_waits_for_no_flush(tmp_path: Path) -> None:
    """So that what waits is bounded; what has a reason is by itself."""

    async def write() -> None:
        writer = SnapshotWriter(run)
        for number in range(MOST_LISTS - 1):
            await end(writer, f"{number}", ["1"])
        assert not run.batches
        await end(writer, "drifted", ["1"], verdict=Verdict.COMPLETE_WITH_DRIFT, reason="it changed")
        assert [within for _, _, within in run.parts] == [("a", "drifted")]
        await end(writer, "last", ["1"])
        assert len(lines_of(run)) == MOST_LISTS
        writer.close()

    run = begin_run(tmp_path, "one", TAGS)
    anyio.run(write)
    run.close()


def test_a_deadline_in_the_middle_of_a_commit_loses_nothing(tmp_path: Path) -> None:
    """What was being written, and what waited, is committed with the rest, once."""

    async def write() -> None:
        writer = SnapshotWriter(run)
        names = [f"{number:06}" for number in range(40_000)]
        await end(writer, "waits", ["1"], is_sorted=True)
        async with anyio.create_task_group() as group:
            group.start_soon(end, writer, "large", names)
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        assert not run.batches
        await writer.end_the_rest([*sums_of(), lists.result_of("a", 2)])
        writer.close()

    def sums_of() -> list[ListingResult]:
        return [result_of("a", "x", within=("a",), lists=2)]

    run = begin_run(tmp_path, "one", TAGS)
    anyio.run(write)
    assert len(lines_of(run)) == 40_001
    assert list(run.parts) == [(IMAGES.name, "kr", ("a",))]
    assert sum(one.lists for one in run.batches.results) == 2
    run.close()


def test_a_batch_can_be_broken_up(tmp_path: Path) -> None:
    """Each list is a part then, with its own lines, and together they cost what they had cost."""

    async def write() -> None:
        writer = SnapshotWriter(run)
        for image in ("b", "none", "a"):
            await end(writer, image, [] if image == "none" else [f"of-{image}"], requests=2)
        await writer.flush()
        writer.close()

    run = begin_run(tmp_path, "one", TAGS, "zstd")
    anyio.run(write)
    run.break_up(FAMILY)
    assert not run.batches
    held = {place[2][1]: b"".join(run.read_part(part)) for place, part in run.parts.items()}
    assert held == {"a": line_of("a", "of-a") + b"\n", "b": line_of("b", "of-b") + b"\n", "none": b""}
    assert sum(one.requests for one in run.results) == 6
    assert {one.within[1]: one.records for one in run.results} == {"a": 1, "b": 1, "none": 0}
    run.close()
