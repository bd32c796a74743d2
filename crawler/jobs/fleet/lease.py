"""A lease on an account in a storage, so that no two machines crawl it at once, whatever dies.

It is a small file that is only ever written by compare-and-swap: its owner renews it, and gives it back. No clock of
any machine decides: who wants a lease that ran out watches for as long as it is good that nobody renews it, and an
owner that could not renew it for as long takes it for lost. The times in it are for people.
"""

from __future__ import annotations

import os
import platform
import time
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol
from uuid import uuid4

import msgspec

from crawler.core.decoding import decoder_of
from crawler.core.errors import LockedError
from crawler.core.text import iso
from crawler.output.files import writing
from crawler.output.stores.interface import ChangedError, ExistsError

if TYPE_CHECKING:
    from crawler.output.stores.interface import Store, Stored

LEASE: Final = "lease.json"
GOOD_FOR_S: Final = 60.0
_LONGEST_S: Final = 3600.0
"""What says that it is good for longer was not written by a lease."""
_TRY_EVERY_S: Final = 5.0
_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What the file says; without an owner the lease is free.

    Attributes:
        owner: who has it: host, process, and what tells this one from all others.
        run_id: of the fleet's run.
        until: when it ends unless it is renewed, by the owner's clock.
        seconds: how long it is good for after each renewal.
        number: of the renewal: no two say the same, however still a clock stands.
    """

    owner: str | None = None
    run_id: str = ""
    until: str = ""
    seconds: float = GOOD_FOR_S
    number: int = 0


class LeaseLostError(LockedError):
    """Somebody else may have the account by now."""


class Clocks(Protocol):
    """Time that passes, waiting, and time for people."""

    def monotonic_s(self) -> float:
        """Return seconds that only grow."""
        ...

    def now_s(self) -> float:
        """Return seconds since 1970."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClocks:
    """This machine's."""

    def monotonic_s(self) -> float:
        """Return seconds that only grow, where it can be had also while the machine sleeps."""
        return time.clock_gettime(_CLOCK)

    def now_s(self) -> float:
        """Return seconds since 1970."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class Lease:
    """A lease of one account.

    Mutable state: the file's tag, and how often and when it was renewed.

    Args:
        store: where it is.
        account: of which.
        run_id: for what.
        good_for_s: how long without being renewed.
        clocks: that are gone by.
    """

    def __init__(
        self, store: Store, account: str, run_id: str, *, good_for_s: float = GOOD_FOR_S, clocks: Clocks | None = None
    ) -> None:
        self._store = store
        self._name = f"{account}/{LEASE}"
        self._run_id = run_id
        self._clocks = clocks or SystemClocks()
        self.good_for_s = good_for_s
        self.owner = f"{platform.node()}, process {os.getpid()}, {uuid4().hex[:12]}"
        self._tag = ""
        self._number = 0
        self._renewed_s = 0.0

    def __str__(self) -> str:
        return f"{self._store.url}/{self._name}"

    def take(self, patience_s: float = 0.0) -> None:
        """Take the lease; one that ran out is watched first for as long as it is good.

        Args:
            patience_s: how long it is tried again while somebody else has it.

        Raises:
            LockedError: somebody else has it, or was faster.
            OutputError: the storage cannot be used.
        """
        until_s = self._clocks.monotonic_s() + patience_s
        while True:
            try:
                return self._take()
            except LockedError:
                if self._clocks.monotonic_s() >= until_s:
                    raise
            self._clocks.sleep(_TRY_EVERY_S)

    def _take(self) -> None:
        with writing(str(self)):
            found = self._store.read(self._name)
            if found is not None and not self._is_free(found):
                found = self._watched(found)
            self._renewed_s = self._clocks.monotonic_s()
            try:
                data = self._data(self.owner)
                create, swap = self._store.create, self._store.swap
                self._tag = create(self._name, data) if found is None else swap(self._name, data, found.tag)
            except (ExistsError, ChangedError):
                raise self._taken("somebody who was faster") from None

    def _is_free(self, found: Stored) -> bool:
        """Whether nobody has it.

        Raises:
            LockedError: somebody has, and may well be alive.
        """
        held = _held(found)
        if held.owner is None:
            return True
        ends_s = _seconds(held.until)
        if ends_s is not None and 0 < ends_s - self._clocks.now_s() <= held.seconds:
            raise self._taken(f"{held.owner}, until {held.until}")
        return False

    def _watched(self, found: Stored) -> Stored:
        """Wait for as long as the lease is good, and return it if nobody renewed it.

        Raises:
            LockedError: somebody did.
        """
        held = _held(found)
        self._clocks.sleep(max(held.seconds, self.good_for_s))
        again = self._store.read(self._name)
        if again is None or again.tag != found.tag:
            raise self._taken(str(held.owner))
        return again

    def _taken(self, whom: str) -> LockedError:
        return LockedError(f"{self} is held by {whom}; wait for it")

    @property
    def is_lost(self) -> bool:
        """Whether it was not renewed for as long as it is good: somebody else may have it."""
        return self._clocks.monotonic_s() - self._renewed_s >= self.good_for_s

    def renew(self) -> None:
        """Have it for longer.

        Raises:
            LeaseLostError: somebody else has it.
            OSError: the storage does not answer; it is had until it `is_lost`.
        """
        began_s = self._clocks.monotonic_s()
        self._tag = self._swapped(self.owner)
        self._renewed_s = began_s

    def give_back(self) -> None:
        """Let others have it at once; what fails is of no consequence, for it ends by itself."""
        try:
            self._swapped(None)
        except (OSError, LeaseLostError):
            return

    def _swapped(self, owner: str | None) -> str:
        data = self._data(owner)
        try:
            return self._store.swap(self._name, data, self._tag)
        except ChangedError:
            found = self._store.read(self._name)  # an earlier swap may have been done, and its answer lost
            if found is None or _held(found).owner != self.owner:
                raise LeaseLostError(f"{self} was taken by somebody else") from None
            return self._store.swap(self._name, data, found.tag)

    def _data(self, owner: str | None) -> bytes:
        until = iso((self._clocks.now_s() + self.good_for_s) * 1000)
        self._number += 1
        held = Held(owner=owner, run_id=self._run_id, until=until, seconds=self.good_for_s, number=self._number)
        return msgspec.json.encode(held) + b"\n"


def _held(found: Stored) -> Held:
    """Return what a lease says; what cannot be understood is somebody's, until it was watched."""
    with suppress(msgspec.MsgspecError, ValueError):
        held = decoder_of(Held).decode(found.data)
        if 0 < held.seconds <= _LONGEST_S:
            return held
    return Held(owner="somebody who wrote something else")


def _seconds(time_text: str) -> float | None:
    try:
        return datetime.fromisoformat(time_text).timestamp()
    except ValueError:
        return None


def holder(store: Store, account: str) -> Held | None:
    """Return who has an account's lease, as far as the file says; None if nobody."""
    found = store.read(f"{account}/{LEASE}")
    held = None if found is None else _held(found)
    return held if held is not None and held.owner is not None else None
