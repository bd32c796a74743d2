"""Who a key belongs to: where that is asked, and what of the answer counts.

Source: the provider's STS, operation caller-identity; the same signature as everywhere.
"""

from __future__ import annotations

from typing import Final

import msgspec

from crawler.core.decoding import decoder_of
from crawler.core.errors import PageError

IDENTITY_TARGET: Final = "/api/v1/caller-identity"
IDENTITY_ORIGINS: Final = {
    "public": "https://sts.apigw.ntruss.com",
    "gov": "https://sts.apigw.gov-ntruss.com",
    "fin": "https://sts.apigw.fin-ntruss.com",
}
"""By zone."""
MAIN_ACCOUNT: Final = "Customer"
"""The type of whoever may do everything: a key of theirs is better not used."""
VIEWER_POLICY: Final = "NCP_CONTAINER_REGISTRY_VIEWER"
"""What a sub account needs to list registries and images."""


class Identity(msgspec.Struct, frozen=True, rename="camel"):
    """Whose a key is; what did not come is empty. ``user_type`` is Customer, Sub or Role."""

    user_type: str = ""
    login_alias: str | None = None


def decode_identity(body: bytes) -> Identity:
    """Decode an answer under status 200.

    Raises:
        PageError: it is none.
    """
    try:
        return decoder_of(Identity).decode(body)
    except (ValueError, RecursionError) as error:
        raise PageError(f"no caller identity: {error}") from None
