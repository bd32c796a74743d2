"""Arguments that are a folder, a snapshot or a file, here or in an object storage."""

from __future__ import annotations

from pathlib import Path

import click


class PlaceType(click.ParamType):  # type: ignore[type-arg]
    """A path, or a URL of an object storage, whose library is loaded only then."""

    name = "path"

    def convert(self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None) -> Path:  # noqa: ARG002 - click's signature
        """Return where it leads."""
        if not isinstance(value, str) or "://" not in value:
            return Path(value)
        from crawler.output.stores.opening import place_at  # noqa: PLC0415 - most arguments are paths

        return place_at(value)


PLACE = PlaceType()
