"""Who else can write a file, or put another one in its place: what decides whether its words count.

As ssh looks at its own files: the file, each folder on the way to it, and each link that is followed. Root and this
user are trusted, and a group that is one of theirs alone. ACLs are seen by what they do to the mode of the group.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from crawler.core.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_STEPS = 1000  # more than any path that the system would have opened


def who_else_writes(path: Path, opened: os.stat_result) -> str | None:
    """Say which file or folder others can write, and how to mend that; None if nobody but root and this user can.

    Args:
        path: as it was opened.
        opened: of the open file itself. A pipe has no folder: whoever made this process gave it.

    Raises:
        OSError: a folder on the way cannot be looked at.
    """
    uid = os.geteuid()
    if stat.S_ISCHR(opened.st_mode):
        return None  # /dev/null or a terminal: what others write there is not what is read
    if found := foreign_hand(opened, uid):
        return f"it {found}"
    if not stat.S_ISREG(opened.st_mode):
        return None
    for step in islice(_way_to(path), _MOST_STEPS):
        status = step.lstat()
        is_exempt = stat.S_ISDIR(status.st_mode) and _is_read_only(step)  # a ConfigMap's folder has mode 0777
        if found := foreign_hand(status, uid, writes_count=not is_exempt):
            return f"{visible(str(step))} {found}"
    return None


def foreign_hand(status: os.stat_result, uid: int, *, writes_count: bool = True) -> str | None:
    """Say what lets others than root and the user ``uid`` at a file, folder or link; None if nothing does."""
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid not in (0, uid):
        return f"belongs to another user (uid {status.st_uid}): take a copy of your own"
    is_shared = stat.S_ISDIR(status.st_mode) and mode & stat.S_ISVTX  # /tmp: nobody replaces what others put there
    if stat.S_ISLNK(status.st_mode) or is_shared or not writes_count:
        return None
    if mode & stat.S_IWOTH:
        return f"can be written by everybody (mode {mode:04o}): chmod go-w it"
    if mode & stat.S_IWGRP and not _is_own_group(status.st_gid, uid):
        return f"can be written by its group (mode {mode:04o}, gid {status.st_gid}): chmod g-w it"
    return None


def _way_to(path: Path) -> Iterator[Path]:
    """Yield each folder and each link that the system goes through to open ``path``, and the file at the end."""
    place = Path("/") if path.is_absolute() else Path.cwd()
    yield from (place, *place.parents)
    names = [*reversed(path.parts)]
    while names:
        name = names.pop()
        place = place.parent if name == ".." else place / name
        yield place
        if place.is_symlink():
            names += reversed(place.readlink().parts)  # an absolute one begins with the root, which resets `place`
            place = place.parent


def _is_read_only(folder: Path) -> bool:
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def _is_own_group(gid: int, uid: int) -> bool:
    """Whether a group is root's, or one that was made for the user alone: of the same name or number, no others."""
    if gid == 0:
        return True
    try:
        group, user = grp.getgrgid(gid), pwd.getpwuid(uid)
    except KeyError:
        return gid == uid
    return group.gr_name == user.pw_name and not set(group.gr_mem) - {user.pw_name}
