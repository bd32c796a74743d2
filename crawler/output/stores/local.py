"""A local folder as a store. What two may want to write at once is written under a lock of the folder's."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import tempfile
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from crawler.core.errors import OutputError
from crawler.output.files import open_own, replace_file, sync_folder, write_all
from crawler.output.stores.interface import OWN, Found, Store, Stored, changed, checked_name, exists, is_own
from crawler.output.stores.sending import proved_pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCK = f"{OWN}-store.lock"


class LocalStore(Store):
    """A folder, which is made when something is written."""

    def __init__(self, root: Path) -> None:
        self.url = str(root)
        self._root = root

    def below(self, prefix: str) -> LocalStore:
        """Return what is in a folder."""
        return LocalStore(self._path(prefix)) if prefix else self

    @cached_property
    def can_create(self) -> bool:
        """Whether the folder's file system can lock."""
        try:
            with self._locked():
                return True
        except OSError as error:
            if error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
                return False
            raise

    @property
    def can_swap(self) -> bool:
        """Likewise."""
        return self.can_create

    def find(self, name: str) -> Found | None:
        """Look at a file."""
        try:
            status = self._path(name).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Found(name, status.st_size, _tag(status)) if stat.S_ISREG(status.st_mode) else None

    def holds(self, name: str, size: int, sha256: str) -> bool:
        """Read a file that has the size."""
        found = self.find(name)
        if found is None or found.bytes != size:
            return False
        with self._path(name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256

    def read(self, name: str) -> Stored | None:
        """Read a file."""
        try:
            with self.open(name) as file:
                return Stored(file.read(), _tag(os.fstat(file.fileno())))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def open(self, name: str, begin: int = 0, length: int | None = None) -> BinaryIO:  # noqa: ARG002 - a hint
        """Open a file."""
        fd = os.open(
            self._path(name), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        )  # a pipe in its place would never end
        file = os.fdopen(fd, "rb")
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            file.close()
            raise OSError(errno.EINVAL, "is no regular file")
        file.seek(begin)
        return file

    def files(self, prefix: str = "") -> Iterator[Found]:
        """Walk through a folder; links are not followed."""
        for child in self.children(prefix):
            name = f"{prefix}/{child}" if prefix else child
            if name.endswith("/"):
                yield from self.files(name[:-1])
            elif (found := self.find(name)) is not None:
                yield found

    def children(self, prefix: str = "") -> list[str]:
        """Look into a folder."""
        try:
            with os.scandir(self._path(prefix) if prefix else self._root) as found:
                return sorted(
                    f"{entry.name}/" if entry.is_dir() else entry.name
                    for entry in found
                    if not is_own(entry.name) and not entry.is_symlink()
                )
        except (FileNotFoundError, NotADirectoryError):
            return []

    def create(self, name: str, data: bytes) -> str:
        """Look whether it is there, and write it, under the lock."""
        with self._locked():
            if os.path.lexists(self._path(name)):
                raise exists(name)
            return self.replace(name, data)

    def swap(self, name: str, data: bytes, tag: str) -> str:
        """Look whether it is the same still, and write it, under the lock."""
        with self._locked():
            found = self.find(name)
            if found is None or found.tag != tag:
                raise changed(name)
            return self.replace(name, data)

    def replace(self, name: str, data: bytes) -> str:
        """Write another file, and rename it."""
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            replace_file(path, data)
        except OutputError as error:
            raise OSError(error.errno, os.strerror(error.errno or 0)) from error
        return _tag(path.stat())

    def put(self, name: str, path: Path, *, sha256: str) -> None:
        """Copy a file, and rename the copy."""
        place = self._path(name)
        place.parent.mkdir(parents=True, exist_ok=True)
        fd, partial = tempfile.mkstemp(prefix=f"{OWN}-", dir=self._root)
        try:
            for piece in proved_pieces(path, sha256):
                write_all(fd, piece)
            os.fchmod(fd, 0o644)
            os.fsync(fd)
            Path(partial).replace(place)
        except BaseException:
            with suppress(OSError):
                Path(partial).unlink()
            raise
        finally:
            os.close(fd)
        sync_folder(place.parent)

    def remove(self, name: str) -> None:
        """Remove a file, and the folders that are empty then."""
        path = self._path(name)
        path.unlink(missing_ok=True)
        with suppress(OSError):
            for folder in path.parents:
                if folder == self._root:
                    break
                folder.rmdir()

    def _path(self, name: str) -> Path:
        return self._root / checked_name(name)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Wait for the lock, which is held for moments."""
        self._root.mkdir(parents=True, exist_ok=True)
        fd = open_own(self._root / LOCK, os.O_RDWR)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)


def _tag(status: os.stat_result) -> str:
    """Return what tells a file from those that had its name before: each is written anew and renamed."""
    return f"{status.st_mtime_ns:x}-{status.st_ino:x}-{status.st_size:x}"
