"""Where in a snapshot a line is looked for: sorted lines, of which a registry's are proved before they are believed."""

from __future__ import annotations

from bisect import bisect_left
from io import BufferedReader
from typing import IO, TYPE_CHECKING, NamedTuple

from crawler.jobs.proving import damaged, proved_blocks
from crawler.output.stores.place import Place
from crawler.snapshot.comparing.extents import KEPT_BYTES, Extents
from crawler.snapshot.reading.chunks import is_packed, open_regular

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from crawler.snapshot.frames import Frame
    from crawler.snapshot.manifest import StoredFile

_NARROW_BYTES = 64 * 1024


class Sought(NamedTuple):
    """A key, and what returns that of a line."""

    key: tuple[str, ...]
    key_of: Callable[[bytes], tuple[str, ...]]

    def among(self, block: bytes) -> bytes | None:
        """Return the line that has the key, if it is among sorted ones.

        Raises:
            ValueError: a line is no record.
        """
        lines = block.removesuffix(b"\n").split(b"\n")
        at = bisect_left(lines, self.key, key=self.key_of)
        return lines[at] if at < len(lines) and self.key_of(lines[at]) == self.key else None


class Part(NamedTuple):
    """A whole data file, or the ``frame`` of a registry in it; ``sha256`` tells the lines from others."""

    path: Path
    stored: StoredFile
    sha256: str | None
    frame: Frame | None = None

    @property
    def is_large(self) -> bool:
        """Whether it takes long to prove, and can be bisected, as what is requested over a network cannot be."""
        if isinstance(self.path, Place):
            return False
        return self.frame is not None and self.frame.length > KEPT_BYTES and not is_packed(self.path)

    def find(self, sought: Sought) -> bytes | None:
        """Return a line, if it is there, and prove all lines.

        Raises:
            DamagedError: they are not what the manifest says.
        """
        try:
            found = [line for block in self._blocks() if (line := sought.among(block)) is not None]
        except ValueError as error:
            raise self._damaged(f"a line is no record: {error}") from error
        return found[0] if found else None

    def bisect(self, sought: Sought) -> bytes | None:
        """Return a line, if it is where it should be: a few reads, and no proof.

        Raises:
            DamagedError: what was read are no sorted lines, or it cannot be read.
        """
        assert self.frame
        begin, length = self.frame.offset, self.frame.length
        try:
            with open_regular(self.path) as file, BufferedReader(file) as reader:
                return sought.among(_narrowed(reader, begin, begin + length, sought=sought))
        except OSError as error:
            raise self._damaged(f"cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise self._damaged(f"a line is no record: {error}") from error

    def _blocks(self) -> Iterator[bytes]:
        if self.frame is None:
            yield from proved_blocks(self.path.parent, self.stored, lambda _: None)
            return
        try:
            with open_regular(self.path, self.frame.offset, self.frame.length) as file:
                extents = Extents(file, self.path, lambda _: None)
                proof = extents.prove(self.frame)
                if proof.problem is not None:
                    raise self._damaged(f"{self.frame.label} {proof.problem}")
                yield from extents.chunks(self.frame, proof)
        except OSError as error:
            raise self._damaged(f"cannot be read: {error.strerror}") from error

    def _damaged(self, problem: str) -> Exception:
        return damaged(self.path.parent, self.path.name, problem)


def _narrowed(file: IO[bytes], begin: int, end: int, *, sought: Sought) -> bytes:
    """Return a few lines of those between two places, among which the sought one is if it is anywhere."""
    while end - begin > _NARROW_BYTES:
        file.seek((begin + end) // 2)
        file.readline()  # the rest of a line
        middle = file.tell()
        if middle >= end:
            break
        if sought.key_of(file.readline().removesuffix(b"\n")) <= sought.key:
            begin = middle
        else:
            end = middle
    file.seek(begin)
    return file.read(end - begin)
