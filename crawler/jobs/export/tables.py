"""The tables of an export and their columns: what the API documents (v2), the same for every night.

A column keeps its name and its type for ever; what the API sends besides, or otherwise, goes into `EXTRA`.

Source: the provider's API reference (Container Registry, API v2): registry list, image list, image tag list.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from crawler.api.collections import COLLECTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

ABSENT: Final = "absent"
"""Names of documented fields that a record lacks, as a JSON list: else they could not be told from null."""
EXTRA: Final = "extra"
"""Fields of a record that its columns do not hold, or not in full, as a JSON object with their very texts."""
VERDICTS: Final = "verdicts"
REGION: Final = "region"
"""What an export is partitioned by, below the snapshot."""


class Kind(Enum):
    """What a column holds."""

    TEXT = "text"
    INTEGER = "integer"  # 64 bits
    FLAG = "flag"
    RECORDS = "records"  # a list of objects with fields of their own


class Column(NamedTuple):
    """A column; ``fields`` are those of `Kind.RECORDS`."""

    kind: Kind
    fields: Mapping[str, Column] = {}


class Table(NamedTuple):
    """A table.

    Attributes:
        name: of its folder.
        columns: by name, in order, without `ABSENT` and `EXTRA`.
        key: names of columns that every record has.
        has_rest: whether `ABSENT` and `EXTRA` follow: not where the records are our own.
    """

    name: str
    columns: Mapping[str, Column]
    key: tuple[str, ...]
    has_rest: bool = True

    @property
    def all_columns(self) -> Mapping[str, Column]:
        """Every column there is, in order."""
        return {**self.columns, **_texts(ABSENT, EXTRA)} if self.has_rest else self.columns


def _texts(*names: str) -> dict[str, Column]:
    return dict.fromkeys(names, Column(Kind.TEXT))


def _integers(*names: str) -> dict[str, Column]:
    return dict.fromkeys(names, Column(Kind.INTEGER))


def _flags(*names: str) -> dict[str, Column]:
    return dict.fromkeys(names, Column(Kind.FLAG))


_PLATFORM = {
    **_texts("architecture", "os", "variant", "os_version", "os_features", "features", "mediaType", "digest"),
    **_integers("size", "created", "updated", "latest_pulled"),
}
_DOCUMENTED: Final = {
    "registries": {
        **_texts("bucket"),
        **_integers("created"),
        **_texts("end_point"),
        **_flags("end_point_enabled"),
        **_texts("name", "private_end_point", "private_id"),
        **_flags("public_reg_status", "scan_on_push_enabled"),
        **_texts("status"),
    },
    "images": {
        **_flags("can_edit"),
        **_texts("description"),
        **_flags("is_automated", "is_private"),
        **_integers("last_updated"),
        **_texts("name", "namespace"),
        **_integers("pull_count"),
        **_texts("repository_type"),
        **_integers("star_count", "status"),
        **_texts("user"),
    },
    "tags": {
        **_texts("creator", "digest"),
        **_integers("full_size", "id", "image_id"),
        "images": Column(Kind.RECORDS, _PLATFORM),
        **_integers("last_updated"),
        **_texts("last_updater", "name"),
        **_integers("repository"),
        **_flags("v2"),
    },
}
_VERDICTS: Final = Table(
    VERDICTS,
    {
        **_texts("account", REGION, "registry", "image", "verdict", "reason"),
        **_flags("whole", "expected"),
        **_integers("registries", "images", "tags", "count", "pages", "passes", "requests"),
        **_texts("started", "finished", "taken_from"),
    },
    key=(REGION, "verdict"),
    has_rest=False,
)


def tables() -> dict[str, Table]:
    """Return every table by name, the verdicts last; a collection that nobody documents has `EXTRA` for its fields."""
    found = {
        name: Table(name, _texts(*one.fields) | _DOCUMENTED.get(name, _texts("name")), one.key)
        for name, one in COLLECTIONS.items()
    }
    return found | {VERDICTS: _VERDICTS}
