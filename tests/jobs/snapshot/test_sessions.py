"""What an earlier session finished is in the snapshot, unless a list that was read since lacks it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from support.tree import BROKEN, Tree, begin_run, crawl_into, tree

from crawler.api.collections import TAGS
from crawler.jobs.snapshot.sessions import has_anything, of_all_sessions
from crawler.settings.table import Settings
from crawler.snapshot.unfinished.publishing import assemble

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


async def test_an_image_that_is_gone_since_is_left_out_of_its_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tags were finished with those of others, which stay: the list of images was read again and lacks it."""
    monkeypatch.setattr("crawler.engine.failed_tries.pause_s", lambda *_, **__: 0.0)
    there = Tree(tree(3, 2, 12, 2), most=10)
    original = there.body

    def body(target: str) -> Any:
        return BROKEN if "/repositories/0?page=2" in target else original(target)

    there.body = body  # type: ignore[method-assign]
    run = begin_run(tmp_path, "one", TAGS)
    await crawl_into(run, there, TAGS, page_size=10)
    run.close()
    there.body = original  # type: ignore[method-assign]
    del there.names["0"]["0-3"]
    again = type(run).resume(run.path, now="2026-11-26T03:00:00.000Z")
    assert ("tags", "kr", "0") in again.earlier
    before = there.asked.copy()
    result = await crawl_into(again, there, TAGS, page_size=10)
    asked = there.asked - before
    assert {within for within in asked if len(within) == 2} == {("0", "0-10"), ("0", "0-11")}
    begun: Any = SimpleNamespace(run=again, settings=Settings())
    whole = of_all_sessions(begun, result)
    assert has_anything(again)
    made = assemble(again, whole.listed, TAGS)
    lines = (made.folder / "tags.ndjson").read_bytes().splitlines()
    assert len(lines) == 2 * (11 + 12) == sum(one.records for one in whole.deeper) == made.files[-1].lines
    assert not [line for line in lines if b'"image":"0-3"' in line]
    assert sum(one.lists for one in whole.deeper) == 11 + 12
    again.close()
