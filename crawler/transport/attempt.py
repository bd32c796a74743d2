"""One attempt on the wire: what it asks for, and how and when it was signed."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from crawler.api.signing import SIGNATURE_HEADER, sign

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.api.signing import GatewayClock
    from crawler.core.secret import KeyPair


class Attempt:
    """Signed when a client asks for its headers, which is after every wait that the client can foresee.

    Attributes:
        target: path and query.
        headers: those that authenticate it; empty until it is signed.
        signed_at_s: our clock then, seconds since 1970, uncorrected.
        offset_s: the correction of our clock that it was signed with.
        write: to be called when there is a connection, and nothing else to wait for: counts it as written now, or
            returns the seconds, above 0, to `wait` first.
    """

    __slots__ = ("_clock", "_epoch_s", "_keys", "headers", "offset_s", "signed_at_s", "target", "write")

    def __init__(
        self, target: str, keys: KeyPair, clock: GatewayClock, *, epoch_s: float, write: Callable[[], float]
    ) -> None:
        self.target = target
        self.headers: dict[str, str] = {}
        self.signed_at_s = 0.0
        self.offset_s = 0.0
        self._keys = keys
        self._clock = clock
        self._epoch_s = epoch_s
        self.write = write

    async def wait(self, wait_s: float) -> None:
        """Wait for so long, and again if need be, until it may be written."""
        while wait_s > 0:
            await asyncio.sleep(wait_s)
            wait_s = self.write()

    @property
    def secrets(self) -> tuple[str, ...]:
        """What of it must not be seen anywhere else."""
        pair = (self._keys.access_key.reveal(), self._keys.secret_key.reveal())
        return (*pair, self.headers[SIGNATURE_HEADER]) if self.headers else pair

    def sign(self) -> dict[str, str]:
        """Return the headers that authenticate it, as of now."""
        self.offset_s = self._clock.offset_s
        self.signed_at_s = time.monotonic() + self._epoch_s
        now_ms = int((self.signed_at_s + self.offset_s) * 1000)
        self.headers = sign(self.target, self._keys, now_ms=now_ms)
        return self.headers
