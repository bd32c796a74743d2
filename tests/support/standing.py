"""Where a run stands, as an example."""

from __future__ import annotations

from crawler.engine.standing import Amount
from crawler.jobs.progress import Progress

STANDING = Progress(
    seconds=60.0,
    amounts=(Amount("registries", 1, 2), Amount("images", 3)),
    is_discovered=True,
    requests=240,
    requests_per_s=4.0,
    allowed_per_s=None,
    left_s=None,
    deadline_s=None,
)
