"""A kind of list, as a row of the table in `api/collections.py`, and what follows from a row."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

OURS: Final = ("account", "region")
"""What every line begins with, whatever is listed."""


class Collection:
    """One kind of list.

    Attributes:
        name: what it holds, in the plural: a level of a snapshot, and its data file's name.
        singular: one of them: the field under which lines of deeper levels name it.
        parent: what it is a list of the parts of; None for the registries of a region.
        paths: version of the API to the path beneath a region's base, with ``{}`` for each name that it is within.
        fails_when_gone: whether what is gone may answer with a lasting failure as well as with 404; either way the
            list of the parent, read again, decides.
    """

    def __init__(
        self,
        name: str,
        singular: str,
        paths: Mapping[str, str],
        *,
        parent: Collection | None = None,
        fails_when_gone: bool = False,
    ) -> None:
        self.name = name
        self.singular = singular
        self.paths = paths
        self.parent = parent
        self.fails_when_gone = fails_when_gone

    def __repr__(self) -> str:
        return f"<Collection {self.name}>"

    @cached_property
    def lineage(self) -> tuple[Collection, ...]:
        """The collections from the registries down to this one."""
        return (*(self.parent.lineage if self.parent else ()), self)

    @property
    def file(self) -> str:
        """The name of its data file in a snapshot, without what compression adds."""
        return f"{self.name}.ndjson"

    @cached_property
    def named_by(self) -> tuple[str, ...]:
        """What tells one list from all others of its kind: account, region, then what it is within."""
        return (*OURS, *self.within)

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The names of our own fields, with which a line begins."""
        return self.named_by

    @cached_property
    def within(self) -> tuple[str, ...]:
        """What each name is of that a list of this kind is within: ``registry``, then ``image``, and so on."""
        return tuple(one.singular for one in self.lineage[:-1])

    @cached_property
    def key(self) -> tuple[str, ...]:
        """The names of the fields that tell one line from all others of an output, in the order of sorting."""
        return (*self.named_by, "name")


def label(collection: Collection, region: str, within: tuple[str, ...]) -> str:
    """Return a list as people see it: ``kr, list of registries``, ``kr/team-a``, ``kr/team-a/app``."""
    return "/".join((region, *within)) if within else f"{region}, list of {collection.name}"
