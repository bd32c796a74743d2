"""The figures of the last run as Prometheus reads them: a file for node_exporter's textfile collector.

What is not known is not there: a run that ended before its first request has no images, rather than none. Only when
the last run succeeded is kept over runs that failed, so it is read back from the file that is there.
"""

from __future__ import annotations

import math
import os
import re
import time
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from crawler.core.model import Verdict
from crawler.core.text import writable
from crawler.output.files import is_special, write_file
from crawler.output.inlets import open_at_once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crawler.snapshot.manifest import Manifest

Samples: TypeAlias = "list[tuple[dict[str, str], float | int]]"

CLOCK_SLACK_S = 300.0
"""So far may a success lie in the future: what lies further would silence an alert for good."""
_MOST_BYTES = 1024 * 1024
_LAST_RUN = "ncrawl_last_run_timestamp_seconds"
_LAST_SUCCESS = "ncrawl_last_success_timestamp_seconds"
_SAMPLE = re.compile(rf'^({_LAST_RUN}|{_LAST_SUCCESS}){{account="((?:[^"\\]|\\.)*)"}} ([0-9.]{{1,20}})$', re.MULTILINE)
_ESCAPES = {"\\": r"\\", "\n": r"\n", '"': r"\""}
_REGION_FAMILIES = {
    "images": "Images that the last run listed.",
    "tags": "Tags that the last run listed.",
    "requests": "Requests that the last run made, repeated ones included.",
    "retries": "Tries after the first one of a page in the last run.",
    "throttled": "Answers that said that requests come too fast in the last run.",
}
"""What a region's totals count; what they do not know is left out."""
_REUSE = ("reused", "refreshed", "refreshed_and_different")
_OF_REGISTRIES = ("images", "tags")
"""What was not counted, rather than not there, where no registry was listed."""


class RunFigures(NamedTuple):
    """What is known of a run that has ended.

    Attributes:
        account: None if it ended before that was known.
        started_s: seconds since 1970; likewise ``ended_s``.
        manifest: what it says of itself, if it came so far.
        snapshots_kept: how many snapshots there are now, where it makes any.
    """

    account: str | None
    started_s: float
    ended_s: float
    exit_code: int
    manifest: Manifest | None = None
    snapshots_kept: int | None = None


class Earlier(NamedTuple):
    """What the file of an earlier run says.

    Attributes:
        account: whose it is.
        success_s: when the last run that succeeded ended, seconds since 1970.
        problem: why nothing can be believed of what it says.
    """

    account: str | None = None
    success_s: float | None = None
    problem: str | None = None


def write_metrics(name: str, figures: RunFigures) -> list[str]:
    """Replace the file by the figures of a run that has ended, and return what is odd about what was there.

    Raises:
        OutputError: it cannot be written.
    """
    earlier = read_earlier(name, now_s=figures.ended_s)
    account = figures.account or earlier.account or "default"
    odd = [f"{name}: {earlier.problem}"] if earlier.problem else []
    if earlier.account not in (None, account):
        odd.append(
            f"{name} held the metrics of account {earlier.account}, which are gone: give each account a file of its own"
        )
        earlier = Earlier()
    write_file(name, encode(figures._replace(account=account), earlier.success_s), patience_s=1.0)
    return odd


def read_earlier(name: str, *, now_s: float | None = None) -> Earlier:
    """Return what an earlier run left in the file; never waits, and never raises.

    Args:
        name: path.
        now_s: seconds since 1970; a success that lies after it is none.
    """
    try:
        text = _read(name)
    except FileNotFoundError:
        return Earlier()
    except (OSError, UnicodeDecodeError) as error:
        return Earlier(problem=f"when the last run succeeded is lost: {_why(error)}")
    samples = {family: (account, value) for family, account, value in _SAMPLE.findall(text)}
    if text and (_LAST_RUN not in samples or not text.endswith("\n")):
        return Earlier(problem="when the last run succeeded is lost: what was there is damaged, or no file of ncrawl's")
    account, success = samples.get(_LAST_SUCCESS, samples.get(_LAST_RUN, ("", "")))
    earlier = Earlier(_unescaped(account) if text else None)
    if _LAST_SUCCESS not in samples:
        return earlier
    success_s = _time(success)
    if success_s is None or success_s > (time.time() if now_s is None else now_s) + CLOCK_SLACK_S:
        return earlier._replace(problem=f"the last run succeeded at {success}, it says: that is not believed")
    return earlier._replace(success_s=success_s)


def encode(figures: RunFigures, earlier_success_s: float | None) -> bytes:
    """Return the figures in Prometheus' text format.

    Args:
        figures: of a run that has ended.
        earlier_success_s: when the last run before it that succeeded ended, if any did.
    """
    labels = {"account": figures.account or "default"}
    lines: list[str] = []
    for name, help_text, samples in (*_of_the_run(figures, earlier_success_s), *_of_the_account(figures)):
        if samples:
            lines += (f"# HELP {name} {help_text}", f"# TYPE {name} gauge")
            lines += (f"{name}{{{_labels(labels | more)}}} {_number(value)}" for more, value in samples)
    return "".join(f"{line}\n" for line in lines).encode()


def _of_the_run(figures: RunFigures, earlier_success_s: float | None) -> Iterator[tuple[str, str, Samples]]:
    success_s = earlier_success_s if figures.exit_code else figures.ended_s
    yield _LAST_RUN, "When the last run began, in seconds since 1970.", _one(figures.started_s)
    yield _LAST_SUCCESS, "When the last run with exit code 0 ended, in seconds since 1970.", _one(success_s)
    took_s = max(0.0, figures.ended_s - figures.started_s)
    yield "ncrawl_last_run_duration_seconds", "How long the last run took.", _one(took_s)
    yield "ncrawl_last_run_exit_code", "Exit code of the last run.", _one(figures.exit_code)
    yield "ncrawl_snapshots_kept", "Snapshots that there are.", _one(figures.snapshots_kept)


def _of_the_account(figures: RunFigures) -> Iterator[tuple[str, str, Samples]]:
    made = figures.manifest
    if made is None:
        return
    regions = made.totals.regions.items()
    if made.registries:
        counts = ((region, sums.registries, verdict.value) for region, sums in regions for verdict in Verdict)
        samples: Samples = [({"region": region, "verdict": one}, getattr(sums, one)) for region, sums, one in counts]
        yield "ncrawl_registries", "Registries by the verdict of the last run.", samples
    for name, help_text in _REGION_FAMILIES.items():
        if made.registries or name not in _OF_REGISTRIES:
            found = ((region, getattr(sums, name, None)) for region, sums in regions)
            yield f"ncrawl_{name}", help_text, [({"region": one}, value) for one, value in found if value is not None]
    if took_s := made.totals.seconds:
        rate_per_s = made.totals.requests / took_s
        yield "ncrawl_requests_per_second", "Requests a second in the last run, on average.", _one(rate_per_s)
    if made.files:
        yield "ncrawl_snapshot_bytes", "Bytes of the data that the last run wrote, as stored.", _one(made.totals.bytes)
    if made.run.reuse:
        lists: Samples = [({"how": how}, getattr(made.run.reuse, how)) for how in _REUSE]
        yield "ncrawl_tag_lists", "Lists of tags that the last run reused, and what it refreshed beside them.", lists
    yield "ncrawl_expected_gaps", "Registries that are not whole, as is expected.", _one(len(made.expected_gaps))


def _one(value: float | None) -> Samples:
    return [] if value is None else [({}, value)]


def _labels(labels: dict[str, str]) -> str:
    escaped = ((name, "".join(_ESCAPES.get(one, one) for one in writable(text))) for name, text in labels.items())
    return ",".join(f'{name}="{text}"' for name, text in escaped)


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], text)


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _time(text: str) -> float | None:
    try:
        time_s = float(text)
    except ValueError:
        return None
    return time_s if 0 < time_s < math.inf else None


def _read(name: str) -> str:
    if is_special(name):
        raise FileNotFoundError(name)  # a pipe holds nothing that was written before
    fd = open_at_once(name)
    with os.fdopen(fd, "rb") as file:
        return file.read(_MOST_BYTES).decode()


def _why(error: OSError | UnicodeDecodeError) -> str:
    return f"it cannot be read: {error.strerror}" if isinstance(error, OSError) else "it is no text"
