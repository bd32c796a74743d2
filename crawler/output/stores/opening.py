"""Find the store that a URL or a path means; the library is loaded for URLs only."""

from __future__ import annotations

import ipaddress
import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from crawler.core.errors import UsageError
from crawler.output.stores.place import Place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crawler.output.stores.interface import Store

SCHEMES = ("s3", "gs", "az")
_FORM = "give s3://BUCKET/PREFIX, gs://, az://, file:///PATH or a path"
_ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}


class Patience(NamedTuple):
    """How long a store is waited for, in seconds, and how often it is asked again."""

    connect_s: float = 5.0
    silence_s: float = 30.0
    retries: int = 4
    retry_s: float = 60.0


def is_url(text: str) -> bool:
    """Whether a text is a URL, and so not the path of a local file."""
    return "://" in text


def place_at(text: str | os.PathLike[str], patience: Patience | None = None) -> Path:
    """Return where a URL or a path leads: a local path, or a `Place`, which readers take for one.

    Args:
        text: URL or path.
        patience: how long to wait; None is as usual.

    Raises:
        UsageError: it cannot be used, or what it takes is not installed.
    """
    if isinstance(text, Place):
        return text
    text = os.fspath(text)
    if not is_url(text):
        return Path(text)
    scheme, bucket, name = _parts(text)
    if scheme == "file":
        return Path("/" + name)
    return Place(_bucket(scheme, bucket, patience or Patience()), name)


def store_at(text: str | os.PathLike[str], patience: Patience | None = None) -> Store:
    """Return the store that a folder is, or what is below a prefix of a bucket.

    Raises:
        UsageError: it cannot be used, or what it takes is not installed.
    """
    place = place_at(text, patience)
    if isinstance(place, Place):
        return place.store.below(place.key)
    from crawler.output.stores.local import LocalStore  # noqa: PLC0415 - whoever only reads needs none

    return LocalStore(place)


def _parts(text: str) -> tuple[str, str, str]:
    """Return scheme, bucket and name of a URL; what may hold a secret is not shown.

    Raises:
        UsageError: it is none that can be used.
    """
    scheme, _, rest = text.partition("://")
    if any(mark in rest for mark in "@?#") or not text.isprintable():
        raise UsageError(f"a URL (not shown) holds a user, a query, a fragment or a control character: {_FORM}")
    bucket, _, name = rest.rstrip("/").partition("/")
    if scheme not in (*SCHEMES, "file") or (not bucket) != (scheme == "file"):
        raise UsageError(f"{text} is no place for snapshots: {_FORM}")
    if any(part in ("", ".", "..") for part in name.split("/")) and name:
        raise UsageError(f"{text} has an empty part, or one that leads elsewhere: {_FORM}")
    return scheme, bucket, name


def _bucket(scheme: str, bucket: str, patience: Patience) -> Store:
    try:
        from obstore import exceptions, store  # noqa: PLC0415 - an extra, and for URLs only
    except ImportError:
        raise UsageError("object storage takes obstore: install it with `pip install 'ncrawl[s3]'`") from None
    from crawler.output.stores.objects import ObjectStore  # noqa: PLC0415 - likewise

    url = f"{scheme}://{bucket}"
    config: Any = _s3_config(os.environ) if scheme == "s3" else {}
    endpoint = config.get("endpoint") or _endpoint(scheme, os.environ)
    client: Any = {
        "allow_http": is_loopback(endpoint),
        "connect_timeout": timedelta(seconds=patience.connect_s),
        "read_timeout": timedelta(seconds=patience.silence_s),
        "timeout": timedelta(days=7),  # a large file takes what it takes
    }
    again: Any = {"max_retries": patience.retries, "retry_timeout": timedelta(seconds=patience.retry_s)}
    try:
        made = store.from_url(url, config=config, client_options=client, retry_config=again)
    except (exceptions.BaseError, ValueError):  # whose words may hold what it was given
        raise UsageError(f"{url} cannot be opened: check the variables and the profile that its keys are in") from None
    return ObjectStore(url, made, by_version=scheme == "gs")


def _s3_config(environ: Mapping[str, str]) -> dict[str, Any]:
    from crawler.output.stores.profiles import profile_of  # noqa: PLC0415 - likewise

    said: dict[str, Any] = profile_of(environ)
    if endpoint := _endpoint("s3", environ) or said.get("endpoint", ""):
        said["endpoint"] = endpoint.rstrip("/")
    return said | {"disable_bulk_delete": True}  # not every storage knows it


def _endpoint(scheme: str, environ: Mapping[str, str]) -> str:
    return next((environ[name] for name in _ENDPOINTS[scheme] if environ.get(name)), "")


def is_loopback(endpoint: str) -> bool:
    """Whether an endpoint is of this machine, so that http is safe.

    Raises:
        UsageError: it is http and of another: what is signed could be read.
    """
    try:
        url = urlsplit(endpoint)
        host = url.hostname or ""
    except ValueError:
        host = ""
    if endpoint and (not host or "@" in endpoint):
        raise UsageError("the endpoint of the object storage (not shown) is no URL such as https://host:port")
    try:
        is_here = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_here = host == "localhost"
    if endpoint.lower().startswith("http:") and not is_here:
        raise UsageError(f"the endpoint {endpoint} is not safe: https is needed; http is for loopback (127.0.0.1) only")
    return is_here
