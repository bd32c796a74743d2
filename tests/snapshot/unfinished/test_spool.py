"""Spool and SnapshotWriter: whatever the order in which records come, and whatever fits into memory, the same bytes."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from support import lists

from crawler.api.collections import IMAGES
from crawler.api.records import line_prefix
from crawler.core.errors import OutputError
from crawler.core.model import ListingResult, Region, Verdict, VerifyMode
from crawler.engine.listing import Listing
from crawler.engine.page_size import PageSize
from crawler.engine.tasks import ListingTask
from crawler.snapshot.unfinished.journal import Header
from crawler.snapshot.unfinished.publishing import assemble
from crawler.snapshot.unfinished.run import UnfinishedRun
from crawler.snapshot.unfinished.spool import BLOCK_BYTES, RECORD_OVERHEAD_BYTES, Spool
from crawler.snapshot.unfinished.writer import SnapshotWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

PREFIX = b'{"account":"default",'
NAMES = st.lists(st.text(st.characters(codec=None), min_size=1, max_size=6), unique=True, max_size=40)
"""Any code points, halves of surrogate pairs too: JSON allows them in names."""


def record_of(name: str, size: int = 0) -> bytes:
    """Return a record without its opening brace."""
    escaped = "".join(f"\\u{ord(char):04x}" if ord(char) < 0x10000 else char for char in name)
    return b'"name":"%b","x":"%b"}' % (escaped.encode(), b"x" * size)


def line_of(prefix: bytes, name: str, size: int = 0) -> bytes:
    return prefix + record_of(name, size) + b"\n"


def by_utf8(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")


@given(NAMES, st.data())
@settings(deadline=None, max_examples=100)
def test_any_order_and_any_runs_give_the_same_lines(names: list[str], data: st.DataObject) -> None:
    """Sorted by the names' UTF-8, in whatever order and pages they come, and however often memory is emptied."""
    arriving = data.draw(st.permutations(names))
    page = data.draw(st.integers(1, 7))
    emptied = data.draw(st.sets(st.integers(0, 40)))
    with TemporaryDirectory() as folder, closing(Spool(Path(folder), PREFIX)) as spool:
        for start in range(0, len(arriving), page):
            some = list(arriving[start : start + page])
            spool.add(some, [record_of(name) for name in some])
            if start in emptied:
                spool.put_aside()
        assert spool.count == len(names)
        lines = b"".join(spool.sorted_chunks())
    assert lines == b"".join(line_of(PREFIX, name) for name in sorted(names, key=by_utf8))


def test_runs_of_many_blocks_are_merged(tmp_path: Path) -> None:
    """Blocks end at different places in each run, also where a run is one long stretch that no other reaches into."""
    names = [f"{number:06}" for number in range(6000)]
    spool = Spool(tmp_path, PREFIX)
    for some in (names[0:3000:2], names[1:3000:2], names[4000:], names[3000:4000]):
        spool.add(some, [record_of(name, size=100) for name in some])
        spool.put_aside()
    chunks = list(spool.sorted_chunks())
    assert b"".join(chunks) == b"".join(line_of(PREFIX, name, size=100) for name in names)
    assert max(map(len, chunks)) < 8 * BLOCK_BYTES
    assert all(chunk.endswith(b"\n") for chunk in chunks)
    spool.close()


def test_a_record_larger_than_a_block_is_a_chunk_of_its_own(tmp_path: Path) -> None:
    """No size is too large for a block, in memory or in a run."""
    spool = Spool(tmp_path, PREFIX)
    spool.add(["b", "d"], [record_of("b", 3 * BLOCK_BYTES), record_of("d", 3 * BLOCK_BYTES)])
    spool.put_aside()
    spool.add(["c", "a"], [record_of("c", 3 * BLOCK_BYTES), record_of("a", 3 * BLOCK_BYTES)])
    lines = b"".join(spool.sorted_chunks())
    assert lines == b"".join(line_of(PREFIX, name, 3 * BLOCK_BYTES) for name in "abcd")
    spool.close()


def test_memory_is_counted_and_given_back(tmp_path: Path) -> None:
    """Bytes of the records and what Python adds; nothing once they are put aside."""
    spool = Spool(tmp_path, PREFIX)
    spool.add(["a", "b"], [b'"name":"a"}', b'"name":"b"}'])
    assert spool.bytes == 2 * (11 + RECORD_OVERHEAD_BYTES)
    spool.put_aside()
    assert spool.bytes == 0
    spool.close()


def test_however_many_runs_there_is_one_file_without_a_name(tmp_path: Path) -> None:
    """A process may have 1,024 files open; and a killed one leaves nothing behind."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    spool = Spool(tmp_path, PREFIX)
    for number in range(300):
        spool.add([str(number)], [record_of(str(number))])
        spool.put_aside()
    assert len(list(Path("/proc/self/fd").iterdir())) == before + 1
    assert list(tmp_path.iterdir()) == []
    assert b"".join(spool.sorted_chunks()).count(b"\n") == 300
    spool.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_run_that_cannot_be_written_names_the_folder(tmp_path: Path) -> None:
    """An OutputError, as for every other file of a snapshot."""
    spool = Spool(tmp_path / "missing", PREFIX)
    spool.add(["a"], [b'"name":"a"}'])
    with pytest.raises(OutputError, match="missing: No such file"):
        spool.put_aside()


# ── the whole writer ──

KR = Region("kr", "/ncr/api/v2")


@dataclass(frozen=True)
class Arrival:
    """One page of one registry."""

    registry: int
    names: list[str]


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[list[list[str]], list[Arrival]]:
    """Draw the contents of a few registries, and their pages in any order."""
    registries = draw(st.lists(NAMES, min_size=1, max_size=5))
    pages = []
    for number, names in enumerate(registries):
        shuffled = draw(st.permutations(names))
        size = draw(st.integers(1, 9))
        pages += [Arrival(number, list(shuffled[at : at + size])) for at in range(0, len(names), size)]
    return registries, draw(st.permutations(pages))


def walk_of(number: int) -> ListingTask:
    prefix = line_prefix(IMAGES.fields, ("default", "kr", f"r{number}"))
    return ListingTask(KR, IMAGES, (f"r{number}",), Listing(PageSize(100), VerifyMode.NEVER), prefix, started_ms=0)


def result_of(number: int, images: int) -> ListingResult:
    return lists.result_of(f"r{number}", images)


async def record(folder: Path, registries: Sequence[list[str]], pages: Sequence[Arrival], memory_bytes: int) -> bytes:
    """Have a writer take pages as they come, each registry ending with its last page; return images.ndjson."""
    header = Header(id="20261123T020000Z", started_ms=0, account="default", identity="", options={"compress": "none"})
    run = UnfinishedRun.begin(folder, header)
    writer = SnapshotWriter(run, memory_bytes=memory_bytes)
    tasks = [walk_of(number) for number in range(len(registries))]
    left = [len(names) for names in registries]
    for number, names in enumerate(registries):
        if not names:
            await writer.end(tasks[number], result_of(number, 0))
    for page in pages:
        await writer.take(tasks[page.registry], page.names, [record_of(name) for name in page.names])
        left[page.registry] -= len(page.names)
        assert sum(spool.bytes for spool in writer._spools.values()) == writer._bytes <= memory_bytes
        if not left[page.registry]:
            await writer.end(tasks[page.registry], result_of(page.registry, len(registries[page.registry])))
    await writer.flush()
    writer.close()
    assembled = assemble(run, run.results)
    run.close()
    return (assembled.folder / "images.ndjson").read_bytes()


@given(arrivals(), st.sampled_from([0, 500, 3000, 1 << 30]))
@settings(deadline=None, max_examples=60)
def test_any_interleaving_of_pages_gives_the_same_bytes(
    drawn: tuple[list[list[str]], list[Arrival]], memory_bytes: int
) -> None:
    """Pages of several registries, in any order, with any memory: the file is the registries', each sorted."""
    registries, pages = drawn
    with TemporaryDirectory() as folder:
        images = anyio.run(record, Path(folder), registries, pages, memory_bytes)
    assert images == b"".join(
        line_of(walk_of(number).prefix, name)
        for number, names in enumerate(registries)
        for name in sorted(names, key=by_utf8)
    )


def test_the_largest_listing_is_put_aside(tmp_path: Path) -> None:
    """Memory is for all listings together; of many small ones and a large one, the large one goes to the disk."""

    async def crowd() -> tuple[int, int]:
        header = Header(id="x", started_ms=0, account="default", identity="", options={"compress": "none"})
        run = UnfinishedRun.begin(tmp_path, header)
        writer = SnapshotWriter(run, memory_bytes=100_000)
        large, small = walk_of(0), [walk_of(number) for number in range(1, 101)]
        for number in range(100):
            await writer.take(small[number], ["a"], [record_of("a", 300)])
            names = [f"{number}-{index}" for index in range(10)]
            await writer.take(large, names, [record_of(name, 300) for name in names])
        spilled = [spool._file is not None for spool in writer._spools.values()]
        writer.close()
        run.close()
        return sum(spilled), len(spilled)

    assert anyio.run(crowd) == (1, 101)


def test_a_listing_that_ends_lets_others_go_on(tmp_path: Path) -> None:
    """A large registry is committed a chunk at a time, so that signals and other answers need not wait for it."""

    async def busy() -> list[str]:
        header = Header(id="x", started_ms=0, account="default", identity="", options={"compress": "none"})
        run = UnfinishedRun.begin(tmp_path, header)
        writer = SnapshotWriter(run)
        told: list[str] = []
        names = [f"{number:06}" for number in range(6000)]
        await writer.take(walk_of(0), names, [record_of(name, 300) for name in names])
        (task,) = writer._spools

        async def end(which: ListingTask, number: int, images: int) -> None:
            await writer.end(which, result_of(number, images))
            told.append(f"r{number} is committed")

        async with anyio.create_task_group() as group:
            group.start_soon(end, task, 0, 6000)
            await anyio.lowlevel.checkpoint()
            group.start_soon(end, walk_of(1), 1, 0)
            told.append("others went on")
        parts = list(run.parts.values())
        assert [part.lines for part in parts] == [6000, 0]
        assert parts[1].offset == parts[0].length == len(b"".join(run.files.stored([parts[0]])))
        assert msgspec.json.decode(next(run.read_part(parts[0])).splitlines()[0])["name"] == "000000"
        run.close()
        return told

    assert anyio.run(busy) == ["others went on", "r0 is committed", "r1 is committed"]


def test_what_the_end_cut_off_is_committed_with_what_was_had(tmp_path: Path) -> None:
    """A listing under way, one that was being committed, one that was not begun: each with its verdict, and once."""

    async def cut_off() -> dict[str | None, tuple[int, Verdict]]:
        header = Header(id="x", started_ms=0, account="default", identity="", options={"compress": "none"})
        run = UnfinishedRun.begin(tmp_path, header)
        writer = SnapshotWriter(run)
        names = [f"{number:06}" for number in range(6000)]
        tasks = [walk_of(number) for number in range(3)]
        for task, some in zip(tasks, (names, ["b", "a"], ["c"]), strict=True):
            await writer.take(task, some, [record_of(name, 300) for name in some])
        await writer.end(tasks[2], result_of(2, 1))
        async with anyio.create_task_group() as group:
            group.start_soon(writer.end, tasks[0], result_of(0, 6000))
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        assert [registry for _, _, (registry,) in run.parts] == ["r2"]
        stopped = [replace(result_of(number, 9), verdict=Verdict.INCOMPLETE) for number in (1, 3)]
        await writer.end_the_rest([result_of(0, 6000), *stopped, result_of(2, 1)])
        writer.close()
        assert b"".join(run.read_part(run.parts[lists.place_of("kr", "r1")])).count(b"\n") == 2
        assert b"".join(run.read_part(run.parts[lists.place_of("kr", "r0")])).count(b"\n") == 6000
        run.close()
        assert len((run.path / "journal").read_bytes().splitlines()) == 4
        return {part.result.registry: (part.result.records, part.result.verdict) for part in run.parts.values()}

    assert anyio.run(cut_off) == {
        "r2": (1, Verdict.COMPLETE),
        "r0": (6000, Verdict.COMPLETE),
        "r1": (2, Verdict.INCOMPLETE),
        "r3": (0, Verdict.INCOMPLETE),
    }
