"""What registries store at most: distinct digests of each, whatever order lists come and end in, in bounded memory."""

from __future__ import annotations

import json
import tempfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.odd_records import VALUES

from crawler.api.collections import IMAGES, TAGS
from crawler.core.model import Region, VerifyMode
from crawler.engine.listing import Listing
from crawler.engine.page_size import PageSize
from crawler.engine.tasks import ListingTask
from crawler.jobs.sizes import Image, Sizing, StoredSizing, Tally, images_of_lines
from crawler.snapshot.entries import RegistrySize

if TYPE_CHECKING:
    from crawler.core.collection import Collection

IMAGE = st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 9))


def images(*pairs: tuple[str, int]) -> list[dict[str, Any]]:
    """Return the images of a tag."""
    return [{"digest": digest, "size": size} for digest, size in pairs]


def tag(name: str, *pairs: tuple[str, int]) -> bytes:
    """Return a tag's record without its opening brace."""
    return json.dumps({"name": name, "images": images(*pairs)}).encode()[1:]


def task_of(collection: Collection, *within: str) -> ListingTask:
    """Return the task of a list."""
    return ListingTask(
        Region("kr", "/kr"), collection, within, Listing(PageSize(9), VerifyMode.AUTO), b"", started_ms=0
    )


def entry(registry: str, tags: int, digests: int | None, at_most: int | None) -> RegistrySize:
    """Return the entry of a registry."""
    known = {"account": "default", "region": "kr", "registry": registry, "tags": tags}
    return RegistrySize(**known, digests=digests, bytes_at_most=at_most, unsized=0)  # type: ignore[arg-type]


@given(st.lists(st.lists(IMAGE, max_size=4)), st.integers(1, 4))
@settings(deadline=None, max_examples=50)
def test_what_is_put_aside_changes_nothing(tags: list[list[tuple[str, int]]], most: int) -> None:
    """Distinct digests, each with its largest size, however little is held in memory."""
    largest: dict[str, int] = {}
    for digest, size in (pair for pairs in tags for pair in pairs):
        largest[digest] = max(size, largest.get(digest, 0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crawler.jobs.sizes.MOST_HELD", most)
        tally = Tally()
        tally.add([images(*pairs) for pairs in tags])
        assert (tally.tags, *tally.result()) == (len(tags), len(largest), sum(largest.values()))


def test_what_cannot_be_put_aside_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk ends no run: digests and bytes are null, never too few."""

    def refuse() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("crawler.jobs.sizes.MOST_HELD", 2)
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    sizing = Sizing("default")
    sizing.take(task_of(TAGS, "a", "x"), [tag("1", ("a", 1), ("b", 1), ("c", 1))])
    assert sizing.result() == (entry("a", 1, None, None),)


def test_a_registry_is_settled_with_its_last_list() -> None:
    """Then its digests are forgotten; one of which no list of images was read is settled in the end."""
    sizing = Sizing("default")
    sizing.take(task_of(IMAGES, "b"), [b"1", b"2"])
    sizing.take(task_of(TAGS, "b", "y"), [tag("1", ("a", 5)), tag("2", ("a", 7), ("b", 1))])
    sizing.end(task_of(TAGS, "b", "y"))
    sizing.end(task_of(IMAGES, "b"))
    assert sizing._open
    sizing.end(task_of(TAGS, "b", "z"))
    assert not sizing._open
    sizing.take(task_of(TAGS, "a", "x"), [tag("1", ("a", 5))])
    sizing.end(task_of(TAGS, "a", "x"))
    sizing.end(task_of(IMAGES, "none"))
    assert sizing.result() == (entry("a", 1, 1, 5), entry("b", 2, 2, 8), entry("none", 0, 0, 0))


def test_of_lines_that_come_registry_by_registry() -> None:
    """As when a snapshot is put together; other levels are not looked at."""
    sizing = StoredSizing("default")
    sizing.look("layers", ("kr", "a"), b"no JSON")
    for registry, name in (("a", "1"), ("a", "2"), ("b", "1")):
        sizing.look("tags", ("kr", registry), b"{" + tag(name, ("a", 5)) + b"\n{" + tag("x", (name, 1)) + b"\n")
    assert sizing.result() == (entry("a", 4, 3, 7), entry("b", 2, 2, 6))
    assert StoredSizing("default").result() == ()


FIELDS = st.dictionaries(st.sampled_from(["digest", "size", "os"]), VALUES, max_size=3)


@given(st.lists(st.lists(FIELDS, max_size=3), max_size=3))
@settings(deadline=None)
def test_odd_images_count_alike_in_any_company(tags: list[list[dict[str, str]]]) -> None:
    """What a reader of JSON finds in an image counts, whether all others beside it are as documented or none is."""
    objects = [["{%s}" % ",".join(f'"{name}":{one[name]}' for name in one) for one in images] for images in tags]  # noqa: UP031 - braces
    texts = [f'{{"images":[{",".join(images)}]}}' for images in objects]
    slow, fast, odd = Tally(), Tally(), Tally()
    slow.add([json.loads(text)["images"] for text in texts])
    fast.add(images_of_lines("\n".join(texts).encode()))
    odd.add(images_of_lines("\n".join([*texts, '{"images":[7]}']).encode()))
    assert slow.result() == fast.result() == odd.result()
    assert (slow.tags, slow.unsized) == (fast.tags, fast.unsized) == (odd.tags - 1, odd.unsized)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"name":"x"}', [None]),
        (b'{"images":[{"size":1,"os":"x"}]}', [[Image(size=1)]]),
        (b'{"images":[{"size":-1}]}', [[{"size": -1}]]),
        (b'{"name":"\\ud800","images":[{"size":1}]}', [[{"size": 1}]]),
        (b'{"a":"\\n","images":7}\n{"images":[]}\n', [7, []]),
    ],
)
def test_odd_tags(line: bytes, expected: list[object]) -> None:
    """Nothing but the images is looked at, and that may be anything."""
    assert images_of_lines(line) == expected
