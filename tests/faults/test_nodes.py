"""Several gateways on one Redis, as whole processes: they answer as one (contract §2, §4, §5)."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import pytest

from tests.conformance.subject import eventually, unique
from tests.faults.conftest import Start
from tests.faults.nodes import is_ready, start_nodes
from tests.faults.subject import Subject, client_of
from tests.gateway import RunningGateway
from tests.raw.sse import SseStream
from tests.redis_server import RedisServer, needs_redis

TTL = 2
PUBLISHES = 300

pytestmark = needs_redis


@pytest.fixture
async def nodes(start: Start, redis: RedisServer) -> list[Subject]:
    """Three nodes that share a key, all of them ready."""
    return await start_nodes(start, redis, node_ttl_seconds=TTL)


async def publish(node: Subject, topic: str, number: int | str) -> int:
    """Publish on one node; returns the status."""
    headers = {"x-sse-topic": topic, "x-sse-id": str(number)}
    return (await node.http.post("/publish", headers=headers, content=b"x")).status_code


async def test_a_publish_on_one_node_right_after_open_on_another_is_delivered(nodes: list[Subject]) -> None:
    for number in range(PUBLISHES):
        subscriber, publisher = nodes[number % 3], nodes[(number + 1) % 3]
        topic = unique("topic")
        async with subscriber.sse(topic) as stream:
            assert await publish(publisher, topic, number) == 200
            assert (await stream.next_event()).id == str(number)


async def test_every_node_shows_and_closes_the_connections_of_all(nodes: list[Subject]) -> None:
    topic = unique("topic")
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(node.sse(topic)) for node in nodes for _ in range(3)]
        lists = [(await node.http.get("/api/v1/connections", params={"topic": topic})).json() for node in nodes]
        assert lists[0] == lists[1] == lists[2]
        assert [item["node"] for item in lists[0]["items"]] == ["a"] * 3 + ["b"] * 3 + ["c"] * 3
        topics = [(await node.http.get("/api/v1/topics", params={"q": topic})).json() for node in nodes]
        assert topics[0] == topics[1] == topics[2]
        assert topics[0]["items"][0]["nodes"] == ["a", "b", "c"]
        names = [[item["name"] for item in (await node.http.get("/api/v1/nodes")).json()["items"]] for node in nodes]
        assert names == [["a", "b", "c"]] * 3
        listed = (await nodes[0].http.get("/api/v1/nodes")).json()["items"]
        assert [item["port"] for item in listed] == [urlsplit(node.url).port for node in nodes]
        assert await publish(nodes[1], topic, "1") == 200
        for stream in streams:
            assert (await stream.next_event()).id == "1"
        first = lists[0]["items"][0]["id"]
        assert (await nodes[2].http.delete(f"/api/v1/connections/{first}")).status_code == 204
        assert (await streams[0].next_event()).event == "gateway.close"

        async def gone() -> bool:
            return (await nodes[1].http.get(f"/api/v1/connections/{first}")).status_code == 404

        await eventually(gone, within=5)


async def test_a_stalled_node_is_dead_after_its_lease_and_comes_back(nodes: list[Subject]) -> None:
    topic = unique("topic")
    async with nodes[0].sse(topic) as stream:
        os.kill(nodes[0].running.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()

            async def dropped() -> bool:
                return await publish(nodes[1], topic, "lost") == 204

            await eventually(dropped, within=TTL + 2)
            assert time.monotonic() - began > TTL / 3
        finally:
            os.kill(nodes[0].running.pid, signal.SIGCONT)

        async def delivered() -> bool:
            return await publish(nodes[1], topic, "again") == 200

        await eventually(delivered, within=5)
        seen = [await stream.next_event() for _ in range(1)]
        while seen[-1].id != "again":
            seen.append(await stream.next_event())
        # Events before its death reached it all the same; what came after was told.
        assert [json.loads(block.data or "") for block in seen if block.event == "gateway.gap"] == [
            {"topic": topic, "missed": None, "reason": "interrupted"}
        ]


async def test_a_killed_node_leaves_nothing_behind_its_lease(
    server: str, redis: RedisServer, nodes: list[Subject]
) -> None:
    topic = unique("topic")
    doomed = RunningGateway(server, redis_url=redis.url, node_ttl_seconds=TTL, node_name="doomed")
    await asyncio.to_thread(doomed.start)
    try:
        async with client_of(doomed) as subject, AsyncExitStack() as stack:
            stream: SseStream = await stack.enter_async_context(subject.sse(topic))
            assert await publish(nodes[0], topic, "1") == 200
            assert (await stream.next_event()).id == "1"
            os.kill(doomed.pid, signal.SIGKILL)

            async def dropped() -> bool:
                return all([await publish(node, topic, "2") == 204 for node in nodes])

            await eventually(dropped, within=TTL + 2)

        async def forgotten() -> bool:
            lists = [await node.http.get(f"/api/v1/{what}") for node in nodes for what in ("topics", "connections")]
            return all(answer.json()["total"] == 0 for answer in lists)

        await eventually(forgotten, within=2)
        listed = (await nodes[0].http.get("/api/v1/nodes")).json()["items"]
        assert [item["name"] for item in listed] == ["a", "b", "c"]
    finally:
        await asyncio.to_thread(doomed.stop)


async def test_redis_away_is_503_and_empty_again_is_no_false_204(redis: RedisServer, nodes: list[Subject]) -> None:
    topic = unique("topic")
    async with nodes[0].sse(topic) as stream:
        redis.kill()

        async def refused() -> bool:
            return await publish(nodes[1], topic, "1") == 503

        await eventually(refused, within=5)
        assert not await is_ready(nodes[1])
        redis.start()
        statuses: list[int] = []

        async def answered() -> bool:
            statuses.append(await publish(nodes[1], topic, "2"))
            return statuses[-1] != 503

        await eventually(answered, within=TTL + 5)
        assert statuses[-1] == 200
        seen = [await stream.next_event() for _ in range(2)]
        assert [block.event for block in seen] == ["gateway.gap", "message"]
        assert seen[1].id == "2"


async def test_an_empty_redis_gives_no_204_while_a_node_has_not_come_back(
    redis: RedisServer, nodes: list[Subject]
) -> None:
    topic = unique("topic")
    async with nodes[0].sse(topic) as stream:
        os.kill(nodes[0].running.pid, signal.SIGSTOP)
        try:
            redis.kill()
            redis.start()
            # The others have registered long before: what they lack is the word of the one that holds the topic.
            until = time.monotonic() + TTL
            statuses = set()
            while time.monotonic() < until:
                statuses |= {await publish(nodes[1], topic, "refused"), await publish(nodes[2], topic, "refused")}
            assert statuses == {503}
        finally:
            os.kill(nodes[0].running.pid, signal.SIGCONT)

        async def answered() -> bool:
            statuses.add(await publish(nodes[1], topic, "1"))
            return statuses != {503}

        await eventually(answered, within=TTL + 5)
        assert statuses == {503, 200}
        seen = [await stream.next_event() for _ in range(2)]
        assert [(block.event, block.id) for block in seen] == [("gateway.gap", None), ("message", "1")]
