"""A secret shows itself nowhere but where it is revealed by name."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import pickle
from typing import TYPE_CHECKING

import msgspec
import orjson
import pytest

from crawler.secret import KeyPair, Secret

if TYPE_CHECKING:
    from collections.abc import Callable

SENTINEL = "sEnTiNeL-0123"
SECRET = Secret(SENTINEL)
KEYS = KeyPair(Secret("access-" + SENTINEL), SECRET, "the environment", 1.0)
BOTH = pytest.mark.parametrize(
    "holder", [SECRET, KEYS, [SECRET], {"key": KEYS}], ids=["secret", "pair", "list", "dict"]
)


@BOTH
@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        ascii,
        format,
        "{}".format,
        "{!r}".format,
        "{!s}".format,
        lambda holder: f"{holder} {holder!r}",
        lambda holder: "%s %r" % (holder, holder),  # noqa: UP031 - this way of showing is what is tested
        lambda holder: str(ValueError(holder)),
        lambda holder: logging.makeLogRecord({"msg": "%s", "args": (holder,)}).getMessage(),
    ],
)
def test_no_text_shows_it(holder: object, show: Callable[[object], str]) -> None:
    """Every way from an object to a text leaves the secret out."""
    assert SENTINEL not in show(holder)


@BOTH
@pytest.mark.parametrize(
    "take_out",
    [
        *(lambda holder, protocol=protocol: pickle.dumps(holder, protocol) for protocol in range(6)),
        copy.copy,
        copy.deepcopy,
        json.dumps,
        orjson.dumps,
        msgspec.json.encode,
        lambda holder: dataclasses.asdict(holder),  # noqa: PLW0108 - its overloads are no Callable[[object], object]
    ],
)
def test_nothing_takes_it_out(holder: object, take_out: Callable[[object], object]) -> None:
    """Pickle, copy and JSON refuse it; what gets by without looking inside shows nothing."""
    try:
        result = take_out(holder)
    except (TypeError, NotImplementedError) as error:
        result = error
    assert SENTINEL.encode() not in (result if isinstance(result, bytes) else repr(result).encode())


@pytest.mark.parametrize("take_out", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, orjson.dumps])
def test_a_bare_secret_is_refused(take_out: Callable[[object], object]) -> None:
    """A secret alone is refused aloud, so that nobody believes to have stored it."""
    with pytest.raises(TypeError) as caught:
        take_out(SECRET)
    assert SENTINEL not in str(caught.value)


def test_reveal_and_compare() -> None:
    """By name it comes out; two of the same text are equal, and equal to no text."""
    assert SECRET.reveal() == SENTINEL
    assert Secret(SENTINEL) == SECRET
    assert hash(Secret(SENTINEL)) == hash(SECRET)
    assert Secret("other") != SECRET
    assert SECRET != SENTINEL
    assert not hasattr(SECRET, "__dict__")
