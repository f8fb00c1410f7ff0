"""The pages for older clients, in a real Chromium."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from playwright.async_api import Page, expect
from redis.asyncio import Redis

from tests.e2e.browser import chromium, needs_chromium, served
from tests.gateway import ROOT, RunningGateway
from tests.redis_server import RedisServer, needs_redis

pytestmark = needs_chromium


@pytest.fixture
def pages() -> Iterator[str]:
    with served(ROOT / "examples" / "browser") as url:
        yield url


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with chromium() as browser:
        yield await browser.new_page()


def publish(gateway: RunningGateway, topic: str, data: str, **headers: str) -> None:
    answer = httpx.post(
        f"{gateway.url}/publish",
        content=data,
        headers={"authorization": f"Bearer {gateway.key}", "x-sse-topic": topic, "x-sse-id": "1", **headers},
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text


async def test_the_page_of_the_whole_eventsource_api(pages: str, page: Page) -> None:
    with RunningGateway(retry_ms=100) as gateway:
        await page.goto(f"{pages}/events.html?gateway={gateway.url}&topic=news")
        await expect(page.locator("#state")).to_have_text("open")
        publish(gateway, "news", "plain", **{"x-sse-id": "7"})
        publish(gateway, "news", '{"n": 1}', **{"x-sse-event": "update", "x-sse-id": "8"})
        await expect(page.locator("p[data-type=message]")).to_have_text(f"message from {gateway.url}: plain")
        await expect(page.locator("p[data-type=update]")).to_have_text(f'update from {gateway.url}: {{"n":1}}')
        await expect(page.locator("#last-id")).to_have_text("8")
        await page.click("#close")
        await expect(page.locator("#state")).to_have_text("closed")


@needs_redis
async def test_the_page_of_a_users_messages(pages: str, page: Page) -> None:
    with RedisServer() as redis, RunningGateway(sources="redis-pubsub", redis_pubsub_url=redis.url) as gateway:
        gateway.wait_for_log("source running", timeout=15)
        await page.goto(f"{pages}/test-sse.html")
        await page.fill("#gateway", gateway.url)
        await page.fill("#user", "2")
        await page.click("#connect")
        await expect(page.locator("#state")).to_have_text("connected")
        await expect(page.locator("#messages li").first).to_contain_text('"connected"')
        message = '{"user_id":2,"message":"发送给用户2的消息"}'
        async with Redis.from_url(redis.url) as client:
            await client.publish("notifications", message)
        await expect(page.locator("#messages li").nth(1)).to_have_text(message)
        await page.click("#disconnect")
        await expect(page.locator("#state")).to_have_text("disconnected")
