"""The sinks: whole lines whatever happens, back-pressure, and files that appear only when they are whole."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import gzip
import hashlib
import os
import resource
import select
import stat
import subprocess
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import anyio
import pytest
import zstandard

from crawler.core.errors import ClosedPipeError, LockedError, OutputError
from crawler.output import sinks
from crawler.output.compression import compressor
from crawler.output.files import check_place, replace_file, write_file
from crawler.output.outlets import Outlet
from crawler.output.sinks import CHUNK_BYTES, FileSink, StreamSink, open_sink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from crawler.output.sinks import Sink

LINES = b"".join(b'{"name":"image-%05d","text":"%s"}\n' % (number, b"x" * (number % 300)) for number in range(5000))
UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "plain.ndjson": bytes,
    "zipped.ndjson.gz": gzip.decompress,
    "packed.ndjson.zst": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}
IS_ROOT = os.geteuid() == 0


async def fill(sink: Sink, data: bytes = LINES) -> None:
    """Write lines in the portions in which pages bring them."""
    lines = data.splitlines(keepends=True)
    for start in range(0, len(lines), 100):
        portion = lines[start : start + 100]
        await sink.write(b"".join(portion), len(portion))


async def fill_whole(sink: Sink, spoil: Callable[[], object] = lambda: None) -> None:
    """Write all lines and end well; ``spoil`` is called in between."""
    async with sink:
        await fill(sink)
        spoil()
        await sink.commit()


@contextmanager
def pipe(size: int | None = None) -> Iterator[tuple[int, int]]:
    """Give both ends of a pipe; close those that are still open."""
    reading, writing = os.pipe()
    if size is not None:
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, size)
    try:
        yield reading, writing
    finally:
        for end in (reading, writing):
            with suppress(OSError):
                os.close(end)


def stream(writing: int, name: str = "pipe") -> StreamSink:
    """Return a sink on a descriptor of its own, as standard output gets one."""
    return StreamSink(name, Outlet(os.dup(writing)), compressor(name))


def drained(reading: int) -> bytes:
    """Return what a pipe holds now."""
    os.set_blocking(reading, False)
    data = b""
    with suppress(BlockingIOError):
        while piece := os.read(reading, 1 << 20):
            data += piece
    return data


# --- files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", UNPACK)
async def test_round_trip(tmp_path: Path, name: str) -> None:
    """What went in comes out, and size, lines and checksum are those of the file."""
    path = tmp_path / name
    async with open_sink(str(path)) as sink:
        await fill(sink)
        await sink.commit()
    stored = path.read_bytes()
    assert UNPACK[name](stored) == LINES
    assert (sink.lines, sink.bytes, sink.sha256) == (5000, len(stored), hashlib.sha256(stored).hexdigest())
    assert os.listdir(tmp_path) == [name]  # noqa: PTH208
    assert stat.S_IMODE(path.stat().st_mode) == 0o644 & ~umask()


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("name", UNPACK)
async def test_nothing_at_all_is_a_proper_file(tmp_path: Path, name: str) -> None:
    """A run without a single line leaves a file that unpacks to nothing."""
    async with open_sink(str(tmp_path / name)) as sink:
        await sink.flush()
        await sink.commit()
    assert UNPACK[name]((tmp_path / name).read_bytes()) == b""


@pytest.mark.parametrize("name", UNPACK)
async def test_file_appears_when_it_is_whole(tmp_path: Path, name: str) -> None:
    """Until then everything is in .partial, and an earlier file is as it was."""
    path, partial = tmp_path / name, tmp_path / f"{name}.partial"
    path.write_bytes(b"earlier")
    async with open_sink(str(path)) as sink:
        await fill(sink)
        assert path.read_bytes() == b"earlier"
        assert partial.exists()
        await sink.commit()
    assert UNPACK[name](path.read_bytes()) == LINES
    assert not partial.exists()


class OddError(Exception):
    """A bug somewhere else."""


@pytest.fixture
def synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, bool]]:
    """Collect of each fsync whether it is of the folder, and whether `file` has its name by then."""
    seen: list[tuple[bool, bool]] = []
    folder = tmp_path.stat()
    monkeypatch.setattr(
        os, "fsync", lambda fd: seen.append((os.path.samestat(os.fstat(fd), folder), (tmp_path / "file").exists()))
    )
    return seen


async def test_output_is_synced_before_it_has_its_name_and_its_name_then(
    tmp_path: Path, synced: list[tuple[bool, bool]]
) -> None:
    """After a power loss the name stands for what was there before, or for all that is new."""
    await fill_whole(open_sink(str(tmp_path / "file")))
    assert synced == [(False, False), (True, True)]


def test_small_files_are_synced_likewise(tmp_path: Path, synced: list[tuple[bool, bool]]) -> None:
    """Before they have their names; `replace_file` makes the name last, too."""
    write_file(str(tmp_path / "file"), b"{}")
    assert synced == [(False, False)]
    (tmp_path / "file").unlink()
    synced.clear()
    replace_file(tmp_path / "file", b"{}")
    assert synced == [(False, False), (True, True)]


@pytest.mark.parametrize("name", UNPACK)
@pytest.mark.parametrize("ending", ["stopped", "bug"])
async def test_file_that_is_not_whole_stays_partial(tmp_path: Path, name: str, ending: str) -> None:
    """What was had is in .partial, in whole lines, ready to be unpacked; an earlier file is untouched."""
    path, partial = tmp_path / name, tmp_path / f"{name}.partial"
    path.write_bytes(b"earlier")
    with suppress(OddError):
        async with open_sink(str(path)) as sink:
            await fill(sink)
            if ending != "stopped":
                raise OddError
    assert path.read_bytes() == b"earlier"
    assert UNPACK[name](partial.read_bytes()) == LINES
    async with open_sink(str(path)) as sink:  # and it is in nobody's way
        await sink.commit()
    assert UNPACK[name](path.read_bytes()) == b""


async def test_second_writer_is_turned_away(tmp_path: Path) -> None:
    """Two runs never write one file: the second is told at once, and harms nothing (S3)."""
    path = tmp_path / "images.ndjson"
    async with open_sink(str(path)) as sink:
        await sink.write(LINES, 5000)
        await sink.flush()
        before = os.listdir("/proc/self/fd")  # noqa: PTH208
        with pytest.raises(LockedError, match="another run is writing"):
            open_sink(str(path))
        assert os.listdir("/proc/self/fd") == before  # noqa: PTH208
        (tmp_path / "link").symlink_to(path)
        with pytest.raises(LockedError):
            open_sink(str(tmp_path / "link"))
        await sink.commit()
    assert path.read_bytes() == LINES


def test_lock_that_came_too_late(tmp_path: Path) -> None:
    """Who opened .partial just before another run published it must not empty what is the published file now."""
    partial = tmp_path / "images.ndjson.partial"
    partial.write_bytes(LINES)
    fd = os.open(partial, os.O_WRONLY)
    partial.rename(tmp_path / "images.ndjson")
    with pytest.raises(LockedError):
        sinks._lock("images.ndjson", partial, fd)
    assert (tmp_path / "images.ndjson").read_bytes() == LINES
    os.close(fd)


def test_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no other run is to blame for is not called one: a share may know no locks."""

    def refuse(_fd: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "")

    monkeypatch.setattr(fcntl, "flock", refuse)
    before = os.listdir("/proc/self/fd")  # noqa: PTH208
    with pytest.raises(OutputError, match="No locks available"):
        open_sink(str(tmp_path / "out.ndjson"))
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208


@pytest.mark.parametrize("problem", [errno.EINVAL, errno.EOPNOTSUPP])
async def test_folder_that_cannot_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: int) -> None:
    """The output is there all the same: a share may sync files only. A disk that has failed is another matter."""
    sync = os.fsync

    def refuse(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(problem, "")
        sync(fd)

    monkeypatch.setattr(os, "fsync", refuse)
    async with open_sink(str(tmp_path / "out.ndjson")) as sink:
        await fill(sink)
        await sink.commit()
    assert (tmp_path / "out.ndjson").read_bytes() == LINES
    problem = errno.EIO
    with pytest.raises(OutputError, match="Input/output error"):
        await fill_whole(open_sink(str(tmp_path / "out.ndjson")))


async def test_symlink_is_followed(tmp_path: Path) -> None:
    """The file that a link points to is replaced, the link stays; .partial is beside the file."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "file")
    async with open_sink(str(tmp_path / "link")) as sink:
        await fill(sink)
        assert isinstance(sink, FileSink)
        assert sink.partial == tmp_path / "disk" / "file.partial"
        await sink.commit()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "file").read_bytes() == LINES


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    """They are told when the sink is opened: before the first request (F4)."""
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("missing/images.ndjson", "", "file/images.ndjson", "loop", "x" * 300, "x" * 250, "loop/x"):
        with pytest.raises(OutputError) as caught:
            open_sink(str(tmp_path / name))
        assert caught.value.exit_code == 74
        assert str(tmp_path / name) in str(caught.value)


@pytest.mark.skipif(IS_ROOT, reason="not run: root may write everywhere")
def test_folder_that_is_read_only(tmp_path: Path) -> None:
    """Likewise, as anybody but root."""
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        open_sink(str(tmp_path / "images.ndjson"))
    tmp_path.chmod(0o700)


def test_file_system_that_is_read_only() -> None:
    """Likewise, also for root: /proc takes no new file."""
    with pytest.raises(OutputError):
        open_sink("/proc/images.ndjson")


async def test_disk_full_in_mid_run(tmp_path: Path) -> None:
    """A write that fails is an OutputError with the system's reason; the earlier file is untouched (F1)."""
    path = tmp_path / "images.ndjson"
    path.write_bytes(b"earlier")
    script = (
        "import asyncio, resource, signal, sys\n"
        "from crawler.output.sinks import open_sink\n"
        "from crawler.core.errors import OutputError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "async def main():\n"
        "    async with open_sink(sys.argv[1]) as sink:\n"
        "        for _ in range(50):\n"
        "            await sink.write(b'{}\\n' * 10_000, 10_000)\n"
        "        await sink.commit()\n"
        "try:\n"
        "    asyncio.run(main())\n"
        "except OutputError as error:\n"
        "    print(error)\n"
    )
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"cannot write {path}: {os.strerror(errno.EFBIG)}\n"
    assert path.read_bytes() == b"earlier"


async def test_publishing_that_fails(tmp_path: Path) -> None:
    """A rename that cannot be is an OutputError, like a write that cannot be."""
    path = tmp_path / "images.ndjson"
    with pytest.raises(OutputError, match="No such file"):
        await fill_whole(open_sink(str(path)), (tmp_path / "images.ndjson.partial").unlink)
    assert not path.exists()


# --- streams -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["/dev/full", "-"])
async def test_full_device(name: str) -> None:
    """A device without space is an OutputError with a hint, as a path and as standard output (F6)."""
    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OutputError, match=r"No space left on device: free some space") as caught:
        await fill_whole(open_sink(name) if name != "-" else stream(full, "standard output"))
    os.close(full)
    assert not isinstance(caught.value, ClosedPipeError)


async def test_named_pipe_is_no_file(tmp_path: Path) -> None:
    """A pipe as --output is written to, not replaced; compressed, if its name says so."""
    path = tmp_path / "pipe.gz"
    os.mkfifo(path)
    reader = asyncio.create_task(asyncio.to_thread(path.read_bytes))
    async with await asyncio.to_thread(open_sink, str(path)) as sink:
        await fill(sink)
        await sink.commit()
    assert gzip.decompress(await reader) == LINES
    assert os.listdir(tmp_path) == ["pipe.gz"]  # noqa: PTH208


def test_device_that_cannot_be_opened(tmp_path: Path) -> None:
    """Which is an OutputError too: a socket, here."""
    import socket  # noqa: PLC0415

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        with pytest.raises(OutputError):
            open_sink(str(tmp_path / "socket"))


@pytest.mark.on_both_loops
async def test_reader_that_goes_away() -> None:
    """The next write ends in ClosedPipeError, whether the sink was waiting or not."""
    with pipe() as (reading, writing):
        os.set_blocking(reading, False)
        waiting = asyncio.create_task(fill_whole(stream(writing)))
        while not select.select([reading], [], [], 0)[0]:  # noqa: ASYNC110 - a pipe tells nobody
            await asyncio.sleep(0)
        os.close(reading)
        with pytest.raises(ClosedPipeError) as caught:
            await waiting
        assert caught.value.exit_code == 141
        with pytest.raises(ClosedPipeError):
            await fill_whole(stream(writing))


@pytest.mark.on_both_loops
async def test_slow_reader_slows_the_writer() -> None:
    """The writer waits; what is held meanwhile is a chunk, the portions of those who wait, and no more."""
    with pipe() as (reading, writing):
        async with stream(writing) as sink:
            portion = LINES[: LINES.index(b"\n", 10_000) + 1]
            writers = [asyncio.create_task(endless(sink, portion)) for _ in range(8)]
            stuck_at = -1
            while sink.lines != stuck_at:
                stuck_at = sink.lines
                await anyio.sleep(0.05)  # nobody could tell that nothing is happening
            held = sink.lines // portion.count(b"\n") * len(portion) - sink.bytes
            assert CHUNK_BYTES < held < 3 * CHUNK_BYTES
            data = b""
            async with asyncio.timeout(60):
                while sink.lines == stuck_at:
                    data += drained(reading)
                    await asyncio.sleep(0)
            for writer in writers:
                writer.cancel()
            await asyncio.gather(*writers, return_exceptions=True)
            reader = asyncio.create_task(asyncio.to_thread(read_all, reading))
            await sink.flush()
            os.close(writing)
        data += await reader
    assert data == portion * (len(data) // len(portion))
    assert data.count(b"\n") == sink.lines


async def endless(sink: Sink, portion: bytes) -> None:
    while True:
        await sink.write(portion, portion.count(b"\n"))
        await asyncio.sleep(0)


def read_all(reading: int) -> bytes:
    os.set_blocking(reading, True)
    data = b""
    while piece := os.read(reading, 1 << 16):
        data += piece
    return data


@pytest.mark.on_both_loops
async def test_cancelled_in_mid_write_and_finished_later() -> None:
    """A write that was cut off goes on where it was: the stream is every line, once, whole."""
    with pipe() as (reading, writing):
        async with stream(writing) as sink:
            with anyio.move_on_after(0.02) as scope:
                await fill(sink)
            assert scope.cancelled_caught
            taken = sink.lines
            reader = asyncio.create_task(asyncio.to_thread(read_all, reading))
            await sink.commit()
        os.close(writing)
        data = await reader
    assert data == b"".join(LINES.splitlines(keepends=True)[:taken])
    assert (sink.bytes, sink.sha256) == (len(data), hashlib.sha256(data).hexdigest())


@pytest.mark.on_both_loops
@pytest.mark.parametrize("pages", [1, 16])
async def test_sleeping_reader_of_a_stopped_run(pages: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is stopped tries for a while to get its lines out; what did get out is whole lines, and counted."""
    monkeypatch.setattr(sinks, "LAST_WORDS_S", 0.1)
    with pipe(pages * 4096) as (reading, writing):
        with anyio.move_on_after(0.02):
            async with asyncio.timeout(60), stream(writing) as sink:
                await fill(sink)
        data = drained(reading)
    assert data
    assert data == LINES[: len(data)]
    assert data.endswith(b"\n")
    assert sink.lines == data.count(b"\n")
    assert (sink.bytes, sink.sha256) == (len(data), hashlib.sha256(data).hexdigest())


async def test_sleeping_reader_of_a_run_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is whole but for lines that nobody takes could not write its output."""
    monkeypatch.setattr(sinks, "LAST_WORDS_S", 0.1)
    with pipe() as (_, writing):
        sink = stream(writing)
        sink._chunk.append(LINES)
        with pytest.raises(OutputError, match="nobody read it in time"):
            async with sink:
                await sink.commit()


async def test_long_lines_pass_a_pipe() -> None:
    """A line longer than what a pipe takes at once arrives like any other."""
    data = LINES[:1000] + b"y" * 300_000 + b"\n" + LINES[:1000] + b"z" * 4096 + b"\n"
    data = data + b"w" * 4095 + b"\n" + b"\n" * 5000
    with pipe() as (reading, writing):
        reader = asyncio.create_task(asyncio.to_thread(read_all, reading))
        async with stream(writing) as sink:
            await sink.write(data, data.count(b"\n"))
            await sink.commit()
        os.close(writing)
        assert await reader == data


def flags_of(fd: int) -> int:
    return fcntl.fcntl(fd, fcntl.F_GETFL)


async def test_flags_of_standard_output_are_left_alone() -> None:
    """O_NONBLOCK belongs to an open file that the shell and other programs share: ours is a new one."""
    with pipe() as (_, writing):
        before = flags_of(writing)
        async with stream(writing) as sink:
            assert flags_of(sink._fd) & os.O_NONBLOCK
            assert flags_of(writing) == before
            await sink.write(b"{}\n", 1)
            await sink.commit()
        assert flags_of(writing) == before


async def test_terminal_and_file_as_standard_output(tmp_path: Path) -> None:
    """A terminal is opened anew like a pipe; a file is written as it is, appended where the shell says so."""
    parent, child = os.openpty()
    before = flags_of(child)
    async with stream(child) as sink:
        await sink.write(b"{}\n", 1)
        await sink.commit()
    assert flags_of(child) == before
    assert os.read(parent, 100) == b"{}\r\n"
    os.close(parent)
    os.close(child)
    (tmp_path / "log").write_bytes(b"first\n")
    appending = os.open(tmp_path / "log", os.O_WRONLY | os.O_APPEND)
    async with stream(appending) as sink:
        await fill(sink)
        await sink.commit()
    os.close(appending)
    assert (tmp_path / "log").read_bytes() == b"first\n" + LINES


async def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    """Neither by a sink that ended well, nor by one that did not, nor by one that was never opened."""

    def open_now() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    before = open_now()
    for ending in (True, False):
        async with open_sink(str(tmp_path / "images.ndjson")) as sink:
            if ending:
                await sink.commit()
    async with open_sink(str(tmp_path / "images.ndjson")):
        with pytest.raises(LockedError):
            open_sink(str(tmp_path / "images.ndjson"))
    with pytest.raises(OutputError):
        async with open_sink("/dev/full") as sink:
            await sink.write(b"{}\n", 1)
    assert open_now() == before
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > before


# --- small files -------------------------------------------------------------------------------------------------


def test_small_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """The summary: new or in place of an old one, through a link too."""
    path = tmp_path / "run.json"
    (tmp_path / "link.json").symlink_to(path)
    for data in (b"one", b"two"):
        write_file(str(tmp_path / "link.json"), data)
        assert path.read_bytes() == data
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["link.json", "run.json"]


def test_small_file_that_cannot_be_written(tmp_path: Path) -> None:
    """It is an OutputError that names the path as it was given, and nothing is left beside it."""
    (tmp_path / "folder").mkdir()
    for name in ("missing/run.json", "folder"):
        with pytest.raises(OutputError, match=str(tmp_path)):
            write_file(str(tmp_path / name), b"data")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]
    with pytest.raises(OutputError, match="No space left"):
        write_file("/dev/full", b"data")


def test_small_file_never_takes_the_place_of_a_device(tmp_path: Path) -> None:
    """``--summary /dev/null`` as root must leave /dev/null what it is."""
    write_file("/dev/null", b"data")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)  # noqa: PTH116
    os.mkfifo(tmp_path / "pipe")
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_file(str(tmp_path / "pipe"), b"data")
    assert os.read(reading, 100) == b"data"
    os.close(reading)
    assert [entry.name for entry in tmp_path.iterdir()] == ["pipe"]


def test_place_of_a_small_file_is_looked_at_beforehand(tmp_path: Path) -> None:
    """So that a run of an hour does not end in finding out that its summary has no place."""
    for name in ("missing/run.json", "", "x" * 300, "x" * 250, "x" * 300 + "/run.json", "x/" * 3000 + "run.json"):
        with pytest.raises(OutputError, match=str(tmp_path)):
            check_place(str(tmp_path / name))
    (tmp_path / "run.json").write_bytes(b"earlier")
    for name in ("run.json", "new.json"):
        check_place(str(tmp_path / name))
    check_place("/dev/null")
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.json"]
    assert (tmp_path / "run.json").read_bytes() == b"earlier"
