"""A browser with one page in it, for the HTML of a document."""

from __future__ import annotations

import re
import time
from pathlib import Path

from playwright.sync_api import Page, Playwright, sync_playwright

from tests.documents.terminal import SECONDS
from tests.e2e.browser import ARGUMENTS, CHROMIUM, MISSING

NOT_RUN = f"pages were not opened: {MISSING}"


class Browser:
    """Chromium with a file opened from disk, as by a double click."""

    def __init__(self, file: Path) -> None:
        self._said: list[str] = []
        self._playwright: Playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        self._page: Page = self._browser.new_page()
        self._page.on("console", lambda message: self._said.append(message.text))
        self._page.on("pageerror", lambda error: self._said.append(f"page error: {error}"))
        self._page.goto(file.as_uri())
        if "new EventSource" in file.read_text("utf-8"):
            self._page.wait_for_function("() => events.readyState === EventSource.OPEN")

    def shows(self, pattern: re.Pattern[str]) -> None:
        """Wait until *pattern* is on the page or in its console."""
        deadline = time.monotonic() + SECONDS
        while not pattern.search(text := "\n".join([self._page.inner_text("body"), *self._said])):
            assert "page error" not in text, text
            assert time.monotonic() < deadline, f"no {pattern.pattern!r} in:\n{text}"
            self._page.wait_for_timeout(50)

    def close(self) -> None:
        """End the browser."""
        self._browser.close()
        self._playwright.stop()
