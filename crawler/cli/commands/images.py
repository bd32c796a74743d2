"""``ncrawl images``: every image of every registry, as NDJSON."""

from __future__ import annotations

from typing import Any

import click

from crawler.cli.options import GroupedCommand, crawl_options, settings_from
from crawler.settings.table import CRAWL_OPTIONS


@click.command(
    "images",
    cls=GroupedCommand,
    epilog="""\b
Examples:
  ncrawl images > images.ndjson                 every registry in every region
  ncrawl images -o images.ndjson.zst            to a file, compressed
  ncrawl images team-a kr/team-b                two; one in Korea only
  ncrawl images --region sgn --rate 20 | jq .name
  ncrawl images --verify always --summary run.json -o images.ndjson

\b
Keys: NCLOUD_ACCESS_KEY_ID and NCLOUD_SECRET_KEY, ~/.ncloud/configure, or a
      server role.
Exit codes: 0 complete, 2 usage, 3 something is missing, 4 key, clock or
            quota, 74 output, 75 locked, 129, 130 and 143 stopped""",
)
@crawl_options(*CRAWL_OPTIONS)
def command(**flags: Any) -> int:
    """Stream every image of the named registries, or of every registry there is, as NDJSON.

    REGISTRY is a name, looked for in every selected region, or region/name.
    """
    settings = settings_from(flags, is_of_run=True)
    from crawler.api.collections import IMAGES  # noqa: PLC0415 - `--help` should not wait for aiohttp
    from crawler.cli.crawling import crawl_command  # noqa: PLC0415 - likewise

    return crawl_command(settings, IMAGES)
