"""The path of a list beneath a region's base: the only place where names become part of one."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from crawler.api.zones import check_registry_name
from crawler.core.errors import InvalidNameError

if TYPE_CHECKING:
    from crawler.core.model import PageRequest


def list_path(request: PageRequest, version: str) -> str:
    """Return the path of a list in a version of the API: ASCII, exactly the bytes that are signed and sent.

    Raises:
        InvalidRegistryNameError: the registry's name is not on the allow-list.
        InvalidNameError: a deeper name cannot be sent.
    """
    within = request.within
    return request.collection.paths[version].format(
        *map(check_registry_name, within[:1]), *map(path_segment, within[1:])
    )


def path_segment(name: str) -> str:
    """Return a name as one segment of a path, whatever it holds: nothing climbs, and nothing ends the path.

    Raises:
        InvalidNameError: UTF-8 has no bytes for it, or it is empty; nothing was sent.
    """
    try:
        encoded = quote(name, safe="")
    except UnicodeEncodeError:
        encoded = ""
    if not encoded:
        raise InvalidNameError(name)
    return encoded.replace(".", "%2E") if encoded in (".", "..") else encoded
