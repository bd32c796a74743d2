"""A bucket of an object storage as a store: S3 and what is compatible with it, Google's, Azure's.

What says whether two writers can be kept apart is tried out against the storage itself: some accept a condition and
ignore it.
"""

from __future__ import annotations

import errno
import uuid
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from crawler.output.stores.calling import Calls, UnknownRequestError
from crawler.output.stores.interface import (
    OWN,
    ChangedError,
    ExistsError,
    Found,
    Store,
    Stored,
    changed,
    checked_name,
    exists,
    is_own,
)
from crawler.output.stores.remote_file import Part, RemoteFile
from crawler.output.stores.sending import proved_pieces

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from obstore import ObjectMeta

SMALL_BYTES = 8 * 1024 * 1024
"""What is larger is sent in parts of this size, some at a time."""
_PARTS_AT_ONCE = 4
_STREAMED_BYTES = 256 * 1024
_PAGE = 1_000
"""How much a list has on a page, at most."""
_SHA256 = "sha256"


class _Abilities(NamedTuple):
    can_create: bool
    can_swap: bool


class ObjectStore(Store):
    """A bucket, or what is below a prefix in it.

    Args:
        url: as users name it.
        bucket: the library's own.
        prefix: what all names have in front of them there, without a slash at its end.
        by_version: what tells a file from those before it is its version, as Google has it, and no ETag.
        calls: ask the bucket; None for the first that does.
    """

    def __init__(
        self, url: str, bucket: Any, prefix: str = "", *, by_version: bool = False, calls: Calls | None = None
    ) -> None:
        import obstore  # noqa: PLC0415 - an extra, which whoever made the bucket has

        self.url = url
        self._library = obstore
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._tag_key = "version" if by_version else "e_tag"
        self._asked = calls or Calls()

    def below(self, prefix: str) -> ObjectStore:
        """Return what is below a prefix."""
        if not prefix:
            return self
        return ObjectStore(
            f"{self.url}/{prefix}",
            self._bucket,
            self._key(prefix),
            by_version=self._tag_key == "version",
            calls=self._asked,
        )

    @property
    def can_create(self) -> bool:
        """Whether a second `create` was refused."""
        return self._abilities.can_create

    @property
    def can_swap(self) -> bool:
        """Whether a `swap` with a tag that was out of date was refused."""
        return self._abilities.can_swap

    @cached_property
    def _abilities(self) -> _Abilities:
        """Try both on a file of our own, which is removed again, if that is allowed.

        Raises:
            OSError: it cannot be found out.
        """
        name = f"{OWN}-probe-{uuid.uuid4().hex}"
        old = self.replace(name, b"first")
        try:
            self.replace(name, b"second")
            can_create = self._is_refused(name, b"third", "create")
            can_swap = self._is_refused(name, b"fourth", self._if_still(old))
            if can_swap:  # unless it is always refused
                tag = self._tag(self._asked(lambda: self._head(name)))
                can_swap = not self._is_refused(name, b"fifth", self._if_still(tag))
            return _Abilities(can_create, can_swap)
        finally:
            with suppress(OSError):
                self.remove(name)

    def _is_refused(self, name: str, data: bytes, mode: Any) -> bool:
        """Whether a write fails for its condition; a storage that knows no conditions may refuse it altogether."""
        try:
            self._put(name, data, mode)
        except (ExistsError, ChangedError):
            return True
        except UnknownRequestError:
            return False
        return False

    def find(self, name: str) -> Found | None:
        """Ask for the head of a file."""
        try:
            return self._found(self._asked(lambda: self._head(name)))
        except FileNotFoundError:
            return None

    def holds(self, name: str, size: int, sha256: str) -> bool:
        """Ask for what was said of the file when it was put."""
        key = self._key(name)
        try:
            head = self._asked(lambda: self._library.get(self._bucket, key, options={"head": True}))
        except FileNotFoundError:
            return False
        return (head.meta["size"], head.attributes.get(_SHA256)) == (size, sha256)

    def read(self, name: str) -> Stored | None:
        """Request a file."""
        try:
            return self._asked(lambda: self._read(name))
        except FileNotFoundError:
            return None

    def open(self, name: str, begin: int = 0, length: int | None = None) -> BinaryIO:
        """Request a file, or a part of it, and go on with it as it is read."""
        key = self._key(name)
        return cast(
            "BinaryIO", RemoteFile(lambda at, size: self._asked(lambda: self._part(key, at, size)), begin, length)
        )

    def files(self, prefix: str = "") -> Iterator[Found]:
        """Ask for a list."""
        for one in self._listed(prefix):
            found = self._found(one)
            if not any(map(is_own, found.name.split("/"))):
                yield found

    def children(self, prefix: str = "") -> list[str]:
        """Ask for a list that is cut at slashes."""
        key = self._folder(prefix)
        found = self._asked(lambda: self._library.list_with_delimiter(self._bucket, key))
        paths = [f"{folder}/" for folder in found["common_prefixes"]] + [one["path"] for one in found["objects"]]
        if paths and not len(paths) % _PAGE:
            self._check_end(prefix, paths)
        begin = len(key) + 1 if key else 0
        return sorted(path[begin:] for path in paths if not is_own(path[begin:]))

    def create(self, name: str, data: bytes) -> str:
        """Put a file on the condition that there is none."""
        if not self.can_create:
            if self.find(name) is not None:
                raise exists(name)
            return self.replace(name, data)
        return self._put(name, data, "create")

    def swap(self, name: str, data: bytes, tag: str) -> str:
        """Put a file on the condition that it has a tag still."""
        if not self.can_swap:
            found = self.find(name)
            if found is None or found.tag != tag:
                raise changed(name)
            return self.replace(name, data)
        return self._put(name, data, self._if_still(tag))

    def replace(self, name: str, data: bytes) -> str:
        """Put a file."""
        return self._put(name, data, "overwrite")

    def put(self, name: str, path: Path, *, sha256: str) -> None:
        """Send a file, in parts if it is large; it is there once the last one is."""
        key = self._key(name)
        pieces: Any = proved_pieces(path, sha256, size=SMALL_BYTES)
        is_large = path.stat().st_size > SMALL_BYTES
        self._asked(
            lambda: self._library.put(
                self._bucket,
                key,
                pieces if is_large else b"".join(pieces),
                attributes={_SHA256: sha256},
                use_multipart=is_large,
                chunk_size=SMALL_BYTES,
                max_concurrency=_PARTS_AT_ONCE,
            )
        )

    def remove(self, name: str) -> None:
        """Delete a file."""
        key = self._key(name)
        with suppress(FileNotFoundError):
            self._asked(lambda: self._library.delete(self._bucket, key))

    def _key(self, name: str) -> str:
        return self._prefix + checked_name(name)

    def _folder(self, prefix: str) -> str | None:
        """Return where a list is of; None is the whole bucket."""
        return (self._key(prefix) if prefix else self._prefix[:-1]) or None

    def _head(self, name: str) -> ObjectMeta:
        return self._library.head(self._bucket, self._key(name))

    def _read(self, name: str) -> Stored:
        got = self._library.get(self._bucket, self._key(name))
        return Stored(bytes(got.bytes()), self._tag(got.meta))

    def _part(self, key: str, begin: int, length: int | None) -> Part:
        """Request a part of a file; all of an empty one, of which there is none."""
        wanted: Any = None
        if length:
            wanted = {"range": (begin, begin + length)}
        elif begin:
            wanted = {"range": {"offset": begin}}
        got = self._library.get(self._bucket, key, options=wanted)
        return Part(self._in_turn(iter(got.stream(_STREAMED_BYTES))), got.meta["size"])

    def _listed(self, prefix: str, offset: str | None = None) -> Iterator[ObjectMeta]:
        stream = self._library.list(self._bucket, self._folder(prefix), offset=offset, chunk_size=_PAGE)
        for batch in self._in_turn(iter(stream)):
            yield from batch

    def _check_end(self, prefix: str, paths: Sequence[str]) -> None:
        """Refuse a list that ends where a page does and the files go on: some storages give one page and no more.

        Raises:
            OSError: it does.
        """
        last = max(paths)
        for one in self._listed(prefix, offset=last):
            if one["path"] <= last or not one["path"].startswith(tuple(paths)):
                raise OSError(errno.EIO, f"the store lists only {_PAGE:,} files of a folder, and there are more")

    def _put(self, name: str, data: bytes, mode: Any) -> str:
        """Write a small file; what is found written may be so by this very request, whose first answer got lost."""
        key = self._key(name)
        try:
            return self._tag(self._asked(lambda: self._library.put(self._bucket, key, data, mode=mode)))
        except (ExistsError, ChangedError) as error:
            found = self.read(name)
            if found is None or found.data != data:
                raise type(error)(error.errno, f"{name} {error.strerror}") from None
            return found.tag

    def _if_still(self, tag: str) -> Any:
        return {self._tag_key: tag}

    def _found(self, meta: ObjectMeta) -> Found:
        return Found(meta["path"].removeprefix(self._prefix), meta["size"], self._tag(meta))

    def _tag(self, meta: Any) -> str:
        return meta[self._tag_key] or ""

    def _in_turn(self, pieces: Iterator[Any]) -> Iterator[Any]:
        """Yield what comes over the network."""
        while (piece := self._asked(lambda: next(pieces, None))) is not None:
            yield piece
