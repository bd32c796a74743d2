"""Push a snapshot: its data files, then its manifest, then `latest.json`, so that any of it can be cut off.

    PREFIX/ACCOUNT/20261123T020000Z/{registries,images,tags}.ndjson…   sent unless it is there by its checksum
    PREFIX/ACCOUNT/20261123T020000Z/manifest.json                      made once: without it there is no snapshot
    PREFIX/ACCOUNT/latest.json                                         moved by compare-and-swap, never back

A storage that does not keep writers apart is told of, and served all the same: a snapshot's name is never used twice.
"""

from __future__ import annotations

import errno
import os
import stat
from math import inf
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from crawler.core.errors import UsageError
from crawler.jobs.push.account import account_of
from crawler.output.files import mode_of, writing
from crawler.output.stores.interface import DamagedSourceError, ExistsError
from crawler.output.stores.place import Place
from crawler.snapshot.folder.latest import accepts, followed
from crawler.snapshot.folder.names import started
from crawler.snapshot.folder.remote import move_latest
from crawler.snapshot.manifest import MANIFEST, ManifestError, load, read_bytes
from crawler.snapshot.reading.chunks import DamagedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.output.stores.interface import Store
    from crawler.snapshot.manifest import Manifest, StoredFile


class Pushed(NamedTuple):
    """What came of a push.

    Attributes:
        name: of the snapshot.
        url: of it, where it was pushed to.
        sent: how many files were.
        sent_bytes: of them.
        latest: what became of `latest.json`.
        is_safe: whether the storage keeps those apart who push at once.
    """

    name: str
    url: str
    sent: int
    sent_bytes: int
    latest: str
    is_safe: bool

    @property
    def told(self) -> str:
        """It in words."""
        files = f"{self.sent} {'file' if self.sent == 1 else 'files'}, {self.sent_bytes:,} bytes sent"
        return f"{self.url}: {files if self.sent else 'nothing was to be sent'}; {self.latest}"


class Outgoing(NamedTuple):
    """A local snapshot that is to be pushed."""

    folder: Path
    name: str
    account: str
    data: bytes
    manifest: Manifest


def outgoing(snapshot: Path) -> Outgoing:
    """Open a local snapshot, and prove its manifest.

    Raises:
        UsageError: it is none, or one of several accounts.
        ManifestError: its manifest is damaged, or made up.
    """
    if isinstance(snapshot, Place):
        raise UsageError(f"{snapshot} is no local snapshot: name one of this machine's")
    folder = Path(os.path.realpath(followed(snapshot)))
    data = read_bytes(folder)
    manifest = load(data)
    name = folder.name if started(folder.name) is not None else manifest.run.id
    if started(name) is None or not manifest.has_files_of_ours:
        raise ManifestError(f"{folder}: {MANIFEST} is not one that ncrawl wrote: a name in it could lead anywhere")
    return Outgoing(folder, name, account_of(folder, manifest), data, manifest)


def push(
    one: Outgoing, target: Store, *, until_s: float = inf, watch: Callable[[int], object] = lambda _: None
) -> Pushed:
    """Push a snapshot below a prefix; what is there already is not sent again.

    Args:
        one: the snapshot.
        target: the store of the prefix.
        until_s: monotonic time after which no other file is begun.
        watch: told how many bytes were dealt with, each time some were.

    Raises:
        DamagedError: a data file is not what the manifest says.
        UsageError: another snapshot has its name there.
        OutputError: it cannot be written, or not in time; what was there before is as it was.
    """
    account = target.below(one.account)
    url = f"{account.url}/{one.name}"
    sent: list[StoredFile] = []
    with writing(url):
        is_safe = account.can_create and account.can_swap
        if not _is_there(account, one):
            for file in one.manifest.files:
                _check_time(until_s)
                if _send(account, one, file):
                    sent.append(file)
                watch(file.bytes)
            _publish(account, one)
        latest = _settle(account, one)
    return Pushed(one.name, url, len(sent), sum(file.bytes for file in sent), latest, is_safe)


def _check_time(until_s: float) -> None:
    if monotonic() > until_s:
        raise TimeoutError(errno.ETIMEDOUT, "there was no time left; what is there already is not sent again")


def _is_there(account: Store, one: Outgoing) -> bool:
    """Whether the snapshot has its manifest there, and so all of it.

    Raises:
        UsageError: another one has its name.
    """
    stored = account.read(f"{one.name}/{MANIFEST}")
    if stored is not None and stored.data != one.data:
        raise UsageError(f"{account.url}/{one.name} is another snapshot, which stays: push to another prefix")
    return stored is not None


def _send(account: Store, one: Outgoing, file: StoredFile) -> bool:
    """Send a data file, unless it is there; return whether it was sent.

    Raises:
        DamagedError: it is not what the manifest says.
    """
    path, name = one.folder / file.name, f"{one.name}/{file.name}"
    if not stat.S_ISREG(mode_of(path)) or path.stat().st_size != file.bytes:
        raise DamagedError(path, f"is no file of {file.bytes:,} bytes; `ncrawl verify {one.folder}` tells more")
    if account.holds(name, file.bytes, file.sha256):
        return False
    try:
        account.put(name, path, sha256=file.sha256)
    except DamagedSourceError:
        told = f"does not have the SHA-256 of its manifest; `ncrawl verify {one.folder}` tells more"
        raise DamagedError(path, told) from None
    return True


def _publish(account: Store, one: Outgoing) -> None:
    try:
        account.create(f"{one.name}/{MANIFEST}", one.data)
    except ExistsError:  # since it was looked for
        _is_there(account, one)


def _settle(account: Store, one: Outgoing) -> str:
    """Move `latest.json` by the policy that the snapshot's own run had; return what became of it."""
    policy = str(one.manifest.run.options.get("accept", "complete"))
    if not accepts(policy, one.manifest):
        return f"latest is not moved: --accept {policy}"
    return "latest points to it" if move_latest(account, one.name, one.data) else "latest points to it, or a newer one"
