"""What the marks of a test say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crawler.emulation import EmulatorOptions

if TYPE_CHECKING:
    import pytest


def world_of(request: pytest.FixtureRequest, **usual: Any) -> EmulatorOptions:
    """Return the options of an emulator: the usual ones, but for those that the test is marked with."""
    marker = request.node.get_closest_marker("world")
    return EmulatorOptions(**usual | (marker.kwargs if marker else {}))
