"""What a snapshot knows of the account that it is of: no request is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.api.collections import IMAGES, TAGS
from crawler.core.errors import UsageError
from crawler.core.model import Verdict
from crawler.core.patterns import Patterns
from crawler.engine.page_size import LARGEST
from crawler.jobs.plan.costs import Held, PageSizes
from crawler.jobs.plan.facts import Facts, RegionFacts, total_of
from crawler.jobs.report.choosing import choose

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from crawler.core.collection import Collection
    from crawler.engine.spec import Root
    from crawler.settings.table import Settings
    from crawler.snapshot.manifest import Manifest, RegistryRecord


def from_snapshot(path: Path, settings: Settings, roots: Sequence[Root] | None) -> Facts:
    """Return what a snapshot, or the newest one in a folder, knows of what the settings ask for.

    Args:
        path: of either.
        settings: which regions, how large pages, what is excluded.
        roots: the registries that are named; None for all there are.

    Raises:
        UsageError: there is no snapshot, or it is of another zone or version of the API.
        ManifestError: it is damaged.
    """
    made = choose(path).snapshot.manifest
    assert made is not None
    for name, default, asked in (("zone", "public", settings.zone), ("api", "v2", settings.api)):
        if (own := made.run.options.get(name, default)) != asked:
            raise UsageError(f"{path} was taken with --{name} {own}, and --{name} {asked} is planned: give one of them")
    account = _Account(made, settings, roots)
    regions = {region.code: account.facts(region.code) for region in settings.region}
    return Facts(basis="snapshot", regions=regions, source=f"the snapshot {made.run.id}", notes=account.notes)


class _Account:
    """An account as its snapshot knows it."""

    def __init__(self, made: Manifest, settings: Settings, roots: Sequence[Root] | None) -> None:
        self._made = made
        self._page_size = settings.page_size if isinstance(settings.page_size, int) else LARGEST
        self._excluded = Patterns(settings.exclude)
        self._named = None if roots is None else {(root.region.code, root.within[0]) for root in roots}
        self._wanted = [one for one in made.registries if self._is_wanted(one.region, one.registry)]

    @property
    def notes(self) -> tuple[str, ...]:
        """What of it may be wrong."""
        partial = sum(one.own_verdict is Verdict.INCOMPLETE for one in self._wanted)
        were = "list was" if partial == 1 else "lists were"
        return (f"{partial:,} {were} not whole then: only what was had counts",) if partial else ()

    def facts(self, region: str) -> RegionFacts | None:
        """Return what is known of a region; None if it was not listed, or its list of registries could not be had."""
        top = next((one for one in self._made.regions if one.region == region), None)
        if (top is None and self._named is None) or (top and not top.registries and not top.verdict.is_good):
            return None
        wanted = [one for one in self._wanted if one.region == region]
        listed = [one for one in wanted if one.pages]
        unseen = self._unseen(region)
        sizes = PageSizes(self._page_size, self._largest(region))
        return RegionFacts(
            registries=len(listed) if top is None or self._named is not None else top.registries,
            top=Held(top.registries) if top and self._named is None else None,
            images=(*(Held(one.images, one.count) for one in listed), *[Held(1)] * unseen)
            if self._made.has_images
            else None,
            unknown=unseen,
            top_sizes=sizes,
            image_sizes=sizes,
            top_extra=self._refused(region) if self._named is None else 0,
            image_extra=sum(not one.pages and one.verdict is not Verdict.GONE for one in wanted),
            registry_bytes=self._registry_bytes(region),
            image_bytes=_bytes(wanted, IMAGES) if self._made.has_images else None,
            tag_bytes=_bytes(wanted, TAGS) if TAGS in self._made.deeper else None,
            tags=sum(one.lines_of(TAGS) for one in wanted) if TAGS in self._made.deeper else None,
        )

    def _is_wanted(self, region: str, registry: str) -> bool:
        is_named = self._named is None or (region, registry) in self._named
        return is_named and not self._excluded.match(region, registry)

    def _unseen(self, region: str) -> int:
        """Return how many registries were excluded then and are not any more: nobody knows what they hold."""
        return sum(one.region == region and self._is_wanted(region, one.registry) for one in self._made.excluded)

    def _largest(self, region: str) -> int | None:
        """Return the largest page that the gateway was seen to give where it was asked for more."""
        seen = self._made.observed.get("regions", {}).get(region, {}).get("page_sizes", [])
        option = self._made.run.options.get("page_size")
        asked = option if isinstance(option, int) else LARGEST  # also seen, where one page was looked at twice
        return max((size for size in seen if size < asked), default=None)

    def _refused(self, region: str) -> int:
        """Return the requests that brought no page, beside tries again and registries that gave none."""
        totals = self._made.totals.regions.get(region)
        if totals is None:
            return 0
        denied = sum(one.requests > 0 for one in self._made.registries if one.region == region and not one.pages)
        return max(totals.requests - totals.pages - totals.retries - denied, 0)

    def _registry_bytes(self, region: str) -> int | None:
        """Return what the lines of registries take: all that a region takes, without what its registries hold."""
        totals = self._made.totals.regions.get(region)
        everything = [one for one in self._made.registries if one.region == region]
        deeper = total_of(_bytes(everything, level) for level in (IMAGES, *self._made.deeper))
        return None if totals is None or totals.bytes is None or deeper is None else totals.bytes - deeper


def _bytes(records: Sequence[RegistryRecord], level: Collection) -> int | None:
    extents = [one.extent_of(level) for one in records]
    return total_of(None if extent is None else extent.length for extent in extents)
