"""The provider's installations, the regions of each, and where each answers; and what a registry may be called.

Source: the provider's API overview (Container Registry, API v2 and v3). A region more is a line here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from crawler.core.errors import InvalidRegistryNameError
from crawler.core.model import Region

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_REGISTRY_NAME = 255
_REGISTRY_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


class ApiVersion(NamedTuple):
    """What a version of the API differs in before anything is asked.

    Attributes:
        largest_page: the most records a page that it takes; None where no document says.
        is_by_region: each region has a gateway of its own; else all of a zone stand behind one.
    """

    largest_page: int | None
    is_by_region: bool


VERSIONS: Final[Mapping[str, ApiVersion]] = {
    "v2": ApiVersion(None, is_by_region=False),
    "v3": ApiVersion(1000, is_by_region=True),
}
"""Every version of the API that there is, by name; `dialect.py` has what each says."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A separate installation of the provider.

    Attributes:
        gateway: what all its regions stand behind in version 2.
        regions: those that there are.
    """

    name: str
    gateway: str
    regions: tuple[Region, ...]

    def gateways(self, api: str) -> dict[str, str]:
        """Return where each region answers in a version of the API, by its code; none where the zone has no such."""
        if VERSIONS[api].is_by_region:
            return {region.code: region.own_gateway for region in self.regions if region.own_gateway}
        return {region.code: self.gateway for region in self.regions}


ZONES = {
    zone.name: zone
    for zone in (
        Zone(
            "public",
            "https://ncr.apigw.ntruss.com",
            (
                Region("kr", "/ncr/api/v2", "https://kr-ncr.apigw.ntruss.com"),
                Region("sgn", "/ncr/sgn-api/v2", "https://sg-ncr.apigw.ntruss.com"),
                Region("jpn", "/ncr/jpn-api/v2", "https://jp-ncr.apigw.ntruss.com"),
            ),
        ),
        Zone(
            "gov",
            "https://gov-ncr.apigw.gov-ntruss.com",
            (Region("kr", "/ncr/kr/v2"), Region("krs", "/ncr/krs/v2")),
        ),
        Zone("fin", "https://ncr.apigw.fin-ntruss.com", (Region("fkr", "/ncr/api/v2"),)),
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
