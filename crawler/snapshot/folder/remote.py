"""A folder of snapshots in an object storage: `latest.json`, and how a snapshot goes."""

from __future__ import annotations

import errno
import hashlib
from typing import TYPE_CHECKING

import msgspec

from crawler.output.stores.interface import ChangedError, ExistsError
from crawler.snapshot.folder.names import started
from crawler.snapshot.manifest import MANIFEST

if TYPE_CHECKING:
    from crawler.output.stores.interface import Store, Stored
    from crawler.output.stores.place import Place

LATEST = "latest.json"
_TRIES = 20


class Latest(msgspec.Struct, frozen=True):
    """Which snapshot to rely on, and the SHA-256 of its manifest."""

    snapshot: str
    manifest_sha256: str


def named_latest(store: Store, folder: str = "") -> str:
    """Return the name of the snapshot that `latest.json` in a folder names; empty if there is none.

    Raises:
        OSError: it cannot be read, or is damaged.
    """
    stored = store.read(f"{folder}/{LATEST}" if folder else LATEST)
    return "" if stored is None else _decoded(stored).snapshot


def move_latest(store: Store, snapshot: str, manifest: bytes) -> bool:
    """Let `latest.json` name a snapshot, unless it names that one or a newer one; return whether it was moved.

    Args:
        store: the account's folder.
        snapshot: its name.
        manifest: the bytes of its manifest.

    Raises:
        OSError: it cannot be read or written, or is damaged.
    """
    data = msgspec.json.encode(Latest(snapshot, hashlib.sha256(manifest).hexdigest())) + b"\n"
    for _ in range(_TRIES):
        stored = store.read(LATEST)
        if stored is not None and _decoded(stored).snapshot >= snapshot:
            return False
        try:
            if stored is None:
                store.create(LATEST, data)
            else:
                store.swap(LATEST, data, stored.tag)
        except (ExistsError, ChangedError):
            continue
        return True
    raise OSError(errno.EAGAIN, f"{LATEST} is changed by others all the time")


def remove_snapshot(place: Place) -> str | None:
    """Remove a snapshot, the manifest first: without it what is left is none; return what is left, and why.

    Raises:
        OSError: nothing of it is removed.
    """
    manifest = f"{place.key}/{MANIFEST}"
    others = [found.name for found in place.store.files(place.key) if found.name != manifest]
    place.store.remove(manifest)
    for name in others:
        try:
            place.store.remove(name)
        except OSError as error:
            return f"{place} is no snapshot any more, but files of it are left: {error.strerror}; remove them by hand"
    return None


def _decoded(stored: Stored) -> Latest:
    try:
        latest = msgspec.json.decode(stored.data, type=Latest)
    except ValueError:
        latest = None
    if latest is None or started(latest.snapshot) is None:
        raise OSError(errno.EBADMSG, f"{LATEST} is damaged: it names no snapshot")
    return latest
