"""Put a report together: one HTML file with its style, script and data, which asks nobody for anything."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from importlib import resources
from typing import TYPE_CHECKING

from crawler.core.version import __version__
from crawler.jobs.report.amounts import amount_section, at_most, growth_section, registries_section
from crawler.jobs.report.contents import changes_section, list_data, list_section, stale_section
from crawler.jobs.report.history import moment, registries_of
from crawler.jobs.report.markup import Markup, byte_size, element, join, number
from crawler.jobs.report.wholeness import told_verdict, whole_section

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.jobs.report.facts import Facts

_SECTIONS = (
    ("whole", "Is it whole?", whole_section),
    ("amount", "How much is there?", amount_section),
    ("changes", "What changed?", changes_section),
    ("growth", "How did it grow?", growth_section),
    ("stale", "What is stale?", stale_section),
    ("registries", "The largest registries", registries_section),
    ("images", "Images", list_section),
)


def page(facts: Facts) -> bytes:
    """Return the whole file.

    Its policy lets the browser load nothing, and run no script and heed no style but the file's own, by their hashes.
    """
    style, script = _own("page.css"), _own("page.js")
    own = f"style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    policy = f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"
    head = [
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="generator", content=f"ncrawl {__version__}"),
        element("title", f"{_title(facts)}, {facts.manifest.run.id}"),
        element("style", style),
    ]
    body = [
        element("a", "Skip to the figures", href="#whole", class_="skip"),
        _header(facts),
        element("main", join(_section(facts, name, title, made=made) for name, title, made in _SECTIONS)),
        element("script", list_data(facts), type="application/json", id="data"),
        element("script", script),
    ]
    html = element("html", element("head", join(head)), element("body", join(body)), lang="en")
    return f"<!DOCTYPE html>\n{html}\n".encode()


def _title(facts: Facts) -> str:
    return "Container registries" + (f" of {', '.join(facts.accounts)}" if facts.accounts else "")


def _own(name: str) -> Markup:
    return Markup(resources.files(__package__).joinpath(name).read_text("utf-8"))


def _hash(inline: str) -> Markup:
    return Markup(f"sha256-{b64encode(hashlib.sha256(inline.encode()).digest()).decode()}")


def _section(facts: Facts, name: str, title: str, *, made: Callable[[Facts], Markup]) -> Markup:
    return element(
        "section", element("h2", title, id=f"{name}-title"), made(facts), id=name, aria_labelledby=f"{name}-title"
    )


def _header(facts: Facts) -> Markup:
    manifest = facts.manifest
    started = f"{moment(manifest.run.started):%Y-%m-%d %H:%M} UTC"
    told = f"Snapshot {manifest.run.id}, begun {started}, by {manifest.tool.name} {manifest.tool.version}"
    if facts.latest and facts.latest != manifest.run.id:
        told += f"; latest is {facts.latest}"
    links = [element("li", element("a", title, href=f"#{name}")) for name, title, _ in _SECTIONS]
    return element(
        "header",
        element("h1", _title(facts)),
        element("p", told, class_="note"),
        told_verdict(manifest),
        _tiles(facts),
        element("nav", element("ul", *links), aria_label="Sections"),
    )


def _tiles(facts: Facts) -> Markup:
    totals, stale = facts.manifest.totals, facts.holdings.whole
    tiles = [("registries", number(registries_of(facts.manifest))), ("images", number(totals.images))]
    if facts.sizes is not None:
        tiles.append(("tags", number(sum(one.tags for one in facts.sizes.values()))))
        tiles.append(("stored at most", byte_size(at_most(facts.sizes.values()))))
    tiles.append(("never pulled and not pushed for a year", number(stale.both)))
    if facts.changes.before is not None:
        tiles.append(("differences to the snapshot before", number(facts.changes.counts.total())))
    return element(
        "dl", *(element("div", element("dt", name), element("dd", value)) for name, value in tiles), class_="tiles"
    )
