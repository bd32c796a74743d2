"""A storage of objects: what tests of jobs that push, or look at what was pushed, begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.object_server import known_storage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.object_server import ObjectServer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    """Return a good storage, which the environment knows."""
    with known_storage(monkeypatch) as one:
        yield one
