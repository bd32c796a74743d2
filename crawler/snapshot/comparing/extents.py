"""Read a snapshot's data file registry by registry, and prove each against its manifest before anything is made of it.

A registry is read through and hashed first. A small one is kept in memory; a large one is read again, and must be the
same still, chunk by chunk.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from crawler.snapshot.reading.chunks import (
    DamagedError,
    UnreadableError,
    chunk_bytes,
    is_packed,
    stored_chunks,
    unpacked,
    whole_lines,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import FileIO
    from pathlib import Path

    from crawler.snapshot.frames import Frame
    from crawler.snapshot.manifest import StoredFile

KEPT_BYTES = 4 * 1024 * 1024
"""How much of a registry is kept in memory between the proof and the use of it."""


class Proof(NamedTuple):
    """What came out of reading a registry through.

    Attributes:
        problem: what is wrong with it; None if it is what the manifest says.
        chunks: all of its lines, if they are few; whether they are tells ``is_kept``.
        checksums: of each chunk, if they are many.
    """

    problem: str | None
    chunks: list[bytes]
    checksums: list[int]

    @property
    def is_kept(self) -> bool:
        """Whether all lines are in memory."""
        return len(self.chunks) == len(self.checksums)


class Extents:
    """The parts of an open data file.

    Args:
        file: the file.
        path: of the file.
        look: is shown all that is read, once.
    """

    def __init__(self, file: FileIO, path: Path, look: Callable[[bytes], None]) -> None:
        self._file = file
        self._path = path
        self._look = look

    def differences(self, stored: StoredFile) -> Iterator[str]:
        """Yield what is not as the manifest says of the file itself.

        The bytes of a plain one are all proved as registries' anyway, so only its length is looked at.
        """
        size = self._file.seek(0, 2)
        if size != stored.bytes:
            yield f"is {size:,} bytes long, not {stored.bytes:,}"
        elif is_packed(self._path):
            self._file.seek(0)
            if hashlib.file_digest(self._file, "sha256").hexdigest() != stored.sha256:
                yield "does not have the SHA-256 of its manifest"

    def prove(self, frame: Frame) -> Proof:
        """Read a registry through."""
        digest, lines, size = hashlib.sha256(), 0, 0
        kept, checksums = list[bytes](), list[int]()
        try:
            for chunk in self._chunks(frame):
                digest.update(chunk)
                self._look(chunk)
                lines, size = lines + chunk.count(b"\n"), size + len(chunk)
                checksums.append(crc32(chunk))
                if size <= KEPT_BYTES:
                    kept.append(chunk)
                if lines > frame.lines:
                    break
        except UnreadableError as error:
            return Proof(error.problem, [], [])
        return Proof(_problem(frame, lines, digest.hexdigest()), kept, checksums)

    def chunks(self, frame: Frame, proof: Proof) -> Iterator[bytes]:
        """Yield the whole lines of a registry that was proved.

        Raises:
            DamagedError: it has changed since.
        """
        if proof.is_kept:
            yield from proof.chunks
            return
        checksums = iter(proof.checksums)
        for chunk in self._chunks(frame):
            if crc32(chunk) != next(checksums, None):
                raise DamagedError(self._path, f"{frame.label} changed while it was read")
            yield chunk

    def _chunks(self, frame: Frame) -> Iterator[bytes]:
        try:
            self._file.seek(frame.offset)
            stored = stored_chunks(self._file, frame.length, chunk_bytes(self._path))
            yield from whole_lines(unpacked(stored, self._path), self._path)
        except OSError as error:
            raise UnreadableError(self._path, f"cannot be read: {error.strerror}") from error


def _problem(frame: Frame, lines: int, sha256: str) -> str | None:
    if lines != frame.lines:
        found = f"more than {frame.lines:,}" if lines > frame.lines else f"{lines:,}"
        return f"has {found} lines, where {frame.lines:,} should be"
    return None if sha256 == frame.sha256 else "does not have its SHA-256"
