"""The Redis adapter on a real Redis: under the suite that every placement passes, and with several nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.redis_server import RedisServer, needs_redis
from tests.unit.topics.placement.contract import NODE, PlacementContract
from topics.exceptions import PlacementUnavailable
from topics.hub import Hub
from topics.placement.redis.placement import RedisPlacement

TTL = 1.0

pytestmark = needs_redis


async def answers(placement: RedisPlacement, within: float = 8) -> None:
    """Wait until a placement answers: what a fresh Redis, or one that came back, takes its time for."""
    async with asyncio.timeout(within):
        while True:
            try:
                await placement.count(["x"])
            except PlacementUnavailable:
                await asyncio.sleep(0.02)
            else:
                return


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """One Redis for the module, long enough up for a node to know that it is alone."""
    with RedisServer() as running:

        async def settle() -> None:
            placement = RedisPlacement(running.url, ttl=TTL)
            await placement.start(NODE, Hub(NODE.name, retry_ms=3000))
            await answers(placement)
            await placement.close()

        asyncio.run(settle())
        yield running


class TestRedisPlacement(PlacementContract):
    @pytest.fixture
    def placement(self, server: RedisServer) -> RedisPlacement:
        return RedisPlacement(server.url, ttl=TTL)
