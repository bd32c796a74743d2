"""Open the two sides of a diff, and find out whether they can be compared at all."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from crawler.api.collections import IMAGES
from crawler.core.errors import UsageError
from crawler.output.files import mode_of
from crawler.snapshot.comparing.plain_files import PlainFile, read_summary
from crawler.snapshot.comparing.sides import Snapshot
from crawler.snapshot.manifest import MANIFEST, ManifestError, read
from crawler.snapshot.reading.chunks import UnreadableError

if TYPE_CHECKING:
    from pathlib import Path

    from crawler.snapshot.comparing.sides import Side


def open_side(path: Path, *, summary: Path | None = None, assume_complete: bool = False, side: str = "old") -> Side:
    """Open a snapshot's folder, or a file of images.

    Args:
        path: of either.
        summary: what the run that wrote a file said of itself.
        assume_complete: take a file without a summary as whole.
        side: ``old`` or ``new``, to name the option that is missing.

    Raises:
        UsageError: it is neither, or the summary is missing, of another file, or not wanted.
        ManifestError: the manifest or the summary is damaged.
        DamagedError: the file is not what its summary says.
    """
    _check_is_there(path)
    if stat.S_ISDIR(mode_of(path)):
        if summary is not None:
            raise UsageError(f"--{side}-summary: {path} is a snapshot, which has a manifest: leave the option out")
        return _open_snapshot(path)
    if summary is not None:
        return PlainFile(path, read_summary(summary))
    if assume_complete:
        return PlainFile(path)
    raise UsageError(
        f"{path} does not say whether it is complete: give --{side}-summary FILE, which `ncrawl images --summary FILE` "
        "wrote in the same run, or --assume-complete if nothing can be missing"
    )


def _check_is_there(path: Path) -> None:
    try:
        path.stat()
    except OSError as error:
        raise UnreadableError(path, f"cannot be read: {error.strerror}") from None


def _open_snapshot(path: Path) -> Snapshot:
    manifest = read(path)
    if len({record.place for record in manifest.registries}) != len(manifest.registries):
        raise ManifestError(f"{path}: {MANIFEST} lists a registry twice: `ncrawl verify {path}` tells more")
    return Snapshot(path, manifest)


def relate(old: Side, new: Side) -> list[str]:
    """Let one account have one name on both sides, and return what a user has to know of the accounts.

    Raises:
        UsageError: they are of different zones, which have nothing in common but the codes of regions; or one has only
            a list of registries, and the other has none.
    """
    if set(old.levels).isdisjoint(new.levels):
        side = new if IMAGES in old.levels else old
        raise UsageError(f"{side.path} has no images to compare: it is a snapshot of --level registries")
    zones = [side.manifest.run.options.get("zone") if side.manifest else None for side in (old, new)]
    if None not in zones and zones[0] != zones[1]:
        raise UsageError(
            f"{old.path} is of zone {zones[0]}, {new.path} of zone {zones[1]}: compare what is of one zone"
        )
    keys = [side.manifest.run.identity if side.manifest else None for side in (old, new)]
    if None in (old.account, new.account):
        return []
    if old.account != new.account:
        return [_relate_names(old, new, are_same_keys=None not in keys and keys[0] == keys[1])]
    if None in keys or keys[0] == keys[1]:
        return []
    told = f"{old.path} and {new.path} were taken with different keys, though both call their account {new.account}"
    return [f"{told}: if the keys were not changed in between, they are of two accounts"]


def _relate_names(old: Side, new: Side, *, are_same_keys: bool) -> str:
    told = f"{old.path} is of account {old.account} and {new.path} of account {new.account}"
    if not are_same_keys or new.account is None:
        return f"{told}: nothing of the one is compared with the other"
    old.rename_account(new.account)
    return f"{told}, but both were taken with the same keys: they are compared as one account, {new.account}"
