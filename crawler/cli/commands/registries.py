"""``ncrawl registries``: every registry of every region, as NDJSON."""

from __future__ import annotations

from typing import Any

import click

from crawler.cli.options import GroupedCommand, crawl_options, settings_from
from crawler.settings.table import CRAWL_OPTIONS

OF_IMAGES = ("registry", "registry_file", "exclude", "expect_gap")


@click.command(
    "registries",
    cls=GroupedCommand,
    epilog="""\b
Examples:
  ncrawl registries | jq -r '"\\(.region)/\\(.name)"'
  ncrawl registries --region jpn -o registries.ndjson""",
)
@crawl_options(*(name for name in CRAWL_OPTIONS if name not in OF_IMAGES))
def command(**flags: Any) -> int:
    """Stream every registry of every selected region as NDJSON."""
    settings = settings_from(flags, is_of_run=True)
    from crawler.api.collections import REGISTRIES  # noqa: PLC0415 - `--help` should not wait for aiohttp
    from crawler.cli.crawling import crawl_command  # noqa: PLC0415 - likewise

    return crawl_command(settings, REGISTRIES)
