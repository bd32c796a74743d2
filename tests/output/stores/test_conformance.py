"""What every store does, tried on a local folder and on our own storages, honest and not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from support.object_server import known_storage
from support.store_conformance import Conformance

from crawler.output.stores.local import LocalStore
from crawler.output.stores.opening import store_at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from crawler.output.stores.interface import Store


class TestLocalFolder(Conformance):
    """A folder."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        """Open it."""
        return LocalStore(tmp_path / "store")

    def test_it_can_do_all(self, store: Store) -> None:
        """Writers are kept apart."""
        assert store.can_create
        assert store.can_swap

    def test_a_pipe_holds_nobody_up(self, store: Store, tmp_path: Path) -> None:
        """What is no regular file is not read: a pipe that nobody writes to would never end."""
        (tmp_path / "store").mkdir()
        os.mkfifo(tmp_path / "store" / "manifest.json")
        with pytest.raises(OSError, match="no regular file"):
            store.read("manifest.json")


class TestObjects(Conformance):
    """A good object storage, below a prefix."""

    @pytest.fixture
    def store(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
        """Open it."""
        with known_storage(monkeypatch):
            yield store_at("s3://bucket/some/prefix")

    def test_it_can_do_all(self, store: Store) -> None:
        """Writers are kept apart, and the trial leaves nothing."""
        assert store.can_create
        assert store.can_swap
        assert list(store.files()) == []


class TestLiar(Conformance):
    """A storage that takes conditions and heeds none, and keeps nothing that is said of a file."""

    @pytest.fixture
    def store(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
        """Open it."""
        ignored = frozenset({"if-match", "if-none-match"})
        with known_storage(monkeypatch, ignores_conditions=ignored):
            yield store_at("s3://bucket")

    def test_it_is_found_out(self, store: Store) -> None:
        """Nobody believes that it keeps writers apart."""
        assert not store.can_create
        assert not store.can_swap
