"""Lines of a log that is no terminal's, without the time and the run that each begins with."""

from __future__ import annotations

import re

STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (-|\d{8}T\d{6,9}Z) ", re.MULTILINE)


def unstamped(text: str) -> str:
    """Return a log as a terminal shows it."""
    return STAMP.sub("", text)
