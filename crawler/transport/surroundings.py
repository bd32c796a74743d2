"""Files that libraries read by themselves while connections are made: each has to have an end and to be understood.

OpenSSL opens `SSL_CERT_FILE`, and aiohttp a `.netrc` under --trust-env, without an end in time: a named pipe without a
writer would hold up signals and the deadline. And of a `.netrc` that cannot be parsed aiohttp tells for each request,
by a word out of it, which may be a password.
"""

from __future__ import annotations

import netrc
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from crawler.core.errors import UsageError
from crawler.core.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator


def check_files(*, trust_env: bool) -> list[str]:
    """Make sure that what libraries will read by themselves, if it is there, has an end; return what is odd about it.

    Raises:
        UsageError: it is a named pipe or a device, or would make a library fail.
    """
    if certificates := os.environ.get("SSL_CERT_FILE"):
        _check_kind("SSL_CERT_FILE", certificates)
    return list(_check_logins()) if trust_env else []


def _check_logins() -> Iterator[str]:
    """Read the `.netrc` that aiohttp will read."""
    variable = os.environ.get("NETRC")
    name, path = ("NETRC", variable) if variable else ("--trust-env", os.path.expanduser("~/.netrc"))  # noqa: PTH111
    _check_kind(name, path)
    passed_over = f"{name}: no login is taken from {visible(path)}:"
    try:
        netrc.netrc(path)
    except netrc.NetrcParseError:  # whose words hold some of the file's, and whose line is another in each Python
        yield f"{passed_over} it cannot be understood"
    except ValueError:
        raise UsageError(f"{name}: {visible(path)} is not text in UTF-8: save it as such, or move it away") from None
    except OSError as error:
        if variable or not isinstance(error, FileNotFoundError):
            yield f"{passed_over} {error.strerror}"


def _check_kind(name: str, path: str) -> None:
    try:
        found = Path(path).stat()
    except (OSError, ValueError):  # not there, or not for us: the library goes on without it
        return
    if stat.S_ISFIFO(found.st_mode) or (stat.S_ISCHR(found.st_mode) and not _is_devnull(found)):
        raise UsageError(f"{name}: {visible(path)} is a pipe or a device, which may have no end: name a file")


def _is_devnull(found: os.stat_result) -> bool:
    return found.st_rdev == Path(os.devnull).stat().st_rdev
