"""Check a site that was built: every link within it leads somewhere, and nothing is loaded from elsewhere.

Usage: python docs/check_links.py FOLDER
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADS = {"script": "src", "img": "src", "link": "href", "iframe": "src"}


class Page(HTMLParser):
    """What a page links to, what it loads, and what in it can be linked to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take in a tag."""
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in LOADS and LOADS[tag] in given and given.get("rel") not in ("canonical", "next", "prev"):
            self.loads.append(given[LOADS[tag]])


def problems(folder: Path) -> list[str]:
    """Return what is wrong with a site."""
    pages = {path.resolve(): Page(path.read_text()) for path in folder.rglob("*.html")}
    found = [] if pages else [f"{folder} holds no page"]
    for path, page in pages.items():
        place = path.relative_to(folder.resolve())
        found += [f"{place} loads {url}" for url in page.loads if urlsplit(url).netloc]
        found += [f"{place}: {url} leads nowhere" for url in page.links + page.loads if is_dead(url, path, pages)]
    return found


def is_dead(url: str, path: Path, pages: dict[Path, Page]) -> bool:
    """Whether a link within the site leads nowhere; others are not looked at."""
    parts = urlsplit(url)
    if parts.scheme or parts.netloc:
        return False
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.is_file():
        return True
    return bool(parts.fragment) and target in pages and unquote(parts.fragment) not in pages[target].anchors


def main() -> int:
    """Print what is wrong; 1 if anything is."""
    found = problems(Path(sys.argv[1]))
    print(*found, sep="\n", end="\n" if found else "")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
