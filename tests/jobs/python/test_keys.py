"""Keys that a caller brings along: shown nowhere, called for once, and again before they expire."""

from __future__ import annotations

import pickle
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from crawler.core.errors import CredentialsError
from crawler.jobs.python.keys import Keys, source_of
from crawler.settings.table import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from crawler.settings.credentials import FoundKeys

ACCESS, SECRET = "AKIDEXAMPLE12345", "SECRETEXAMPLE12345"


async def found(keys: Any) -> FoundKeys:
    """Return what a job finds."""
    return await source_of(keys)(Settings(), 0.0)


def test_keys_show_themselves_nowhere() -> None:
    """Neither printed nor formatted, nor carried off in a pickle."""
    keys = Keys(ACCESS, SECRET)
    for text in (repr(keys), str(keys), f"{keys}", repr(keys.pair)):
        assert ACCESS not in text
        assert SECRET not in text
    with pytest.raises(TypeError):
        pickle.dumps(keys)
    assert not hasattr(keys, "__dict__")


@pytest.mark.parametrize(("access", "secret"), [("", SECRET), ("a b", SECRET), (ACCESS, ""), (ACCESS, "x\n")])
def test_what_cannot_be_keys(access: str, secret: str) -> None:
    """It is told when they are made, and not shown."""
    with pytest.raises(CredentialsError, match="not shown"):
        Keys(access, secret)


def test_a_time_without_a_zone() -> None:
    """Nobody can tell when that is."""
    with pytest.raises(CredentialsError, match="expires_at has no time zone"):
        Keys(ACCESS, SECRET, expires_at=datetime(2026, 11, 26))  # noqa: DTZ001


async def test_keys_as_a_value() -> None:
    """They are what requests are signed with, for as long as they last."""
    expired = Keys(ACCESS, SECRET, expires_at=datetime.now(UTC) - timedelta(seconds=1), source="my vault")
    here = (await found(Keys(ACCESS, SECRET))).credentials
    assert (await here.current(time.time())).access_key.reveal() == ACCESS
    with pytest.raises(CredentialsError, match="my vault: the keys have expired"):
        await (await found(expired)).credentials.current(time.time())


@pytest.mark.parametrize("kind", ["def", "async def", "returns an awaitable"])
async def test_keys_are_called_for_again_before_they_expire(kind: str) -> None:
    """Once at first, and then when a renewal is due; what is not async runs in a thread, for it may wait."""
    calls: list[int] = []

    def give() -> Keys:
        calls.append(threading.get_ident())
        return Keys(f"{ACCESS}{len(calls)}", SECRET, expires_at=datetime.now(UTC) + timedelta(hours=1))

    async def give_later() -> Keys:
        return give()

    def promise() -> Awaitable[Keys]:
        return give_later()

    credentials = (await found({"def": give, "async def": give_later}.get(kind, promise))).credentials
    now_s = time.time()
    assert (await credentials.current(now_s)).access_key.reveal() == f"{ACCESS}1"
    assert (await credentials.current(now_s + 3500)).access_key.reveal() == f"{ACCESS}2"
    assert len(calls) == 2
    assert (calls[0] == threading.get_ident()) is (kind != "def")


async def test_calls_that_give_no_keys() -> None:
    """One sentence with what happened, and nothing of what a foreign error may hold."""

    def fail() -> Keys:
        raise OSError(SECRET)

    with pytest.raises(CredentialsError, match=r"raised OSError$"):
        await found(fail)
    with pytest.raises(CredentialsError, match=r"gave a str: give crawler\.Keys"):
        await found(lambda: SECRET)
