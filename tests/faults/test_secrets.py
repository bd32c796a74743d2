"""The check for secrets itself: builds of the program that leak on purpose are caught, and the real one is not."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from faults import misdeeds
from faults.harness import crawl, leaks
from faults.server import ACCESS_KEY, SECRET_KEY, Fault, Gateway, Place

from crawler.api import signing
from crawler.core.errors import NetworkError
from crawler.jobs import crawling, streaming
from crawler.transport import attempt, opening, session
from crawler.transport.session import SessionClient

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.long

Patch = pytest.MonkeyPatch


def log_headers(patch: Patch) -> None:
    """Log every signed header, as a debugging line that was forgotten would."""
    right = signing.sign

    def leaking(*arguments: Any, **more: Any) -> dict[str, str]:
        headers = right(*arguments, **more)
        logging.getLogger("ncrawl").debug("sending %s", headers)
        return headers

    patch.setattr(attempt, "sign", leaking)


def quote_errors_of_the_library(patch: Patch) -> None:
    """Say of a failure what aiohttp's errors know: they hold the request's headers."""

    def leaking(error: Any, _secrets: object) -> NetworkError:
        headers = error.request_info.headers if hasattr(error, "request_info") else {}
        return NetworkError(str([value for name, value in headers.items() if name.startswith("x-ncp")]))

    patch.setattr(session, "translate", leaking)
    patch.setattr(
        opening, "open_client", lambda origin, *, trust_env: (SessionClient(origin, trust_env=trust_env), "by session")
    )


def log_keys_in_a_library(patch: Patch) -> None:
    """Let a library log the secret key, below the level that anybody looks at."""
    right = crawling.crawl_spec

    def leaking(*arguments: Any, **more: Any) -> Any:
        logging.getLogger("some.library").debug("connecting with %s", SECRET_KEY)
        return right(*arguments, **more)

    patch.setattr(streaming, "crawl_spec", leaking)


def tell_keys_in_the_summary(patch: Patch) -> None:
    """Write the secret key among the run's options."""
    patch.setattr(streaming, "options_of", lambda *_: {"secret": SECRET_KEY})


def write_keys_into_lines(patch: Patch) -> None:
    """Write the access key as the account."""
    right = crawling.crawl_spec
    patch.setattr(
        streaming, "crawl_spec", lambda settings, _account, *rest, **more: right(settings, ACCESS_KEY, *rest, **more)
    )


LEAKS: dict[Callable[[Patch], None], set[str]] = {
    log_headers: {"the access key is in standard error", "a signature is in standard error"},
    quote_errors_of_the_library: {"the access key is in standard error", "a signature is in standard error"},
    log_keys_in_a_library: {"the secret key is in standard error"},
    tell_keys_in_the_summary: {"the secret key is in summary.json"},
    write_keys_into_lines: {"the access key is in images.ndjson", "the access key is in summary.json"},
}


def troubled(place: Place, nth: int, _number: int) -> Fault | None:
    """Make every page fail once in some way, so that everything is said that there is to say."""
    faults = (misdeeds.MALFORMED_HTTP["negative Content-Length"], misdeeds.reset_in_body, misdeeds.refused(500, 1, "x"))
    return faults[place.page % 3] if nth == 1 else None


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.__name__)
def test_leak_is_caught(leak: Callable[[Patch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that leaks is told apart, with what leaks and where (K1)."""
    leak(monkeypatch)
    gateway = Gateway(meddle=troubled)
    outcome = crawl(gateway, tmp_path)
    assert LEAKS[leak] <= set(leaks(outcome, gateway.signatures))


def test_no_leak(tmp_path: Path) -> None:
    """The build as it is tells nothing, in the same trouble (K1)."""
    gateway = Gateway(meddle=troubled)
    outcome = crawl(gateway, tmp_path)
    assert outcome.exit_code == 0
    assert len(gateway.signatures) > 50
    assert leaks(outcome, gateway.signatures) == []
