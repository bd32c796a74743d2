"""What is asked of a place that keeps files by name: a local folder, or a bucket of an object storage.

Everything may be called from any thread, and blocks for a bounded time. Names are relative, with ``/`` between their
parts. What goes wrong is an OSError whose ``strerror`` is a sentence without secrets, so that whatever reads and writes
files tells of it as it does of a disk.
"""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


OWN = ".ncrawl"


class Found(NamedTuple):
    """A file that is there: its ``tag`` is another one whenever it was written anew."""

    name: str
    bytes: int
    tag: str


class Stored(NamedTuple):
    """All of a small file, and its tag."""

    data: bytes
    tag: str


class ExistsError(FileExistsError):
    """What was to be made is there already."""


class ChangedError(OSError):
    """What was to be replaced is not what it was, or is gone."""


class DamagedSourceError(OSError):
    """A local file that does not have the checksum that it should have."""


class Store(ABC):
    """A place that keeps files by name. A file appears whole or not at all, with its folders, if there are such.

    Attributes:
        url: the place as users name it, without a slash at its end; never holds a secret.
    """

    url: str

    @abstractmethod
    def below(self, prefix: str) -> Store:
        """Return the store that a folder of this one is; itself, if ``prefix`` is empty."""

    @property
    @abstractmethod
    def can_create(self) -> bool:
        """Whether of two that `create` one file one fails: tried out here, once."""

    @property
    @abstractmethod
    def can_swap(self) -> bool:
        """Whether `swap` fails where somebody else was faster: likewise."""

    @abstractmethod
    def find(self, name: str) -> Found | None:
        """Return what is known of a file without reading it; None if it is not there."""

    @abstractmethod
    def holds(self, name: str, size: int, sha256: str) -> bool:
        """Whether a file is known to have these bytes; False also where only reading all of it could tell."""

    @abstractmethod
    def read(self, name: str) -> Stored | None:
        """Return all of a small file; None if it is not there."""

    @abstractmethod
    def open(self, name: str, begin: int = 0, length: int | None = None) -> BinaryIO:
        """Open a file to read and seek in it.

        Args:
            name: of the file.
            begin: where the part that will be read begins, and the file stands at first.
            length: how long that part is: no more of it is asked for; None is all the rest.

        Raises:
            FileNotFoundError: it is not there.
        """

    @abstractmethod
    def files(self, prefix: str = "") -> Iterator[Found]:
        """Yield every file below a folder, in no order; nothing if there is none, and nothing that `is_own`."""

    @abstractmethod
    def children(self, prefix: str = "") -> list[str]:
        """Return the names of what is right in a folder, those of folders with a slash at their end.

        Nothing that `is_own`.
        """

    def folders(self, prefix: str = "") -> list[str]:
        """Return the names of the folders that are right in a folder."""
        return [name[:-1] for name in self.children(prefix) if name.endswith("/")]

    @abstractmethod
    def create(self, name: str, data: bytes) -> str:
        """Make a small file that is not there yet; return its tag.

        Of two that make it of the same bytes both may be told that they did: what nobody else must have is in them.

        Raises:
            ExistsError: it is there; of two at once, not told where not `can_create`.
        """

    @abstractmethod
    def swap(self, name: str, data: bytes, tag: str) -> str:
        """Replace a small file that has a tag still; return the new one.

        Raises:
            ChangedError: it has another, or is gone; of two at once, not told where not `can_swap`.
        """

    @abstractmethod
    def replace(self, name: str, data: bytes) -> str:
        """Write a small file, whatever is there; return its tag."""

    @abstractmethod
    def put(self, name: str, path: Path, *, sha256: str) -> None:
        """Write a large file, whatever is there, of a local one that must have a checksum.

        Raises:
            DamagedSourceError: the local file does not have it; nothing was written.
        """

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""


def exists(name: str) -> ExistsError:
    """Return the error of a file that is there already."""
    return ExistsError(errno.EEXIST, f"{name} is there already")


def changed(name: str) -> ChangedError:
    """Return the error of a file that somebody else was faster to change."""
    return ChangedError(errno.ESTALE, f"{name} was changed by somebody else")


def is_own(name: str) -> bool:
    """Whether a name is nobody's file: a lock, a run under way, a trial, a file that is being written."""
    return name.startswith(OWN)


def checked_name(name: str) -> str:
    """Return a name that stays below the place that it is looked for in.

    Raises:
        ValueError: it does not, or is none.
    """
    if not name or any(part in ("", ".", "..") for part in name.split("/")) or "\0" in name:
        raise ValueError(f"{name!r} is no name of a file in a store")
    return name
