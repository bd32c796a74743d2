"""Where something is in an object storage, in the words of paths, so that what reads snapshots needs no others.

A `Place` answers as a `pathlib.Path` does, as far as it is asked: names, what is there, what it is. What opens files by
the system's own calls cannot take it, and asks `crawler.snapshot.reading.chunks.open_regular`.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import PurePath

    from crawler.output.stores.interface import Store

    _Path = Path
else:
    _Path = object  # nothing of a local path's own: what is not here fails, instead of touching a disk

_LATEST = "latest"


class Place(_Path):
    """A file or a folder of a store.

    Attributes:
        store: the store.
        key: its name there; empty for all of the store.
    """

    __slots__ = ("key", "store")

    def __init__(self, store: Store, key: str = "") -> None:
        self.store = store
        self.key = key

    def __str__(self) -> str:
        return f"{self.store.url}/{self.key}" if self.key else self.store.url

    def __repr__(self) -> str:
        return f"Place({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Place) and str(self) == str(other)

    def __lt__(self, other: PurePath) -> bool:
        return str(self) < str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __truediv__(self, name: str | os.PathLike[str]) -> Place:
        added = os.fspath(name)
        return Place(self.store, f"{self.key}/{added}" if self.key else added)

    @property
    def name(self) -> str:
        """The last part of the name."""
        return self.key.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The ending of the name, with its dot."""
        return PurePosixPath(self.key).suffix

    @property
    def parent(self) -> Place:
        """The folder that it is in."""
        return Place(self.store, self.key.rpartition("/")[0])

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Return what is known of it: whether it is a file or a folder, and its size.

        Raises:
            FileNotFoundError: it is neither.
        """
        del follow_symlinks  # there are none
        found = self.store.find(self.key) if self.key else None
        if found is not None:
            return _status(stat.S_IFREG, found.bytes)
        if self.is_latest() or any(True for _ in self.store.files(self.key)):
            return _status(stat.S_IFDIR, 0)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    lstat = stat

    def is_latest(self) -> bool:
        """Whether it stands for the snapshot that the `latest.json` beside it names."""
        return self.name == _LATEST and self.store.find(f"{self.key}.json") is not None

    def is_dir(self, **_how: Any) -> bool:
        """Whether it is a folder."""
        try:
            return stat.S_ISDIR(self.stat().st_mode)
        except FileNotFoundError:
            return False

    def is_symlink(self) -> bool:
        """Say no: there are none."""
        return False

    def iterdir(self) -> Generator[Place, None, None]:
        """Yield what is in a folder."""
        return (self / name.rstrip("/") for name in self.store.children(self.key))

    def open(self, *_how: Any, **_more: Any) -> Any:
        """Open a file to read."""
        return self.store.open(self.key)


def _status(mode: int, size: int) -> os.stat_result:
    return os.stat_result((mode, 0, 0, 1, 0, 0, size, 0, 0, 0))
