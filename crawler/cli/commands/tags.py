"""``ncrawl tags``: every tag of every image, as NDJSON."""

from __future__ import annotations

from typing import Any

import click

from crawler.cli.options import GroupedCommand, crawl_options, settings_from
from crawler.settings.table import CRAWL_OPTIONS


@click.command(
    "tags",
    cls=GroupedCommand,
    epilog="""\b
Examples:
  ncrawl tags -o tags.ndjson.zst                every tag in every region
  ncrawl tags team-a kr/team-b                  of two registries
  ncrawl tags kr/team-a/app kr/team-a/web/api   of app, and of web/api
  ncrawl tags team-a | jq -r '[.image, .name, .digest] | @tsv'

\b
It takes a request for each image at least: 100,000 images are 33 minutes at
--rate 50, and --deadline has to be long enough for them.""",
)
@click.argument("registry", nargs=-1, metavar="[WHAT]...")
@crawl_options(*(name for name in CRAWL_OPTIONS if name != "registry"))
def command(**flags: Any) -> int:
    """Stream every tag of the named registries or images, or of every image there is, as NDJSON.

    WHAT is a registry's name, looked for in every selected region; region/registry; or region/registry/image, where
    all behind the second slash is the image's name.
    """
    settings = settings_from(flags, is_of_run=True)
    from crawler.api.collections import TAGS  # noqa: PLC0415 - `--help` should not wait for aiohttp
    from crawler.cli.crawling import crawl_command  # noqa: PLC0415 - likewise

    return crawl_command(settings, TAGS)
