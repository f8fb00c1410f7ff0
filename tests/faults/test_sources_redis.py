"""The sources that read from Redis, on gateways and a Redis that are real, and end and come back."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.conformance.subject import eventually
from tests.faults.conftest import Start
from tests.faults.nodes import READY_SECONDS, is_ready, start_nodes
from tests.faults.subject import Subject, client_of
from tests.gateway import RunningGateway
from tests.raw.sse import SseStream
from tests.redis_server import RedisServer, needs_redis

# Servers are killed and restarted: a minute for each gateway.
pytestmark = [needs_redis, pytest.mark.slow]


@pytest.fixture
def redis_arguments() -> tuple[str, ...]:
    """What it was told is on its disk."""
    return ("--appendonly", "yes", "--appendfsync", "always")


async def state(node: Subject, source: str) -> str:
    """What `/ready` says of a source."""
    return str((await node.http.get("/ready", headers={"accept": "application/json"})).json()["sources"][source])


async def runs(node: Subject, source: str, wanted: str = "running", *, within: float = 15) -> None:
    async def there() -> bool:
        return await state(node, source) == wanted

    await eventually(there, within=within)


async def ids_until(stream: SseStream, last: str) -> list[str]:
    """Ids of the events until *last*."""
    ids: list[str] = []
    while not ids or ids[-1] != last:
        ids.append((await stream.next_event(within=20)).id or "")
    return ids


async def test_messages_of_older_services_reach_their_channels_and_users(
    start: Start, redis: RedisServer, client: Redis
) -> None:
    node = await start(sources="redis-pubsub", redis_pubsub_url=redis.url)
    await runs(node, "redis-pubsub")
    async with node.sse("channel:user123") as channel, node.sse("user:1") as user, node.sse("user:2") as other:
        notification = '{"event_type":"notification","data":{"msg":"Hello!"},"id":"7"}'
        assert await client.publish("sse:user123", notification) == 1
        event = await channel.next_event()
        assert (event.id, event.event, event.data) == ("7", "notification", '{"msg":"Hello!"}')
        # The payload's channel wins, and plain text is a message.
        await client.publish("sse:elsewhere", '{"event_type":"alert","data":"text","channel_id":"user123"}')
        event = await channel.next_event()
        assert (event.event, event.data) == ("alert", "text")
        await client.publish("sse:user123", "plain")
        event = await channel.next_event()
        assert (event.event, event.data) == ("message", "plain")
        greeting = '{"user_id":1,"message":"你好 这是一条测试消息"}'
        await client.publish("notifications", greeting)
        await client.publish("notifications", '{"user_id":2,"message":"b"}')
        assert (await user.next_event()).data == greeting
        assert (await other.next_event()).data == '{"user_id":2,"message":"b"}'


async def test_what_is_no_event_is_counted_and_holds_nothing_up(
    start: Start, redis: RedisServer, client: Redis
) -> None:
    node = await start(sources="redis-pubsub", redis_pubsub_url=redis.url)
    await runs(node, "redis-pubsub")
    poison = [
        ("sse:a", b"\xff\xfe"),
        ("sse:a", b'{"event_type":"x","data":"' + b"a" * 10_000_000 + b'"}'),
        ("sse:a", b'{"event_type":7,"data":"a"}'),
        ("sse:a", b'{"event_type":"gateway.open","data":"a"}'),
        ("sse:a", b'{"event_type":"x","data":"a","channel_id":{}}'),
        ("sse:a", b'{"event_type":"x"}'),
        ("sse:a", b'{"event_type":"x","data":"\\ud800"}'),
        ("sse:" + "a" * 300, b"long"),
        ("notifications", b"not JSON"),
        ("notifications", b'{"message":"nobody"}'),
        ("notifications", b'{"user_id":true,"message":"nobody"}'),
        ("notifications", b'{"user_id":' + b"9" * 10_000 + b"}"),
        ("notifications", b"[" * 100_000),
    ]
    async with node.sse("channel:a") as stream:
        for name, payload in poison:
            await client.publish(name, payload)
        await client.publish("sse:a", "after")
        assert (await stream.next_event()).data == "after"
    listed = (await node.get("/sources"))["items"]
    assert [(one["name"], one["dead"], one["published"], one["state"]) for one in listed] == [
        ("redis-pubsub", len(poison), 1, "running")
    ]
    metrics = (await node.http.get("/metrics")).text
    assert f'gateway_source_messages_total{{outcome="dead",source="redis-pubsub"}} {len(poison)}.0' in metrics
    assert 'gateway_source_up{source="redis-pubsub"} 1.0' in metrics


async def test_pubsub_comes_back_with_its_redis_and_the_gateway_goes_on_meanwhile(
    start: Start, redis: RedisServer
) -> None:
    node = await start(sources="redis-pubsub", redis_pubsub_url=redis.url)
    await runs(node, "redis-pubsub")
    async with node.sse("channel:a") as stream:
        redis.kill()
        await runs(node, "redis-pubsub", "failing")
        source = (await node.get("/sources"))["items"][0]
        assert source["state"] == "failing"
        assert "Redis" in source["detail"]
        assert (await node.publish("channel:a", "direct")).status_code == 200
        assert (await stream.next_event()).data == "direct"
        redis.start()
        await runs(node, "redis-pubsub")
        async with Redis.from_url(redis.url) as client:
            await client.publish("sse:a", "back")
        assert (await stream.next_event()).data == "back"


async def test_wrong_credentials_are_told_without_the_password(start: Start) -> None:
    with RedisServer(arguments=("--requirepass", "right")) as redis:
        url = redis.url.replace("redis://", "redis://:sesame-wrong@")
        node = await start(sources="redis-pubsub", redis_pubsub_url=url)
        await runs(node, "redis-pubsub", "failing")
        detail = (await node.get("/sources"))["items"][0]["detail"]
        assert "password" in detail
        assert "sesame" not in detail
        assert "sesame" not in node.running.log


async def test_each_message_comes_once_whichever_of_three_nodes_runs_the_source(start: Start) -> None:
    with RedisServer() as redis:
        nodes = await start_nodes(start, redis, sources="redis-pubsub")
        for node in nodes:
            await eventually(lambda node=node: _in(node, {"running", "standby"}), within=15)  # type: ignore[misc]
        states = sorted([await state(node, "redis-pubsub") for node in nodes])
        assert states == ["running", "standby", "standby"]
        listed = (await nodes[0].get("/sources"))["items"]
        assert [(one["node"], one["name"]) for one in listed] == [(name, "redis-pubsub") for name in "abc"]
        by_state = {await state(node, "redis-pubsub"): node for node in nodes}
        runner = by_state["running"]
        rest = [node for node in nodes if node is not runner]
        numbers = itertools.count()
        async with (
            Redis.from_url(redis.url) as client,
            rest[0].sse("channel:a") as first,
            rest[1].sse("channel:a", "other") as second,
        ):

            async def arrive_once(count: int) -> None:
                sent = [str(next(numbers)) for _ in range(count)]
                for number in sent:
                    await client.publish("sse:a", json.dumps({"data": number, "id": number}))
                assert await ids_until(first, sent[-1]) == sent
                assert await ids_until(second, sent[-1]) == sent

            await arrive_once(50)
            # The one that runs it leaves; another takes over.
            runner.running.terminate()
            await eventually(lambda: _one_runs(rest), within=15)
            await arrive_once(50)


async def test_streams_lose_nothing_while_redis_ends_and_comes_back(start: Start, redis: RedisServer) -> None:
    node = await start(sources="redis-streams", redis_streams_url=redis.url, redis_streams_keys="orders")
    await runs(node, "redis-streams")
    async with node.sse("orders") as stream:
        added: list[str] = []
        async with Redis.from_url(redis.url, socket_timeout=2, retry=None) as client:
            for number in range(300):
                if number == 150:
                    redis.kill()
                    redis.start()
                for _ in range(200):
                    # A command that failed may have been carried out: its id tells repeats apart.
                    try:
                        await client.xadd("orders", {"data": str(number), "id": f"order-{number}"})
                    except RedisError:
                        await asyncio.sleep(0.05)
                        continue
                    break
                added.append(f"order-{number}")
        seen = await ids_until(stream, added[-1])
        assert list(dict.fromkeys(seen)) == added
    async with Redis.from_url(redis.url) as client:
        await eventually(lambda: _nothing_pending(client), within=5)


async def test_another_node_goes_on_where_a_killed_one_stopped_with_a_stream(start: Start, server: str) -> None:
    with (
        RedisServer() as redis,
        RunningGateway(
            server,
            redis_url=redis.url,
            node_name="doomed",
            node_ttl_seconds=2,
            dedupe_seconds=60,
            sources="redis-streams",
            redis_streams_keys="orders",
        ) as doomed,
    ):
        async with client_of(doomed) as first:
            await eventually(lambda: is_ready(first), within=READY_SECONDS)
            await runs(first, "redis-streams")
        heir = await start(
            redis_url=redis.url,
            node_name="heir",
            node_ttl_seconds=2,
            dedupe_seconds=60,
            sources="redis-streams",
            redis_streams_keys="orders",
        )
        await eventually(lambda: is_ready(heir), within=READY_SECONDS)
        async with Redis.from_url(redis.url) as client, heir.sse("orders") as stream:
            for number in range(400):
                await client.xadd("orders", {"data": str(number), "id": f"order-{number}"})
                if number == 200:
                    assert await state(heir, "redis-streams") == "standby"
                    os.kill(doomed.pid, signal.SIGKILL)
            # What was routed and not acknowledged comes again, and is not delivered again.
            assert await ids_until(stream, "order-399") == [f"order-{number}" for number in range(400)]
            assert await state(heir, "redis-streams") == "running"
            await eventually(lambda: _nothing_pending(client), within=5)


async def test_an_entry_that_nobody_survives_is_given_up(start: Start, redis: RedisServer, client: Redis) -> None:
    await client.xgroup_create("orders", "sse-gateway", id="0", mkstream=True)
    poison = await client.xadd("orders", {"data": "poison"})
    await client.xadd("orders", {"data": "good"})
    await client.xreadgroup("sse-gateway", "gateway", {"orders": ">"}, count=1)
    for _ in range(2):
        # Each time it is read, its reader ends before it can say that it is done.
        await client.xreadgroup("sse-gateway", "gateway", {"orders": "0"})
    node = await start(
        sources="redis-streams", redis_streams_url=redis.url, redis_streams_keys="orders", source_attempts=2
    )
    await runs(node, "redis-streams")
    await eventually(lambda: _nothing_pending(client), within=5)
    graves: Any = await client.xrange("orders:dead")
    assert [grave[1][b"dead-id"] for grave in graves] == [poison]
    source = (await node.get("/sources"))["items"][0]
    # Nobody was there to hear of the other.
    assert (source["dead"], source["dropped"]) == (1, 1)


async def test_dead_entries_of_a_stream_are_put_aside(start: Start, redis: RedisServer, client: Redis) -> None:
    node = await start(sources="redis-streams", redis_streams_url=redis.url, redis_streams_keys="orders,bills")
    await runs(node, "redis-streams")
    async with node.sse("orders,bills") as stream:
        await client.xadd("orders", {"no": "data"})
        await client.xadd("orders", {"data": b"\xff"})
        await client.xadd("orders", {"data": "a", "event": "gateway.gap"})
        await client.xadd("bills", {"data": "good", "event": "paid", "retry": "100"})
        event = await stream.next_event()
        assert (event.data, event.event, event.retry) == ("good", "paid", "100")
        await eventually(lambda: _length(client, "orders:dead", 3), within=5)
    graves: Any = await client.xrange("orders:dead")
    assert graves[0][1][b"dead-reason"] == b"data is missing."
    assert graves[0][1][b"no"] == b"data"
    assert await _nothing_pending(client)


async def _in(node: Subject, states: set[str]) -> bool:
    return await state(node, "redis-pubsub") in states


async def _one_runs(nodes: list[Subject]) -> bool:
    return [await state(node, "redis-pubsub") for node in nodes].count("running") == 1


async def _nothing_pending(client: Redis) -> bool:
    return int((await client.xpending("orders", "sse-gateway"))["pending"]) == 0


async def _length(client: Redis, key: str, wanted: int) -> bool:
    return int(await client.xlen(key)) == wanted
