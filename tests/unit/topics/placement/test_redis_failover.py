"""Redis behind Sentinel when its master changes, and when the way to it breaks: nothing is lost without a word."""

from __future__ import annotations

import asyncio

from tests.redis_server import RedisServer, needs_redis
from tests.unit.topics.placement.test_redis_kinds import SentinelServer
from topics.placement.redis.address import parse_address
from topics.placement.redis.layer import EventChannel

pytestmark = needs_redis


async def test_a_message_that_comes_while_the_channel_closes_does_not_subscribe_again() -> None:
    """The receiver would ask a layer that has forgotten its channel, and subscribe behind the back of the closing."""
    with RedisServer() as master, SentinelServer(master.port) as sentinel:
        heard = asyncio.Event()
        channel = EventChannel(
            parse_address(f"redis+sentinel://127.0.0.1:{sentinel.port}/main"),
            "",
            on_event=lambda event: None,
            on_drop=lambda drop: None,
            on_gap=lambda topic, missed: None,
            on_note=lambda note: heard.set(),
            on_doubt=lambda: None,
        )
        async with asyncio.timeout(10):
            await channel.open()
            layer, name = channel._layer._get_layer(), channel.name
            (shard,) = layer._shards
            async with shard._lock:
                closing = asyncio.create_task(channel.close())
                queue = layer.channels[name]
                while name in layer.channels:
                    await asyncio.sleep(0)
                queue.put_nowait(b"N {}")
                await heard.wait()
            await closing
        assert shard._redis is None
        assert shard._receive_task is None
