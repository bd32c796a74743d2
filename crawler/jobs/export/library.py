"""pyarrow, where it is installed: the only module that imports it."""

from __future__ import annotations

from crawler.core.errors import UsageError

try:
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import json, parquet
except ImportError as error:
    raise UsageError(f"Parquet and Arrow need pyarrow ({error}): `pip install 'ncrawl[parquet]'`") from error

__all__ = ["json", "pa", "parquet", "pc"]
