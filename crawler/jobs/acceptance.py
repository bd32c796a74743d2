"""Which snapshots may be relied on: what `latest` points to, here and in an object storage."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crawler.snapshot.manifest import Manifest


def accepts(policy: str, made: Manifest) -> bool:
    """Whether `latest` may point to a snapshot: ``complete``, ``partial``, or at most so many registries missing."""
    if policy == "partial" or made.verdict == "complete":
        return True
    if policy == "complete" or not all(region.verdict.is_good for region in made.regions):
        return False
    return 100 * len(made.missing) <= float(policy.removesuffix("%")) * len(made.registries)
