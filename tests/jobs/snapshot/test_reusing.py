"""How old what is reused is known to be, night after night, whatever was asked for on each."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from crawler.core.text import iso
from crawler.jobs.snapshot.reusing import listed_again_since, listed_since, share_of
from crawler.snapshot.manifest import Run, TakenOver
from crawler.snapshot.rotation import CLASSES, MOST_NIGHTS, due_classes, too_old
from crawler.snapshot.unfinished.journal import Header, Reusing

DAY_MS = 86_400_000
nights = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from(["1/7", "3/7", "none", "all", "full", "mend"])), max_size=20
)


def header(started_ms: int, listed_ms: tuple[int, ...], due: frozenset[int] | None) -> Header:
    """Return that of a run that reuses, or of one that mends."""
    reusing = UNSET if due is None else Reusing(snapshot="x", path="x", due=tuple(sorted(due)))
    options: dict[str, Any] = {}
    return Header(
        id="y", started_ms=started_ms, account="a", identity="b", options=options, reusing=reusing, listed_ms=listed_ms
    )


def manifest_of(started_ms: int, of_run: Header | None) -> Any:
    """Return as much of a manifest as tells of ages; a run that reuses nothing has read all."""
    mended = of_run is not None and of_run.reusing is UNSET
    taken = TakenOver(snapshot="x", registries=1, images=1) if mended else None
    since = UNSET if of_run is None else listed_again_since(of_run)
    return SimpleNamespace(
        run=Run(id="y", started=iso(started_ms), finished="", taken_over=taken, tags_listed_since=since)
    )


@given(nights)
def test_no_age_is_taken_for_less_than_it_is(asked: list[tuple[int, str]]) -> None:
    """What a manifest says of a class is never later than when its oldest list was read.

    So a night that reuses never reuses what is older than eight nights, and one with a share leaves nothing older than
    seven.
    """
    now_ms = 20_000 * DAY_MS
    read = [now_ms] * CLASSES
    made = manifest_of(now_ms, None)
    for gap, what in asked:
        now_ms += gap * DAY_MS + 60_000
        listed_ms = listed_since(made)
        assert listed_ms is not None
        if what == "mend":
            made = manifest_of(now_ms, header(now_ms, listed_ms, None))
        elif what == "full" or len(too_old(listed_ms, now_ms)) == CLASSES:
            read, made = [now_ms] * CLASSES, manifest_of(now_ms, None)
        else:
            due = due_classes(listed_ms, now_ms, share_of(what))
            read = [now_ms if one in due else before for one, before in enumerate(read)]
            made = manifest_of(now_ms, header(now_ms, listed_ms, due))
            assert min(read) > now_ms - (MOST_NIGHTS if what == "none" else 7) * DAY_MS
        said = listed_since(made)
        assert said is not None
        assert all(of_class <= then for of_class, then in zip(said, read, strict=True))


def test_what_nobody_says_is_not_known() -> None:
    """A snapshot that was mended before ages were kept; or that says something else than seven times."""
    made = manifest_of(0, None)
    assert listed_since(made) == (0,) * CLASSES
    mended = Run(id="y", started=iso(0), finished="", taken_over=TakenOver(snapshot="x", registries=1, images=1))
    assert listed_since(SimpleNamespace(run=mended)) is None  # type: ignore[arg-type]
    rubbish = Run(id="y", started="yesterday", finished="")
    assert listed_since(SimpleNamespace(run=rubbish)) is None  # type: ignore[arg-type]
    short = Run(id="y", started=iso(0), finished="", tags_listed_since=(iso(0),) * 6)
    assert listed_since(SimpleNamespace(run=short)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(("refresh", "share"), [("none", 0), ("1/7", 1), ("6/7", 6), ("all", CLASSES)])
def test_shares(refresh: str, share: int) -> None:
    """In sevenths."""
    assert share_of(refresh) == share
