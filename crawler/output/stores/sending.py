"""Read a local file that is to be sent, and let its end through only if all of it has its checksum."""

from __future__ import annotations

import errno
import hashlib
from typing import TYPE_CHECKING

from crawler.output.stores.interface import DamagedSourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PIECE_BYTES = 1024 * 1024


def proved_pieces(path: Path, sha256: str, *, size: int = PIECE_BYTES) -> Iterator[bytes]:
    """Yield a file piece by piece.

    Raises:
        DamagedSourceError: the file does not have the checksum; told before the last piece.
        OSError: it cannot be read.
    """
    digest, held = hashlib.sha256(), b""
    with path.open("rb") as file:
        while piece := file.read(size):
            digest.update(piece)
            if held:
                yield held
            held = piece
    if digest.hexdigest() != sha256:
        raise DamagedSourceError(errno.EBADMSG, f"{path} does not have the SHA-256 of its manifest")
    if held:
        yield held
