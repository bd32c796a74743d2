"""Keep a lease for as long as a task goes on, and stop the task when it is lost."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from crawler.core.errors import UsageError
from crawler.jobs.fleet.lease import LeaseLostError
from crawler.output.files import writing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from crawler.jobs.fleet.lease import Lease
    from crawler.output.stores.interface import Store


class Keeper:
    """Renews a lease in a thread, until it is closed; whoever asks is told when it is lost.

    Mutable state: the thread, who is told, and whether it is lost.
    """

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._is_closed = threading.Event()
        self._is_lost = threading.Event()
        self._renewing = threading.Lock()
        self._told: list[Callable[[], object]] = []
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    @property
    def is_lost(self) -> bool:
        """Whether somebody else may have it, by now, whether or not the storage could be asked."""
        return self._is_lost.is_set() or self._lease.is_lost

    def when_lost(self, tell: Callable[[], object]) -> None:
        """Have somebody told, in this keeper's thread, or at once if it is lost already."""
        self._told.append(tell)
        if self._is_lost.is_set():
            tell()

    def check_time(self) -> None:
        """See whether it is had, by the clock.

        Raises:
            LeaseLostError: it is lost.
        """
        if self.is_lost:
            raise LeaseLostError("the lease could not be renewed in time: another task may be at this account")

    def check(self) -> None:
        """Renew the lease now: what comes next is done by its owner, or not at all.

        Raises:
            LeaseLostError: it is lost.
            OutputError: the storage does not answer.
        """
        self.check_time()
        with self._renewing, writing(str(self._lease)):
            self._lease.renew()

    def close(self) -> None:
        """Renew it no more."""
        self._is_closed.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._is_closed.wait(self._lease.good_for_s / 4) and not self._lease.is_lost:
            try:
                with self._renewing:
                    self._lease.renew()
            except LeaseLostError:
                break
            except OSError:
                continue
        if not self._is_closed.is_set():
            self._is_lost.set()
            for tell in list(self._told):
                tell()


def can_lease(store: Store) -> bool:
    """Whether a storage heeds compare-and-swap, so that a lease there holds others off.

    Raises:
        OutputError: it cannot be found out.
    """
    with writing(store.url):
        return store.can_create and store.can_swap


@contextmanager
def leased(lease: Lease, store: Store, *, patience_s: float = 0.0) -> Iterator[Keeper]:
    """Have a lease, renewed all the time, and give it back in the end.

    Args:
        lease: which.
        store: where it is.
        patience_s: how long it is tried again while somebody else has it.

    Raises:
        UsageError: the storage ignores compare-and-swap, so a lease there would hold nobody off.
        LockedError: somebody else has it.
    """
    if not can_lease(store):
        raise UsageError(
            f"{store.url} has no compare-and-swap, so two tasks could crawl one account at once: see to it yourself "
            "that none does, and add --without-lease"
        )
    lease.take(patience_s)
    keeper = Keeper(lease)
    try:
        yield keeper
    finally:
        keeper.close()
        lease.give_back()
