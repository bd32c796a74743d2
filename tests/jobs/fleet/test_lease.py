"""A lease holds others off while its owner lives, ends by itself when it does not, and believes no clock."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.core.errors import LockedError, UsageError
from crawler.core.secret import KeyPair, Secret
from crawler.jobs.fleet.held_keys import HeldCredentials
from crawler.jobs.fleet.keeping import Keeper, leased
from crawler.jobs.fleet.lease import Lease, LeaseLostError, holder
from crawler.output.stores.interface import ChangedError
from crawler.output.stores.local import LocalStore
from crawler.settings.credentials import Credentials

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass
class Machine:
    """Clocks of one machine: time passes as everywhere, and its date is wrong."""

    world: list[float]
    wrong_by_s: float = 0.0
    while_asleep: list[Callable[[], object]] = field(default_factory=list)

    def monotonic_s(self) -> float:
        """Return the time that has passed."""
        return self.world[0]

    def now_s(self) -> float:
        """Return the date."""
        return 1e9 + self.world[0] + self.wrong_by_s

    def sleep(self, seconds: float) -> None:
        """Let something happen, and time pass."""
        for act in self.while_asleep:
            act()
        self.world[0] += seconds


def lease_of(store: LocalStore, machine: Machine, **more: float) -> Lease:
    return Lease(store, "acme", "run", clocks=machine, **more)


def test_one_at_a_time(tmp_path: Path) -> None:
    """Until it is given back; the account's own, and readable by people."""
    store, machine = LocalStore(tmp_path), Machine([0.0])
    first, second = lease_of(store, machine), lease_of(store, machine)
    first.take()
    with pytest.raises(LockedError, match=r"process [0-9]+, .* until 2001"):
        second.take()
    held = holder(store, "acme")
    assert held is not None
    assert (held.owner, held.run_id) == (first.owner, "run")
    Lease(store, "globex", "run", clocks=machine).take()
    first.give_back()
    assert holder(store, "acme") is None
    second.take()
    with pytest.raises(LeaseLostError):
        first.renew()
    first.give_back()  # which takes it from nobody
    second.renew()


@settings(deadline=None, max_examples=30)  # each swap is synced to the disk
@given(first_wrong_s=st.floats(-1e6, 1e6), second_wrong_s=st.floats(-1e6, 1e6), renews_after_s=st.floats(0, 59))
def test_no_clock_takes_it_from_who_lives(
    tmp_path_factory: pytest.TempPathFactory, first_wrong_s: float, second_wrong_s: float, renews_after_s: float
) -> None:
    """However wrong both are: whoever renews it within its time keeps it, and who does not loses it, once."""
    store, world = LocalStore(tmp_path_factory.mktemp("store")), [0.0]
    first = lease_of(store, Machine(world, first_wrong_s))
    other = Machine(world, second_wrong_s)
    second = lease_of(store, other)
    first.take()
    world[0] += renews_after_s
    other.while_asleep = [first.renew]
    with pytest.raises(LockedError):
        second.take()
    other.while_asleep = []
    for _ in range(3):  # the first one is dead now
        try:
            second.take()
            break
        except LockedError:
            world[0] += 60
    assert first.is_lost
    with pytest.raises(LeaseLostError):
        first.renew()


def test_a_lease_that_nobody_understands(tmp_path: Path) -> None:
    """Is somebody's until it was watched."""
    store, machine = LocalStore(tmp_path), Machine([0.0])
    store.create("acme/lease.json", b"\xff")
    lease = lease_of(store, machine)
    lease.take()
    assert machine.world == [60.0]


@pytest.mark.parametrize("seconds", ["1e9", "-1", "0"])
def test_a_lease_that_says_what_cannot_be(tmp_path: Path, seconds: str) -> None:
    """Nobody waits for ever, nor not at all."""
    store, machine = LocalStore(tmp_path), Machine([0.0])
    store.create(
        "acme/lease.json", b'{"owner": "x", "until": "2001-01-01T00:00:00Z", "seconds": %s}' % seconds.encode()
    )
    lease_of(store, machine).take()
    assert machine.world == [60.0]


def test_patience(tmp_path: Path) -> None:
    """Whoever has some takes it when it is free, and gives up in the end."""
    store, machine = LocalStore(tmp_path), Machine([0.0])
    first, second = lease_of(store, machine), lease_of(store, machine)
    first.take()
    machine.while_asleep = [first.renew]
    with pytest.raises(LockedError):
        second.take(240)
    assert machine.world[0] >= 240
    machine.while_asleep = [first.give_back]
    second.take(240)
    with pytest.raises(LeaseLostError):
        first.renew()


def test_keys_are_given_while_it_is_held(tmp_path: Path) -> None:
    """And not a moment longer: the clock of an owner that was frozen tells before the storage does."""
    store, machine = LocalStore(tmp_path), Machine([0.0])
    with leased(lease_of(store, machine), store) as keeper:
        own = Credentials(KeyPair(Secret("access"), Secret("secret"), "a test"))
        held = HeldCredentials(own, keeper)
        machine.world[0] = 59.0
        assert held.peek(0) is own.peek(0)
        assert (held.source, held.secrets) == (own.source, own.secrets)
        assert asyncio.run(held.current(0)) is own.peek(0)
        machine.world[0] = 60.0
        assert held.peek(0) is None
        with pytest.raises(LeaseLostError):
            asyncio.run(held.current(0))


def test_an_answer_that_was_lost(tmp_path: Path) -> None:
    """A swap that was done without a word takes nothing from its owner."""

    class Deaf(LocalStore):
        is_deaf = False

        def swap(self, name: str, data: bytes, tag: str) -> str:
            done = super().swap(name, data, tag)
            if self.is_deaf:
                raise OSError(5, "no answer")
            return done

    store, machine = Deaf(tmp_path), Machine([0.0])
    lease = lease_of(store, machine)
    lease.take()
    store.is_deaf = True
    with pytest.raises(OSError, match="no answer"):
        lease.renew()
    store.is_deaf = False
    lease.renew()


class Faulty(LocalStore):
    """A store whose swaps fail."""

    error: OSError

    def swap(self, name: str, data: bytes, tag: str) -> str:  # noqa: ARG002 - nothing is written
        """Fail."""
        raise self.error


@pytest.mark.parametrize("error", [OSError(5, "no answer"), ChangedError(116, "changed")])
def test_who_cannot_renew_it_is_told(tmp_path: Path, error: OSError) -> None:
    """When its time is up, or somebody else has it."""
    store = Faulty(tmp_path)
    store.error = error
    lease = Lease(store, "acme", "run", good_for_s=0.05)
    lease.take()
    if isinstance(error, ChangedError):
        store.replace("acme/lease.json", b'{"owner": "another"}')
    keeper, told = Keeper(lease), threading.Event()
    keeper.when_lost(told.set)
    assert told.wait(10)
    with pytest.raises(LeaseLostError):
        keeper.check()
    again = threading.Event()
    keeper.when_lost(again.set)
    assert again.is_set()
    keeper.close()


def test_it_is_renewed(tmp_path: Path) -> None:
    """Again and again, beside whatever goes on; and free in the end."""
    store, renewed = LocalStore(tmp_path), threading.Semaphore(0)

    class Seen(Lease):
        def renew(self) -> None:
            super().renew()
            renewed.release()

    with leased(Seen(store, "acme", "run", good_for_s=4.0), store) as keeper:
        for _ in range(2):
            assert renewed.acquire(timeout=10)
        keeper.check()
    assert holder(store, "acme") is None


def test_a_store_that_ignores_conditions(tmp_path: Path) -> None:
    """Is refused with a sentence: two could have the lease at once."""

    class Careless(LocalStore):
        can_create = can_swap = False

    store = Careless(tmp_path)
    with pytest.raises(UsageError, match="--without-lease"), leased(Lease(store, "acme", "run"), store):
        pass
