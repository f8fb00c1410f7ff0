"""A visitor of the dashboard: a real Chromium, on a real gateway with real publishers and subscribers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Request, async_playwright, expect

from tests.e2e.traffic import Traffic
from tests.gateway import ROOT, RunningGateway

CHROMIUM = Path("/usr/bin/chromium")
BUILD = ROOT / "dashboard" / "static" / "dashboard" / "index.html"
AXE = ROOT / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
MILLISECONDS = 15_000
EXPECTED = (
    # The browser writes these for every request that fails, whatever the page makes of it.
    "the server responded with a status of 401",
    "net::ERR_CONNECTION_REFUSED",
    "net::ERR_INCOMPLETE_CHUNKED_ENCODING",
    "net::ERR_CONNECTION_RESET",
)

NEEDED = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"not run: {CHROMIUM} is missing (apt-get install chromium)"),
    pytest.mark.skipif(not BUILD.exists(), reason="not run: the dashboard is not built (make frontend)"),
]

expect.set_options(timeout=MILLISECONDS)


@pytest.fixture
def gateway(request: pytest.FixtureRequest) -> Iterator[RunningGateway]:
    settings: dict[str, Any] = getattr(request, "param", {})
    with RunningGateway(node_name="node-a", **settings) as gateway:
        yield gateway
    assert gateway.errors == []


@pytest.fixture
async def traffic(gateway: RunningGateway) -> AsyncIterator[Traffic]:
    async with Traffic(gateway) as traffic:
        yield traffic


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield browser
        await browser.close()


class Visit:
    """A page, and all that it said and asked for."""

    def __init__(self, page: Page, gateway: RunningGateway) -> None:
        self.page = page
        self.gateway = gateway
        self.complaints: list[str] = []
        self.addresses: list[str] = []
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._asked)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not any(text in message.text for text in EXPECTED):
            self.complaints.append(message.text)

    def _asked(self, request: Request) -> None:
        self.addresses.append(request.url)

    async def open(self, query: str = "", *, signed_in: bool = True) -> Page:
        """Open the dashboard; signing in goes through its own form."""
        await self.page.goto(f"{self.gateway.url}/dashboard/{query}")
        if signed_in:
            await self.sign_in(self.gateway.key)
            await expect(self.page.get_by_role("navigation", name="Views")).to_be_visible()
        return self.page

    async def sign_in(self, key: str) -> None:
        await self.page.get_by_label("API key").fill(key)
        await self.page.get_by_role("button", name="Sign in").click()

    def check(self) -> None:
        """Nothing complained; nothing was asked of another host, and no address held the key."""
        assert self.complaints == []
        for address in self.addresses:
            assert address.startswith((self.gateway.url, "blob:")), address
            assert self.gateway.key not in address


@pytest.fixture
async def visit(browser: Browser, gateway: RunningGateway) -> AsyncIterator[Visit]:
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    page = await context.new_page()
    page.set_default_timeout(MILLISECONDS)
    visit = Visit(page, gateway)
    yield visit
    visit.check()


async def audit(page: Page) -> list[str]:
    """Return what axe finds serious on the page as it is."""
    if not AXE.exists():
        pytest.skip("not run: axe-core is not installed (make frontend)")
    # The page's policy allows no inline script; the browser's debugger may run one all the same.
    await page.evaluate(AXE.read_text(encoding="utf-8"))
    found: dict[str, Any] = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{violation['id']}: {node['html'][:200]} {node['failureSummary']}"
        for violation in found["violations"]
        if violation["impact"] in {"serious", "critical"}
        for node in violation["nodes"]
    ]


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition of this process holds."""
    deadline = asyncio.get_running_loop().time() + MILLISECONDS / 1000
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, what
        await asyncio.sleep(0.02)


def events_of(page: Page) -> Locator:
    """Return the events that the tail shows."""
    return page.get_by_role("listbox", name="Events").get_by_role("option")


async def row_ids(page: Page) -> list[str]:
    """Return the connection ids of the rows shown."""
    found = await page.locator("tbody td:first-child button[title]").evaluate_all("all => all.map(one => one.title)")
    return cast("list[str]", found)
