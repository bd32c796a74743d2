"""``ncrawl demo``: emulator and crawl in one process, without credentials."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import click

from crawler.cli.options import GroupedCommand, crawl_options, settings_from
from crawler.settings.table import Settings

OPTIONS = ("output", "summary", "concurrency", "page_size", "verify", "log_format", "verbose", "quiet")
FILE = "demo.ndjson"


@click.command(
    "demo",
    cls=GroupedCommand,
    epilog="""\b
Examples:
  ncrawl demo                    writes demo.ndjson
  ncrawl demo -o - | jq .name    to standard output""",
)
@crawl_options(*OPTIONS, output=FILE)
def command(**flags: Any) -> int:
    """Crawl an emulated account in all regions: no keys, and nothing leaves this machine.

    The emulated gateway takes 40 ms an answer and fails now and then, as a real one does.
    """
    given = settings_from(flags)
    # A zone, region or proxy that is set for the real account has no business here.
    settings = Settings(**{name: getattr(given, name) for name in OPTIONS})
    if settings.output == "-" and flags["output"] is None:
        settings = replace(settings, output=FILE)
    from crawler.cli.limits import within_limits  # noqa: PLC0415 - `--help` should not wait for it
    from crawler.cli.logs import configure_logging  # noqa: PLC0415 - likewise
    from crawler.cli.signals import run  # noqa: PLC0415 - likewise

    configure_logging(settings)
    settings = within_limits(settings, sockets=2)
    return run(lambda: _demo(settings))


async def _demo(settings: Settings) -> int:
    from crawler.api.collections import IMAGES  # noqa: PLC0415 - likewise
    from crawler.cli.crawling import stream_to_exit_code  # noqa: PLC0415 - likewise
    from crawler.cli.logs import say  # noqa: PLC0415
    from crawler.core.secret import KeyPair, Secret  # noqa: PLC0415
    from crawler.emulation import Emulator, EmulatorOptions  # noqa: PLC0415
    from crawler.settings.credentials import Credentials, FoundKeys  # noqa: PLC0415

    world = EmulatorOptions(latency_ms=40, jitter_ms=20, faults={"503": 0.02, "reset": 0.01})
    async with Emulator(world) as emulator:
        keys = KeyPair(Secret(emulator.access_key), Secret(emulator.secret_key), "the emulator")

        async def find(_settings: Settings, _until_s: float) -> FoundKeys:
            return FoundKeys(Credentials(keys), account="demo")

        settings = replace(settings, gateway=(emulator.url,), rate=inf)
        where = f"{world.registries} registries in each of {len(settings.region)} regions"
        say(settings, f"Crawling an emulated account of {where}…")
        code = await stream_to_exit_code(settings, IMAGES, keys=find)
    if settings.output != "-":
        say(settings, f"\n{_first_line(settings.output)}")
        say(settings, "With your own keys: export NCLOUD_ACCESS_KEY_ID=… NCLOUD_SECRET_KEY=…; ncrawl doctor")
    return code


def _first_line(output: str) -> str:
    """Return the file's name and how its first line looks, if it is readable as it is."""
    if output.endswith((".gz", ".zst")) or not Path(output).is_file():
        return output
    with Path(output).open(encoding="utf-8") as file:
        return f"{output} holds one image a line:\n{file.readline()}"
