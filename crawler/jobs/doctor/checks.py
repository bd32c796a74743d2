"""What one check found, and what all of them come to."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import anyio
import msgspec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from crawler.core.errors import UsageError

FIELDS = ("name", "status", "detail", "mend", "seconds")
"""What machines read of a check."""
NOTHING_REQUESTED = 2
SOMETHING_MISSING = 3
REFUSED = 4
_WORST_FIRST = (NOTHING_REQUESTED, REFUSED, SOMETHING_MISSING)
"""What would end a run first: it reads its settings, then asks, then lists."""


class Status(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes:
        name: begins with its subject, such as ``key`` or ``region/kr``.
        detail: what was found, for people.
        mend: how to mend it; None where there is nothing to mend.
        seconds: that it took.
        exit_code: what a run would end with because of it; 0 unless it failed.
    """

    name: str
    status: Status
    detail: str
    mend: str | None = None
    seconds: float = 0.0
    exit_code: int = 0


def ok(name: str, detail: str) -> Check:
    """Return that all is well."""
    return Check(name, Status.OK, detail)


def warning(name: str, detail: str, mend: str) -> Check:
    """Return that a run would do, but something had better be mended."""
    return Check(name, Status.WARNING, detail, mend)


def failed(name: str, detail: str, mend: str | None, *, exit_code: int = SOMETHING_MISSING) -> Check:
    """Return that a run would not do."""
    return Check(name, Status.FAILED, detail, mend, exit_code=exit_code)


def refused(name: str, error: UsageError) -> Check:
    """Return that no run would begin: the error's sentence says what, and behind its last colon how to mend it."""
    detail, _, mend = str(error).rpartition(": ")
    return failed(name, detail or mend, mend, exit_code=NOTHING_REQUESTED)


def skipped(name: str, detail: str) -> Check:
    """Return that it was not looked into, and why."""
    return Check(name, Status.SKIPPED, detail)


def exit_code(checks: Iterable[Check]) -> int:
    """Return what a run would end with."""
    codes = {check.exit_code for check in checks}
    return next((code for code in _WORST_FIRST if code in codes), 0)


def as_json(checks: Iterable[Check]) -> bytes:
    """Return all of it as one line of JSON."""
    found = list(checks)
    told = [{name: getattr(check, name) for name in FIELDS} for check in found]
    return msgspec.json.encode({"checks": told, "exit_code": exit_code(found)}) + b"\n"


async def within(limit_s: float, name: str, look: Callable[[], Awaitable[Check]]) -> Check:
    """Return what a look finds, with its seconds, or that it came to no end in time."""
    began_s = time.monotonic()
    found = failed(
        name, f"came to no end within {limit_s:g} s", "see what hangs: a network file system, a pipe, a proxy"
    )
    with anyio.move_on_after(limit_s):
        found = await look()
    return lasting(time.monotonic() - began_s, found)


def lasting(seconds: float, check: Check) -> Check:
    """Return a check with the time that it took."""
    return replace(check, seconds=round(seconds, 3))
