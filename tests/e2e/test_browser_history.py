"""A native EventSource in a real Chromium misses nothing of a topic that keeps history (contract §6)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Page
from playwright.async_api import TimeoutError as PageTimeoutError

from tests.e2e.browser import chromium, needs_chromium
from tests.gateway import RunningGateway, migrate
from tests.redis_server import BINARY, RedisServer

SECONDS = 30.0
KEY = "key-of-the-test"
TTL_SECONDS = 2

pytestmark = needs_chromium

# Nothing but what every page would write: an EventSource, and handlers.
PAGE = """<!doctype html>
<title>A page that only listens</title>
<script>
  const seen = [];
  function listen(gateway) {
    const events = new EventSource(gateway + "/sse?topic=news");
    for (const type of ["message", "gateway.open", "gateway.gap", "gateway.close"])
      events.addEventListener(type, ({data, lastEventId}) => seen.push({type, data, id: lastEventId}));
  }
</script>
"""


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with chromium() as browser:
        page = await browser.new_page()
        await page.set_content(PAGE)
        yield page


class Place:
    """Where a gateway keeps its history, which outlives it.

    Args:
        store: of the history.
        folder: for a database.
        stack: ends what is started.
    """

    def __init__(self, store: str, folder: Path, stack: ExitStack) -> None:
        self.settings: dict[str, Any] = {"history_store": store, "api_keys": KEY, "cors_origins": "*"}
        self._stack = stack
        if store == "redis":
            if BINARY is None:
                pytest.skip("not run: redis-server is not installed")
            redis = stack.enter_context(RedisServer())
            self.settings |= {"redis_url": redis.url, "node_ttl_seconds": TTL_SECONDS}
        if store == "database":
            self.settings["database_url"] = f"sqlite:///{folder / 'history.sqlite3'}"
            migrate(self.settings["database_url"])

    def start(self, server: str, *, port: int = 0, **settings: Any) -> RunningGateway:
        """Start a gateway, and wait until it can deliver."""
        gateway = RunningGateway(server, port=port, **self.settings, **settings).start()
        self._stack.callback(gateway.stop)
        with httpx.Client(trust_env=False) as http:
            deadline = time.monotonic() + SECONDS
            while http.get(f"{gateway.url}/ready").status_code != 200:
                assert time.monotonic() < deadline, gateway.log
                time.sleep(0.05)
        return gateway


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


async def saw(page: Page, condition: str) -> list[dict[str, str]]:
    """Wait until a condition on what the page has *seen* is true; returns all of it."""
    try:
        await page.wait_for_function(condition, timeout=SECONDS * 1000)
    except PageTimeoutError:
        raise AssertionError(f"not {condition}: {(await page.evaluate('seen'))[-20:]}") from None
    found: list[dict[str, str]] = await page.evaluate("seen")
    return found


async def publish(http: httpx.AsyncClient, id: str) -> bool | None:
    """Publish one event; returns whether it was taken, None when nobody knows."""
    headers = {"authorization": f"Bearer {KEY}", "x-sse-topic": "news", "x-sse-id": id}
    try:
        answer = await http.post("/publish", content=f"data of {id}", headers=headers)
    except httpx.ConnectError:
        return False
    except httpx.TransportError:
        return None
    assert answer.status_code in {200, 503}, answer.text
    return answer.status_code == 200


class Publishing:
    """Publishes without a break, whatever the gateway answers."""

    def __init__(self, url: str) -> None:
        self.taken: list[str] = []
        self.unknown: set[str] = set()
        self._url = url
        self._over = False

    async def run(self) -> None:
        """Publish until told that it is over."""
        number = 0
        async with httpx.AsyncClient(base_url=self._url, trust_env=False, timeout=SECONDS) as http:
            while not self._over:
                number += 1
                taken = await publish(http, f"event-{number}")
                if taken:
                    self.taken.append(f"event-{number}")
                elif taken is None:
                    self.unknown.add(f"event-{number}")
                await asyncio.sleep(0.005)

    def end(self) -> None:
        """Let it be over."""
        self._over = True

    async def took(self, more: int) -> None:
        """Wait until so many more events were taken."""
        goal = len(self.taken) + more
        async with asyncio.timeout(SECONDS):
            while len(self.taken) < goal:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("store", ["redis", "database"])
async def test_nothing_is_lost_over_a_restart(
    server: str, store: str, page: Page, tmp_path: Path, stack: ExitStack
) -> None:
    place = Place(store, tmp_path, stack)
    settings: dict[str, Any] = {"history": "news=100000/1h", "retry_ms": 400}
    gateway = await asyncio.to_thread(place.start, server, **settings)
    await page.evaluate("gateway => listen(gateway)", gateway.url)
    await saw(page, "seen.length > 0")
    publishing = Publishing(gateway.url)
    running = asyncio.create_task(publishing.run())
    try:
        await publishing.took(50)
        port = int(gateway.url.rpartition(":")[2])
        assert await asyncio.to_thread(gateway.stop) == 0
        await asyncio.to_thread(place.start, server, port=port, **settings)
        await publishing.took(50)
    finally:
        publishing.end()
        await running
    last = publishing.taken[-1]
    seen = await saw(page, f"seen.some(one => one.id === '{last}' && one.type === 'message')")
    assert [one["type"] for one in seen if one["type"] in {"gateway.gap", "gateway.open"}] == ["gateway.open"] * 2
    events = [one for one in seen if one["type"] == "message" and one["id"] not in publishing.unknown]
    assert [one["id"] for one in events] == publishing.taken
    assert all(one["data"] == f"data of {one['id']}" for one in events)


@pytest.mark.parametrize("store", ["memory", "redis", "database"])
async def test_a_page_is_told_first_how_many_events_it_has_missed(
    server: str, store: str, page: Page, tmp_path: Path, stack: ExitStack
) -> None:
    place = Place(store, tmp_path, stack)
    gateway = await asyncio.to_thread(place.start, server, history="news=5", retry_ms=4000)
    await page.evaluate("gateway => listen(gateway)", gateway.url)
    await saw(page, "seen.length > 0")
    async with httpx.AsyncClient(base_url=gateway.url, trust_env=False, timeout=SECONDS) as http:
        assert await publish(http, "1")
        (opened, _) = await saw(page, "seen.length > 1")
        key = {"authorization": f"Bearer {KEY}"}
        # The browser comes back after four seconds; until then the topic goes on.
        closing = await http.delete(f"/api/v1/connections/{json.loads(opened['data'])['connection']}", headers=key)
        assert closing.status_code == 204
        await saw(page, "seen.some(one => one.type === 'gateway.close')")
        for number in range(2, 9):
            assert await publish(http, str(number))
    seen = await saw(page, "seen.some(one => one.id === '8')")
    after = seen[[one["type"] for one in seen].index("gateway.close") + 1 :]
    assert [one["type"] for one in after[:2]] == ["gateway.open", "gateway.gap"]
    assert json.loads(after[1]["data"]) == {"topic": "news", "missed": 2, "reason": "evicted"}
    assert [one["id"] for one in after[2:]] == ["4", "5", "6", "7", "8"]
