"""What every store does, and does the same: a class of tests, for whoever has a store as a fixture ``store``."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest
from support.snapshot_maker import image, make_snapshot

from crawler.jobs.push.job import outgoing, push
from crawler.output.stores.interface import ChangedError, DamagedSourceError, ExistsError
from crawler.output.stores.opening import place_at
from crawler.snapshot.folder.remote import named_latest
from crawler.snapshot.verifying.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from crawler.output.stores.interface import Store


class Conformance:
    """The tests."""

    def test_what_is_not_there(self, store: Store) -> None:
        """Nothing is found of what is not there, and nothing is raised but where it is opened."""
        assert store.find("a/b") is None
        assert store.read("a/b") is None
        assert not store.holds("a/b", 0, hashlib.sha256().hexdigest())
        assert list(store.files()) == []
        assert store.children() == store.folders("a") == []
        store.remove("a/b")
        with pytest.raises(FileNotFoundError):
            store.open("a/b")

    def test_what_was_made_is_found(self, store: Store) -> None:
        """A small file is read as it was written, with one tag wherever it is told; another one has another tag."""
        tag = store.create("team/latest.json", b"one")
        assert store.read("team/latest.json") == (b"one", tag)
        assert store.find("team/latest.json") == ("team/latest.json", 3, tag)
        assert store.replace("team/latest.json", b"two") != tag
        store.remove("team/latest.json")
        assert store.read("team/latest.json") is None

    def test_create_makes_nothing_twice(self, store: Store) -> None:
        """What is there is not written over."""
        store.create("a", b"one")
        with pytest.raises(ExistsError):
            store.create("a", b"two")
        assert (found := store.read("a")) is not None
        assert found.data == b"one"

    def test_swap_replaces_only_what_was_seen(self, store: Store) -> None:
        """A tag is good once; what is gone cannot be swapped."""
        first = store.create("a", b"one")
        second = store.swap("a", b"two", first)
        with pytest.raises(ChangedError):
            store.swap("a", b"three", first)
        assert store.read("a") == (b"two", second)
        store.remove("a")
        with pytest.raises(ChangedError):
            store.swap("a", b"four", second)
        assert store.read("a") is None

    def test_of_many_that_race_one_wins(self, store: Store) -> None:
        """Of several that create or swap one file at once each but one is told, and the winner's data is there."""
        if not (store.can_create and store.can_swap):
            pytest.skip("it says that it cannot, and is served without")
        tag = store.create("swapped", b"")

        def race(number: int) -> list[bool]:
            data = b"%d" % number
            return [
                _wins(partial(store.create, "made", data)),
                _wins(partial(store.swap, "swapped", data, tag)),
            ]

        with ThreadPoolExecutor(8) as pool:
            made, swapped = zip(*pool.map(race, range(8)), strict=True)
        for name, winners in (("made", made), ("swapped", swapped)):
            assert sum(winners) == 1
            assert (found := store.read(name)) is not None
            assert found.data == b"%d" % winners.index(True)

    @pytest.mark.parametrize("size", [0, 1, 100_000, 9_000_000])
    def test_large_files(self, store: Store, tmp_path: Path, size: int) -> None:
        """A file is put whole, its bytes are known by their checksum, and it is read where one seeks."""
        data = bytes(range(256)) * (size // 256) + b"!" * (size % 256)
        sha256 = hashlib.sha256(data).hexdigest()
        (tmp_path / "file").write_bytes(data)
        store.put("team/1/images.ndjson", tmp_path / "file", sha256=sha256)
        assert store.holds("team/1/images.ndjson", size, sha256)
        assert not store.holds("team/1/images.ndjson", size, "0" * 64)
        with store.open("team/1/images.ndjson") as file:
            assert file.read() == data
            assert file.seek(size // 2) == size // 2
            assert file.read(10) == data[size // 2 :][:10]
            assert file.seek(0, 2) == size
            assert file.read(1) == b""
        with store.open("team/1/images.ndjson", size // 3, size // 3) as file:
            assert file.read(size // 3) == data[size // 3 :][: size // 3]

    def test_what_has_another_checksum_is_not_put(self, store: Store, tmp_path: Path) -> None:
        """A local file that is damaged does not get its name, large or small, and what was there stays."""
        for size in (10, 9_000_000):
            (tmp_path / "file").write_bytes(b"x" * size)
            with pytest.raises(DamagedSourceError):
                store.put("a", tmp_path / "file", sha256="0" * 64)
            assert store.find("a") is None
        assert store.children() == []

    def test_lists(self, store: Store) -> None:
        """All that is below a folder is listed, and no other folder's that begins with the same letters."""
        for name in ("team/1/a", "team/1/b", "team/latest.json", "team-b/c", "d"):
            store.create(name, name.encode())
        assert {(found.name, found.bytes) for found in store.files("team")} == {
            ("team/1/a", 8),
            ("team/1/b", 8),
            ("team/latest.json", 16),
        }
        assert {found.name for found in store.files()} == {
            "team/1/a",
            "team/1/b",
            "team/latest.json",
            "team-b/c",
            "d",
        }
        assert sorted(store.children()) == ["d", "team-b/", "team/"]
        assert sorted(store.folders()) == ["team", "team-b"]
        assert sorted(store.children("team")) == ["1/", "latest.json"]
        assert store.children("tea") == []

    def test_a_snapshot_is_pushed_and_proved_there(self, store: Store, tmp_path: Path) -> None:
        """All that a push takes is there, and all that proves a snapshot; the newest is named, whatever came last."""
        for name in ("20261123T020000Z", "20261122T020000Z"):
            snapshot = make_snapshot(tmp_path / name, {("team", "kr", "a"): [image("x")]}, suffix=".zst")
            push(outgoing(snapshot), store)
            assert list(verify(place_at(store.url) / "team" / name)) == []
        assert named_latest(store, "team") == "20261123T020000Z"
        assert sorted(store.folders("team")) == ["20261122T020000Z", "20261123T020000Z"]

    @pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "../a", "a/../b", ".", "a\0"])
    def test_names_that_lead_elsewhere(self, store: Store, name: str) -> None:
        """A name that leads out of the store, or that two stores would take for two files, is refused."""
        with pytest.raises(ValueError, match="no name"):
            store.read(name)
        with pytest.raises(ValueError, match="no name"):
            store.create(name, b"")


def _wins(attempt: Callable[[], str]) -> bool:
    try:
        attempt()
    except (ExistsError, ChangedError):
        return False
    return True
