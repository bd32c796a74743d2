"""What a snapshot's list of registries holds: one file for all regions, proved as a whole before it is believed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from crawler.api.collections import REGISTRIES
from crawler.snapshot.reading.chunks import UnreadableError, is_packed, open_regular, plain_chunks, whole_lines
from crawler.snapshot.reading.records import ordered_records

if TYPE_CHECKING:
    from pathlib import Path

    from crawler.snapshot.manifest import StoredFile
    from crawler.snapshot.reading.records import Record
    from crawler.snapshot.reading.witness import Witness


def registry_records(folder: Path, stored: StoredFile, witness: Witness) -> list[Record] | None:
    """Return the registries of a snapshot, sorted, in the memory that its manifest takes anyway; None if damaged."""
    path = folder / stored.name
    try:
        chunks = _proved_chunks(path, stored)
        for chunk in chunks:
            witness.look(chunk)
        return list(ordered_records(chunks, path, REGISTRIES))
    except UnreadableError as error:
        told = f"its registries are unknown; `ncrawl verify {folder}` tells more"
        witness.damaged(f"{path} {error.problem}: {told}")
        return None


def _proved_chunks(path: Path, stored: StoredFile) -> list[bytes]:
    """Return the whole lines of a data file.

    Raises:
        UnreadableError: it cannot be read, or is not what the manifest says.
    """
    try:
        with open_regular(path) as file:
            size = file.seek(0, 2)
            if size != stored.bytes:
                raise UnreadableError(path, f"is {size:,} bytes long, not {stored.bytes:,}")
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            length = None if is_packed(path) else size
            chunks = list(whole_lines(plain_chunks(file, path, length), path))
    except OSError as error:
        raise UnreadableError(path, f"cannot be read: {error.strerror}") from error
    if digest != stored.sha256:
        raise UnreadableError(path, "does not have the SHA-256 of its manifest")
    return chunks
