"""A version of the API as the rest of the program knows it: a few questions, and who answers them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from crawler.api.v2 import V2
from crawler.api.v3 import V3

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crawler.api.collections import Collection
    from crawler.api.meanings import Meaning
    from crawler.core.model import Page, PageRequest


class Dialect(Protocol):
    """One version of the API. Pages are counted from 1 here, whatever stands on the wire."""

    @property
    def version(self) -> str:
        """Its name."""
        ...

    @property
    def largest_page(self) -> int | None:
        """Records a page that may be asked for at most; None where no document says."""
        ...

    def target(self, request: PageRequest) -> str:
        """Return path and query for a page: ASCII, exactly the bytes that go onto the wire and are signed.

        Raises:
            InvalidRegistryNameError: the registry's name is not on the allow-list.
        """
        ...

    def decode(self, body: bytes, collection: Collection, page: int) -> Page:
        """Decode one page of a list.

        Args:
            body: the whole decoded body.
            collection: what is listed; its fields are what a line will begin with.
            page: the number that it was asked for by.

        Raises:
            PageError: not JSON, not UTF-8, not that page, or nested too deep; the sentence says which.
        """
        ...

    def decode_error(self, body: bytes) -> tuple[str | None, str]:
        """Return (code as text, message) of an error body; (None, "") if it is none."""
        ...

    def meaning(self, status: int, code: str | None) -> Meaning:
        """Return what an error means."""
        ...


DIALECTS: Final[Mapping[str, Dialect]] = {one.version: one for one in (V2, V3)}
"""Every version there is, by name."""
