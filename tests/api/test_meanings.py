"""What a status says where no row does; ids of requests, which the provider asks for who is asked about an error."""

from __future__ import annotations

import pytest

from crawler.api.meanings import Meaning, decode_request_id, look_up


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


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (299, Meaning.PASSING),
        (300, Meaning.PERMANENT),
        (499, Meaning.PERMANENT),
        (500, Meaning.OUT_OF_ORDER),
        (999, Meaning.OUT_OF_ORDER),
    ],
)
def test_a_status_that_no_row_knows(status: int, meaning: Meaning) -> None:
    """Redirects and refusals are for good; what a server did wrong may pass."""
    assert look_up({}, status, "777") is meaning
