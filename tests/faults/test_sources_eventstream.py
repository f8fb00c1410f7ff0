"""The source `eventstream`: a Django application that calls django-eventstream's own `send_event`."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import pytest
from redis.asyncio import Redis

from publishing.sources.eventstream import CHANNEL
from tests.conformance.subject import eventually
from tests.faults.conftest import Start
from tests.faults.nodes import start_nodes
from tests.faults.test_sources_redis import ids_until, runs, state
from tests.redis_server import RedisServer, needs_redis

pytestmark = needs_redis

APPLICATION = """
import sys
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django_eventstream"],
    EVENTSTREAM_REDIS={"host": "127.0.0.1", "port": int(sys.argv[1]), "db": 0},
)
import django
django.setup()
from django_eventstream import send_event
send_event("room 1,é", "message", {"text": "hello", "n": [1, 2.5, None]})
send_event("orders", "paid", "text", json_encode=False)
"""


def message(**fields: object) -> str:
    """What `send_event` sends, with some fields otherwise."""
    return json.dumps({"channel": "orders", "event_type": "message", "data": "a", "pub_id": "1", **fields})


async def test_what_an_application_sends_reaches_the_gateways_subscribers(start: Start, redis: RedisServer) -> None:
    node = await start(sources="eventstream", eventstream_url=redis.url)
    await runs(node, "eventstream")
    async with node.sse("room%201%2C%C3%A9") as room, node.sse("orders") as orders:
        await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", APPLICATION, str(redis.port)], check=True, timeout=60
        )
        event = await room.next_event()
        assert (event.event, event.data) == ("message", '{"text": "hello", "n": [1, 2.5, null]}')
        event = await orders.next_event()
        assert (event.event, event.data) == ("paid", "text")
        assert event.id


@pytest.mark.slow
async def test_bad_messages_hold_nothing_up(start: Start, redis: RedisServer, client: Redis) -> None:
    node = await start(sources="eventstream", eventstream_url=redis.url)
    await runs(node, "eventstream")
    poison: list[str | bytes] = [
        b"\xff\xfe",
        "not JSON",
        "[" * 100_000,
        "[]",
        "{}",
        json.dumps({"event_type": "message", "data": "no channel", "pub_id": "1"}),
        message(channel=7),
        message(channel=""),
        message(channel="a" * 300),
        message(event_type={}),
        message(event_type="gateway.open"),
        message(data=None),
        message(data="a" * 10_000_000),
        message(pub_id=[]),
    ]
    async with node.sse("orders") as stream:
        for payload in poison:
            await client.publish(CHANNEL, payload)
        await client.publish(CHANNEL, message(data="after"))
        assert (await stream.next_event(within=20)).data == "after"
    source = (await node.get("/sources"))["items"][0]
    assert (source["dead"], source["published"], source["state"]) == (len(poison), 1, "running")


@pytest.mark.slow
async def test_it_comes_back_with_its_redis(start: Start, redis: RedisServer) -> None:
    node = await start(sources="eventstream", eventstream_url=redis.url)
    await runs(node, "eventstream")
    async with node.sse("orders") as stream:
        redis.kill()
        await runs(node, "eventstream", "failing")
        redis.start()
        await runs(node, "eventstream")
        async with Redis.from_url(redis.url) as client:
            await client.publish(CHANNEL, message(data="back"))
        assert (await stream.next_event()).data == "back"


@pytest.mark.slow
async def test_each_event_comes_once_on_three_nodes(start: Start, redis: RedisServer, client: Redis) -> None:
    nodes = await start_nodes(start, redis, sources="eventstream")

    async def one_runs() -> bool:
        return sorted([await state(node, "eventstream") for node in nodes]) == ["running", "standby", "standby"]

    await eventually(one_runs, within=15)
    async with nodes[0].sse("orders") as first, nodes[1].sse("orders") as second, nodes[2].sse("orders") as third:
        ids = [str(number) for number in range(100)]
        for one in ids:
            await client.publish(CHANNEL, message(pub_id=one))
        for stream in (first, second, third):
            assert await ids_until(stream, ids[-1]) == ids
