"""The files in which AWS's own tools keep keys and endpoints, as far as the environment has none.

The library reads variables, and asks clouds for the keys of a machine; files it leaves to others.
"""

from __future__ import annotations

from configparser import ConfigParser, Error
from pathlib import Path
from typing import TYPE_CHECKING

from crawler.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEYS = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
}
_PLACES = {"region": ("region", ("AWS_REGION", "AWS_DEFAULT_REGION")), "endpoint_url": ("endpoint", ())}
_OTHER_KEYS = (
    *("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    *("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
)


def profile_of(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what the profile says that AWS_PROFILE names, or ``default``, as the library calls it.

    Keys are left out where the environment has some, or a way to some.

    Raises:
        UsageError: there is no such profile, or a file cannot be read.
    """
    home = Path(environ.get("HOME") or "/")
    name = environ.get("AWS_PROFILE") or "default"
    shared = _section(environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / ".aws/credentials", name)
    config = _section(
        environ.get("AWS_CONFIG_FILE") or home / ".aws/config", name if name == "default" else f"profile {name}"
    )
    if not shared and not config and environ.get("AWS_PROFILE"):
        raise UsageError(f"AWS_PROFILE: no profile {name!r} in ~/.aws/credentials or ~/.aws/config")
    said = config | shared
    found = {}
    if not any(environ.get(one) for one in _OTHER_KEYS):
        found = {ours: said[theirs] for theirs, ours in _KEYS.items() if said.get(theirs)}
    for theirs, (ours, variables) in _PLACES.items():
        if said.get(theirs) and not any(environ.get(one) for one in variables):
            found[ours] = said[theirs]
    return found


def _section(path: Path | str, name: str) -> dict[str, str]:
    parser = ConfigParser(interpolation=None)
    try:
        parser.read(path, encoding="utf-8")
    except (Error, OSError, UnicodeDecodeError):  # whose words may hold a line of it
        raise UsageError(f"{path} cannot be read as AWS's tools write it") from None
    return dict(parser[name]) if parser.has_section(name) else {}
