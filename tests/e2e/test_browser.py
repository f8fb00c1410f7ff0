"""Pages of another origin in a real Chromium, with nothing but EventSource and WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, ConsoleMessage, Page
from playwright.async_api import TimeoutError as PageTimeoutError

from tests.e2e.browser import chromium, needs_chromium, served
from tests.gateway import RunningGateway

SECONDS = 15.0

pytestmark = needs_chromium

PAGE = """<!doctype html>
<title>A page of another origin</title>
<script>
  const gateway = new URLSearchParams(location.search).get("gateway");
  const seen = [];
  const note = (from) => (event) =>
    seen.push({from, type: event.type, data: event.data ?? null, id: event.lastEventId ?? null});

  const events = new EventSource(gateway + "/sse?topic=news");
  for (const type of ["open", "error", "message", "price", "gateway.open", "gateway.close"])
    events.addEventListener(type, note("sse"));

  const socket = new WebSocket(gateway.replace("http", "ws") + "/ws?topic=news");
  for (const type of ["open", "error", "close", "message"]) socket.addEventListener(type, note("ws"));
</script>
"""


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "index.html").write_text(PAGE)
    with served(tmp_path) as url:
        yield url


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


Started = Callable[..., RunningGateway]


@pytest.fixture
def start(server: str) -> Iterator[Started]:
    begun: list[RunningGateway] = []

    def begin(**settings: Any) -> RunningGateway:
        begun.append(RunningGateway(server, **settings).start())
        return begun[-1]

    yield begin
    for gateway in begun:
        assert gateway.stop() == 0
        assert "Traceback" not in gateway.log, gateway.log


class Watched:
    """The page, and what it has seen."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.console: list[str] = []
        page.on("console", self._note)

    def _note(self, message: ConsoleMessage) -> None:
        self.console.append(message.text)

    async def open(self, origin: str, gateway: RunningGateway) -> None:
        await self.page.goto(f"{origin}/?gateway={gateway.url}")

    async def saw(self, source: str, kind: str, count: int = 1, **more: str) -> list[dict[str, Any]]:
        """Wait until the page has seen *count* events of *kind* with the members *more*; returns them."""
        wanted = {"from": source, "type": kind, **more}
        matches = "seen.filter(one => Object.entries(wanted).every(([name, value]) => one[name] === value))"
        script = f"([wanted, count]) => {{ const found = {matches}; return found.length >= count && found; }}"
        try:
            handle = await self.page.wait_for_function(script, arg=[wanted, count], timeout=SECONDS * 1000)
        except PageTimeoutError:
            raise AssertionError(f"no {wanted} in {await self.page.evaluate('seen')}; {self.console}") from None
        found: list[dict[str, Any]] = await handle.json_value()
        return found


def publish(gateway: RunningGateway, data: str, id: str, **headers: str) -> int:
    """Publish to the topic "news"; returns the number of subscribers."""
    fields = {"authorization": f"Bearer {gateway.key}", "x-sse-topic": "news", "x-sse-id": id}
    fields |= {f"x-sse-{name}": value for name, value in headers.items()}
    response = httpx.post(f"{gateway.url}/publish", content=data.encode(), headers=fields, trust_env=False)
    assert response.status_code in {200, 204}, response.text
    return int(response.json()["subscribers"]) if response.status_code == 200 else 0


async def test_a_page_receives_and_comes_back_after_a_restart(start: Started, browser: Browser, origin: str) -> None:
    gateway = await asyncio.to_thread(start, retry_ms=200, cors_origins=origin)
    watched = Watched(await browser.new_page())
    await watched.open(origin, gateway)
    (opened,) = await watched.saw("sse", "gateway.open")
    assert opened["id"] == ""
    await watched.saw("ws", "message")

    data = "Grüße, 世界 🌍\nsecond line"
    assert await asyncio.to_thread(publish, gateway, data, "a-1") == 2
    await watched.saw("sse", "message", data=data, id="a-1")
    assert await asyncio.to_thread(publish, gateway, "42", "a-2", event="price") == 2
    await watched.saw("sse", "price", data="42", id="a-2")
    messages = await watched.saw("ws", "message", count=3)
    for part in ('"id":"a-2"', '"event":"price"', '"topics":["news"]'):
        assert part in messages[2]["data"].replace('": ', '":').replace(", ", ","), messages

    port = int(gateway.url.rpartition(":")[2])
    await asyncio.to_thread(gateway.stop)
    (closed,) = await watched.saw("sse", "gateway.close")
    assert '"shutdown"' in closed["data"]
    await watched.saw("ws", "close")
    # By itself: the page does nothing.
    again = await asyncio.to_thread(start, retry_ms=200, cors_origins=origin, port=port)
    await watched.saw("sse", "gateway.open", count=2)
    assert await asyncio.to_thread(publish, again, "after", "b-1") == 1
    await watched.saw("sse", "message", data="after", id="b-1")


async def test_a_page_of_an_origin_that_is_not_listed_is_refused(start: Started, browser: Browser, origin: str) -> None:
    gateway = await asyncio.to_thread(start, cors_origins="https://listed.example")
    watched = Watched(await browser.new_page())
    await watched.open(origin, gateway)
    await watched.saw("sse", "error")
    await watched.saw("ws", "error")
    await watched.saw("ws", "close")
    assert await watched.page.evaluate("events.readyState === EventSource.CLOSED")
    assert any("Access-Control-Allow-Origin" in line for line in watched.console), watched.console
    assert not [each for each in await watched.page.evaluate("seen") if each["type"] in {"open", "message"}]
