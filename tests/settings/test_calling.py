"""A Python caller's arguments: the same settings as the command line's, and the same sentences where they are wrong."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from crawler.core.errors import UsageError
from crawler.settings.calling import LOGGED, NOT_GIVEN, given_settings
from crawler.settings.table import OPTIONS, Settings


def test_nothing_given_is_the_default() -> None:
    """But for the deadline, which a caller that says nothing does not have."""
    given = given_settings({}, timeout_s=None)
    assert given == Settings(deadline=inf)
    assert given.given == frozenset()


def test_what_is_given() -> None:
    """Names, numbers and lists become what the command line makes of its texts; and it is known what was given."""
    given = given_settings(
        {"regions": ["kr", "sgn"], "rate": None, "region_rate": 2.5, "page_size": 100, "verify": "never", "keep": 3,
         "expected_gaps": ("kr/x",), "trust_env": True, "account": None, "gateway": "http://127.0.0.1:8080"},
        timeout_s=90,
    )  # fmt: skip
    assert [region.code for region in given.region] == ["kr", "sgn"]
    assert (given.rate, given.region_rate, given.page_size, given.verify) == (inf, 2.5, 100, "never")
    assert (given.keep, given.expect_gap, given.trust_env, given.deadline) == (3, ("kr/x",), True, 90.0)
    assert given.given == {
        "region", "rate", "region_rate", "page_size", "verify", "keep", "expect_gap", "trust_env", "gateway", "deadline"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"rate": 0}, "rate: '0' is not a rate"),
        ({"concurrency": "many"}, "concurrency: 'many' is not a whole number from 1 to 1024"),
        ({"concurrency": [5]}, "concurrency: a list of texts will not do"),
        ({"regions": "kr"}, "regions: 'kr' is no list of texts"),
        ({"regions": ["mars"]}, "regions: 'mars' is no region of zone public: give kr, sgn, jpn"),
        ({"gateway": "http://example.com"}, "gateway: "),
        ({"gateway": "https://example.com"}, "add --allow-gateway to trust it"),
        ({"exclude": ["kr/(x"]}, "exclude: 'kr/\\(x' is no pattern"),
        ({"rat": 5}, "rat: there is no such argument"),
        ({"output": "-"}, "output: there is no such argument"),
    ],
)
def test_what_cannot_be(arguments: dict[str, Any], sentence: str) -> None:
    """One sentence that names the argument as the caller wrote it."""
    with pytest.raises(UsageError, match=sentence) as caught:
        given_settings(arguments, timeout_s=None)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("timeout_s", [0, -1, 10**9, float("nan")])
def test_no_time(timeout_s: float) -> None:
    """A time that is none is refused, also zero, which is not "none given"."""
    with pytest.raises(UsageError, match=r"timeout: .* is no time"):
        given_settings({}, timeout_s=timeout_s)


def test_every_problem_at_once() -> None:
    """As on the command line."""
    with pytest.raises(UsageError, match=r"(?s)rate: .*concurrency: "):
        given_settings({"rate": "x", "concurrency": 0}, timeout_s=None)


def test_each_option_is_an_argument_or_known_not_to_be() -> None:
    """A new option has to be thought of."""
    import crawler  # noqa: PLC0415

    arguments = {*crawler.ConnectOptions.__annotations__, *crawler.SnapshotOptions.__annotations__}
    named = {"regions": "region", "expected_gaps": "expect_gap"}
    options = {named.get(name, name) for name in arguments - {"keys", "observe", "timeout"}}
    assert options == {*OPTIONS} - {*NOT_GIVEN, *LOGGED}
