"""History over several nodes, as whole processes: whichever of them ends, a client goes on at another, or the next."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from tests.conformance.subject import eventually, unique
from tests.faults.conftest import Start
from tests.faults.nodes import KEY, is_ready, start_nodes
from tests.faults.subject import Subject, client_of
from tests.gateway import RunningGateway
from tests.raw.sse import SseStream
from tests.redis_server import RedisServer, needs_redis

TTL = 2
HISTORY = "kept/*=100/10m, few/*=5"
EVENTS = 30

pytestmark = needs_redis


@pytest.fixture
def redis_arguments() -> tuple[str, ...]:
    """It saves all that it is told."""
    return ("--appendonly", "yes")


@pytest.fixture
async def nodes(start: Start, redis: RedisServer) -> list[Subject]:
    """Three nodes that keep history, all of them ready."""
    return await start_nodes(start, redis, node_ttl_seconds=TTL, history=HISTORY)


async def publish(node: Subject, topic: str, first: int, last: int) -> None:
    """Publish numbers one after the other."""
    for number in range(first, last + 1):
        headers = {"x-sse-topic": topic, "x-sse-id": str(number)}
        assert (await node.http.post("/publish", headers=headers, content=b"x")).status_code == 200


async def ids(stream: SseStream, count: int) -> list[str]:
    """Return the ids, or the types of the gateway's own events, that come next."""
    async with asyncio.timeout(10):
        events = [await stream.next_event() for _ in range(count)]
    return [event.id or event.event or "" for event in events]


def numbers(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last + 1)]


async def test_a_client_goes_on_at_any_node(nodes: list[Subject]) -> None:
    topic = "kept/" + unique("topic")
    last, seen = "", []
    await publish(nodes[0], topic, 0, 0)
    for number in range(6):
        node = nodes[number % 3]
        async with node.sse(topic, headers=[("last-event-id", last or "0")]) as stream:
            seen += await ids(stream, 2 * number)
            await publish(nodes[(number + 1) % 3], topic, len(seen) + 1, len(seen) + 2)
            seen += await ids(stream, 2)
            last = seen[-1]
        # Nobody is connected while these come.
        await publish(nodes[(number + 2) % 3], topic, len(seen) + 1, len(seen) + 2 * number + 2)
    assert seen == numbers(1, len(seen))


async def test_a_node_that_is_killed_costs_its_clients_nothing(
    nodes: list[Subject], server: str, redis: RedisServer
) -> None:
    topic, few = "kept/" + unique("topic"), "few/" + unique("topic")
    settings = {"redis_url": redis.url, "node_ttl_seconds": TTL, "history": HISTORY, "api_keys": KEY}
    doomed = RunningGateway(server, node_name="doomed", **settings)  # type: ignore[arg-type]
    await asyncio.to_thread(doomed.start)
    try:
        async with client_of(doomed) as subject:
            subject.http.headers["authorization"] = f"Bearer {KEY}"
            await eventually(lambda: is_ready(subject), within=10)
            async with subject.sse(topic, few) as stream:
                await publish(subject, topic, 1, 3)
                await publish(nodes[0], few, 1001, 1003)
                assert await ids(stream, 6) == [*numbers(1, 3), *numbers(1001, 1003)]
                os.kill(doomed.pid, signal.SIGKILL)
                # What comes before the others know that it is dead, and after.
                await publish(nodes[0], topic, 4, EVENTS)
                await publish(nodes[1], few, 1004, 1009)
        async with nodes[2].sse(topic, few, headers=[("last-event-id", "1003")]) as stream:
            assert await ids(stream, 1) == ["gateway.gap"]
            assert await ids(stream, EVENTS - 3 + 5) == [*numbers(4, EVENTS), *numbers(1005, 1009)]
            await publish(nodes[0], topic, EVENTS + 1, EVENTS + 1)
            assert await ids(stream, 1) == [str(EVENTS + 1)]
    finally:
        await asyncio.to_thread(doomed.stop)


async def test_what_is_kept_outlives_all_nodes(start: Start, redis: RedisServer, server: str) -> None:
    topic = "kept/" + unique("topic")
    settings = {"redis_url": redis.url, "node_ttl_seconds": TTL, "history": HISTORY, "api_keys": KEY}
    for life in range(2):
        with RunningGateway(server, **settings) as running:  # type: ignore[arg-type]
            async with client_of(running) as node:
                node.http.headers["authorization"] = f"Bearer {KEY}"
                await eventually(lambda node=node: is_ready(node), within=10)  # type: ignore[misc]
                if life == 0:
                    await publish(node, topic, 1, EVENTS)
                    continue
                async with node.sse(topic, headers=[("last-event-id", "1")]) as stream:
                    assert await ids(stream, EVENTS - 1) == numbers(2, EVENTS)
        redis.kill()
        redis.start()


async def test_a_redis_that_is_killed_costs_nothing_that_it_had_saved(nodes: list[Subject], redis: RedisServer) -> None:
    topic = "kept/" + unique("topic")
    async with nodes[0].sse(topic) as stay, nodes[1].sse(topic) as leave:
        await publish(nodes[2], topic, 1, 3)
        assert await ids(stay, 3) == await ids(leave, 3) == numbers(1, 3)
        redis.kill()

        async def refuses() -> bool:
            return not await is_ready(nodes[2])

        await eventually(refuses, within=5)
        redis.start()
        for node in nodes:
            await eventually(lambda node=node: is_ready(node), within=15)  # type: ignore[misc]
        await publish(nodes[2], topic, 4, 6)
        # The connection that stayed has had all of it, and so has one that comes back to another node.
        assert await ids(stay, 3) == numbers(4, 6)
        async with nodes[2].sse(topic, headers=[("last-event-id", "2")]) as stream:
            assert await ids(stream, 4) == numbers(3, 6)
