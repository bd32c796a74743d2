"""A run under way: what it was asked to do, and every listing that it has finished. Survives the process.

    DIR/.ncrawl-20261123T020000Z/
      run.json     what was asked: format, account, options
      parts        the lines of each finished listing, one after the other, as they will stand in the snapshot
      journal      one line a finished listing: its result, where its part is, and a checksum of the line

A listing is finished once its journal line is written; the part is written before. Both are synced every few
seconds, which only a power loss can tell. After one, a part may be missing under a journal line: parts are checked
against their SHA-256 when a run is taken up again, and what does not match is fetched anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import time
import zlib
from typing import TYPE_CHECKING, Any, Self

import anyio.lowlevel
import anyio.to_thread
import msgspec

from crawler.compression import compressor
from crawler.errors import OutputError, UsageError
from crawler.files import open_own, remove_tree, replace_file, sync_folder, write_all, writing
from crawler.model import ListingResult, Verdict
from crawler.snapshot.manifest import FORMAT, MANIFEST
from crawler.snapshot.reading import LUMP_BYTES, UnreadableError, unpacked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from crawler.snapshot.spool import Spool

PREFIX = ".ncrawl-"
SYNC_EVERY_S = 5.0
PAUSE_EVERY_BYTES = 1024 * 1024
FINISHED = frozenset({Verdict.COMPLETE, Verdict.COMPLETE_WITH_DRIFT, Verdict.UNVERIFIED, Verdict.DENIED, Verdict.GONE})
"""Verdicts that a resumed run takes over; a listing with another one is fetched anew."""

SUFFIXES = {"none": "", "gzip": ".gz", "zstd": ".zst"}
"""What --compress adds to the names of the data files."""

_HEADER = "run.json"
_PARTS = "parts"
_JOURNAL = "journal"


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was asked to do.

    Attributes:
        id: its start, as the snapshot's folder will be named.
        identity: stands for the keys without giving them away; another account has another one.
        options: those that decide what is in the snapshot.
        resumed: when it was taken up again, ISO 8601.
        checksum: SHA-256 of this object as JSON with the checksum left empty.
    """

    format: int = FORMAT
    id: str
    started_ms: int
    account: str
    identity: str
    options: dict[str, Any]
    resumed: tuple[str, ...] = ()
    checksum: str = ""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A finished listing and where its lines are: in ``parts``, compressed; ``sha256`` is of the plain lines."""

    result: ListingResult
    offset: int
    length: int
    sha256: str
    lines: int


class UnfinishedRun:
    """A run's folder, open for writing.

    Mutable state: the finished parts by (region, registry), the first failure, and what is synced. Parts are written
    one at a time, for which there is a lock.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.path = path
        self.header = header
        self.parts: dict[tuple[str, str | None], Part] = {}
        self.suffix = SUFFIXES[str(header.options["compress"])]
        self._fds: list[int] = []
        self._failure: OutputError | None = None
        self._is_synced = True
        self._synced_at_s = time.monotonic()
        self._lock = asyncio.Lock()  # anyio's costs five times as much, for every listing

    @classmethod
    def begin(cls, folder: Path, header: Header) -> Self:
        """Make the folder of a new run.

        Raises:
            OutputError: it cannot be written.
        """
        path = folder / f"{PREFIX}{header.id}"
        with writing(path):
            path.mkdir()
        run = cls(path, header)
        try:
            sync_folder(folder)
            replace_file(path / _HEADER, _sealed(header))
            run._open()
        except OutputError:
            run.close()
            shutil.rmtree(path, ignore_errors=True)  # nobody could take it up, and the disk may be full
            raise
        return run

    @classmethod
    def resume(cls, path: Path, header: Header, *, now: str) -> Self:
        """Take up a run with the same request.

        Raises:
            UsageError: it was asked for something else, or its state is damaged; nothing is mixed.
            OutputError: it cannot be written.
        """
        found = _read_header(path)
        _refuse_other_request(path, found, header)
        entries, valid_bytes = _read_journal(path / _JOURNAL)
        name = path.name.removeprefix(PREFIX)  # a crash may have come between its new name and its new header
        run = cls(path, msgspec.structs.replace(found, id=name, resumed=(*found.resumed, now)))
        replace_file(path / _HEADER, _sealed(run.header))
        run._open()
        run._take_over(entries, valid_bytes)
        return run

    async def commit(self, spool: Spool, result: ListingResult) -> None:
        """Write a listing's lines and its result; from then on it is finished. Others go on meanwhile.

        Raises:
            OutputError: it cannot be written.
        """
        async with self._lock:
            if self._failure is not None:  # whoever waited for its turn must not write after a torn line
                raise self._failure
            try:
                for _ in self._appending(result, spool.sorted_lumps(), spool.count):
                    await anyio.lowlevel.checkpoint()
            except OutputError as error:
                self._failure = error
                raise

    def adopt(self, result: ListingResult, lumps: Iterable[bytes], lines: int) -> None:
        """Take over a finished listing of an earlier snapshot, lines sorted as they are."""
        for _ in self._appending(result, lumps, lines):
            pass

    def read_part(self, part: Part) -> Iterator[bytes]:
        """Yield a part's plain lines, in lumps.

        Raises:
            UnreadableError: damaged.
            OutputError: the disk refuses.
        """
        return unpacked(self.stored([part]), self.path / f"{_PARTS}{self.suffix}")

    def stored(self, parts: Iterable[Part]) -> Iterator[bytes]:
        """Yield the bytes of parts as they will stand in the snapshot, one after the other, small ones together.

        Raises:
            OutputError: the disk refuses.
        """
        pieces: list[bytes] = []
        size = 0
        for piece in self._pieces(parts):
            pieces.append(piece)
            size += len(piece)
            if size >= LUMP_BYTES:
                yield b"".join(pieces)
                pieces, size = [], 0
        yield b"".join(pieces)

    def _pieces(self, parts: Iterable[Part]) -> Iterator[bytes]:
        for part in parts:
            end = part.offset + part.length
            for position in range(part.offset, end, LUMP_BYTES):
                with writing(self.path):
                    piece = os.pread(self._fds[0], min(LUMP_BYTES, end - position), position)
                yield piece

    async def sync(self) -> None:
        """Make what is finished last, if SYNC_EVERY_S have passed since the last time; beside the event loop."""
        if self._is_synced or time.monotonic() - self._synced_at_s < SYNC_EVERY_S:
            return
        self._is_synced = True
        self._synced_at_s = time.monotonic()
        with writing(self.path):
            for fd in self._fds:
                await anyio.to_thread.run_sync(os.fsync, fd)

    def close(self) -> None:
        """Close its files; the folder stays."""
        for fd in self._fds:
            os.close(fd)
        self._fds = []

    def start_at(self, name: str, started_ms: int) -> None:
        """Let the run be named after another start, because the clock that told the first one was wrong.

        Raises:
            OutputError: it cannot be written; the run can be taken up all the same.
        """
        path = self.path.with_name(f"{PREFIX}{name}")
        with writing(self.path):
            self.path.rename(path)
        sync_folder(path.parent)
        self.path = path
        self.header = msgspec.structs.replace(self.header, id=name, started_ms=started_ms)
        replace_file(path / _HEADER, _sealed(self.header))

    def remove(self) -> None:
        """Remove the folder: its snapshot is published, or nothing in it is worth keeping."""
        self.close()
        with writing(self.path):
            shutil.rmtree(self.path)

    def _open(self) -> None:
        with writing(self.path):
            for name in (_PARTS, _JOURNAL):
                self._fds.append(open_own(self.path / name, os.O_RDWR | os.O_APPEND))
        sync_folder(self.path)

    def _appending(self, result: ListingResult, lumps: Iterable[bytes], lines: int) -> Iterator[None]:
        """Write a part, then its journal line; pause now and then, because a million lines take seconds."""
        parts, journal = self._fds
        sha256, length, pause_at = hashlib.sha256(), 0, PAUSE_EVERY_BYTES
        compress = compressor(self.suffix)
        with writing(self.path):
            offset = os.fstat(parts).st_size  # a commit that was cut off may have left bytes of nobody's
            for lump in filter(None, lumps):  # gzip would begin a member even for nothing
                sha256.update(lump)
                packed = compress.compress(lump)
                write_all(parts, packed)
                length += len(packed)
                if length >= pause_at:
                    pause_at = length + PAUSE_EVERY_BYTES
                    yield
            if lines:
                rest = compress.flush()
                write_all(parts, rest)
                length += len(rest)
            part = Part(result=result, offset=offset, length=length, sha256=sha256.hexdigest(), lines=lines)
            write_all(journal, _journal_line(part))
        self.parts[result.region, result.registry] = part
        self._is_synced = False

    def _take_over(self, entries: list[Part], valid_bytes: int) -> None:
        """Take up what the journal says: what is finished and whole stays, a torn end is cut off."""
        for part in entries:
            self.parts[part.result.region, part.result.registry] = part
        kept = {key: part for key, part in self.parts.items() if part.result.verdict in FINISHED}
        self.parts = {key: part for key, part in kept.items() if self._is_intact(part)}
        with writing(self.path):
            os.ftruncate(self._fds[1], valid_bytes)

    def _is_intact(self, part: Part) -> bool:
        sha256 = hashlib.sha256()
        try:
            for lump in self.read_part(part):
                sha256.update(lump)
        except UnreadableError:
            return False
        return sha256.hexdigest() == part.sha256


def unfinished_runs(folder: Path) -> list[Path]:
    """Return the folders of unfinished runs that can be taken up, oldest first."""
    return [path for path in _runs(folder) if not _is_published(path)]


def published_runs(folder: Path) -> list[Path]:
    """Return the folders of runs whose snapshot has its name, and that left something undone then, oldest first."""
    return [path for path in _runs(folder) if _is_published(path)]


def _runs(folder: Path) -> list[Path]:
    with writing(folder):
        runs = sorted(path.parent for path in folder.glob(f"{PREFIX}*/{_HEADER}"))
        return [path for path in runs if not path.is_symlink()]  # a run makes folders; a link was planted


def _is_published(path: Path) -> bool:
    return os.path.exists(path.with_name(path.name.removeprefix(PREFIX)) / MANIFEST)  # noqa: PTH110 - never raises


def remove_superseded(folder: Path) -> None:
    """Remove unfinished runs but the newest: none of the others is ever taken up again, and they may fill the disk."""
    with writing(folder):
        for path in unfinished_runs(folder)[:-1]:
            shutil.rmtree(path)


def keep_header_only(path: Path) -> None:
    """Remove all of a run but what says that there was one: its snapshot is published, and `latest` waits for it.

    Raises:
        OutputError: something cannot be removed.
    """
    with writing(path):
        for each in path.iterdir():
            if each.name != _HEADER:
                remove_tree(each)


def _sealed(header: Header) -> bytes:
    """Return a header as JSON with the checksum that it should have."""
    bare = msgspec.json.encode(msgspec.structs.replace(header, checksum=""))
    return msgspec.json.encode(msgspec.structs.replace(header, checksum=hashlib.sha256(bare).hexdigest()))


def _journal_line(part: Part) -> bytes:
    body = msgspec.json.encode(part)
    return b"%08x %b\n" % (zlib.crc32(body), body)


def _read_journal(path: Path) -> tuple[list[Part], int]:
    """Return the parts of a journal and how many of its bytes are whole lines.

    Raises:
        UsageError: a whole line is damaged.
    """
    entries: list[Part] = []
    size = 0
    with writing(path):
        data = path.read_bytes() if path.exists() else b""
    for line in data.split(b"\n")[:-1]:
        body = line[9:]
        if line[:9] != b"%08x " % zlib.crc32(body):
            raise _damaged(path.parent, f"line {len(entries) + 1} of its journal does not match its checksum")
        entries.append(msgspec.json.decode(body, type=Part))
        size += len(line) + 1
    return entries, size


def _read_header(path: Path) -> Header:
    with writing(path):
        data = (path / _HEADER).read_bytes()
    try:
        version = msgspec.json.decode(data, type=dict[str, Any]).get("format")
        header = msgspec.json.decode(data, type=Header) if version == FORMAT else None
    except (ValueError, RecursionError):
        raise _damaged(path, f"{_HEADER} is damaged") from None
    if header is None:
        raise UsageError(
            f"{path} has format {version}, this ncrawl writes format {FORMAT}: resume it with the version that began "
            "it, or begin anew without --resume"
        )
    if data != _sealed(header):
        raise _damaged(path, f"{_HEADER} is damaged")
    return header


def _damaged(path: Path, what: str) -> UsageError:
    return UsageError(f"{path} cannot be resumed: {what}; begin anew without --resume")


def _refuse_other_request(path: Path, found: Header, asked: Header) -> None:
    """Raise UsageError if a run is to be resumed with another account or other options."""
    differences = [
        f"--{name.replace('_', '-')} was {found.options.get(name)} and is {asked.options.get(name)}"
        for name in sorted(found.options.keys() | asked.options.keys())
        if found.options.get(name) != asked.options.get(name)
    ]
    if (found.account, found.identity) != (asked.account, asked.identity):
        differences.insert(0, "it is another account, or other keys")
    if differences:
        raise UsageError(
            f"{path} cannot be resumed: {'; '.join(differences)}; use the same again, or begin anew without --resume"
        )
