"""The page in a real browser: it works, it asks for nothing, and no name in it is markup."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from faults.catalogue import HOSTILE_NAMES
from support.browser import chromium, opened, visit
from support.inventory import A, B, C, days_ago, expect_gap, make_night, named_after, record, tag

from crawler.core.model import Verdict
from crawler.core.text import visible
from crawler.jobs.report.report import report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page
    from support.snapshot_maker import Place

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[3]
WIDTHS = (360, 1000, 1920)
MARKUP = (
    "<script>window.hit=1</script>", "</script><script>window.hit=1</script>", "<!--<script>", "]]>",
    '"><img src=x onerror=window.hit=1>', "</style><svg onload=window.hit=1>", "&lt;b&gt;", "</title>", "</noscript>",
    "javascript:window.hit=1", "\u202egnp.exe", "' onfocus=window.hit=1 autofocus='", "\u2028", "<iframe src=//evil>",
)  # fmt: skip
HOSTILE = sorted({*HOSTILE_NAMES, *MARKUP})


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests of this module."""
    with chromium() as started:
        yield started


def teams(nights_before: int) -> dict[Place, list[bytes]]:
    """Return what three registries hold; the younger the night, the more."""
    return {
        place: [
            record(
                f"svc/app-{n:03}",
                pull_count=(n * 7919) % 5000 if n % 3 else 0,
                last_updated=days_ago(n * 11) if n % 10 else None,
            )
            for n in range(120 - 5 * nights_before - 30 * shift)
        ]
        for shift, place in enumerate((A, B, C))
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four nights, of which one is not whole, the last one with tags."""
    made = tmp_path_factory.mktemp("nights")
    denied = ("default", "sgn", "legacy")
    for nights_before in (3, 2, 1):
        verdicts = {B: Verdict.INCOMPLETE} if nights_before == 2 else None
        make_night(made, teams(nights_before), nights_before, verdicts=verdicts)
    tags = {place: [tag("svc/app-001", "1", ("a", 5 << 30), ("b", 3 << 20))] for place in (A, B, C)}
    last = make_night(
        made,
        teams(0),
        verdicts={denied: Verdict.DENIED},
        excluded={("default", "kr", "scratch"): "kr/scratch*"},
        tags=tags,
    )
    expect_gap(last, denied, "401/210 Permission Denied")
    return made


@pytest.fixture(scope="module")
def page_file(folder: Path) -> Path:
    """The report on them."""
    path = folder / "report.html"
    path.write_bytes(report(folder).html)
    return path


def shown(page: Page) -> list[str]:
    """Return the names of the images that the list shows."""
    return page.locator("#images tbody th").all_inner_texts()


def test_what_is_seen_at_once(browser: Browser, page_file: Path) -> None:
    """Whether it is whole, how much there is, what changed; each section has a title and something in it."""
    with visit(browser, page_file) as seen:
        text = seen.page.inner_text("body")
        assert "Complete: nothing is missing, 1 expected gap and 1 excluded registry aside." in text
        assert "401/210 Permission Denied" in text
        assert "kr/scratch*" in text
        tiles = seen.page.locator(".tiles div").all_inner_texts()
        assert tiles[:4] == ["registries\n5", "images\n270", "tags\n3", "stored at most\n15.0 GiB"]
        assert f"Since {named_after(1)}." in seen.page.inner_text("#changes")
        grown = seen.page.locator("#growth figcaption").all_inner_texts()
        assert {"Images 270 (+45)", "Requests 6 (+1)", "Duration 33.0 s (+0.0 s)"} <= set(grown)
        assert seen.page.locator("#growth figure svg").count() == len(grown)
        dots = seen.page.locator("#growth svg > path.dot.odd")
        assert {path.bounding_box() is not None for path in dots.all()} == {True}
        assert dots.count() == len(grown)
        assert seen.page.locator("#growth tbody tr").count() == 4
        assert "Of 270 images" in seen.page.inner_text("#stale")
        assert seen.page.locator("section h2").count() == seen.page.locator("section").count() == 7


def test_search(browser: Browser, page_file: Path) -> None:
    """By words in any order, by kind and by region; more are shown when asked for, and how many is told."""
    with visit(browser, page_file) as seen:
        page = seen.page
        assert len(shown(page)) == 100
        assert page.inner_text("#found") == "270 of 270 images, 100 shown"
        page.click("#more")
        page.click("#more")
        assert len(shown(page)) == 270
        assert page.locator("#more").is_hidden()
        page.fill("#query", "APP-001 team-a")
        assert shown(page) == ["kr/team-a/svc/app-001"]
        page.fill("#query", "no such image")
        assert (shown(page), page.inner_text("#found")) == ([], "0 of 270 images, 0 shown")
        page.fill("#query", "")
        page.select_option("#region", "sgn")
        assert len(shown(page)) == 60
        page.select_option("#kind", "both")
        assert shown(page) == [f"sgn/team-c/svc/app-{n:03}" for n in (57, 54, 51, 48, 45, 42, 39, 36)]
        page.select_option("#kind", "undated")
        assert shown(page) == [f"sgn/team-c/svc/app-{n:03}" for n in (0, 30, 10, 20, 40, 50)]


def test_sort(browser: Browser, page_file: Path) -> None:
    """Numbers by their size, the largest first, names by their letters; a second press turns them around."""
    with visit(browser, page_file) as seen:
        page = seen.page
        page.click("#images thead button >> text=pulls")
        pulls = [int(text.replace(",", "")) for text in page.locator("#images tbody td:nth-child(3)").all_inner_texts()]
        assert pulls == sorted(pulls, reverse=True)
        assert pulls[0] > 4000
        assert page.get_attribute("#images thead th:nth-child(3)", "aria-sort") == "descending"
        page.click("#images thead button >> text=pulls")
        assert page.locator("#images tbody td:nth-child(3)").first.inner_text() == "0"
        page.click("#images thead button >> text=image")
        assert shown(page) == sorted(shown(page))
        assert page.locator("#images thead [aria-sort]").count() == 1
        names = page.locator("#registries tbody th")
        assert names.all_inner_texts() == ["kr/team-a", "kr/team-b", "sgn/team-c", "sgn/legacy"]
        page.click("#registries thead button >> text=registry")
        page.click("#registries thead button >> text=registry")
        assert names.all_inner_texts() == ["sgn/team-c", "sgn/legacy", "kr/team-b", "kr/team-a"]


def test_without_javascript(browser: Browser, page_file: Path) -> None:
    """Everything can be read, the first of the list too; nothing that would not work is there."""
    with visit(browser, page_file, java_script_enabled=False) as seen:
        page = seen.page
        assert len(shown(page)) == 100
        assert "the first 100" in page.inner_text("#images")
        assert page.locator("button:visible, input:visible, select:visible").count() == 0
        for section in page.locator("section").all():
            assert section.locator("table").count()


def test_keyboard(browser: Browser, page_file: Path) -> None:
    """Everything that can be pressed or scrolled is reached by Tab, with a frame around it, and works by Enter."""
    with visit(browser, page_file) as seen:
        page = seen.page
        reachable = page.locator("a, button:visible, input, select, .frame").count()
        found = []
        for _ in range(reachable):
            page.keyboard.press("Tab")
            found.append(page.evaluate(_FOCUSED))
        assert len({name for name, _ in found}) == reachable
        assert {outline for _, outline in found} == {"solid"}
        page.focus(".skip")
        page.keyboard.press("Enter")
        assert page.evaluate("location.hash") == "#whole"
        page.focus("#images thead button")
        page.keyboard.press("Enter")
        assert shown(page) == sorted(shown(page))
        page.focus("#query")
        page.keyboard.type("app-007")
        assert len(shown(page)) == 3


_FOCUSED = """() => [[...document.querySelectorAll('*')].indexOf(document.activeElement),
                     getComputedStyle(document.activeElement).outlineStyle]"""


_HIDDEN_PX = """() => Math.max(...[...document.querySelectorAll('.frame')].map(
    (one) => one.scrollHeight - one.clientHeight))"""


def test_print(browser: Browser, page_file: Path) -> None:
    """On paper nothing is cut off that scrolls on a screen, and there is nothing to press."""
    with visit(browser, page_file) as seen:
        seen.page.emulate_media(media="print")
        assert seen.page.evaluate(_HIDDEN_PX) == 0
        assert seen.page.locator("nav:visible, form:visible, #more:visible").count() == 0
        assert seen.page.pdf(format="A4").startswith(b"%PDF")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_width_in_light_and_dark(width: int, scheme: str, browser: Browser, page_file: Path) -> None:
    """Nothing hangs over the edge, and every text and chart stands out from its ground as WCAG's AA wants it."""
    with visit(browser, page_file, viewport={"width": width, "height": 900}, color_scheme=scheme) as seen:
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        contrasts = seen.page.evaluate(_CONTRASTS)
        assert len(contrasts) > 500
        assert [one for one in contrasts if one["ratio"] < one["least"]] == []
        picture = seen.page.screenshot(full_page=True)
        assert picture.startswith(b"\x89PNG")
        (page_file.parent / f"{width}-{scheme}.png").write_bytes(picture)


_CONTRASTS = r"""() => {
  const parse = (color) => color.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const groundOf = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.length < 4 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const of = (one, name, least) => ({
    what: `${one.tagName}.${one.getAttribute("class")}`, least,
    ratio: ratio(parse(getComputedStyle(one)[name]), groundOf(one)),
  });
  const hasText = (one) => [...one.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
  const texts = [...document.querySelectorAll("body *")].filter((one) => hasText(one) && one.checkVisibility());
  return [
    ...texts.map((one) => of(one, "color", 4.5)),
    ...[...document.querySelectorAll("rect")].map((one) => of(one, "fill", 3)),
    ...[...document.querySelectorAll("path")].map((one) => of(one, "stroke", 3)),
    ...[...document.querySelectorAll("input, select, button#more")].map((one) => of(one, "borderTopColor", 3)),
  ];
}"""


@pytest.fixture(scope="module")
def hostile_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report full of names, reasons and patterns that would like to be something else."""
    made = tmp_path_factory.mktemp("hostile")
    names = [name.encode(errors="backslashreplace").decode() for name in HOSTILE]
    places = sorted({("default", "kr", name) for name in names})
    images = [record(name, **{name or "x": name}, last_updated=days_ago(400), pull_count=0) for name in HOSTILE]
    changed = [record(name, **{name or "x": "other"}, last_updated=days_ago(400), pull_count=0) for name in HOSTILE]
    verdicts = dict.fromkeys(places, Verdict.FAILED)
    excluded = {("default", "kr", f"x{name}"): name for name in names}
    reasons = {place: place[2] for place in places}
    make_night(made, {A: changed}, 1)
    contents = {A: images} | {place: [record(place[2])] for place in places}
    last = make_night(made, contents, verdicts=verdicts, excluded=excluded, reasons=reasons)
    expect_gap(last, places[5], "</script><script>window.hit=1</script>")
    path = made / "report.html"
    path.write_bytes(report(made).html)
    return path


@pytest.mark.parametrize("java_script_enabled", [True, False])
def test_hostile_names(java_script_enabled: bool, browser: Browser, hostile_file: Path) -> None:  # noqa: FBT001 - a parameter
    """Each is a text wherever it stands, runs nothing, loads nothing, and makes no element."""
    with visit(browser, hostile_file, java_script_enabled=java_script_enabled) as seen:
        page = seen.page
        text = {re.sub(r"\s+", " ", one.strip()) for one in page.locator("th, td").all_text_contents()}
        for name in HOSTILE:
            told = re.sub(r"\s+", " ", visible(name, 500).strip())
            assert f"kr/team-a/{told}".strip() in text, name
        for tag_name in ("img", "iframe", "b script", "main script"):
            assert page.locator(tag_name).count() == 0
        assert page.locator("script").count() == 2
        assert page.locator("style").count() == 1
        handlers = page.locator("xpath=//*[@onfocus or @onload or @onerror or @autofocus]")
        assert handlers.count() == 0
        if java_script_enabled:
            assert page.evaluate("window.hit") is None
            page.fill("#query", "</script>")
            assert len(shown(page)) == 4
            page.click("#images thead button")
            assert page.evaluate("window.hit") is None


class _Served(BaseHTTPRequestHandler):
    def __init__(self, file: Path, asked: list[str], *args: Any) -> None:
        self.file, self.asked = file, asked
        super().__init__(*args)

    def do_GET(self) -> None:
        """Give the page, and take note of what was asked for."""
        self.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.file.read_bytes())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve a file on loopback, whatever is asked for; yield the origin, and the paths that are asked for."""
    asked: list[str] = []
    with HTTPServer(("127.0.0.1", 0), partial(_Served, file, asked)) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def test_no_request(browser: Browser, page_file: Path) -> None:
    """From a server, the page is all that is asked for: no icon, no font, nothing when it is used."""
    with served(page_file) as (origin, asked), visit(browser, f"{origin}/report.html") as seen:
        seen.page.fill("#query", "app")
        seen.page.click("#more")
    assert asked == ["/report.html"]


def test_its_policy_holds(browser: Browser, page_file: Path) -> None:
    """What would be markup after all could run nothing and load nothing: the browser refuses it."""
    spoilt = page_file.with_name("spoilt.html")
    bad = '<main><script>window.hit=1</script><img src="/x.png" onerror="window.hit=1"><b style="color:red">x</b>'
    spoilt.write_bytes(page_file.read_bytes().replace(b"<main>", bad.encode()))
    with served(spoilt) as (origin, asked), opened(browser, f"{origin}/report.html") as seen:
        assert seen.page.evaluate("window.hit") is None
        assert seen.page.evaluate("getComputedStyle(document.querySelector('main > b')).color") != "rgb(255, 0, 0)"
        assert " ".join(seen.complaints).count("Content Security Policy") >= 3
    assert asked == ["/report.html"]


@pytest.mark.skipif("REPORT_PICTURE" not in os.environ, reason="not run: `make picture` takes it")
def test_picture(browser: Browser, page_file: Path) -> None:
    """The picture in README.md is of this page."""
    with visit(browser, page_file, viewport={"width": 1000, "height": 900}) as seen:
        (ROOT / os.environ["REPORT_PICTURE"]).write_bytes(seen.page.screenshot())
