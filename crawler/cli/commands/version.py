"""``ncrawl version``: what to put into a report."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import click

from crawler import __version__

_LIBRARIES = ("aiohttp", "anyio", "click", "msgspec", "orjson", "uvloop", "zstandard")


@click.command("version")
def command() -> None:
    """Say which version this is, on a line as `ncrawl --version` does, and below it of what it is made."""
    click.echo(f"ncrawl {__version__}")
    click.echo(f"Python {platform.python_version()} on {platform.system()} {platform.release()}, {platform.machine()}")
    click.echo(", ".join(f"{name} {_version(name)}" for name in _LIBRARIES))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"
