"""What runs that are over left in a folder: removed at the end of the next one, as far as it can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.core.errors import OutputError
from crawler.output.files import remove_tree, writing
from crawler.snapshot.folder.names import started
from crawler.snapshot.folder.retention import REMOVED, finish_removal, why_it_stays
from crawler.snapshot.unfinished.run import PREFIX
from crawler.snapshot.unfinished.runs import keep_header_only

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


def remove_remains(folder: Path, spared: Collection[Path] = ()) -> list[str]:
    """Remove what unfinished runs, removals and trials left in ``folder``; return a sentence for each that stays.

    Of the runs in ``spared`` stays what says that there was one.
    """
    try:
        with writing(folder):
            remains = sorted(folder.glob(f"{PREFIX}*"))  # the newest run last: it stays the one to take up
    except OutputError as error:
        return [str(error)]
    outcomes = [_remove(path, is_spared=path in spared) for path in remains]
    return [problem for problem in outcomes if problem is not None]


def _remove(path: Path, *, is_spared: bool) -> str | None:
    """Remove one thing; return why it stays, if it does."""
    try:
        if is_spared:
            keep_header_only(path)
        elif _is_snapshot_without_name(path):
            return finish_removal(path)
        else:
            remove_tree(path)
    except OutputError as error:
        return why_it_stays(error)
    return None


def _is_snapshot_without_name(path: Path) -> bool:
    name = path.name.removeprefix(REMOVED)
    return name != path.name and started(name) is not None and path.is_dir() and not path.is_symlink()
