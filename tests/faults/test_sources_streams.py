"""The source `redis-streams`: on three nodes, with bad entries, and with one that ends whoever reads it."""

from __future__ import annotations

import asyncio
import subprocess
from contextlib import suppress
from typing import Any

import pytest
from redis.asyncio import Redis

from publishing.sources.redis_streams import RedisStreams
from tests.conformance.subject import eventually
from tests.faults.conftest import Start
from tests.faults.deadly_sources import break_off
from tests.faults.nodes import start_nodes
from tests.faults.test_sources_redis import ids_until, runs, state
from tests.gateway import GatewayFailed, RunningGateway
from tests.redis_server import RedisServer, needs_redis
from topics.conf import load

pytestmark = [needs_redis, pytest.mark.slow]

ATTEMPTS = 2


async def die(server: str, **settings: object) -> None:
    """Run a gateway until it ends by a message."""
    gateway = RunningGateway(server, source_attempts=ATTEMPTS, **settings)  # type: ignore[arg-type]
    try:
        # It may end before it listens.
        with suppress(GatewayFailed):
            await asyncio.to_thread(gateway.start)
        with suppress(subprocess.TimeoutExpired):
            assert await asyncio.to_thread(gateway.wait) == 70
    finally:
        code = await asyncio.to_thread(gateway.stop)
    assert code == 70, gateway.log


async def test_an_entry_that_ends_its_reader_is_given_up_and_no_other_one(
    start: Start, redis: RedisServer, client: Redis, server: str
) -> None:
    settings = {
        "sources": "tests.faults.deadly_sources.DeadlyStreams",
        "redis_streams_url": redis.url,
        "redis_streams_keys": "orders",
    }
    for data in ("first", "poison", "last"):
        await client.xadd("orders", {"data": data})
    # The first time it is read with others, and that it is at fault cannot be known.
    for _ in range(1 + ATTEMPTS):
        await die(server, **settings)
    node = await start(source_attempts=ATTEMPTS, **settings)
    await runs(node, "redis-streams")

    async def finished() -> bool:
        return int((await client.xpending("orders", "sse-gateway"))["pending"]) == 0

    await eventually(finished, within=10)
    graves: Any = await client.xrange("orders:dead")
    assert [grave[1][b"data"] for grave in graves] == [b"poison"]
    source = (await node.get("/sources"))["items"][0]
    # The first one was dealt with by a gateway that ended, the last one by this.
    assert (source["dead"], source["dropped"]) == (1, 1)


async def test_an_entry_that_was_broken_off_by_the_gateways_end_is_not_given_up(
    redis: RedisServer, client: Redis
) -> None:
    settings, _ = load(
        {
            "GATEWAY_API_KEYS": "k",
            "GATEWAY_REDIS_STREAMS_URL": redis.url,
            "GATEWAY_REDIS_STREAMS_KEYS": "orders",
            "GATEWAY_SOURCE_ATTEMPTS": "1",
        }
    )
    await client.xadd("orders", {"data": "good"})
    for _ in range(4):
        await break_off(RedisStreams(settings))
    pending: Any = await client.xpending_range("orders", "sse-gateway", "-", "+", 10)
    assert [entry["times_delivered"] for entry in pending] == [0]
    assert await client.exists("orders:dead") == 0


async def test_bad_entries_hold_nothing_up(start: Start, redis: RedisServer, client: Redis) -> None:
    node = await start(sources="redis-streams", redis_streams_url=redis.url, redis_streams_keys="orders")
    await runs(node, "redis-streams")
    poison: list[dict[Any, Any]] = [
        {"no": "data"},
        {"data": b"\xff"},
        {b"\xff": "a", "data": "a"},
        {"data": "a" * 10_000_000},
        {"data": "a", "topics": "a b"},
        {"data": "a", "topics": ""},
        {"data": "a", "channel_id": "a" * 300},
        {"data": "a", "event": "gateway.gap"},
        {"data": "a", "retry": "soon"},
        {"data": "a", "id": "a" * 300},
    ]
    async with node.sse("orders") as stream:
        for fields in (*poison, {"data": "after"}):
            await client.xadd("orders", fields)
        assert (await stream.next_event(within=20)).data == "after"
    source = (await node.get("/sources"))["items"][0]
    assert (source["dead"], source["published"], source["state"]) == (len(poison), 1, "running")
    assert await client.xlen("orders:dead") == len(poison)


async def test_each_entry_comes_once_on_three_nodes(start: Start, redis: RedisServer, client: Redis) -> None:
    nodes = await start_nodes(start, redis, sources="redis-streams", redis_streams_keys="orders")

    async def one_runs() -> bool:
        return sorted([await state(node, "redis-streams") for node in nodes]) == ["running", "standby", "standby"]

    await eventually(one_runs, within=15)
    async with (
        nodes[0].sse("orders") as first,
        nodes[1].sse("orders", "other") as second,
        nodes[2].sse("orders") as third,
    ):
        ids = [f"order-{number}" for number in range(100)]
        for one in ids:
            await client.xadd("orders", {"data": "a", "id": one})
        for stream in (first, second, third):
            assert await ids_until(stream, ids[-1]) == ids
