"""Debian's chromium, in which pages are looked at; where it is missing, tests of pages are not run."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Dialog, Page

CHROMIUM = "/usr/bin/chromium"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser that asks nobody for anything by itself."""
    if not shutil.which(CHROMIUM):
        pytest.skip("not run: Debian's chromium is not installed")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where there is a browser

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-background-networking"]
        )
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page that is open.

    Attributes:
        requests: every URL that the browser asked for.
        complaints: what stood on its console, errors of scripts, dialogs.
    """

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def dismiss(self, dialog: Dialog) -> None:
        """Close a dialog, and take note of it."""
        self.complaints.append(dialog.message)
        dialog.dismiss()


@contextmanager
def visit(browser: Browser, address: Path | str, **options: Any) -> Iterator[Visit]:
    """Open a page as `opened` does, and hold it to it that nothing goes wrong and nothing else is asked for."""
    with opened(browser, address, **options) as seen:
        yield seen
        assert seen.complaints == []
        assert len(seen.requests) == 1


@contextmanager
def opened(browser: Browser, address: Path | str, **options: Any) -> Iterator[Visit]:
    """Open a page in a context of its own, and take note of what it does.

    Args:
        browser: where.
        address: file or URL.
        options: of playwright's contexts.
    """
    with browser.new_context(**options) as context:
        seen = Visit(context.new_page())
        seen.page.on("request", lambda request: seen.requests.append(request.url))
        seen.page.on("console", lambda message: seen.complaints.append(message.text))
        seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        seen.page.on("dialog", seen.dismiss)
        seen.page.goto(address if isinstance(address, str) else address.as_uri())
        yield seen
