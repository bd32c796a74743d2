"""Zone, region and registry to request target: the only place that builds a path.

Source: the provider's API overview (Container Registry, API v2).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from crawler.core.errors import InvalidRegistryNameError
from crawler.core.model import Region

if TYPE_CHECKING:
    from crawler.core.model import PageRequest

MAX_REGISTRY_NAME = 255
_REGISTRY_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Zone:
    """A separate installation of the provider: its gateway and the regions behind it."""

    name: str
    gateway: str
    regions: tuple[Region, ...]


ZONES = {
    zone.name: zone
    for zone in (
        Zone(
            "public",
            "https://ncr.apigw.ntruss.com",
            (
                Region("kr", "/ncr/api/v2"),
                Region("sgn", "/ncr/sgn-api/v2"),
                Region("jpn", "/ncr/jpn-api/v2"),
            ),
        ),
        Zone(
            "gov",
            "https://gov-ncr.apigw.gov-ntruss.com",
            (Region("kr", "/ncr/kr/v2"), Region("krs", "/ncr/krs/v2")),
        ),
    )
}


@lru_cache(1024)  # a page a name, many times
def check_registry_name(name: str) -> str:
    """Return ``name`` if it can be a registry's, so that no other text ever becomes part of a path.

    Allowed are ASCII letters, digits, dots, underscores and hyphens, no dot in front and no two in a row. That
    needs no percent-encoding, so a name is signed exactly as it is written.

    Raises:
        InvalidRegistryNameError: it cannot; nothing was sent.
    """
    if len(name) > MAX_REGISTRY_NAME or ".." in name or not _REGISTRY_NAME.fullmatch(name):
        raise InvalidRegistryNameError(name)
    return name


def request_target(request: PageRequest) -> str:
    """Return path and query for a page: ASCII, exactly the bytes that go onto the wire and are signed.

    Raises:
        InvalidRegistryNameError: the registry's name is not on the allow-list.
    """
    path = f"{request.region.base_path}/repositories"
    if request.registry is not None:
        path += f"/{check_registry_name(request.registry)}"
    if request.page_size is None:
        return f"{path}?page={request.page}"
    return f"{path}?page={request.page}&pagesize={request.page_size}"
