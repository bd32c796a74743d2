"""aioresponses 0.7.9 on aiohttp 3.14: it builds answers without the ``stream_writer`` that those now need."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from aiohttp import ClientResponse

if TYPE_CHECKING:
    from yarl import URL


class MendedResponse(ClientResponse):
    """An answer that says that nothing was written for it; to be given as ``response_class``."""

    def __init__(self, method: str, url: URL, **rest: Any) -> None:
        writer: Any = SimpleNamespace(output_size=0)
        super().__init__(method, url, stream_writer=writer, **rest)
