"""Where lines go: standard output or a file, plain or compressed. Whole lines, back-pressure, nothing half-written.

A file is written under another name beside it (``NAME.partial``, locked) and renamed once it is whole. Standard output
is written without blocking, so that a reader that sleeps slows the crawl down and a signal still gets through.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import os
import stat
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Self

import anyio

from crawler.core.errors import ClosedPipeError, LockedError, OutputError
from crawler.core.text import escaped_for_terminal
from crawler.output.compression import Plain, compressor
from crawler.output.files import create_anew, means_folder, open_own, sync_folder, take_back_half_line, writing
from crawler.output.outlets import PAUSE_S, Outlet, open_outlet

if TYPE_CHECKING:
    from types import TracebackType

    from crawler.output.compression import Compressor

CHUNK_BYTES = 256 * 1024
"""Lines are collected up to this size before they are written."""
LAST_WORDS_S = 1.0
"""How long a stopped run tries to get its last whole lines out to a slow reader."""


class _ForTerminal:
    """Whole lines in, whole lines out, with nothing in them that could steer a terminal."""

    def compress(self, data: bytes) -> bytes:
        return escaped_for_terminal(data)

    def flush(self) -> bytes:
        return b""


class Sink:
    """Collects whole lines and writes them in chunks.

    Left without a `commit`, it gives its last whole lines a moment to get out, and what was had gets no name.

    Args:
        name: path as the user gave it; ``-`` is standard output.
        fd: closed in the end.
        compress: what the lines go through.
        hashed: False where nobody will ask for the SHA-256: it costs 14 µs a page.

    Attributes:
        name: likewise.
        lines: whole lines taken.
        bytes: bytes written.
        partial: of a file: where its lines are until they are committed, and stay if they are not.
        is_committed: nothing is to come, and all is where it should be.

    Mutable state: the chunk being collected, and the lock that lets one chunk be written at a time.
    """

    def __init__(self, name: str, fd: int, compress: Compressor, *, hashed: bool = True) -> None:
        self.name = name
        self.lines = 0
        self.bytes = 0
        self.partial: Path | None = None
        self._hashed = hashed
        self.is_committed = False
        self._fd = fd
        self._compressor = compress
        self._chunk: list[bytes] = []
        self._chunk_bytes = 0
        self._unwritten = memoryview(b"")
        self._lock = asyncio.Lock()
        self._sha256 = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes written, in hexadecimal."""
        return self._sha256.hexdigest()

    async def write(self, lines: bytes, count: int) -> None:
        """Take whole lines; wait while too much is unwritten.

        Raises:
            OutputError: they cannot be written; a ClosedPipeError if the reader went away.
        """
        self._chunk.append(lines)
        self._chunk_bytes += len(lines)
        self.lines += count
        if self._chunk_bytes >= CHUNK_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Write what was collected so far."""
        async with self._lock:
            await self._drain()
            if self._chunk:
                chunk, self._chunk, self._chunk_bytes = b"".join(self._chunk), [], 0
                self._unwritten = memoryview(self._compressor.compress(chunk))
                await self._drain()

    async def commit(self, patience_s: float = 0.0) -> None:
        """Write all that was taken, and the end of a compressed stream, and give it its name: nothing is to come.

        Args:
            patience_s: how long a slow reader is waited for; LAST_WORDS_S at least.

        Raises:
            OutputError: it cannot be written, or nobody read it in time.
        """
        if not await self._end(max(LAST_WORDS_S, patience_s)):
            raise OutputError(self.name, TimeoutError("nobody read it in time"))
        self._publish()
        self.is_committed = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if not self.is_committed:
                await self._leave(can_write=not isinstance(exc, OutputError))
        finally:
            self._close()

    async def _leave(self, *, can_write: bool) -> None:
        """Leave what was had without its name, or no trace where nothing was had."""
        if can_write:
            await self._end(LAST_WORDS_S)
        if not self.lines:
            self._discard()

    def _close(self) -> None:
        os.close(self._fd)

    async def _end(self, patience_s: float) -> bool:
        """Write what is left, and the end of a compressed stream, whoever was cancelled; return whether it got out."""
        with anyio.move_on_after(patience_s, shield=True) as last_words:
            await self.flush()
            self._unwritten = memoryview(self._compressor.flush())
            await self._drain()
        if last_words.cancelled_caught:
            self._forget_unwritten()
        return not last_words.cancelled_caught

    def _forget_unwritten(self) -> None:
        """Count no line that did not get out; in a compressed stream nobody can tell which did."""
        if isinstance(self._compressor, Plain):
            self.lines -= bytes(self._unwritten).count(b"\n") + b"".join(self._chunk).count(b"\n")

    def _publish(self) -> None:
        """Give what is whole its name."""

    def _discard(self) -> None:
        """Leave no trace of a run that had nothing."""

    async def _drain(self) -> None:
        """Write the chunk under way; what a cancelled call left over goes first next time, so lines stay whole."""
        while self._unwritten:
            try:
                written = await self._write_some(self._unwritten)
            except BrokenPipeError as error:
                raise ClosedPipeError(self.name, error) from None
            except OSError as error:
                if isinstance(self._compressor, Plain):
                    chunk = bytes(self._unwritten.obj)
                    take_back_half_line(self._fd, chunk[: len(chunk) - len(self._unwritten)])
                raise OutputError(self.name, error) from None
            if self._hashed:
                self._sha256.update(self._unwritten[:written])
            self.bytes += written
            self._unwritten = self._unwritten[written:]

    async def _write_some(self, data: memoryview) -> int:
        return os.write(self._fd, data)


class StreamSink(Sink):
    """Standard output, or a path that is no regular file (a pipe, a device)."""

    def __init__(self, name: str, outlet: Outlet, compress: Compressor, *, hashed: bool = True) -> None:
        super().__init__(name, outlet.fd, compress, hashed=hashed)
        self._outlet = outlet

    async def _write_some(self, data: memoryview) -> int:
        while not (written := self._outlet.take(data)):
            watched = self._outlet.watch()
            await (anyio.sleep(PAUSE_S) if watched is None else anyio.wait_readable(watched))
        return written

    def _close(self) -> None:
        self._outlet.close()


class FileSink(Sink):
    """A regular file, which appears under its name only when it is committed."""

    def __init__(self, name: str, *, hashed: bool = True) -> None:
        with writing(name):  # a current directory that is gone
            self._path = Path(os.path.realpath(name))
        self._partial = self._path.with_name(self._path.name + ".partial")
        super().__init__(name, _open_partial(name, self._partial), compressor(name), hashed=hashed)
        self.partial = self._partial

    def _publish(self) -> None:
        with writing(self.name):
            os.fsync(self._fd)
            self._partial.replace(self._path)
        sync_folder(self._path.parent)

    def _discard(self) -> None:
        with suppress(OSError):
            self._partial.unlink()


def open_sink(name: str, *, hashed: bool = True, until_s: float = inf) -> StreamSink | FileSink:
    """Open where the lines of a run go, before its first request.

    Args:
        name: path, or ``-`` for standard output.
        hashed: False where nobody will ask for the SHA-256.
        until_s: monotonic time by which a named pipe has to have a reader.

    Raises:
        OutputError: it cannot be written.
        LockedError: another run writes it.
    """
    if name == "-":
        compress = _ForTerminal() if os.isatty(1) else Plain()
        return StreamSink("standard output", Outlet(os.dup(1)), compress, hashed=hashed)
    try:
        mode = Path(name).stat().st_mode
    except FileNotFoundError:
        return FileSink(name, hashed=hashed)
    except OSError as error:
        raise OutputError(name, error) from None
    if stat.S_ISDIR(mode):
        raise OutputError(name, IsADirectoryError(errno.EISDIR, ""))
    if stat.S_ISREG(mode):
        return FileSink(name, hashed=hashed)
    packer = compressor(name)
    with writing(name):
        outlet = open_outlet(name, until_s, holds_lines=isinstance(packer, Plain))
        return StreamSink(name, outlet, packer, hashed=hashed)


def _open_partial(name: str, partial: Path) -> int:
    with writing(name):
        if means_folder(name):
            raise IsADirectoryError(errno.EISDIR, "")
        fd = _locked(name, partial, open_own(partial, os.O_WRONLY))
        if _is_ours_alone(fd):
            os.ftruncate(fd, 0)
            return fd
        try:
            return _locked(name, partial, create_anew(partial))
        finally:
            os.close(fd)


def _is_ours_alone(fd: int) -> bool:
    """Whether nobody else reads what is written there: no other name leads to it, and no other user owns it."""
    status = os.fstat(fd)
    return status.st_nlink == 1 and status.st_uid == os.geteuid()


def _locked(name: str, partial: Path, fd: int) -> int:
    try:
        _lock(name, partial, fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _lock(name: str, partial: Path, fd: int) -> None:
    """Lock what was opened; it must still be ``partial`` then, and not what another run has published meanwhile."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(fd), partial.lstat()):
            return
    except (BlockingIOError, FileNotFoundError):
        pass
    raise LockedError(f"another run is writing {name}: wait for it, or choose another --output")
