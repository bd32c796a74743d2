"""Where snapshots may be copied to: as far as a URL shows it; whether it can be used shows when it is."""

from __future__ import annotations

from crawler.settings.options import parse_file, shown

SCHEMES = ("s3", "gs", "az", "file")
FORM = "give s3://BUCKET/PREFIX, gs://, az://, file:///PATH or a folder"


def parse_push(text: str) -> str:
    """Return a URL of an object storage, or a folder; never shows what may hold a key."""
    scheme, separator, rest = parse_file(text).partition("://")
    if separator and any(mark in rest for mark in "@?#"):
        raise ValueError(f"the value (not shown) holds a user, a query or a fragment: {FORM}")
    if separator and scheme not in SCHEMES:
        raise ValueError(f"{shown(text)} is no place for snapshots: {FORM}")
    return text
