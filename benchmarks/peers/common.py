"""What all peers share: the command line, signing, and the two ways to turn a body into lines."""

# mypy: ignore-errors
# It runs in an environment of its own, which the type checker does not see.

from __future__ import annotations

import argparse
import hmac
import os
import time
from base64 import b64encode
from typing import Any
from urllib.parse import quote

import orjson

ACCESS_KEY, SECRET_KEY = os.environ["NCLOUD_ACCESS_KEY_ID"], os.environ["NCLOUD_SECRET_KEY"]
_SECRET = SECRET_KEY.encode()
BASE = "/ncr/api/v2/repositories"
CHUNK_BYTES = 256 * 1024


def ask(concurrency: int = 64) -> argparse.Namespace:
    """Return the command line's choices, the same for every peer but for the requests in flight that serve it best."""
    parser = argparse.ArgumentParser()
    parser.add_argument("origin", help="http://127.0.0.1:PORT")
    parser.add_argument("output")
    parser.add_argument("--concurrency", type=int, default=concurrency)
    parser.add_argument("--page-size", type=int, default=100)
    parser.add_argument("--tags", action="store_true", help="down to the tags of each image")
    parser.add_argument("--ours", action="store_true", help="turn bodies into lines by ncrawl's functions")
    return parser.parse_args()


def target(registry: str | None, page: int, page_size: int, image: str | None = None) -> str:
    """Return path and query of one page; None is the list of registries, an image that of its tags."""
    tags = f"/{quote(image, safe='')}/tags" if image else ""
    return f"{BASE}{'/' + registry if registry else ''}{tags}?page={page}&pagesize={page_size}"


def signed(what: str) -> dict[str, str]:
    """Return the headers that authenticate ``GET what``."""
    timestamp = str(int(time.time() * 1000))
    text = f"GET {what}\n{timestamp}\n{ACCESS_KEY}".encode()
    return {
        "x-ncp-apigw-timestamp": timestamp,
        "x-ncp-iam-access-key": ACCESS_KEY,
        "x-ncp-apigw-signature-v2": b64encode(hmac.digest(_SECRET, text, "sha256")).decode(),
    }


def by_orjson(body: bytes, registry: str, image: str | None = None) -> tuple[int | None, bytes]:
    """Return the next page's number and the lines, the way somebody writes who cares: loads, add fields, dumps."""
    page = orjson.loads(body)
    ours = {"account": "default", "region": "kr", "registry": registry}
    if image is not None:
        ours["image"] = image
    lines = bytearray()
    for record in page["results"]:
        lines += orjson.dumps({**ours, **record}, None, orjson.OPT_APPEND_NEWLINE)
    return page["next"], lines


def by_ncrawl(body: bytes, registry: str, image: str | None = None) -> tuple[int | None, bytes]:
    """Return the same by ncrawl's own functions: like for like in all but HTTP, verdicts and uniqueness."""
    from crawler.api.collections import IMAGES, TAGS  # noqa: PLC0415 - only this way needs ncrawl
    from crawler.api.records import line_prefix, lines  # noqa: PLC0415 - likewise
    from crawler.api.v2 import V2  # noqa: PLC0415 - likewise

    within = (registry,) if image is None else (registry, image)
    level = (IMAGES, TAGS)[len(within) - 1]
    page = V2.decode(body, level, 1)
    return page.next, lines(line_prefix(level.fields, ("default", "kr", *within)), page.records)


def names_of(body: bytes) -> tuple[int | None, list[str]]:
    """Return the next page's number and what a page names: registries, or images."""
    page: dict[str, Any] = orjson.loads(body)
    return page["next"], [record["name"] for record in page["results"]]
