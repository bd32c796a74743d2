"""What a file of lines may be called: its name has to say what is in it."""

from __future__ import annotations

from pathlib import PurePath

from crawler.settings.options import parse_text, shown

_PACKED = (".gz", ".zst")
_TABLES = ".csv .tsv .parquet .avro .orc .arrow .feather .xls .xlsx .ods .xml .html .yaml .yml .sqlite .db .duckdb"
_PACKED_OTHERWISE = ".bz2 .xz .lzma .lz4 .lzo .br .sz .z .zip .7z .rar .tar .tgz .txz .tbz2 .tzst .gzip .zstd"
_OTHER_FORMATS = frozenset(f"{_TABLES} {_PACKED_OTHERWISE}".split())
_ADVICE = "what is written is NDJSON: let it end in .ndjson, .ndjson.gz or .ndjson.zst"


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
