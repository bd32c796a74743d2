"""Prove a snapshot whole, or say what is wrong with it by file, registry and line.

A file of images is read once, in chunks, to prove it; only if that fails is it read again, line by line, to say why.
Memory does not grow with the files: what is strictly sorted is unique.
"""

from __future__ import annotations

import hashlib
from collections import deque
from typing import TYPE_CHECKING

from crawler.api.collections import REGISTRIES
from crawler.core.text import writable
from crawler.snapshot.frames import Frame
from crawler.snapshot.manifest import MANIFEST, ManifestError, load, read_bytes, salvage
from crawler.snapshot.reading.chunks import (
    UnreadableError,
    chunk_bytes,
    open_regular,
    stored_chunks,
    unpacked,
    whole_lines,
)
from crawler.snapshot.reading.records import BadLineError, Key, are_increasing, line_start, parse_keys
from crawler.snapshot.verifying.contradictions import contradictions
from crawler.snapshot.verifying.diagnosis import Finding, explain_frames, explain_registries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import IO

    from crawler.core.collection import Collection
    from crawler.snapshot.manifest import Manifest, StoredFile


def verify(folder: Path, watch: Callable[[int], object] = lambda _: None) -> Iterator[Finding]:
    """Re-read all of a snapshot and yield whatever is wrong; nothing, if it is whole.

    Args:
        folder: the snapshot's.
        watch: told how many stored bytes were read, each time some were.

    Raises:
        UsageError: the folder is no snapshot, or one of another format.
    """
    data = read_bytes(folder)
    manifest: Manifest | None
    try:
        manifest = load(data)
    except ManifestError as error:
        yield Finding(file=MANIFEST, problem=str(error))
        manifest = salvage(data)
    if manifest is None:
        return
    for registry, problem in contradictions(manifest):
        yield Finding(file=MANIFEST, registry=registry, problem=problem)
    for collection in manifest.framed:
        if stored := manifest.stored_file(collection):
            yield from _verify_framed(folder / stored.name, stored, manifest, collection=collection, watch=watch)
    if registries := manifest.stored_file(REGISTRIES):
        yield from _verify_registries(folder / registries.name, registries, manifest, watch=watch)


def foreign_entries(folder: Path) -> list[str]:
    """Return what is in a snapshot's folder and is not of it, such as a file server's own: no damage, but to be told.

    Raises:
        UsageError: the folder cannot be read.
    """
    manifest = salvage(read_bytes(folder))
    if manifest is None:
        return []
    known = {MANIFEST, *(file.name for file in manifest.files)}
    try:
        return sorted(writable(path.name) for path in folder.iterdir() if path.name not in known)
    except OSError as error:
        raise UnreadableError(folder, f"cannot be read: {error.strerror}") from error


class _Tape:
    """A stored file that is read once, from front to back, and measured on the way."""

    def __init__(self, file: IO[bytes], path: Path, watch: Callable[[int], object]) -> None:
        self._file = file
        self._watch = watch
        self._chunk_bytes = chunk_bytes(path)
        self._digest = hashlib.sha256()
        self.position = 0

    def take(self, length: int | None) -> Iterator[bytes]:
        """Yield the next ``length`` bytes, or all that are left."""
        for chunk in stored_chunks(self._file, length, self._chunk_bytes):
            self._digest.update(chunk)
            self.position += len(chunk)
            self._watch(len(chunk))
            yield chunk

    def skip(self, length: int | None) -> None:
        """Measure the next ``length`` bytes, or all that are left, without looking at them."""
        deque(self.take(length), maxlen=0)

    def differences(self, stored: StoredFile) -> Iterator[Finding]:
        """Compare what was measured of the whole file with what the manifest says."""
        if self.position != stored.bytes:
            problem = f"is {self.position} bytes long, not {stored.bytes}"
            yield Finding(file=stored.name, problem=problem)
        if self._digest.hexdigest() != stored.sha256:
            yield Finding(file=stored.name, problem="does not have the SHA-256 of the manifest")


def _verify_framed(
    path: Path, stored: StoredFile, manifest: Manifest, *, collection: Collection, watch: Callable[[int], object]
) -> Iterator[Finding]:
    frames = [Frame.of(record, collection) for record in manifest.registries]
    try:
        tape, suspects = _prove(path, frames, watch)
    except UnreadableError as error:
        yield Finding(file=path.name, problem=error.problem)
        return
    findings = list(tape.differences(stored))
    yield from findings
    is_moved = tape.position != stored.bytes
    if not suspects and not is_moved:
        return
    for finding in explain_frames(path, frames, collection, is_moved=is_moved):
        findings = [finding]
        yield finding
    if not findings:
        problem = f"{len(suspects)} from here on have no offset, length or sha256 that fits their lines"
        yield Finding(file=MANIFEST, registry=suspects[0].label, problem=problem)


def _verify_registries(
    path: Path, stored: StoredFile, manifest: Manifest, *, watch: Callable[[int], object]
) -> Iterator[Finding]:
    try:
        tape, _ = _prove(path, (), watch)
    except UnreadableError as error:
        yield Finding(file=path.name, problem=error.problem)
        return
    yield from tape.differences(stored)
    yield from explain_registries(path, stored.lines, manifest)


def _prove(path: Path, frames: Iterable[Frame], watch: Callable[[int], object]) -> tuple[_Tape, list[Frame]]:
    """Read a file once; return its measures, and those of the registries in it with which anything is wrong."""
    try:
        with open_regular(path) as file:
            tape = _Tape(file, path, watch)
            suspects = [frame for frame in frames if not _is_proven(tape, frame, path)]
            tape.skip(None)
    except OSError as error:
        raise UnreadableError(path, f"cannot be read: {error.strerror}") from error
    return tape, suspects


def _is_proven(tape: _Tape, frame: Frame, path: Path) -> bool:
    """Read the next registry from the tape and tell whether nothing at all is wrong with it."""
    end = tape.position + frame.length
    proven = _are_lines_of(frame, unpacked(tape.take(frame.length), path), path)
    tape.skip(end - tape.position)  # what a damaged frame left unread
    return proven


def _are_lines_of(frame: Frame, chunks: Iterable[bytes], path: Path) -> bool:
    digest = hashlib.sha256()
    lines, last = 0, list[Key]()
    try:
        for chunk in whole_lines(chunks, path):
            keys = parse_keys(chunk, frame.kind)
            if not (_do_begin_right(chunk, keys) and are_increasing(last + keys)):
                return False
            if not keys[0].place == keys[-1].place == frame.place:  # and so all between: they are sorted
                return False
            digest.update(chunk)
            lines, last = lines + len(keys), keys[-1:]
            if lines > frame.lines:  # what is packed may go on for gigabytes
                return False
    except (UnreadableError, BadLineError):
        return False
    return lines == frame.lines and digest.hexdigest() == frame.sha256


def _do_begin_right(chunk: bytes, keys: list[Key]) -> bool:
    """Whether each line begins with our own fields, to the letter: lines of one list have them all in common."""
    if line_start(keys[0]) == line_start(keys[-1]):
        return _do_begin_with(line_start(keys[0]), chunk, len(keys))
    *lines, rest = chunk.split(b"\n")
    return not rest and len(lines) == len(keys) and all(map(bytes.startswith, lines, map(line_start, keys)))


def _do_begin_with(start: bytes, chunk: bytes, lines: int) -> bool:
    return chunk.startswith(start) and chunk.count(b"\n" + start) == lines - 1 and chunk.endswith(b"\n")
