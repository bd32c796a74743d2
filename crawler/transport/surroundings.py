"""Files that libraries read by themselves while connections are made: none may be one that is waited for.

OpenSSL opens `SSL_CERT_FILE`, and aiohttp a `.netrc` under --trust-env, without an end in time: a named pipe without a
writer would hold up signals and the deadline.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from crawler.errors import UsageError
from crawler.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator


def check_files(*, trust_env: bool) -> None:
    """Make sure that what libraries will read by themselves, if it is there, has an end.

    Raises:
        UsageError: it is a named pipe or a device.
    """
    for name, path in _read_unasked(trust_env=trust_env):
        try:
            found = Path(path).stat()
        except (OSError, ValueError):  # not there, or not for us: the library goes on without it
            continue
        if stat.S_ISFIFO(found.st_mode) or (stat.S_ISCHR(found.st_mode) and not _is_devnull(found)):
            raise UsageError(f"{name}: {visible(path)} is a pipe or a device, which may have no end: name a file")


def _read_unasked(*, trust_env: bool) -> Iterator[tuple[str, str]]:
    if certificates := os.environ.get("SSL_CERT_FILE"):
        yield "SSL_CERT_FILE", certificates
    if not trust_env:
        return
    if netrc := os.environ.get("NETRC"):
        yield "NETRC", netrc
    else:
        yield "--trust-env", os.path.expanduser("~/.netrc")  # noqa: PTH111 - raises nothing where there is no home


def _is_devnull(found: os.stat_result) -> bool:
    return found.st_rdev == Path(os.devnull).stat().st_rdev
