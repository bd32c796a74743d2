"""Read a published snapshot: its manifest, its records by offset and length, what is wrong with it, what changed."""

from __future__ import annotations

import hashlib
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from crawler.api.collections import IMAGES, REGISTRIES, TAGS
from crawler.jobs.python.records import Record
from crawler.output.stores.opening import place_at
from crawler.snapshot.comparing.diff import diff
from crawler.snapshot.comparing.opening import open_side, relate
from crawler.snapshot.folder.latest import followed
from crawler.snapshot.manifest import read
from crawler.snapshot.reading.chunks import DamagedError, hashed, read_chunks, whole_lines
from crawler.snapshot.reading.records import BadLineError, key_type, line_start, parse_keys
from crawler.snapshot.reading.witness import Witness
from crawler.snapshot.verifying.verify import verify

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from crawler.core.collection import Collection
    from crawler.snapshot.comparing.diff import Difference
    from crawler.snapshot.manifest import Extent, Manifest, RegistryRecord
    from crawler.snapshot.verifying.diagnosis import Finding

MOST_FINDINGS = 1_000


class Snapshot:
    """A published snapshot.

        snapshot = crawler.Snapshot("/var/lib/ncrawl/latest")
        print(snapshot.manifest.verdict, [one.name for one in snapshot.images(region="kr", registry="team-a")])

    Args:
        path: its folder, or a `latest`; also a URL, such as ``s3://bucket/prefix/account/latest``.

    Attributes:
        path: the folder.
        manifest: what the run said of itself.

    Raises:
        UsageError: the folder is no snapshot, is of another format, or cannot be read.
        NcrawlError: the manifest is damaged.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = followed(place_at(path))
        self.manifest: Manifest = read(self.path)

    def registries(self, *, region: str | None = None) -> Iterator[Record]:
        """Yield the registries in their order.

        Raises:
            UsageError: the file cannot be read, or is damaged.
        """
        file = self.manifest.stored_file(REGISTRIES)
        if file is not None:
            path = self.path / file.name
            found = _records(read_chunks(path), path, REGISTRIES)
            yield from (record for record in found if region in (None, record.region))

    def images(self, *, region: str | None = None, registry: str | None = None) -> Iterator[Record]:
        """Yield images in their order; of the file only those registries are read that are asked for.

        Raises:
            UsageError: the file cannot be read.
            DamagedError: what was read of a registry is not what its checksum says; told after its last record.
        """
        return self._framed(IMAGES, region, registry)

    def tags(
        self, *, region: str | None = None, registry: str | None = None, image: str | None = None
    ) -> Iterator[Record]:
        """Yield tags in their order, none where the snapshot has none; only registries that are asked for are read.

        Raises:
            UsageError: the file cannot be read.
            DamagedError: what was read of a registry is not what its checksum says; told after its last record.
        """
        found = self._framed(TAGS, region, registry)
        return found if image is None else (one for one in found if one.image == image)

    def to_arrow(self, name: str) -> Any:
        """Return a `pyarrow.RecordBatchReader` of ``registries``, ``images``, ``tags`` or ``verdicts``.

        What is read is proved on the way: if the file is not the one that the manifest speaks of, the last batch is an
        error. A snapshot that has no such file gives no rows.

        Raises:
            UsageError: there is no such table, or pyarrow is not installed: ``pip install 'ncrawl[parquet]'``.
        """
        from crawler.jobs.export.arrow import to_arrow  # noqa: PLC0415 - pyarrow is an extra, and takes its time

        return to_arrow(self.path, name)

    def _framed(self, collection: Collection, region: str | None, registry: str | None) -> Iterator[Record]:
        file = self.manifest.stored_file(collection)
        for one in self.manifest.registries:
            extent = one.extent_of(collection)
            is_meant = region in (None, one.region) and registry in (None, one.registry)
            if file and extent and extent.length and is_meant:
                yield from _records_of(one, extent, self.path / file.name, collection=collection)

    def verify(self, *, most: int = MOST_FINDINGS) -> list[Finding]:
        """Read all of it again, and return what is wrong: nothing, if it is whole."""
        return list(islice(verify(self.path), most))


def differences(
    old: Snapshot, new: Snapshot, *, ignore: Iterable[str] = (), warn: Callable[[str], None] | None = None
) -> Iterator[Difference]:
    """Yield what differs between two snapshots, as `crawler.diff` says.

    Raises:
        UsageError: they cannot be compared.
    """
    before, after = open_side(old.path, side="old"), open_side(new.path, side="new")
    warn = warn or (lambda _: None)
    for note in relate(before, after):
        warn(note)
    return diff(before, after, Witness(ignore, warn))


def _records_of(registry: RegistryRecord, extent: Extent, path: Path, *, collection: Collection) -> Iterator[Record]:
    digest = hashlib.sha256()
    chunks = read_chunks(path, offset=extent.offset, length=extent.length)
    yield from _records(hashed(chunks, digest), path, collection)
    if digest.hexdigest() != extent.sha256:
        raise DamagedError(path, f"{registry.label} does not have the SHA-256 of the manifest")


def _records(chunks: Iterable[bytes], path: Path, collection: Collection) -> Iterator[Record]:
    kind = key_type(collection)
    for chunk in whole_lines(chunks, path):
        try:
            keys = parse_keys(chunk, kind)
        except BadLineError as error:
            raise DamagedError(path, f"a line is no record: {error.problem}") from None
        for key, line in zip(keys, chunk.split(b"\n"), strict=False):
            start = line_start(key)
            if not line.startswith(start):
                raise DamagedError(path, "a line does not begin with the fields that are ours")
            account, region, *within, name = msgspec.structs.astuple(key)
            yield Record(account, region, tuple(within), name, b"{" + line[len(start) :])
