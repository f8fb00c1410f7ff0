"""What a renewal does to the leases of other nodes (renew.lua), on a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.asyncio.connection import Connection

from tests.redis_server import RedisServer, needs_redis
from topics.placement.redis.address import parse_address
from topics.placement.redis.commands import Argument, Commands

TTL = 400
GRACE = 2000

pytestmark = needs_redis


class Leases:
    """The leases of nodes in one Redis."""

    def __init__(self, client: Redis) -> None:
        self.client = client
        self._commands = Commands(client, lambda: None)

    async def renew(self, session: str) -> bytes:
        """Renew, or begin; returns the status."""
        known = await self.client.zscore("leases", session) is not None
        keys = ["epoch", "settled", "leases", "info", "graves", "watch"]
        arguments: list[Argument] = [session, TTL, "{}", "e", "0" if known else "1", "", "c", "N {}", "", GRACE]
        status: bytes = (await self._commands.run("renew", keys, arguments))[0]
        return status

    async def left(self, session: str) -> float | None:
        """Milliseconds."""
        seconds, microseconds = await self.client.time()
        score = await self.client.zscore("leases", session)
        return None if score is None else float(score) - seconds * 1000 - microseconds / 1000

    async def close(self) -> None:
        """Leave."""
        await self._commands.close()
        await self.client.aclose(close_connection_pool=True)


@pytest.fixture
async def leases() -> AsyncIterator[Leases]:
    """Those of two nodes, a and b."""
    with RedisServer() as server:
        made = Leases(parse_address(server.url).client(Connection.on_connect))
        assert [await made.renew(session) for session in "ab"] == [b"ok", b"ok"]
        yield made
        await made.close()


async def test_a_node_that_is_silent_while_another_renews_is_buried(leases: Leases) -> None:
    async with asyncio.timeout(10):
        while await leases.left("b") is not None:
            assert await leases.renew("a") == b"ok"
            await asyncio.sleep(0.02)
    assert await leases.client.smembers("graves") == {b"b"}


async def test_when_nobody_could_renew_each_gets_its_time_back_and_some_to_find_the_way(leases: Leases) -> None:
    while (left := await leases.left("b")) is not None and left > -TTL:
        await asyncio.sleep(0.02)
    assert await leases.renew("a") == b"ok"
    left = await leases.left("b")
    assert left is not None
    assert GRACE < left <= GRACE + TTL
    assert await leases.renew("b") == b"ok"
    # Once, for those who were there.
    left = await leases.left("a")
    assert left is not None
    assert left <= TTL
