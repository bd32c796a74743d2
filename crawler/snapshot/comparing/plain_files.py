"""A file of images as a side of a diff: what it lacks is known from the summary of the run that wrote it."""

from __future__ import annotations

import hashlib
from collections import deque
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from crawler.api.collections import IMAGES
from crawler.core.errors import UsageError
from crawler.snapshot.comparing.sides import Group, Side, paired
from crawler.snapshot.manifest import MANIFEST, ManifestError, load
from crawler.snapshot.reading.chunks import (
    DamagedError,
    UnreadableError,
    is_packed,
    plain_chunks,
    read_chunks,
    whole_lines,
)
from crawler.snapshot.reading.records import DisorderError, ordered_records
from crawler.snapshot.reading.sorting import sorted_records

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crawler.core.collection import Collection
    from crawler.snapshot.comparing.sides import Place
    from crawler.snapshot.manifest import Manifest, StoredFile
    from crawler.snapshot.reading.chunks import Readable
    from crawler.snapshot.reading.records import Record
    from crawler.snapshot.reading.witness import Witness


def read_summary(path: Path) -> Manifest:
    """Read what ``--summary`` wrote.

    Raises:
        UsageError: it is no such file, or of another format.
        ManifestError: damaged.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return load(data)
    except (UsageError, ManifestError) as error:
        raise type(error)(str(error).replace(MANIFEST, str(path), 1)) from error


class PlainFile(Side):
    """A file of images, in any order, plain, .gz or .zst; or a pipe.

    A regular file is compared with its summary when it is opened, a pipe while it is read.

    Args:
        path: of the file.
        summary: of the run that wrote it; None if it is to be taken as whole.

    Raises:
        UsageError: the summary is of another file.
        DamagedError: the file is not what its summary says.
    """

    def __init__(self, path: Path, summary: Manifest | None = None) -> None:
        super().__init__(path, summary)
        self._is_regular = path.is_file()
        self._stored = _described(path, summary) if summary else None
        if self._stored and self._is_regular and self._stored.sha256 not in _digests(path):
            raise _mismatch(path, self._stored)

    def groups(self, witness: Witness, collection: Collection = IMAGES) -> Iterator[Group]:
        """Yield each registry; the file has been read through by the first, and sorted if it has to be."""
        known = (Group(place) for place in self.known)
        records = self.called_now(self._records(witness, collection))
        found = (Group(place, some) for place, some in groupby(records, key=_place))
        for _, group in paired(known, found):
            yield group

    def _records(self, witness: Witness, collection: Collection) -> Iterator[Record]:
        if self._is_regular and self._is_sorted(witness, collection):
            return ordered_records(self._chunks(witness), self.path, collection)
        return sorted_records(self._chunks(witness), self.path, collection)

    def _is_sorted(self, witness: Witness, collection: Collection) -> bool:
        try:
            deque(ordered_records(self._chunks(witness), self.path, collection), maxlen=0)
        except DisorderError:
            return False
        return True

    def _chunks(self, witness: Witness) -> Iterator[bytes]:
        """Yield whole lines.

        Raises:
            DamagedError: it is a pipe, and was not what its summary says.
        """
        try:
            with self.path.open("rb", buffering=0) as file:
                measured = _Measured(file)
                for chunk in whole_lines(plain_chunks(measured, self.path), self.path):
                    witness.look(chunk)
                    yield chunk
        except OSError as error:
            raise UnreadableError(self.path, f"cannot be read: {error.strerror}") from error
        if self._stored and not self._is_regular and measured.sha256 != self._stored.sha256:
            raise _mismatch(self.path, self._stored)


class _Measured:
    """A file whose bytes are hashed while they are read."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Of what was read so far."""
        return self._digest.hexdigest()

    def read(self, size: int, /) -> bytes:
        """Read up to ``size`` bytes."""
        data = self._file.read(size)
        self._digest.update(data)
        return data


def _place(record: Record) -> Place:
    return record[0].place


def _described(path: Path, summary: Manifest) -> StoredFile:
    """Return the one file of images that a summary describes."""
    described = summary.stored_file(IMAGES) or (summary.files[0] if len(summary.files) == 1 else None)
    if described is None:
        raise UsageError(f"{path}: its summary describes no file of images: give that of the run that wrote it")
    return described


def _digests(path: Path) -> Iterator[str]:
    """Yield the SHA-256 of a file, and of what it unpacks to: it may have been packed after it was written."""
    with path.open("rb") as file:
        yield hashlib.file_digest(file, "sha256").hexdigest()
    if is_packed(path):
        digest = hashlib.sha256()
        with suppress(UnreadableError):
            for chunk in read_chunks(path):
                digest.update(chunk)
            yield digest.hexdigest()


def _mismatch(path: Path, stored: StoredFile) -> UsageError:
    """Return the error of a file that its summary does not fit: the wrong summary, if name and size differ, too."""
    if path.is_file() and Path(stored.name).name != path.name and stored.bytes != path.stat().st_size:
        return UsageError(
            f"{path}: its summary describes another file, {stored.name} of {stored.bytes:,} bytes: "
            "give the summary of the run that wrote it"
        )
    return DamagedError(
        path, "does not have the SHA-256 of its summary: it is damaged, or this is the summary of another run"
    )
