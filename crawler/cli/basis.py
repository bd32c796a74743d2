"""What a run goes by, and what it found out, for those who ask with -v: settings, keys, sizes of pages."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from crawler.core.text import visible

if TYPE_CHECKING:
    from crawler.engine.spec import CrawlResult
    from crawler.settings.credentials import FoundKeys
    from crawler.settings.table import Settings

log = logging.getLogger("ncrawl")


def tell_basis(settings: Settings, found: FoundKeys) -> None:
    """Log which settings file counts, where the keys are from, and which gateway is asked for which regions."""
    regions = ", ".join(region.code for region in settings.region)
    file = visible(settings.places.get("config", "no file"))
    gateway, source = ", ".join(settings.gateway), found.credentials.source
    account = visible(settings.account or found.account)
    _log(f"settings: {file}", "SettingsRead", file=settings.places.get("config") and file)
    _log(f"keys: {source}, as account {account}", "KeysFound", source=source, account=account)
    _log(
        f"gateway: {gateway}, API {settings.api}, zone {settings.zone}, regions {regions}",
        "GatewayChosen",
        gateway=gateway,
        api=settings.api,
        zone=settings.zone,
    )


def tell_page_sizes(result: CrawlResult) -> None:
    """Log how many records a page the gateway was found to give, by region."""
    sizes: dict[str, int] = {}
    for one in result.everything:
        if one.page_size is not None and one.pages > 1 and one.taken_from is None:
            sizes[one.region] = max(one.page_size, sizes.get(one.region, 0))
    for region, size in sorted(sizes.items()):
        told = f"{region}: the gateway gives up to {size:,} records a page"
        _log(told, "PageSizeLearned", region=region, page_size=size)


def _log(message: str, event: str, **fields: object) -> None:
    log.info("%s", message, extra={"event": {"event": event, **fields}})
