"""What a registry has in a data file, by its manifest: the same question for every level."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from crawler.api.collections import IMAGES
from crawler.snapshot.reading.records import key_type

if TYPE_CHECKING:
    from crawler.core.collection import Collection
    from crawler.snapshot.manifest import RegistryRecord
    from crawler.snapshot.reading.records import Key

_OF_NOTHING = hashlib.sha256().hexdigest()


class Frame(NamedTuple):
    """What a registry should have in a data file.

    Attributes:
        place: account, region and registry: what its lines begin with and are sorted by.
        label: the registry as users write it.
        kind: of its lines' keys.
        lines: how many it has.
        offset: where its bytes begin in the stored file; of which there are ``length``.
        sha256: of its plain lines; None if the manifest does not say.
    """

    place: tuple[str, str, str]
    label: str
    kind: type[Key]
    lines: int
    offset: int = 0
    length: int = 0
    sha256: str | None = None

    @classmethod
    def of(cls, record: RegistryRecord, collection: Collection) -> Frame:
        """Return what a manifest says of a registry in the file of a collection; where it has nothing, it is empty."""
        extent = record.extent_of(collection)
        bare = cls(record.place, record.label, key_type(collection), record.lines_of(collection))
        if extent is None:
            return bare._replace(sha256=_OF_NOTHING if collection is not IMAGES and not bare.lines else None)
        return bare._replace(offset=extent.offset, length=extent.length, sha256=extent.sha256)
