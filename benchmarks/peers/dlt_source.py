"""dlt's rest_api source: registries, and the images of each, into JSON Lines files. More work: types, schema."""

# mypy: ignore-errors
# It runs in an environment of its own, which the type checker does not see.

from __future__ import annotations

import os
from pathlib import Path

os.environ |= {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true",
}

import dlt
from common import ask, signed
from dlt.common.configuration import configspec
from dlt.sources.helpers.rest_client.auth import AuthConfigBase
from dlt.sources.rest_api import rest_api_source


@configspec
class Signing(AuthConfigBase):
    """Signs each request when it is whole."""

    def __call__(self, request):
        """Add the headers."""
        request.headers.update(signed(request.path_url))
        return request


def enriched(record: dict) -> dict:
    """Return a record with our fields before its own."""
    registry = record.pop("_registries_name")
    return {"account": "default", "region": "kr", "registry": registry, **record}


def main() -> None:
    """Crawl everything."""
    chosen = ask()
    source = rest_api_source(
        {
            "client": {
                "base_url": chosen.origin,
                "auth": Signing(),
            },
            "resource_defaults": {
                "endpoint": {
                    "data_selector": "results",
                    # Following `next` as a number is what dlt calls a cursor; its page numbers want a total of pages.
                    "paginator": {"type": "cursor", "cursor_path": "next", "cursor_param": "page"},
                },
            },
            "resources": [
                {
                    "name": "registries",
                    "endpoint": {"path": "ncr/api/v2/repositories", "params": {"pagesize": 100}},
                },
                {
                    "name": "images",
                    "include_from_parent": ["name"],
                    "endpoint": {
                        "path": "ncr/api/v2/repositories/{resources.registries.name}",
                        "params": {"pagesize": chosen.page_size},
                    },
                    "processing_steps": [{"map": enriched}],
                },
            ],
        }
    )
    output = Path(chosen.output).resolve()
    pipeline = dlt.pipeline(
        "benchmark",
        pipelines_dir=str(output / "working"),
        destination=dlt.destinations.filesystem(bucket_url=(output / "loaded").as_uri()),
        dataset_name="inventory",
    )
    pipeline.run(source, loader_file_format="jsonl")


main()
