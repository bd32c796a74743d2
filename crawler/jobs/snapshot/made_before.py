"""Find the snapshot that was made under a caller's id, so that whoever asks for it again gets it as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from crawler.core.errors import NcrawlError
from crawler.snapshot.folder.retention import snapshot_names
from crawler.snapshot.manifest import load, read_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from crawler.snapshot.manifest import Manifest


def made_as(folder: Path, run_id: str) -> Manifest | None:
    """Return the manifest of the snapshot that was made under an id; None if none was.

    Reads the bytes of the manifests that are newer, or of all. What is damaged was made under no id.
    """
    sought = msgspec.json.encode(run_id)
    for name in sorted(snapshot_names(folder), reverse=True):
        try:
            data = read_bytes(folder / name)
            made = load(data) if sought in data else None
        except NcrawlError:
            continue
        if made is not None and made.run.run_id == run_id:
            return made
    return None
