"""Signature v2 of the API gateway: headers for a request target at a time.

Source: the provider's "Ncloud API" overview, signature version 2.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crawler.secret import KeyPair

TIMESTAMP_HEADER = "x-ncp-apigw-timestamp"
ACCESS_KEY_HEADER = "x-ncp-iam-access-key"
SIGNATURE_HEADER = "x-ncp-apigw-signature-v2"

MAX_CLOCK_DIFFERENCE_MS = 5 * 60 * 1000
"""A timestamp further than this from the gateway's clock makes a request invalid."""


def signature(method: str, target: str, *, access_key: str, secret_key: str, timestamp: str) -> str:
    """Return base64(HMAC-SHA256(secret key, text)); text is three lines: METHOD and target, timestamp, access key.

    Args:
        method: upper case.
        target: path and query, exactly the bytes of the request line.
        access_key: its text is part of what is signed.
        secret_key: the HMAC's key, in UTF-8.
        timestamp: milliseconds since 1970-01-01 UTC, in decimal.
    """
    text = f"{method} {target}\n{timestamp}\n{access_key}"
    return b64encode(hmac.digest(secret_key.encode(), text.encode(), "sha256")).decode()


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
