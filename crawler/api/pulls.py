"""What somebody who pulls an image changes in its records, and that is no change of what is stored. Pure.

Source: the provider's field tables (`pull_count`, `latest_pulled`; version 3: `pullCount`, `lastPulledDateTime`).
"""

from __future__ import annotations

import re
from typing import Final

COUNTS: Final = ("pull_count", "pullCount")
"""The fields of an image that count pulls."""

_WHEN = re.compile(rb'"(?:latest_pulled|lastPulledDateTime)"\s*:\s*(?:null|"[^"\\]*"|-?[0-9][-+.0-9eE]*)')
"""When something was pulled. A quote within a text is escaped, so what matches is a field, and no part of a text."""


def without_times(lines: bytes) -> bytes:
    """Return tags as they would be had nobody pulled any."""
    return _WHEN.sub(b"", lines)
