"""The verdicts of a snapshot as a table: what is missing from the others, and was not there, or is not known.

A row for each registry; one without ``registry`` for each region's list of registries; one with ``image`` for each
image whose tags are not whole; and one with the verdict ``excluded`` for each registry that was left out on purpose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from crawler.jobs.export.tables import VERDICTS, tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crawler.snapshot.manifest import Manifest

EXCLUDED = "excluded"
_NOTHING = dict.fromkeys(tables()[VERDICTS].columns)


def verdict_lines(manifest: Manifest) -> Iterator[bytes]:
    """Yield a line of JSON for each verdict."""
    for row in _rows(manifest):
        yield msgspec.json.encode(row) + b"\n"


def _rows(manifest: Manifest) -> Iterator[dict[str, Any]]:
    accounts = {one.account for one in manifest.registries}
    account = accounts.pop() if len(accounts) == 1 else None
    expected = {gap.place for gap in manifest.expected_gaps}
    for region in manifest.regions:
        yield _row(region, account=region.owner or account, whole=manifest.proves(region), registries=region.registries)
    for one in manifest.registries:
        is_expected = one.place in expected
        yield _row(one, whole=manifest.proves(one), expected=is_expected, images=one.images, **_costs(one))
    for gap in msgspec.to_builtins(getattr(manifest, "tag_gaps", ())):
        place = gap["account"], gap["region"], gap["registry"]
        yield _NOTHING | gap | {"whole": False, "expected": place in expected}
    for left_out in manifest.excluded:
        reason = f"--exclude {left_out.pattern}"
        yield _row(left_out, verdict=EXCLUDED, reason=reason, whole=False, expected=True)


def _row(one: Any, **more: object) -> dict[str, Any]:
    """Return a row: what the manifest says by the names of the columns, all others null, and then ``more``."""
    names = ("account", "region", "registry", "verdict", "reason", "started", "finished", "taken_from")
    return {**_NOTHING, **{name: getattr(one, name, None) for name in names}, **more}


def _costs(one: Any) -> dict[str, Any]:
    return {name: getattr(one, name, None) for name in ("tags", "count", "pages", "passes", "requests")}
