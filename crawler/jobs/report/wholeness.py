"""The page's answer to: is it whole? Verdicts, what is missing and why, what nobody minds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.api.collections import TAGS
from crawler.core.model import Verdict
from crawler.jobs.report.markup import Cell, Markup, count, element, join, number, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from crawler.jobs.report.facts import Facts
    from crawler.jobs.report.markup import Row
    from crawler.snapshot.manifest import Manifest, RegionRecord, RegistryRecord

MOST_ROWS = 300
"""Gaps, or excluded registries, that are shown; the manifest holds them all."""

_MARKS: dict[str, str] = {one: "good" if one.is_whole else "bad" if one.is_gap else "warn" for one in Verdict}


def whole_section(facts: Facts) -> Markup:
    """Return the verdicts by region, then every gap with its reason."""
    parts = [_verdicts(facts.manifest), *_accounts(facts.manifest), *_gaps(facts), *_expected(facts), *_excluded(facts)]
    return join(parts)


def told_verdict(manifest: Manifest) -> Markup:
    """Return the snapshot's verdict as a sentence, for the head of the page."""
    if manifest.verdict == "complete" and not manifest.missing:
        return _told_complete(manifest)
    lists = sum(one.verdict.is_gap for one in manifest.regions)
    missing = [_counted(len(manifest.missing), "registry", "registries")] if manifest.missing else []
    missing += [_counted(lists, "list of registries", "lists of registries")] if lists else []
    missing += [_counted(len(lacking), "account", "accounts")] if (lacking := manifest.lacking_accounts) else []
    missing += [f"the tags of {_counted(len(gaps), 'image', 'images')}"] if (gaps := tag_gaps(manifest)) else []
    what = f"something is missing of {', '.join(missing)}" if missing else "the run ended before it was done"
    return element("p", element("strong", "✘ "), f"Incomplete: {what}{_aside(manifest)}.", class_="verdict bad")


def _told_complete(manifest: Manifest) -> Markup:
    everything: list[RegistryRecord | RegionRecord] = [*manifest.registries, *manifest.regions]
    unproved = sum(one.verdict.is_good and not manifest.proves(one) for one in everything)
    if unproved:
        lists = _counted(unproved, "list was", "lists were")
        sentence = f"Complete, but not proved: {lists} looked at once, as far as is known{_aside(manifest)}."
        return element("p", element("strong", "? "), sentence, class_="verdict warn")
    sentence = f"Complete: nothing is missing{_aside(manifest)}."
    return element("p", element("strong", "✔ "), sentence, class_="verdict good")


def tag_gaps(manifest: Manifest) -> Sequence[Mapping[str, str | None]]:
    """Return the images whose tags are not whole, as the manifest of a snapshot with tags names them."""
    found: Sequence[Mapping[str, str | None]] = getattr(manifest, f"{TAGS.singular}_gaps", ())
    return found


def verdict_cell(verdict: str) -> Cell:
    """Return a cell with a verdict, in its colour."""
    return Cell(verdict, mark=_MARKS.get(verdict, "bad"))


def _aside(manifest: Manifest) -> str:
    told = []
    if manifest.expected_gaps:
        told.append(_counted(len(manifest.expected_gaps), "expected gap", "expected gaps"))
    if manifest.excluded:
        told.append(_counted(len(manifest.excluded), "excluded registry", "excluded registries"))
    return f", {' and '.join(told)} aside" if told else ""


def _counted(value: int, one: str, many: str) -> str:
    return f"{value:,} {one if value == 1 else many}"


def _verdicts(manifest: Manifest) -> Markup:
    present = [one for one in Verdict if one is Verdict.COMPLETE or _with(manifest.registries, one)]
    regions = sorted({*(one.region for one in manifest.regions), *(one.region for one in manifest.registries)})
    lists: dict[str, Verdict] = {}  # of a fleet's many the weakest
    for one in sorted(manifest.regions, key=lambda one: [*Verdict].index(one.verdict)):
        lists[one.region] = one.verdict
    rows: list[Row] = []
    for region in regions:
        here = [one for one in manifest.registries if one.region == region]
        told = verdict_cell(lists[region]) if region in lists else Cell("named, not listed")
        rows.append([region, told, count(len(here)), *(count(_with(here, verdict)) for verdict in present)])
    if len(rows) > 1:
        everything = manifest.registries
        totals = [count(_with(everything, verdict)) for verdict in present]
        rows.append(["all", "", count(len(everything)), *totals])
    return table(
        "Registries by verdict", ["region", "list of registries", "registries", *present], rows, sortable=False
    )


def _with(registries: Iterable[RegistryRecord], verdict: Verdict) -> int:
    return sum(one.verdict is verdict for one in registries)


def _accounts(manifest: Manifest) -> list[Markup]:
    rows: list[Row] = [
        [one.account, verdict_cell(one.verdict), _reason(one.reason), count(one.images)]
        for one in manifest.lacking_accounts
    ]
    return _some("Accounts that are not whole", ["account", "verdict", "reason", "images had"], rows)


def _gaps(facts: Facts) -> list[Markup]:
    manifest = facts.manifest
    lists: list[Row] = [
        [f"{one.label}: its list of registries", verdict_cell(one.verdict), _reason(one.reason), count(one.registries)]
        for one in manifest.regions
        if not one.verdict.is_good
    ]
    registries: list[Row] = [
        [facts.label(one.place), verdict_cell(one.verdict), _reason(one.reason), count(one.images)]
        for one in (*manifest.missing, *(one for one in manifest.registries if one.verdict is Verdict.GONE))
    ]
    tags: list[Row] = [
        [
            "/".join(one[name] or "" for name in TAGS.named_by[1:]),
            verdict_cell(one["verdict"] or ""),
            _reason(one["reason"]),
        ]
        for one in tag_gaps(manifest)
    ]
    told = _some("What is missing or gone, and why", ["what", "verdict", "reason", "images had"], [*lists, *registries])
    return [*told, *_some("Images whose tags are not whole", ["image", "verdict", "reason"], tags)]


def _reason(reason: str | None) -> Cell:
    return Cell(reason or "no reason given", mark="told")


def _expected(facts: Facts) -> list[Markup]:
    rows: list[Row] = [
        [facts.label(one.place), verdict_cell(one.verdict), _reason(one.reason)] for one in facts.manifest.expected_gaps
    ]
    return _some("Expected gaps: tried each night, and nobody minds", ["registry", "verdict", "reason"], rows)


def _excluded(facts: Facts) -> list[Markup]:
    rows: list[Row] = [[facts.label(one.place), one.pattern] for one in facts.manifest.excluded]
    return _some("Excluded: not listed, because it was asked for", ["registry", "pattern"], rows)


def _some(caption: str, head: list[str], rows: list[Row]) -> list[Markup]:
    if not rows:
        return []
    more = len(rows) - MOST_ROWS
    told = [element("p", "… and ", number(more), " more: the manifest holds them all.")] if more > 0 else []
    return [table(caption, head, rows[:MOST_ROWS]), *told]
