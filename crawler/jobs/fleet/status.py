"""Where a fleet's run stands, by what lies in its folder or its storage: no engine is asked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from crawler.jobs.fleet.layout import checked_run_id, opened
from crawler.jobs.fleet.parts import find_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_LOOK_EVERY_S: Final = 10.0


def await_accounts(
    place: str,
    run_id: str,
    expected: Iterable[str],
    *,
    patience_s: float,
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Wait until every account that is expected has a snapshot of a run, or as long as there is patience."""
    store, names, until_s = opened(place), list(expected), time.monotonic() + patience_s
    while any(part.made is None for part in find_parts(store, checked_run_id(run_id), names)):
        left_s = until_s - time.monotonic()
        if left_s <= 0:
            break
        sleep(min(left_s, _LOOK_EVERY_S))
