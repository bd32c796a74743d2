"""Whose a snapshot is, as the name of a folder in a store."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from crawler.api.collections import REGISTRIES
from crawler.core.errors import UsageError
from crawler.snapshot.reading.chunks import read_chunks, whole_lines
from crawler.snapshot.reading.records import key_type, parse_keys

if TYPE_CHECKING:
    from pathlib import Path

    from crawler.snapshot.manifest import Manifest


def account_of(folder: Path, manifest: Manifest) -> str:
    """Return the name of the account that a snapshot is of, with what no path should hold in percent notation.

    Raises:
        UsageError: it is of several, or its registries cannot be read.
    """
    named = {record.account for record in manifest.registries} or _listed(folder, manifest)
    if not named:  # an account without a registry
        options = manifest.run.options
        named = {str(options.get("account") or options.get("profile") or "default")}
    if len(named) > 1:
        raise UsageError(f"{folder} is of {len(named)} accounts: push the snapshots that it was made of")
    [name] = named
    if not name.strip("."):
        raise UsageError(f"{folder}: an account called {name!r} cannot be a folder: give it a name by --account")
    return quote(name, safe=" +@")


def _listed(folder: Path, manifest: Manifest) -> set[str]:
    """Return the account of the first registry, where their images were not listed."""
    stored = manifest.stored_file(REGISTRIES)
    if stored is None or not stored.lines:
        return set()
    path = folder / stored.name
    chunk = next(whole_lines(read_chunks(path), path), b"")
    try:
        return {key.account for key in parse_keys(chunk, key_type(REGISTRIES))[:1]}
    except ValueError:
        raise UsageError(f"{path} is damaged: `ncrawl verify {folder}` tells more") from None
