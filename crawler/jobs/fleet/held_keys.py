"""Keys that are given only while a lease is held: who lost it asks the gateway nothing more, whatever holds it up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from crawler.settings.credentials import Credentials

if TYPE_CHECKING:
    from crawler.core.secret import KeyPair
    from crawler.jobs.caller import KeySource
    from crawler.jobs.fleet.keeping import Keeper
    from crawler.settings.credentials import FoundKeys
    from crawler.settings.table import Settings


class HeldCredentials(Credentials):
    """Asked for at every attempt, after every wait; without the lease that ends the crawl.

    Args:
        own: the keys.
        keeper: of the lease.
    """

    def __init__(self, own: Credentials, keeper: Keeper) -> None:
        self._own = own
        self._keeper = keeper

    @property
    def source(self) -> str:
        """Where the keys were found."""
        return self._own.source

    @property
    def secrets(self) -> tuple[str, str]:
        """Both keys, to be kept out of texts."""
        return self._own.secrets

    def peek(self, now_s: float) -> KeyPair | None:
        """Return the keys, unless the lease is lost or they are to be renewed."""
        return None if self._keeper.is_lost else self._own.peek(now_s)

    async def current(self, now_s: float) -> KeyPair:
        """Return keys that are valid.

        Raises:
            LeaseLostError: the lease is lost.
            CredentialsError: the keys have expired and could not be renewed.
        """
        keys = await self._own.current(now_s)
        self._keeper.check_time()
        return keys


async def find_while_held(find: KeySource, settings: Settings, until_s: float, *, keeper: Keeper) -> FoundKeys:
    """Find keys, and give them only while a lease is held."""
    found = await find(settings, until_s)
    return replace(found, credentials=HeldCredentials(found.credentials, keeper))
