"""Ids of requests, which a user is asked for who asks the provider about an error."""

from __future__ import annotations

import pytest

from crawler.api.meanings import decode_request_id


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"error":{"requestId":"abc"}}', "abc"),
        (b'{"error":{"errorCode":"1"},"requestId":"abc"}', "abc"),
        (b'{"error":{"requestId":"in","errorCode":"1"},"requestId":"out"}', "in"),
        (b'{"error":{"requestId":17}}', "17"),
        (b'{"error":{}}', ""),
        (b'{"requestId":"abc"}', ""),
        (b'{"error":{"requestId":true}}', ""),
        (b'{"error":{"requestId":["abc"]}}', ""),
        (b'{"error":"requestId"}', ""),
        (b"[]", ""),
        (b"not JSON", ""),
    ],
)
def test_the_id_of_a_request(body: bytes, told: str) -> None:
    """Wherever it stands beside an error, as text; nothing where there is none, whatever else there is."""
    assert decode_request_id(body) == told
