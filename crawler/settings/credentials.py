"""Find the keys where the provider's own tools look, and renew those of a server role before they expire.

The order: a profile that was asked for; the environment; ``~/.ncloud/configure``; the role of the server. No message
ever shows a key. Source: the provider's CLI and SDK guides (reference, "Credentials").
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from crawler.api.nesting import nests_deeper
from crawler.core.errors import CredentialsError, RequestError
from crawler.settings.key_check import hint_at_quotes, hint_at_zone, pair, parse_expiration
from crawler.settings.key_file import DEFAULT_SECTION, parse_configure, read_key_file, section_name
from crawler.settings.options import plain, shown
from crawler.settings.origin import parse_origin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crawler.core.secret import KeyPair

Fetch = Callable[[str], Awaitable[bytes]]
"""Send a GET to a URL and return the body of a 200; raise RequestError for everything else, soon."""

ACCESS_VARIABLES = ("NCLOUD_ACCESS_KEY_ID", "NCLOUD_ACCESS_KEY")
SECRET_VARIABLES = ("NCLOUD_SECRET_ACCESS_KEY", "NCLOUD_SECRET_KEY")
ENDPOINT_VARIABLE = "NCLOUD_METADATA_ENDPOINT"
DEFAULT_ENDPOINT = "http://169.254.169.254"
ROLE_PATH = "/latest/meta-data/iam/security-credentials/"
ACCESS_KEY = "ncloud_access_key_id"
SECRET_KEY = "ncloud_secret_access_key"  # noqa: S105 - its name
API_URL = "ncloud_api_url"
GATEWAY_VARIABLE = "NCLOUD_API_GW"
RENEWAL_MARGIN_S = 300.0
RENEWAL_PAUSE_S = 10.0
_ROLE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=,@-]{0,127}")


class Credentials:
    """Gives the keys to sign with; renews those that expire, one renewal at a time.

    State: the keys, how long they last, when to renew them next, and why that failed last.
    """

    def __init__(
        self, keys: KeyPair, now_s: float = 0.0, renew: Callable[[float], Awaitable[KeyPair]] | None = None
    ) -> None:
        self._renew = renew
        self._lock = asyncio.Lock()
        self._take(keys, now_s)

    @property
    def source(self) -> str:
        """Where the keys were found, for messages."""
        return self._keys.source

    @property
    def secrets(self) -> tuple[str, str]:
        """Both keys, to be kept out of texts."""
        return self._keys.access_key.reveal(), self._keys.secret_key.reveal()

    def peek(self, now_s: float) -> KeyPair | None:
        """Return the keys if no renewal is due, else None: ``current`` without waiting. O(1), for every request."""
        return self._keys if now_s < self._renew_at_s and now_s < self._expires_at_s else None

    async def current(self, now_s: float) -> KeyPair:
        """Return keys that are valid at ``now_s`` (seconds since 1970, UTC).

        While one caller renews, the others go on with the old keys as long as those last.

        Raises:
            CredentialsError: the keys have expired and could not be renewed.
        """
        if keys := self.peek(now_s):
            return keys
        if self._lock.locked() and now_s < self._expires_at_s:
            return self._keys
        async with self._lock:
            if now_s >= self._renew_at_s:
                await self._try_to_renew(now_s)
        if now_s >= self._expires_at_s:
            raise CredentialsError(f"{self._keys.source}: the keys have expired and were not renewed: {self._failure}")
        return self._keys

    def _take(self, keys: KeyPair, now_s: float) -> None:
        """Use these keys from now on, and renew them with five minutes or a fifth of their life left: the shorter."""
        self._keys, self._failure = keys, "nobody knows how"
        self._expires_at_s = self._renew_at_s = math.inf
        if keys.expires_at_s is not None:
            self._expires_at_s = keys.expires_at_s
            self._renew_at_s = keys.expires_at_s - min(RENEWAL_MARGIN_S, (keys.expires_at_s - now_s) / 5)

    async def _try_to_renew(self, now_s: float) -> None:
        """Take new keys, or note the failure and leave the endpoint alone for a while."""
        if self._renew is None:
            return
        try:
            self._take(await self._renew(now_s), now_s)
        except CredentialsError as error:
            self._failure, self._renew_at_s = str(error), now_s + RENEWAL_PAUSE_S


@dataclass(frozen=True, slots=True)
class FoundKeys:
    """What the search came back with.

    Attributes:
        account: the profile's name, or ``default``: the first field of every record.
        warnings: sentences for the user, without secrets.
        api_url: ``ncloud_api_url`` of the section, if there is one.
        api_url_place: where that stands.
    """

    credentials: Credentials
    account: str = "default"
    warnings: tuple[str, ...] = ()
    api_url: str | None = None
    api_url_place: str = ""


@dataclass(frozen=True, slots=True)
class _NoKeys:
    """Why the key file has none; ``is_odd`` where a user would want to know although keys are found elsewhere."""

    why: str
    is_odd: bool = False


async def find_keys(
    environ: Mapping[str, str],
    *,
    profile: str | None,
    zone: str,
    fetch: Fetch,
    now_s: float,
    until_s: float = math.inf,
) -> FoundKeys:
    """Return the keys from the first place that has any.

    Args:
        environ: the environment; ``HOME`` says where the key file is.
        profile: section of the key file; comes before the environment, for it was asked for.
        zone: zone of the settings, to warn about a key file or an environment that is of another one.
        fetch: how to ask the metadata endpoint of a server.
        now_s: seconds since 1970, UTC.
        until_s: monotonic time by which a key file that is a pipe has to have come.

    Raises:
        CredentialsError: none anywhere, half a pair, an unknown profile, or a file that cannot be read.
    """
    found = _keys_of_environment(environ) if profile is None else None
    found = found or await _keys_of_file_or_role(environ, profile, fetch, now_s=now_s, until_s=until_s)
    named = ((found.api_url_place, found.api_url), (GATEWAY_VARIABLE, environ.get(GATEWAY_VARIABLE)))
    hints = (hint_at_zone(place, url, zone) for place, url in named if url)
    return replace(found, warnings=(*found.warnings, *filter(None, hints)))


async def _keys_of_file_or_role(
    environ: Mapping[str, str], profile: str | None, fetch: Fetch, *, now_s: float, until_s: float
) -> FoundKeys:
    path = key_file_of(environ)
    in_file = _keys_of_file(path, profile, until_s)
    if isinstance(in_file, FoundKeys):
        return in_file
    renew = partial(_keys_of_role, _endpoint(environ), fetch)
    try:
        keys = await renew(now_s)
    except CredentialsError as error:
        raise CredentialsError(
            f"no keys found in the environment ({ACCESS_VARIABLES[0]}, {SECRET_VARIABLES[0]}), "
            f"in {plain(path)} ({in_file.why}), nor from this server ({error})\n"
            f"to set them: export {ACCESS_VARIABLES[0]}=... {SECRET_VARIABLES[0]}=...\n"
            "to try ncrawl without keys: ncrawl demo"
        ) from None
    warning = f"{plain(path)}: {in_file.why}; going on with the keys of the {keys.source}"
    return FoundKeys(Credentials(keys, now_s, renew), warnings=(warning,) if in_file.is_odd else ())


def key_file_of(environ: Mapping[str, str]) -> Path:
    """Return where the provider's key file is, or would be."""
    home = environ.get("HOME") or os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises where nobody has a home
    return Path(home, ".ncloud", "configure")


def _keys_of_environment(environ: Mapping[str, str]) -> FoundKeys | None:
    access = next((name for name in ACCESS_VARIABLES if environ.get(name)), None)
    secret = next((name for name in SECRET_VARIABLES if environ.get(name)), None)
    if access and secret:
        source = f"environment ({access}, {secret})"
        keys = pair(environ[access], environ[secret], source)
        return FoundKeys(Credentials(keys), warnings=hint_at_quotes(environ[secret], source))
    if access or secret:
        missing = " or ".join(SECRET_VARIABLES if access else ACCESS_VARIABLES)
        raise CredentialsError(f"{access or secret} is set, but its other half is not: set {missing} as well")
    return None


def _keys_of_file(path: Path, profile: str | None, until_s: float) -> FoundKeys | _NoKeys:
    """Return the keys of the profile; or why there are none, unless a profile was asked for."""
    try:
        text, warnings = read_key_file(path, until_s)
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        return _without_file(path, profile, error)
    sections = parse_configure(text, plain(path))
    name = section_name(profile or DEFAULT_SECTION)
    known = ", ".join(map(plain, sections)) or "none"
    if profile is not None and name not in sections:
        raise CredentialsError(f"profile {shown(profile)} is not in {plain(path)}: profiles there: {known}")
    section = sections.get(name, {})
    if profile is None and not section.keys() & {ACCESS_KEY, SECRET_KEY}:
        return _NoKeys(f"no keys in [{DEFAULT_SECTION}]; profiles for --profile: {known}")
    found = _keys_of_section(section, f"{plain(path)} [{plain(name)}]")
    account = "default" if name == DEFAULT_SECTION else name
    return replace(found, account=account, warnings=(*warnings, *found.warnings))


def _without_file(path: Path, profile: str | None, error: OSError) -> _NoKeys:
    """Return why a key file that need not be there says nothing; raise where a profile of it was asked for."""
    is_closed = isinstance(error, PermissionError)
    if profile is None:
        return _NoKeys(f"it may not be read: {error.strerror}", is_odd=True) if is_closed else _NoKeys("no such file")
    raise CredentialsError(
        f"cannot read {plain(path)}: {error.strerror}"
        if is_closed
        else f"profile {shown(profile)}: there is no {plain(path)}: write it as `ncloud configure` does"
    ) from None


def _keys_of_section(section: Mapping[str, str], place: str) -> FoundKeys:
    if missing := [key for key in (ACCESS_KEY, SECRET_KEY) if key not in section]:
        raise CredentialsError(f"{place}: missing {' and '.join(missing)}: a section needs both halves of its own")
    keys = pair(section[ACCESS_KEY], section[SECRET_KEY], place)
    warnings = hint_at_quotes(section[SECRET_KEY], place)
    url = section.get(API_URL)
    return FoundKeys(Credentials(keys), warnings=warnings, api_url=url, api_url_place=f"{place}: {API_URL}")


def _endpoint(environ: Mapping[str, str]) -> str:
    """Return the origin of the metadata service; http only where it stays on this machine or its link."""
    try:
        origin = parse_origin(environ.get(ENDPOINT_VARIABLE) or DEFAULT_ENDPOINT)
    except ValueError as error:
        raise CredentialsError(f"{ENDPOINT_VARIABLE}: {error}") from None
    if origin.scheme != "https" and not origin.is_loopback and str(origin) != DEFAULT_ENDPOINT:
        raise CredentialsError(f"{ENDPOINT_VARIABLE}: {origin} is not safe: use https, or http on loopback")
    return str(origin)


async def _keys_of_role(endpoint: str, fetch: Fetch, now_s: float) -> KeyPair:
    """Ask the server for the keys of its role; for its name each time, for roles can be changed."""
    try:
        name = (await fetch(endpoint + ROLE_PATH)).decode("ascii", "replace").strip()
        if not _ROLE_NAME.fullmatch(name):
            raise CredentialsError(f"{endpoint}: the answer (not shown) is no name of a role")
        body = await fetch(endpoint + ROLE_PATH + name)
    except RequestError as error:
        raise CredentialsError(f"{endpoint}: no server role: {error}") from None
    source = f"server role {name}"
    try:
        answer = {} if nests_deeper(body) else json.loads(body)
        access, secret = (_text(answer[key]) for key in ("AccessKeyId", "SecretAccessKey"))
        expires_at_s = parse_expiration(answer["Expiration"])
    except (ValueError, LookupError, TypeError, RecursionError):
        wanted = "AccessKeyId, SecretAccessKey and Expiration"
        raise CredentialsError(f"{source}: the answer (not shown) lacks a proper {wanted}") from None
    if expires_at_s <= now_s:
        raise CredentialsError(f"{source}: the server gave keys that have expired: is this machine's clock right?")
    return pair(access, secret, source, expires_at_s=expires_at_s)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
