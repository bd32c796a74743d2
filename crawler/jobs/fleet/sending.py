"""Send a snapshot into a storage: its data first, then its manifest, which is made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.output.files import writing
from crawler.output.stores.interface import ExistsError
from crawler.snapshot.manifest import MANIFEST, load, read_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from crawler.output.stores.interface import Store


def send(snapshot: Path, store: Store, account: str) -> None:
    """Send a snapshot into the folder of an account; what is there already stays.

    Raises:
        OutputError: it cannot be written, or another one is there under its name.
    """
    data = read_bytes(snapshot)
    folder = f"{account}/{snapshot.name}"
    with writing(f"{store.url}/{folder}"):
        for file in load(data).files:
            if not store.holds(f"{folder}/{file.name}", file.bytes, file.sha256):
                store.put(f"{folder}/{file.name}", snapshot / file.name, sha256=file.sha256)
        try:
            store.create(f"{folder}/{MANIFEST}", data)
        except ExistsError:
            there = store.read(f"{folder}/{MANIFEST}")
            if there is None or there.data != data:
                raise
