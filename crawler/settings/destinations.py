"""Where what comes of a run may go: the file of its lines, a storage for its snapshots, a monitor that is told."""

from __future__ import annotations

from pathlib import PurePath
from urllib.parse import urlsplit

from crawler.settings.gateways import parse_gateway
from crawler.settings.options import CONTROL, parse_file, parse_text, shown

_PACKED = (".gz", ".zst")
_TABLES = ".csv .tsv .parquet .avro .orc .arrow .feather .xls .xlsx .ods .xml .html .yaml .yml .sqlite .db .duckdb"
_PACKED_OTHERWISE = ".bz2 .xz .lzma .lz4 .lzo .br .sz .z .zip .7z .rar .tar .tgz .txz .tbz2 .tzst .gzip .zstd"
_OTHER_FORMATS = frozenset(f"{_TABLES} {_PACKED_OTHERWISE}".split())
_ADVICE = "what is written is NDJSON: let it end in .ndjson, .ndjson.gz or .ndjson.zst"

_SCHEMES = ("s3", "gs", "az", "file")
_FORM = "give s3://BUCKET/PREFIX, gs://, az://, file:///PATH or a folder"


def parse_output(text: str) -> str:
    """Return a path, or ``-``, unless its ending promises another format than the one that is written.

    Whoever reads ``x.csv`` or ``x.GZ`` would take lines of JSON for a table, or plain text for packed.
    """
    name = PurePath(parse_text(text))
    ending = name.suffix
    inner = name.with_suffix("").suffix if ending in _PACKED else ""
    if ending.lower() in _PACKED and ending not in _PACKED:
        raise ValueError(f"{shown(text)} is compressed only if it ends in {ending.lower()}: write it in small letters")
    for one in (ending, inner):
        if one.lower() in _OTHER_FORMATS:
            raise ValueError(f"{shown(text)} will not do: {one} is another format, and {_ADVICE}")
    return text


def parse_push(text: str) -> str:
    """Return a URL of an object storage, or a folder; never shows what may hold a key.

    Whether it can be used shows when it is.
    """
    scheme, separator, rest = parse_file(text).partition("://")
    if separator and any(mark in rest for mark in "@?#"):
        raise ValueError(f"the value (not shown) holds a user, a query or a fragment: {_FORM}")
    if separator and scheme not in _SCHEMES:
        raise ValueError(f"{shown(text)} is no place for snapshots: {_FORM}")
    return text


def parse_ping(text: str) -> str:
    """Return a URL to send pings to: https, or http on loopback; never shows it, for its path may be what proves us."""
    if CONTROL.search(text) or not text.isascii() or " " in text or "\\" in text:
        raise ValueError("the value (not shown) is not a URL such as https://host/path, in ASCII, percent-encoded")
    try:
        url = urlsplit(text)
        parse_gateway(f"{url.scheme}://{url.netloc}")
    except ValueError:
        raise ValueError(
            "the value (not shown) is not a URL such as https://host/path; http is for loopback only, and there is no "
            "user or password in it"
        ) from None
    if url.fragment:
        raise ValueError("the value (not shown) has a fragment (#), which is sent nowhere: leave it out")
    return text
