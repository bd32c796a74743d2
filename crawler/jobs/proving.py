"""Read a data file of a snapshot and prove on the way that it is the one that the manifest speaks of."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from crawler.snapshot.reading.chunks import (
    DamagedError,
    UnreadableError,
    chunk_bytes,
    hashed,
    open_regular,
    stored_chunks,
    unpacked,
    whole_lines,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import IO

    from crawler.snapshot.manifest import StoredFile


def proved_blocks(folder: Path, stored: StoredFile, watch: Callable[[int], object]) -> Iterator[bytes]:
    """Yield whole lines of a data file, some hundred kilobytes at a time; what they are worth is known in the end.

    Args:
        folder: the snapshot's.
        stored: what the manifest says of the file.
        watch: told how many stored bytes were read, each time some were.

    Raises:
        DamagedError: it is not what the manifest says, or cannot be read.
    """
    path = folder / stored.name
    digest, lines = hashlib.sha256(), 0
    try:
        with open_regular(path) as file:
            for block in whole_lines(unpacked(hashed(_watched(file, path, watch), digest), path), path):
                lines += len(block) - len(block.replace(b"\n", b""))  # in half the time of `count`
                if lines > stored.lines:  # what is packed may go on for gigabytes
                    break
                yield block
    except UnreadableError as error:
        raise damaged(folder, stored.name, error.problem) from error
    except OSError as error:
        raise damaged(folder, stored.name, f"cannot be read: {error.strerror}") from error
    if digest.hexdigest() != stored.sha256:
        raise damaged(folder, stored.name, "does not have the SHA-256 of its manifest")
    if lines != stored.lines:
        raise damaged(folder, stored.name, f"does not have the {stored.lines:,} lines of its manifest")


def damaged(folder: Path, name: str, problem: str) -> DamagedError:
    """Return the error of a data file that is not what its manifest says."""
    return DamagedError(folder / name, f"{problem}; `ncrawl verify {folder}` tells more")


def _watched(file: IO[bytes], path: Path, watch: Callable[[int], object]) -> Iterator[bytes]:
    for chunk in stored_chunks(file, None, chunk_bytes(path)):
        watch(len(chunk))
        yield chunk
