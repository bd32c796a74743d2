"""What a job is handed by whoever calls it: where keys come from, who is told, what goes on beside the crawl."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from crawler.jobs.events import Warned
from crawler.settings.key_places import find_keys_for
from crawler.transport import fetch_metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crawler.core.events import Event
    from crawler.engine.crawl import Crawl
    from crawler.jobs.events import JobEvent, Observer
    from crawler.jobs.progress import Progress
    from crawler.settings.credentials import FoundKeys
    from crawler.settings.table import Settings

KeySource: TypeAlias = Callable[["Settings", float], Awaitable["FoundKeys"]]
"""Finds the keys of a run by its settings, until a monotonic time; raises CredentialsError."""


def unobserved(event: Event | JobEvent, /) -> None:
    """Tell nobody."""


def unattended(_crawl: Crawl, _look: Callable[[], Progress]) -> AbstractAsyncContextManager[None]:
    """Let nothing go on beside a crawl."""
    return nullcontext()


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whoever calls a job.

    Attributes:
        find_keys: where keys come from.
        observe: is told of what happens.
        beside: makes what goes on around a crawl, which it may `stop`, and look at where it stands.
        began_s: monotonic time from which the deadline counts.
    """

    find_keys: KeySource
    observe: Observer = unobserved
    beside: Callable[[Crawl, Callable[[], Progress]], AbstractAsyncContextManager[None]] = unattended
    began_s: float = field(default_factory=time.monotonic)

    def ends_s(self, settings: Settings) -> float:
        """Return by when a run with these settings ends, as monotonic time."""
        return self.began_s + settings.deadline

    def left_s(self, settings: Settings) -> float:
        """Return how many seconds of the deadline are left."""
        return max(0.0, self.ends_s(settings) - time.monotonic())

    async def keys(self, settings: Settings) -> FoundKeys:
        """Return the keys, under the account's name that the settings give, if they do; tell what is odd about them.

        Raises:
            CredentialsError: there are none that can be used.
        """
        found = await self.find_keys(settings, self.ends_s(settings))
        for warning in found.warnings:
            self.observe(Warned(warning))
        return found if settings.account is None else replace(found, account=settings.account)


def providers_chain(environ: Mapping[str, str]) -> KeySource:
    """Return the source of keys that an account names, or else the provider's own tools have, with an environment."""

    async def find(settings: Settings, until_s: float) -> FoundKeys:
        return await find_keys_for(settings, environ, fetch=fetch_metadata, now_s=time.time(), until_s=until_s)

    return find
