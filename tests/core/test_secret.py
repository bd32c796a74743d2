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
from hypothesis import given
from hypothesis import strategies as st

from crawler.core.secret import KeyPair, Secret, without_secrets

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


KEY, SIGNATURE = "AKIDEXAMPLE-7f3a91", "PbgMk0Bu6EZHM4BkBF8I8qLgSExaZkpAovwRyLl/1Yg="


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (f"no such key: {KEY}", "no such key: …"),
        (f"no such key: {KEY.lower()}!", "no such key: …!"),
        (f"begins with {KEY[:8]}, ends with {KEY[-8:]}", "begins with …, ends with …"),
        (f"{SIGNATURE[12:32]}{KEY}", "…"),
        (f"right: {SIGNATURE[:7]}", f"right: {SIGNATURE[:7]}"),
        ("ncp_iam_" + "A1" * 10 + " and ncp_iam_" + "b2" * 17, "… and …"),
        ("NCP_IAM_" + "A1" * 10, "…"),
        ("plain words", "plain words"),
        ("", ""),
        ("\u0130" + KEY, "\u0130…"),
    ],
)
def test_words_of_others_are_shown_without_secrets(said: str, shown: str) -> None:
    """Eight characters in a row are a piece of a secret; a key of the provider's shape is one whoever's it is."""
    assert without_secrets(said, (KEY, SIGNATURE)) == shown


def test_short_keys_are_taken_out_whole_and_none_is_no_key() -> None:
    """Keys of an emulator may have fewer than eight characters; a text of one letter is no secret."""
    assert without_secrets("the demo key, an empty one, and a", ("demo", "", "a")) == "the … key, an empty one, and a"


@given(text=st.text(max_size=80), at=st.integers(0, 30), size=st.integers(8, 40))
def test_no_piece_of_a_secret_survives(text: str, at: int, size: int) -> None:
    """Wherever it stands: of what is shown, no eight characters in a row are the secret's."""
    piece = SIGNATURE[at : at + size]
    shown = without_secrets(f"{text}{piece}{text}", (SIGNATURE,))
    pieces = {SIGNATURE[start : start + 8] for start in range(len(SIGNATURE) - 7)}
    assert not any(one in shown for one in pieces)
