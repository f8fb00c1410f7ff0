"""The dashboard's header and message sources: how they are on each node, while their server goes and comes back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.async_api import expect
from redis.asyncio import Redis

from tests.e2e.dashboard import NEEDED, Gateway, Visit, audit, browser, events_of, gateway_of, traffic, visit
from tests.e2e.traffic import Traffic
from tests.redis_server import RedisServer, needs_redis

__all__ = ["browser", "traffic", "visit"]

pytestmark = [*NEEDED, needs_redis]


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """The sources' own, so that it can go without taking placement with it."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module", params=["memory", "redis"])
def gateway(request: pytest.FixtureRequest, redis: RedisServer) -> Iterator[Gateway]:
    """A gateway that takes messages of a Redis."""
    with gateway_of(request.param, sources="redis-pubsub", redis_pubsub_url=redis.url) as made:
        yield made


async def test_sources_are_in_the_header_with_their_state_on_each_node(
    visit: Visit, traffic: Traffic, gateway: Gateway, redis: RedisServer
) -> None:
    page = await visit.open("?view=tail&topic=channel:a")
    await page.get_by_role("button", name="1 source, all running").click()
    sources = page.get_by_role("dialog", name="Message sources")
    nodes = sources.get_by_role("list", name="redis-pubsub on each node").get_by_role("listitem")
    await expect(nodes).to_have_count(len(gateway.nodes))
    await expect(nodes.filter(has_text="running for")).to_have_count(1)
    await expect(nodes.filter(has_text="standby for")).to_have_count(len(gateway.nodes) - 1)
    async with Redis.from_url(redis.url) as client:
        await traffic.subscribe("channel:a", at=gateway.nodes[-1])
        await client.publish("sse:a", '{"event_type":"notification","data":"x","channel_id":7.5}')
        await client.publish("sse:a", '{"event_type":"notification","data":"hello","id":"42"}')
    await expect(events_of(page).last).to_contain_text("42")
    await expect(sources).to_contain_text("at most once · 1 event · 0 dropped · 1 dead")
    assert await audit(page) == []

    redis.kill()
    await expect(sources).to_contain_text("Redis: ")
    await expect(sources.get_by_text("failing", exact=True)).to_be_visible()
    assert await audit(page) == []
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="1 source, not all running")).to_be_visible()
    redis.start()
    await expect(page.get_by_role("button", name="1 source, all running")).to_be_visible()
