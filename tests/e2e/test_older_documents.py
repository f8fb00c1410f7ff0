"""The JavaScript in the documents of the three older services, run by Chromium; only host and port differ."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.conformance.subject import eventually
from tests.e2e.browser import chromium, needs_chromium, served
from tests.gateway import RunningGateway
from tests.redis_server import RedisServer, needs_redis

pytestmark = needs_chromium

TUTORIAL = """<!DOCTYPE html><meta charset="utf-8"><link rel="icon" href="data:,">
<div id="messages"></div>
<script>
        const eventSource = new EventSource("/api/events");

        eventSource.onopen = function(event) {
            console.log("Connection to SSE stream established");
        };

        eventSource.onmessage = function(event) {
            const messagesDiv = document.getElementById("messages");
            const p = document.createElement("p");
            p.textContent = event.data;
            messagesDiv.appendChild(p);
        };

        eventSource.addEventListener('update', function(event) {
            const data = JSON.parse(event.data);
            console.log("Received update:", data);
        });

        eventSource.onerror = function(error) {
            console.error("SSE connection error:", error);
        };

        function closeConnection() {
            eventSource.close();
            console.log("SSE connection closed");
        }
</script>
"""

CHANNELS = """<!DOCTYPE html><meta charset="utf-8"><link rel="icon" href="data:,">
<script>
const es = new EventSource('/sse/connect?channel_id=my-channel');

es.addEventListener('message', (e) => {
    console.log('Received:', e.data);
});

es.addEventListener('notification', (e) => {
    console.log('Notification:', e.data);
});
</script>
"""

USERS = """<!DOCTYPE html><meta charset="utf-8"><link rel="icon" href="data:,">
<script>
const eventSource = new EventSource('http://localhost:8085/sse?user_id=123');

eventSource.onmessage = function(event) {
    console.log('收到消息:', event.data);
};

eventSource.onerror = function(event) {
    console.log('连接错误:', event);
};
</script>
"""


class Visit:
    """A page, and what it writes to its console."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.said: list[str] = []
        page.on("console", lambda message: self.said.append(message.text))

    async def open_at(self, gateway: RunningGateway, source: str) -> None:
        """Open a page as if the gateway served it: its addresses have no host."""
        await self.page.route(f"{gateway.url}/page", lambda route: route.fulfill(body=source, content_type="text/html"))
        await self.page.goto(f"{gateway.url}/page")

    async def says(self, *wanted: str) -> None:
        """Wait until its console holds these lines, and no others."""

        async def said() -> bool:
            return len(self.said) >= len(wanted)

        await eventually(said, within=15)
        assert self.said == list(wanted)
        self.said.clear()


@pytest.fixture
async def visit() -> AsyncIterator[Visit]:
    async with chromium() as browser:
        yield Visit(await browser.new_page())


async def connected(gateway: RunningGateway, count: int) -> None:
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {gateway.key}"}, trust_env=False) as http:

        async def listed() -> bool:
            return bool((await http.get(f"{gateway.url}/api/v1/connections")).json()["total"] == count)

        await eventually(listed, within=15)


async def post(gateway: RunningGateway, path: str, body: str, **headers: str) -> None:
    credentials = {"authorization": f"Bearer {gateway.key}"}
    async with httpx.AsyncClient(headers=credentials, trust_env=False) as http:
        answer = await http.post(f"{gateway.url}{path}", content=body, headers=headers)
    assert answer.status_code == 200, answer.text


async def redis_cli(redis: RedisServer, *arguments: str) -> None:
    command = ["redis-cli", "-p", str(redis.port), *arguments]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True, timeout=30)


async def test_the_tutorials_page(visit: Visit) -> None:
    with RunningGateway(retry_ms=100) as gateway:
        await visit.open_at(gateway, TUTORIAL)
        await visit.says("Connection to SSE stream established")
        await post(gateway, "/publish", "plain", **{"x-sse-topic": "events", "x-sse-id": "1"})
        await expect(visit.page.locator("#messages p")).to_have_text(["plain"])
        update = {"x-sse-topic": "events", "x-sse-id": "2", "x-sse-event": "update"}
        await post(gateway, "/publish", '{"n": 1}', **update)
        await visit.says("Received update: {n: 1}")
        await visit.page.evaluate("closeConnection()")
        await visit.says("SSE connection closed")
        await connected(gateway, 0)


@needs_redis
async def test_the_rust_services_client(visit: Visit) -> None:
    with RedisServer() as redis, RunningGateway(sources="redis-pubsub", redis_pubsub_url=redis.url) as gateway:
        gateway.wait_for_log("source running", timeout=15)
        await visit.open_at(gateway, CHANNELS)
        await connected(gateway, 1)
        await redis_cli(redis, "PUBLISH", "sse:my-channel", '{"event_type":"notification","data":{"msg":"Hello!"}}')
        await visit.says('Notification: {"msg":"Hello!"}')
        await redis_cli(redis, "PUBLISH", "sse:broadcast", '{"event_type":"message","data":"System update"}')
        await visit.says("Received: System update")
        await post(gateway, "/api/send", '{"channel_id":"my-channel","event_type":"message","data":"sent"}')
        await visit.says("Received: sent")


@needs_redis
async def test_the_go_services_client(visit: Visit, tmp_path: Path) -> None:
    with RedisServer() as redis, RunningGateway(sources="redis-pubsub", redis_pubsub_url=redis.url) as gateway:
        gateway.wait_for_log("source running", timeout=15)
        (tmp_path / "index.html").write_text(USERS.replace("http://localhost:8085", gateway.url), encoding="utf-8")
        with served(tmp_path) as elsewhere:
            await visit.page.goto(elsewhere)
            await visit.says('收到消息: {"type":"connected","user_id":"123"}')
            message = '{"user_id":123,"message":"消息内容","created_at":"2024-01-01T12:00:00Z"}'
            await redis_cli(redis, "PUBLISH", "notifications", message)
            await visit.says(f"收到消息: {message}")
