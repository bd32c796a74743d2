"""What a shell can put after an option or in an argument's place: words, paths, regions, profiles, snapshots.

Asked by `click.shell_completion` while somebody holds TAB: quick, silent, and never in the way. What cannot be found
out is not offered.
"""

from __future__ import annotations

import os
import re
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from click.shell_completion import CompletionItem

from crawler.api.zones import ZONES
from crawler.settings.options import variable_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import click

    from crawler.settings.options import Option

    Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

_PATIENCE_S = 0.5
_WORD = re.compile(r"[a-z0-9]+")
_MORE_WORDS = {
    "rate": ("unlimited",),
    "region_rate": ("unlimited",),
    "accept": ("complete", "partial"),
    "refresh": ("1/7",),
}


def completer_of(name: str, key: Option) -> Completer | None:
    """Return what completes the values of a key of the settings; None where there is nothing to offer."""
    if found := _BY_NAME.get(name):
        return found
    if key.metavar in ("FILE", "PATH"):
        return complete_file
    words = [word for word in (key.metavar or "").split("|") if _WORD.fullmatch(word)]
    words += _MORE_WORDS.get(name, ())
    return partial(_complete_words, words=words) if words else None


def complete_file(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Leave it to the shell to find a file."""
    return [CompletionItem(incomplete, type="file")]


def complete_folder(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Leave it to the shell to find a folder."""
    return [CompletionItem(incomplete, type="dir")]


def complete_snapshot(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the snapshots below what is typed so far, or of the command's own DIR; else leave it to the shell."""
    typed, slash, _ = incomplete.rpartition("/")
    own = ctx.params.get("folder") or next(iter(ctx.args), None)  # not assigned yet while an option lacks its value
    folder = Path(typed + slash) if slash or own is None else Path(own)
    found = [CompletionItem(typed + slash + name) for name in _snapshots(folder)]
    return _fitting(found, incomplete) or complete_file(ctx, parameter, incomplete)


def _complete_words(
    _ctx: click.Context, _parameter: click.Parameter, incomplete: str, *, words: Iterable[str]
) -> list[CompletionItem]:
    return _fitting(map(CompletionItem, words), incomplete)


def _complete_region(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the regions of the zone, or of all; also the last of several, ``kr,sgn``."""
    before, comma, _ = incomplete.rpartition(",")
    zone = ZONES.get(ctx.params.get("zone") or "")
    zones = [zone] if zone else ZONES.values()
    codes = dict.fromkeys(region.code for zone in zones for region in zone.regions)
    offered = (CompletionItem(before + comma + code) for code in codes if code not in before.split(","))
    return _fitting(offered, incomplete)


def _complete_profile(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the sections of the provider's key file."""
    from crawler.core.errors import NcrawlError  # noqa: PLC0415 - `--help` should not wait for it
    from crawler.settings.credentials import key_file_of  # noqa: PLC0415 - likewise
    from crawler.settings.key_file import parse_configure, read_key_file  # noqa: PLC0415 - likewise

    try:
        text, _ = read_key_file(key_file_of(os.environ), time.monotonic() + _PATIENCE_S)
        return _fitting(map(CompletionItem, parse_configure(text, "")), incomplete)
    except (NcrawlError, OSError):
        return []


def _complete_account(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the accounts of the file that is named."""
    from crawler.settings.accounts import read_accounts  # noqa: PLC0415 - `--help` should not wait for it
    from crawler.settings.sources import Notes  # noqa: PLC0415 - likewise
    from crawler.settings.table import OPTIONS  # noqa: PLC0415 - likewise

    path = ctx.params.get("accounts") or os.environ.get(variable_of("accounts"))
    if not path:
        return []
    names = read_accounts(Path(path), OPTIONS, until_s=time.monotonic() + _PATIENCE_S, notes=Notes())
    return _fitting(map(CompletionItem, names), incomplete)


def _snapshots(folder: Path) -> list[str]:
    """Return the names of what looks like snapshots in a folder, newest first, and `latest`."""
    from crawler.snapshot.folder.names import started  # noqa: PLC0415 - `--help` should not wait for it

    try:
        names = os.listdir(folder)  # noqa: PTH208 - names are enough
    except OSError:
        return []
    found = sorted((name for name in names if started(name) is not None), reverse=True)
    return [*found, *(name for name in names if name == "latest")] if found else []


def _fitting(items: Iterable[CompletionItem], incomplete: str) -> list[CompletionItem]:
    return [item for item in items if item.value.startswith(incomplete)]


_BY_NAME: dict[str, Completer] = {
    "account": _complete_account,
    "profile": _complete_profile,
    "region": _complete_region,
    "retry_failed": complete_snapshot,
    "reuse": complete_snapshot,
}
