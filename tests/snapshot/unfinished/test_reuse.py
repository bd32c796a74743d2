"""Tags are copied where nothing shows that they changed, and only there, whatever came, went or changed."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.snapshot_maker import unpack
from support.tree import Tree, begin_run, published, snapshot_of, spec_of

from crawler.api.collections import TAGS
from crawler.engine.crawl import Crawl
from crawler.snapshot.manifest import read
from crawler.snapshot.rotation import CLASSES, class_of
from crawler.snapshot.unfinished.base import Source
from crawler.snapshot.unfinished.earlier import Earlier, is_same_image
from crawler.snapshot.unfinished.finished import Finished
from crawler.snapshot.unfinished.reuse import Reuse
from crawler.snapshot.unfinished.writer import SnapshotWriter
from crawler.snapshot.verifying.verify import verify

if TYPE_CHECKING:
    from crawler.core.model import ListingResult

_named = st.lists(st.sampled_from("pqrs"), max_size=3, unique=True)
tags = _named.map(lambda names: {name: dict[str, Any]() for name in sorted(names)})
images = st.dictionaries(st.sampled_from(["a", "a/b", "b", "ä", "한/글", "zz", "%2F"]), tags)
registries = st.dictionaries(st.sampled_from(["one", "two"]), images)


async def reusing(folder: Path, then: Any, now: Tree, due: frozenset[int], suffix: str) -> list[ListingResult]:
    """Take a snapshot of what was and one of what is, which reuses the first; return how its lists ended."""
    earlier = Earlier(Source(then, read(then)))
    run = begin_run(folder, "two", TAGS, suffix)
    warnings: list[str] = []
    reuse = Reuse(run, earlier, due, finished=Finished(run), warn=warnings.append)
    writer = SnapshotWriter(run, reuse)
    result = await Crawl(spec_of(TAGS, earlier=reuse, page_size=2), now, writer, observe=lambda _event: None).run()
    await writer.end_the_rest(result.listed)
    writer.close()
    earlier.close()
    published(run, result, TAGS)
    assert warnings == []
    return run.results


@pytest.mark.long
@settings(deadline=None, max_examples=40)
@given(registries, registries, st.sets(st.integers(0, CLASSES - 1)), st.sampled_from(["none", "zstd"]))
def test_what_is_copied_and_what_is_fetched(then: Any, now: Any, due: set[int], packing: str) -> None:
    """An image's record here is its number of tags: the same number is no change, and tags are those of then.

    But where the list is due: it is fetched, and told whether it is what it was.
    """
    there = Tree(now, most=2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        old = asyncio.run(snapshot_of(folder, Tree(then), TAGS, compress=packing))
        results = asyncio.run(reusing(folder, old, there, frozenset(due), packing))
        suffix = ".zst" if packing == "zstd" else ""
        held = unpack((folder / f"two/tags.ndjson{suffix}").read_bytes(), suffix)
        assert [one for one in verify(folder / "two") if "run.reuse" not in one.problem] == []
    same = {
        (registry, image): held == then[registry][image]
        for registry, some in now.items()
        for image, held in some.items()
        if len(then.get(registry, {}).get(image, "more than any")) == len(held)
    }
    copied = {place for place in same if class_of("kr", *place) not in due}
    asked = {within for within in there.asked if len(within) == 2}
    assert asked == {(registry, image) for registry, some in now.items() for image in some} - copied
    expected = {registry: dict(some) for registry, some in now.items()}
    for registry, image in copied:
        expected[registry][image] = then[registry][image]
    assert list(map(json.loads, held.splitlines())) == Tree(expected).records(TAGS)
    counted = [one for one in results if one.collection is TAGS]
    assert sum(one.lists for one in counted if one.taken_from == "one") == len(copied)
    assert sum(one.refreshed for one in counted) == len(same) - len(copied)
    assert sum(one.different for one in counted) == sum(not same[place] for place in same.keys() - copied)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ('{"name":"a","pull_count":1}', '{"name":"a","pull_count":2}', True),
        ('{"name":"a","pullCount":1,"x":0}', '{"name":"a","pullCount":null,"x":0}', True),
        ('{"name":"a","pull_count":1}', '{"name":"a"}', True),
        ('{"name":"a","x":{"pull_count":1}}', '{"name":"a","x":{"pull_count":2}}', False),
        ('{"name":"a","last_updated":1}', '{"name":"a","last_updated":1.0}', False),
        ('{"name":"a","last_updated":1}', '{"name":"a","last_updated":2}', False),
        ('{"name":"a","x":null}', '{"name":"a"}', False),
    ],
)
def test_which_records_are_the_same(one: str, other: str, *, is_same: bool) -> None:
    """But for what counts pulls, in the record itself, to the byte."""
    assert is_same_image(one.encode(), other.encode()) is is_same
    assert is_same_image(other.encode(), one.encode()) is is_same
    assert is_same_image(one.encode(), one.encode())
