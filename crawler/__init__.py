"""Inventory crawler for NAVER Cloud Platform Container Registry: the Python API, all of it.

    import crawler

    async with crawler.connect(account="acme", rate=20) as client:
        async for image in client.images("team-a", region="kr"):
            print(image.region, image.registry, image.name, image.json())
        print(client.result.is_complete, client.result.missing)

    done = crawler.take_snapshot("/var/lib/ncrawl", run_id="2026-11-26")
    snapshot = crawler.Snapshot(done.path or "/var/lib/ncrawl/latest")

What is missing is a result, never an exception. Errors are of `crawler.NcrawlError`: something that makes a run
impossible, in one sentence. Nothing of the process is touched: no signals, no logging, no limits. Importing this is
cheap; libraries of the network are imported when something connects.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, TypedDict

from crawler.core.version import __version__

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Literal, Unpack

    from crawler.core.errors import NcrawlError, UsageError
    from crawler.core.model import Verdict
    from crawler.emulation import Emulator
    from crawler.emulation.options import EmulatorOptions
    from crawler.jobs.events import Observer
    from crawler.jobs.progress import Progress
    from crawler.jobs.python.client import Client
    from crawler.jobs.python.keys import CallForKeys, Keys
    from crawler.jobs.python.list_result import Listing, ListResult
    from crawler.jobs.python.records import Record
    from crawler.jobs.python.snapshots import Snapshot
    from crawler.jobs.snapshot.result import SnapshotResult
    from crawler.snapshot.comparing.diff import Difference
    from crawler.snapshot.manifest import Manifest
    from crawler.snapshot.verifying.diagnosis import Finding

__all__ = [
    "Client",
    "ConnectOptions",
    "Difference",
    "EmulatorOptions",
    "Finding",
    "Keys",
    "ListResult",
    "Listing",
    "Manifest",
    "NcrawlError",
    "Observer",
    "Progress",
    "Record",
    "Snapshot",
    "SnapshotOptions",
    "SnapshotResult",
    "UsageError",
    "Verdict",
    "__version__",
    "connect",
    "diff",
    "emulator",
    "take_snapshot",
    "take_snapshot_async",
]

_PLACES = {
    "Client": "crawler.jobs.python.client",
    "Difference": "crawler.snapshot.comparing.diff",
    "EmulatorOptions": "crawler.emulation.options",
    "Finding": "crawler.snapshot.verifying.diagnosis",
    "Keys": "crawler.jobs.python.keys",
    "ListResult": "crawler.jobs.python.list_result",
    "Listing": "crawler.jobs.python.list_result",
    "Manifest": "crawler.snapshot.manifest",
    "NcrawlError": "crawler.core.errors",
    "Observer": "crawler.jobs.events",
    "Progress": "crawler.jobs.progress",
    "Record": "crawler.jobs.python.records",
    "Snapshot": "crawler.jobs.python.snapshots",
    "SnapshotResult": "crawler.jobs.snapshot.result",
    "UsageError": "crawler.core.errors",
    "Verdict": "crawler.core.model",
}
"""Where a name is defined that is imported when it is asked for."""


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'crawler' has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)


class ConnectOptions(TypedDict, total=False):
    """What `connect` and `take_snapshot` take; what is left out has the default of the command line.

    Attributes:
        account: first field of every record; else the profile's name, or ``default``. With ``accounts`` one of those.
        accounts: file of accounts: says where the account has its keys, and which settings are its own.
        keys: `Keys`, or what gives them when it is called, async or not: first of all, and again before those that it
            gave expire. Else they are looked for where the provider's own tools do.
        profile: section of ``~/.ncloud/configure`` to take the keys from.
        zone: installation of the provider.
        api: version of the provider's API.
        gateway: origin of the API; https, or http on loopback; by region where each has its own.
        allow_gateway: sign requests to a host that is not the provider's.
        trust_env: heed proxy variables and .netrc.
        regions: codes; else all of the zone's.
        exclude: registries whose images are not listed: ``region/name`` with ``*``.
        expected_gaps: registries that are known to be unreadable, likewise.
        rate: requests a second over everything; None is unlimited, 50 the default.
        region_rate: the same for each region; unlimited by default.
        concurrency: requests in flight at most; none of them is let go of for a limit of open files.
        page_size: records a page; ``auto`` asks for the most that is given.
        verify: how much is proved.
        timeout: seconds after which a listing, or a snapshot, ends with what it has.
        heartbeat: how often `observe` is told where a run stands, such as ``30s``; else ``1m``; ``off`` is never.
        observe: is told of events; it must not block, and may be called from other threads.
    """

    account: str
    accounts: str | os.PathLike[str]
    keys: Keys | CallForKeys | None
    profile: str
    zone: str
    api: Literal["v2", "v3"]
    gateway: str | Mapping[str, str]
    allow_gateway: bool
    trust_env: bool
    regions: Sequence[str]
    exclude: Sequence[str]
    expected_gaps: Sequence[str]
    rate: float | None
    region_rate: float | None
    concurrency: int
    page_size: int | Literal["auto"]
    verify: Literal["auto", "always", "never"]
    timeout: float | None
    heartbeat: str
    observe: Observer


class SnapshotOptions(ConnectOptions, total=False):
    """What `take_snapshot` takes besides.

    Attributes:
        level: how deep to go: ``tags`` takes a request for each image at least, and is to have a `timeout` for that.
        compress: how to pack the data files.
        accept: what `latest` may point to: ``complete``, ``partial``, or the share that may be missing: ``5%``.
        retry_failed: a snapshot of which only what it lacks is fetched, and the rest is copied.
        reuse: a snapshot whose tags are copied where an image's record is, but for ``pull_count``, the same as then;
            ``latest`` will do. With ``level="tags"`` only.
        refresh: which of those are fetched all the same: ``1/7``, the default, to ``6/7``; ``all``; or ``none``.
        keep: how many snapshots to keep.
        keep_days: of how many days.
        push: URL of an object storage to copy it to; what fails there warns, and is tried again by the next run.
    """

    level: Literal["registries", "images", "tags"]
    compress: Literal["none", "gzip", "zstd"]
    accept: str
    retry_failed: str
    reuse: str
    refresh: str
    keep: int
    keep_days: int
    push: str


def connect(**options: Unpack[ConnectOptions]) -> Client:
    """Return a client, to be entered with ``async with``; see `ConnectOptions`, and `Client` for what it lists.

    Raises:
        UsageError: an option cannot be used; carries every problem.
    """
    from crawler.jobs.python.arguments import client_of  # noqa: PLC0415 - whoever only reads snapshots needs no network

    return client_of(dict(options))


def take_snapshot(
    folder: str | os.PathLike[str], *, run_id: str | None = None, **options: Unpack[SnapshotOptions]
) -> SnapshotResult:
    """Take a snapshot below ``folder``, and return what came of it.

    Can be called from any thread, also from one in which an event loop is running, which waits then: it runs in a
    thread and an event loop of its own. Ctrl-C while it is waited for cuts the run off.

    Args:
        folder: where snapshots are; it has to be there.
        run_id: what the caller calls this run. It is made once: asked for again, the snapshot that was made is returned
            as it is; a run that was cut off is taken up where it was.
        options: see `SnapshotOptions`. A `timeout` of an hour is the default; then what was had is published.

    Raises:
        NcrawlError: no snapshot can be taken, for a reason that its sentence gives; its ``exit_code`` is the command's.
    """
    from crawler.jobs.python.apart import run_apart  # noqa: PLC0415 - likewise

    return run_apart(lambda: take_snapshot_async(folder, run_id=run_id, **options))


async def take_snapshot_async(
    folder: str | os.PathLike[str], *, run_id: str | None = None, **options: Unpack[SnapshotOptions]
) -> SnapshotResult:
    """Take a snapshot as `take_snapshot` does, in the running event loop, which must be asyncio's.

    Cancelled, it leaves a run that the same ``run_id`` takes up.
    """
    from pathlib import Path  # noqa: PLC0415 - likewise

    from crawler.jobs.python.arguments import take_snapshot as take  # noqa: PLC0415 - likewise

    return await take(Path(folder), run_id, dict(options))


def diff(
    old: Snapshot | str | os.PathLike[str],
    new: Snapshot | str | os.PathLike[str],
    *,
    ignore: Iterable[str] = (),
    warn: Callable[[str], None] | None = None,
) -> Iterator[Difference]:
    """Yield what differs between two snapshots, in order; what a side lacks because it is not whole is ``unknown``.

    Args:
        old: what was.
        new: what is.
        ignore: names of fields whose changes are none.
        warn: is told of what is damaged, and of accounts that may be two.

    Raises:
        UsageError: they cannot be read or compared.
    """
    from crawler.jobs.python.snapshots import Snapshot, differences  # noqa: PLC0415 - likewise

    before, after = (side if isinstance(side, Snapshot) else Snapshot(side) for side in (old, new))
    return differences(before, after, ignore=ignore, warn=warn)


def emulator(**options: Any) -> Emulator:
    """Return the API of a made-up account on loopback, to be entered with ``async with``.

        async with crawler.emulator(registries=3, images=50) as emulator:
            keys = crawler.Keys(emulator.access_key, emulator.secret_key)
            async with crawler.connect(gateway=emulator.url, keys=keys) as client:
                ...

    Args:
        options: see `EmulatorOptions`.
    """
    from crawler.emulation import Emulator, EmulatorOptions  # noqa: PLC0415 - likewise

    return Emulator(EmulatorOptions(**options))
