"""A folder of snapshots as nights leave them, with whatever a report shows in them."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace
from support.snapshot_maker import image_line, make_snapshot, pack, reseal

from crawler.core.model import Verdict
from crawler.jobs.report.images import DAY_MS
from crawler.snapshot.manifest import ExpectedGap, StoredFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from support.snapshot_maker import Contents, Place

    from crawler.snapshot.manifest import Manifest

LAST = datetime(2026, 11, 23, 2, tzinfo=UTC)
"""When the last night began."""
NOW_MS = int(LAST.timestamp() * 1000)
A: Place = ("default", "kr", "team-a")
B: Place = ("default", "kr", "team-b")
C: Place = ("default", "sgn", "team-c")


def days_ago(days: float) -> int:
    """Return a time, in milliseconds since 1970, so long before the last night."""
    return int(NOW_MS - days * DAY_MS)


def record(name: str, **fields: object) -> bytes:
    """Encode an image, whatever is in its name."""
    return json.dumps({"name": name} | fields).encode()


def named_after(nights_before: int) -> str:
    """Return the name of the snapshot of so many nights before the last one."""
    return f"{LAST - timedelta(days=nights_before):%Y%m%dT%H%M%SZ}"


def make_night(
    folder: Path,
    contents: Contents,
    nights_before: int = 0,
    *,
    suffix: str = "",
    verdicts: Mapping[Place, Verdict] | None = None,
    regions: Mapping[str, Verdict] | None = None,
    excluded: Mapping[Place, str] | None = None,
    reasons: Mapping[Place, str] | None = None,
    tags: Mapping[Place, Iterable[bytes]] | None = None,
) -> Path:
    """Write the snapshot of a night that took 33 s and return its folder; ``tags`` are the API's records, sorted."""
    began = LAST - timedelta(days=nights_before)
    snapshot = make_snapshot(
        folder / named_after(nights_before),
        contents,
        suffix=suffix,
        verdicts=verdicts,
        regions=regions,
        excluded=excluded,
    )
    files = () if tags is None else (_write_tags(snapshot, tags, suffix),)
    times = {"started": _iso(began), "finished": _iso(began + timedelta(seconds=33))}

    def change(made: Manifest) -> Manifest:
        told = [replace(one, reason=(reasons or {}).get(one.place)) for one in made.registries]
        run = replace(made.run, id=snapshot.name, **times)
        stored = (*made.files, *files)
        totals = replace(made.totals, bytes=sum(file.bytes for file in stored))
        return replace(made, run=run, registries=tuple(told), files=stored, totals=totals)

    return reseal(snapshot, change)


def expect_gap(snapshot: Path, place: Place, reason: str | None = None) -> Path:
    """Let a snapshot expect a gap, and be complete."""
    account, region, registry = place
    gap = ExpectedGap(account=account, region=region, registry=registry, verdict=Verdict.DENIED, reason=reason)
    return reseal(snapshot, lambda made: replace(made, verdict="complete", expected_gaps=(*made.expected_gaps, gap)))


def tag(image: str, name: str, *sizes: tuple[str, int]) -> bytes:
    """Encode a tag with an image for each digest and size; the name of its own image comes first, as in a line."""
    images = [{"digest": digest, "size": size} for digest, size in sizes]
    return json.dumps({"image": image, "name": name, "images": images}).encode()


def _write_tags(snapshot: Path, tags: Mapping[Place, Iterable[bytes]], suffix: str) -> StoredFile:
    lines = [image_line(place, one) for place in sorted(tags) for one in tags[place]]
    data = pack(b"".join(lines), suffix)
    path = snapshot / f"tags.ndjson{suffix}"
    path.write_bytes(data)
    return StoredFile(name=path.name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), lines=len(lines))


def _iso(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")
