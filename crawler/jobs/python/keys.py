"""Keys that a Python caller brings along, as a value or as something to call for them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable, iscoroutinefunction
from typing import TYPE_CHECKING, NoReturn, TypeAlias

import anyio.to_thread

from crawler.core.errors import CredentialsError, NcrawlError
from crawler.settings.credentials import Credentials, FoundKeys
from crawler.settings.key_check import pair

if TYPE_CHECKING:
    from datetime import datetime

    from crawler.core.secret import KeyPair
    from crawler.jobs.caller import KeySource
    from crawler.settings.table import Settings


class Keys:
    """An access key and its secret key; they show themselves nowhere, and cannot be pickled.

    Args:
        access_key: of a sub account, or temporary.
        secret_key: its other half.
        expires_at: when the gateway will refuse them, with a time zone; None for keys that stay.
        source: where they are from, for messages. Of keys that expire it also stands for the account in snapshots: a
            run is taken up with keys of the same source only.

    Raises:
        CredentialsError: they cannot be keys; the sentence shows nothing of them.
    """

    __slots__ = ("pair",)

    def __init__(
        self, access_key: str, secret_key: str, *, expires_at: datetime | None = None, source: str = "the caller's keys"
    ) -> None:
        if expires_at is not None and expires_at.tzinfo is None:
            raise CredentialsError(f"{source}: expires_at has no time zone: give one, such as datetime.UTC")
        expires_at_s = None if expires_at is None else expires_at.timestamp()
        self.pair = pair(access_key, secret_key, source, expires_at_s=expires_at_s)

    def __repr__(self) -> str:
        return "Keys(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("Keys cannot be pickled or copied")


CallForKeys: TypeAlias = Callable[[], Keys | Awaitable[Keys]]
"""Gives keys when it is called: first of all, and whenever those that it gave are about to expire."""


def source_of(keys: Keys | CallForKeys) -> KeySource:
    """Return keys, or what is called for them, as a job looks for them."""

    async def find(_settings: Settings, _until_s: float) -> FoundKeys:
        if isinstance(keys, Keys):
            return FoundKeys(Credentials(keys.pair, time.time()))

        async def renew(_now_s: float) -> KeyPair:
            return (await _called(keys)).pair

        now_s = time.time()
        return FoundKeys(Credentials(await renew(now_s), now_s, renew))

    return find


async def _called(call: CallForKeys) -> Keys:
    """Call for keys: in a thread, for it may ask somebody who is slow, unless it is async."""
    try:
        given = call() if iscoroutinefunction(call) else await anyio.to_thread.run_sync(call)
        keys = await given if isawaitable(given) else given
    except NcrawlError:
        raise
    except Exception as error:
        raise CredentialsError(f"no keys were given: what was called for them raised {type(error).__name__}") from error
    if not isinstance(keys, Keys):
        raise CredentialsError(f"what was called for keys gave a {type(keys).__name__}: give crawler.Keys")
    return keys
