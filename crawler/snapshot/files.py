"""Write so that it lasts: whole, synced, and every failure an OutputError that names the path."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from crawler.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


class writing:  # noqa: N801 - read as a function is, like contextlib.suppress
    """Turns the system's errors into an OutputError about ``path``; thousands of registries pass here."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(exc, OSError):
            raise OutputError(str(self._path), exc) from None


def write_all(fd: int, data: bytes) -> None:
    """Write every byte of ``data``; a signal or a nearly full disk may cut a single write short."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def sync_folder(path: Path) -> None:
    """Make the names in a folder last."""
    with writing(path):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def replace_file(path: Path, data: bytes) -> None:
    """Replace a small file as a whole, or leave it as it was; synced, its name too."""
    partial = path.with_name(path.name + ".partial")
    with writing(path):
        fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        partial.replace(path)
    sync_folder(path.parent)
