"""What cannot be meant together."""

from __future__ import annotations

import os
from itertools import combinations
from typing import TYPE_CHECKING, Any

from crawler.api.zones import VERSIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from crawler.settings.options import RawValue

_FILES = ("output", "summary", "metrics_file", "registry_file")


def contradictions(values: Mapping[str, Any], written: Mapping[str, RawValue]) -> Iterator[str]:
    """Say of settings which of them contradict each other.

    Args:
        values: what they are.
        written: where each was written.
    """
    if values.get("quiet") and values.get("verbose"):
        yield f"{written['quiet'].place} and {written['verbose'].place} contradict each other: drop one"
    largest, page_size = VERSIONS[values.get("api", "v2")].largest_page, values.get("page_size")
    if largest and isinstance(page_size, int) and page_size > largest:
        yield f"{written['page_size'].place}: {page_size} is more than {values['api']} takes: {largest} at most"
    try:
        files = {name: os.path.realpath(values[name]) for name in _FILES if values.get(name, "-") != "-"}
    except OSError as error:
        yield f"the current directory cannot be found: {error.strerror}: change to one that is there"
        return
    for one, other in combinations(files, 2):
        if files[one] == files[other]:
            yield f"{written[one].place} and {written[other].place} name the same file: give two"
