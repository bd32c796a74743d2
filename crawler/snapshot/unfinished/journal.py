"""What an unfinished run writes down of itself: what it was asked for (run.json), and what it has finished (journal).

Everything carries a checksum. What does not match it, or cannot be understood, is never guessed at: the run cannot be
taken up, and says why.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import zlib
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from crawler.api.collections import COLLECTIONS
from crawler.core.errors import OutputError, UsageError
from crawler.core.model import ListingResult  # noqa: TC001 - msgspec looks for it
from crawler.snapshot.manifest import FORMAT

if TYPE_CHECKING:
    from pathlib import Path

    from crawler.core.collection import Collection

HEADER = "run.json"
PARTS = "parts"
JOURNAL = "journal"

_OF_THE_FILE = (errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ELOOP)
"""What a file is to blame for, and no disk."""


class UnusableRunError(UsageError):
    """An unfinished run that cannot be taken up, whoever asks: damaged, of another format, or of other keys."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} cannot be taken up: {why}")


class Reusing(msgspec.Struct, frozen=True, kw_only=True):
    """What a run reuses: decided once, so that all of its sessions agree.

    Attributes:
        snapshot: id of the earlier snapshot.
        path: where that is.
        due: classes of lists that are read all the same.
    """

    snapshot: str
    path: str
    due: tuple[int, ...]


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was asked to do.

    Attributes:
        id: its start, as the snapshot's folder will be named.
        started_ms: milliseconds since 1970, UTC, by this machine's clock.
        identity: stands for the keys without giving them away; another account has another one.
        options: its own, as JSON: those that decide what is in the snapshot, and those that it is taken up with.
        resumed: when it was taken up again, ISO 8601.
        taken_from: the snapshot that ``--retry-failed`` named, by its id.
        run_id: what whoever asked for it calls it, if anything.
        reusing: what ``--reuse`` came to, if anything.
        listed_ms: of the snapshot that anything is copied from: since when the lists of tags of each class were read.
        checksum: SHA-256 of this object as JSON with the checksum left empty.
    """

    format: int = FORMAT
    id: str
    started_ms: int
    account: str
    identity: str
    options: dict[str, Any]
    resumed: tuple[str, ...] = ()
    taken_from: str | None = None
    run_id: str | msgspec.UnsetType = msgspec.UNSET
    reusing: Reusing | msgspec.UnsetType = msgspec.UNSET
    listed_ms: tuple[int, ...] | msgspec.UnsetType = msgspec.UNSET
    checksum: str = ""


class ListPart(msgspec.Struct, frozen=True, array_like=True):
    """One list of a batch: the name that it has within its registry's, and its share of bytes and lines."""

    within: tuple[str, ...]
    length: int
    lines: int


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A finished listing and where its lines are: in ``parts``, compressed; ``sha256`` is of the plain lines.

    Attributes:
        lists: of a batch, whose result is a sum: its lists, in the order of their bytes.
    """

    result: ListingResult
    offset: int
    length: int
    sha256: str
    lines: int
    lists: tuple[ListPart, ...] = ()


class Entry(NamedTuple):
    """A line of the journal: what it tells of but for a batch's lists, where it begins, and how long it is."""

    part: Part
    at: int
    size: int


def sealed(header: Header) -> bytes:
    """Return a header as JSON with the checksum that it should have."""
    bare = msgspec.json.encode(msgspec.structs.replace(header, checksum=""))
    return msgspec.json.encode(msgspec.structs.replace(header, checksum=hashlib.sha256(bare).hexdigest()))


def read_header(run: Path) -> Header:
    """Read what the run in a folder was asked for.

    Raises:
        UnusableRunError: it is damaged, or of another format.
        OutputError: the disk fails.
    """
    data = _read(run / HEADER)
    try:
        version = msgspec.json.decode(data, type=dict[str, Any]).get("format")
        header = msgspec.json.decode(data, type=Header) if version == FORMAT else None
    except (ValueError, RecursionError):
        raise UnusableRunError(run, f"its {HEADER} is damaged") from None
    if header is None:
        raise UnusableRunError(run, f"it has format {version}, and this ncrawl writes format {FORMAT}")
    if data != sealed(header):
        raise UnusableRunError(run, f"its {HEADER} is damaged")
    return header


def journal_line(part: Part) -> bytes:
    """Return what the journal says of a part."""
    body = msgspec.json.encode(part, enc_hook=attrgetter("name"))
    return b"%08x %b\n" % (zlib.crc32(body), body)


def read_part(body: bytes) -> Part:
    """Return the part that the body of a journal line tells of.

    Raises:
        ValueError: it cannot be understood.
    """
    return _part.decode(body)


def _collection(_type: type, name: str) -> Collection:
    if name not in COLLECTIONS:
        raise ValueError(f"there is no collection {name!r}")
    return COLLECTIONS[name]


_part = msgspec.json.Decoder(Part, dec_hook=_collection)


def read_journal(run: Path) -> list[Entry]:
    """Return what the journal of the run in a folder tells of, as far as its lines are whole.

    Raises:
        UnusableRunError: a whole line is damaged.
        OutputError: the disk fails.
    """
    entries: list[Entry] = []
    at = 0
    data = _read(run / JOURNAL) if os.path.lexists(run / JOURNAL) else b""
    for line in data.split(b"\n")[:-1]:
        body = line[9:]
        number = len(entries) + 1
        if line[:9] != b"%08x " % zlib.crc32(body):
            raise UnusableRunError(run, f"line {number} of its journal does not match its checksum")
        try:
            part = read_part(body)
        except ValueError as error:
            raise UnusableRunError(run, f"line {number} of its journal is damaged: {error}") from None
        entries.append(Entry(msgspec.structs.replace(part, lists=()), at, len(line) + 1))
        at += len(line) + 1
    return entries


def check_files(run: Path) -> None:
    """See whether the files of the run in a folder can be written on.

    Raises:
        UnusableRunError: one is no file, or somebody else's, or another name leads to it as well.
    """
    if not os.access(run, os.W_OK | os.X_OK):
        raise UnusableRunError(run, "this user may not write in it")
    for path in (run / PARTS, run / JOURNAL):
        if os.path.lexists(path) and (path.is_symlink() or not path.is_file()):
            raise UnusableRunError(run, f"{path.name} is no file")
        if path.exists() and not os.access(path, os.R_OK | os.W_OK):
            raise UnusableRunError(run, f"this user may not write {path.name}")
        if path.exists() and path.stat().st_nlink > 1:  # planted, or of a copy by hard links, which would change
            raise UnusableRunError(run, f"{path.name} has another name as well")


def _read(path: Path) -> bytes:
    """Return a file's bytes; what is wrong with the file is the run's fault, a disk that fails is an OutputError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(fd).st_mode):  # a pipe without a writer, a device without an end
            os.close(fd)
            raise UnusableRunError(path.parent, f"{path.name} is no file")
        with os.fdopen(fd, "rb") as file:
            return file.read()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UnusableRunError(path.parent, f"{path.name} is no file") from None
        if error.errno in _OF_THE_FILE:
            raise UnusableRunError(path.parent, f"{path.name} cannot be read: {error.strerror}") from None
        raise OutputError(str(path.parent), error) from None
