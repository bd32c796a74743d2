"""Signature v2 of the API gateway: headers for a request target at a time.

Source: the provider's "Ncloud API" overview, signature version 2.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crawler.core.secret import KeyPair

TIMESTAMP_HEADER = "x-ncp-apigw-timestamp"
ACCESS_KEY_HEADER = "x-ncp-iam-access-key"
SIGNATURE_HEADER = "x-ncp-apigw-signature-v2"

MAX_CLOCK_DIFFERENCE_MS = 5 * 60 * 1000
"""A timestamp further than this from the gateway's clock makes a request invalid."""


TOLERATED_DIFFERENCE_S = 4 * 60
"""A clock that differs by more is taken for wrong: a minute before the gateway refuses it."""
ABSURD_DIFFERENCE_S = 400 * 86_400


class GatewayClock:
    """How far the gateway's clock is from ours; corrected once a run, and only on good evidence.

    Attributes:
        offset_s: to be added to our clock before signing.
    """

    def __init__(self) -> None:
        self.offset_s = 0.0
        self._is_corrected = False

    def explains(self, *, skew_s: float | None, signed_offset_s: float) -> bool:
        """Whether a refused signature was the clock's fault, so that the request is worth another try.

        Args:
            skew_s: the gateway's clock minus ours, uncorrected, as its Date says; None if it said nothing sensible.
            signed_offset_s: the correction that the refused request was signed with.
        """
        if skew_s is None or not TOLERATED_DIFFERENCE_S < abs(skew_s) <= ABSURD_DIFFERENCE_S:
            return False
        if self._is_corrected:
            return signed_offset_s != self.offset_s
        self.offset_s, self._is_corrected = skew_s, True
        return True


def hint_at_clocks(skew_s: float | None) -> str:
    """Return what to say beside a refused signature where the clocks differ by more than is ever corrected."""
    if skew_s is None or abs(skew_s) <= ABSURD_DIFFERENCE_S:
        return ""
    return f"; its Date is {abs(skew_s) / 86_400:,.0f} days from this machine's clock: if that is wrong, set it"


def signature(method: str, target: str, *, access_key: str, secret_key: str, timestamp: str) -> str:
    """Return base64(HMAC-SHA256(secret key, text)); text is three lines: METHOD and target, timestamp, access key.

    Args:
        method: upper case.
        target: path and query, exactly the bytes of the request line.
        access_key: its text is part of what is signed.
        secret_key: the HMAC's key, in UTF-8.
        timestamp: milliseconds since 1970-01-01 UTC, in decimal.
    """
    mac = _keyed_mac(secret_key).copy()
    mac.update(f"{method} {target}\n{timestamp}\n{access_key}".encode())
    return b64encode(mac.digest()).decode()


@lru_cache(2)  # renewed keys may be used beside the old ones for a moment
def _keyed_mac(secret_key: str) -> hmac.HMAC:
    """Return an HMAC that has taken its key in: to copy one costs a third of making it."""
    return hmac.new(secret_key.encode(), digestmod="sha256")


def sign(target: str, keys: KeyPair, *, now_ms: int) -> dict[str, str]:
    """Return the three headers that authenticate ``GET target`` at ``now_ms`` (milliseconds since 1970, UTC)."""
    timestamp = str(now_ms)
    return {
        TIMESTAMP_HEADER: timestamp,
        ACCESS_KEY_HEADER: keys.access_key.reveal(),
        SIGNATURE_HEADER: signature(
            "GET",
            target,
            access_key=keys.access_key.reveal(),
            secret_key=keys.secret_key.reveal(),
            timestamp=timestamp,
        ),
    }
