"""Signature v2 agrees with the provider's rule, whatever is signed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
import subprocess
from math import nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.api.signing import (
    ACCESS_KEY_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    GatewayClock,
    hint_at_clocks,
    sign,
    signature,
)
from crawler.core.secret import KeyPair, Secret

TARGET = "/ncr/api/v2/repositories/ncpdocker?page=2&pagesize=100"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def test_vector_of_the_api_page() -> None:
    """The one known answer, computed with OpenSSL and written down in the API page, comes out."""
    keys = KeyPair(Secret("AKIDEXAMPLE"), Secret("SECRETEXAMPLE"), "test")
    assert sign(TARGET, keys, now_ms=1711928488000) == {
        "x-ncp-apigw-timestamp": "1711928488000",
        "x-ncp-iam-access-key": "AKIDEXAMPLE",
        "x-ncp-apigw-signature-v2": "PbgMk0Bu6EZHM4BkBF8I8qLgSExaZkpAovwRyLl/1Yg=",
    }


@pytest.mark.skipif(shutil.which("openssl") is None, reason="not run: openssl is not here")
def test_openssl_agrees() -> None:
    """Another implementation, over a text of our own making, gives the same signature."""
    access_key, secret_key, timestamp = "access/+=", "s3cr=t/+ key", "1795600000001"
    text = f"GET {TARGET}\n{timestamp}\n{access_key}"
    done = subprocess.run(
        ["openssl", "dgst", "-sha256", "-hmac", secret_key, "-binary"],
        input=text.encode(),
        capture_output=True,
        check=True,
        timeout=30,
    )
    ours = signature("GET", TARGET, access_key=access_key, secret_key=secret_key, timestamp=timestamp)
    assert ours == base64.b64encode(done.stdout).decode()


@settings(deadline=None, derandomize=True)
@given(target=TEXT, access_key=TEXT, secret_key=TEXT, now_ms=st.integers(0, 2**53))
def test_any_target_and_keys(target: str, access_key: str, secret_key: str, now_ms: int) -> None:
    """For any text the headers hold time and access key as signed, and the HMAC of the three lines, byte for byte."""
    headers = sign(target, KeyPair(Secret(access_key), Secret(secret_key), "test"), now_ms=now_ms)
    text = b"GET " + target.encode() + b"\n" + str(now_ms).encode() + b"\n" + access_key.encode()
    expected = hmac.new(secret_key.encode(), text, hashlib.sha256).digest()
    assert base64.b64decode(headers.pop(SIGNATURE_HEADER), validate=True) == expected
    assert headers == {TIMESTAMP_HEADER: str(now_ms), ACCESS_KEY_HEADER: access_key}


def test_every_part_is_signed() -> None:
    """Another method, target, time, access key or secret key gives another signature."""
    parts = {"method": "GET", "target": TARGET, "access_key": "a", "secret_key": "s", "timestamp": "1"}

    def signed(changes: dict[str, str]) -> str:
        now = parts | changes
        return signature(
            now["method"],
            now["target"],
            access_key=now["access_key"],
            secret_key=now["secret_key"],
            timestamp=now["timestamp"],
        )

    results = {signed({})} | {signed({name: value + "x"}) for name, value in parts.items()}
    assert len(results) == 1 + len(parts)


@pytest.mark.parametrize("skew_s", [None, 0.0, 239.0, -240.0, 401 * 86_400.0, -1e12, nan])
def test_a_clock_that_is_right_or_absurd_is_not_corrected(skew_s: float | None) -> None:
    """No Date, one within the tolerance and one of another age explain no refusal."""
    clock = GatewayClock()
    assert not clock.explains(skew_s=skew_s, signed_offset_s=0.0)
    assert clock.offset_s == 0.0


@pytest.mark.parametrize("skew_s", [241.0, 361.0, -361.0, 3600.0, -86_400.0, 400 * 86_400.0])
def test_a_wrong_clock_is_corrected_once(skew_s: float) -> None:
    """The first refusal corrects; those signed before are worth a try, one signed with the correction is not."""
    clock = GatewayClock()
    assert clock.explains(skew_s=skew_s, signed_offset_s=0.0)
    assert clock.offset_s == skew_s
    assert clock.explains(skew_s=skew_s, signed_offset_s=0.0)
    assert not clock.explains(skew_s=skew_s, signed_offset_s=skew_s)
    assert not clock.explains(skew_s=skew_s + 1000, signed_offset_s=skew_s)
    assert clock.offset_s == skew_s


def test_hint_at_clocks_that_are_days_apart() -> None:
    """Only what is too far off ever to be corrected is worth a word, in whole days, whichever clock is ahead."""
    day_s = 86_400.0
    assert hint_at_clocks(None) == hint_at_clocks(400 * day_s) == hint_at_clocks(-400 * day_s) == ""
    for skew_s in (200_000 * day_s, -200_000 * day_s):
        told = "; its Date is 200,000 days from this machine's clock: if that is wrong, set it"
        assert hint_at_clocks(skew_s) == told
