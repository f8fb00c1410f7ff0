"""Nodes that lose their subscription, or their Redis, while publishers go on: the history fills in what they missed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.redis_server import RedisServer, needs_redis
from tests.unit.topics.history.shelf import Ear, last, rules
from tests.unit.topics.scripted import Client
from topics.events import Event
from topics.exceptions import PlacementUnavailable
from topics.history.redis.store import RedisHistory
from topics.history.rules import Rules
from topics.placement.base import Node
from topics.placement.redis.placement import RedisPlacement

TTL = 1.0

KEPT = rules(kept=last(10_000), few=last(3))

pytestmark = needs_redis


class Place:
    """One node."""

    def __init__(self, url: str, name: str, kept: Rules) -> None:
        self.name = name
        self.placement = RedisPlacement(url, ttl=TTL, dedupe_seconds=60)
        self.history = RedisHistory(self.placement, kept)
        self.hub = Ear()

    async def start(self) -> None:
        await self.placement.start(Node(self.name, "host", time.time(), "1.2.3"), self.hub)
        await self.history.start()

    async def join(self, *topics: str) -> Client:
        client = Client(topics)
        self.hub.add(client.connection, topics)
        await self.placement.attach(client.connection.record(self.name), topics)
        return client.open()

    async def publish(self, event_id: str, *topics: str) -> None:
        """Publish as a publisher does that tries again after a 503, with dedupe."""
        async with asyncio.timeout(20):
            while True:
                try:
                    await self.history.publish(Event(topics, event_id, "x"), self.placement)
                except PlacementUnavailable:
                    await asyncio.sleep(0.02)
                else:
                    return

    async def close(self) -> None:
        await self.history.close()
        await self.placement.close()


Start = Callable[..., Awaitable[list[Place]]]


@pytest.fixture
def own() -> Iterator[RedisServer]:
    """A Redis of the test's own, which saves all that it is told."""
    server = RedisServer(arguments=("--appendonly", "yes"))
    with server as running:
        yield running


@pytest.fixture
async def start(own: RedisServer) -> AsyncIterator[Start]:
    places: list[Place] = []

    async def make(count: int = 2, kept: Rules = KEPT) -> list[Place]:
        for number in range(count):
            places.append(Place(own.url, f"node-{number}", kept))
            await places[-1].start()
        for place in places:
            await answers(place)
        return places

    yield make
    async with asyncio.timeout(20):
        for place in places:
            await place.close()


async def answers(place: Place) -> None:
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(PlacementUnavailable):
                await place.placement.count(["x"])
                return
            await asyncio.sleep(0.02)


class Publisher:
    """Publishes numbers to the same topics until it is told to end."""

    def __init__(self, place: Place, name: str, *topics: str) -> None:
        self.sent: list[str] = []
        self._ends = False
        self._task = asyncio.create_task(self._run(place, name, topics))

    async def _run(self, place: Place, name: str, topics: tuple[str, ...]) -> None:
        while not self._ends:
            event_id = f"{name}-{len(self.sent)}"
            await place.publish(event_id, *topics)
            self.sent.append(event_id)
            await asyncio.sleep(0.001)

    async def has_sent(self, more: int) -> None:
        """Wait until so many more are published."""
        until = len(self.sent) + more
        async with asyncio.timeout(20):
            while len(self.sent) < until:
                if self._task.done():
                    await self._task
                await asyncio.sleep(0.005)

    async def end(self) -> None:
        self._ends = True
        await self._task


def told(client: Client) -> tuple[list[str], list[tuple[str, int | None]]]:
    """Return the ids of the events that a client saw, and its gaps."""
    seen = client.seen()
    events = [one.id or "" for one in seen if not one.type.startswith("gateway.")]
    return events, [(one.payload["topic"], one.payload["missed"]) for one in seen if one.type == "gateway.gap"]


async def until(condition: Callable[[], bool], within: float = 15) -> None:
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.01)


async def kill_subscriptions(own: RedisServer) -> None:
    async with Redis.from_url(own.url) as redis:
        for line in await redis.client_list(_type="pubsub"):
            await redis.client_kill_filter(_id=line["id"])


class TestInterruptions:
    async def test_a_lost_subscription_costs_kept_topics_nothing(self, start: Start, own: RedisServer) -> None:
        first, second = await start()
        clients = [await place.join("kept-a", "kept-b", "live") for place in (first, second)]
        publishers = [
            Publisher(first, "a", "kept-a"),
            Publisher(second, "b", "kept-b"),
            Publisher(first, "both", "kept-b", "kept-a"),
            Publisher(second, "live", "live"),
        ]
        for _ in range(4):
            await publishers[0].has_sent(30)
            await kill_subscriptions(own)
        await publishers[0].has_sent(30)
        for publisher in publishers:
            await publisher.end()
        kept = [one for publisher in publishers[:3] for one in publisher.sent]
        live = publishers[3].sent
        await first.publish("end", "kept-a")
        await until(lambda: all("end" in told(client)[0] for client in clients))
        for client in clients:
            events, gaps = told(client)
            assert {topic for topic, _ in gaps} <= {"live"}
            assert sorted(one for one in events if not one.startswith("live")) == sorted([*kept, "end"])
            # What is not kept is counted.
            assert len(live) - sum(one.startswith("live") for one in events) <= sum(missed or 0 for _, missed in gaps)
        orders = [[one for one in told(client)[0] if not one.startswith("live")] for client in clients]
        assert orders[0] == orders[1]
        for place in (first, second):
            positions = [event.position for event in place.hub.handed if event.position is not None]
            assert positions == sorted(set(positions))

    @pytest.mark.parametrize("fault", ["restart", "freeze"])
    async def test_a_redis_that_comes_back_with_its_data_costs_kept_topics_nothing(
        self, start: Start, own: RedisServer, fault: str
    ) -> None:
        places = await start(3)
        clients = [await place.join("kept-a", "kept-b") for place in places]
        publishers = [Publisher(place, f"p{number}", f"kept-{'ab'[number % 2]}") for number, place in enumerate(places)]
        for _ in range(2):
            await publishers[0].has_sent(50)
            if fault == "restart":
                own.kill()
                await asyncio.sleep(0.5)
                own.start()
            else:
                own.freeze()
                await asyncio.sleep(2.5 * TTL)
                own.thaw()
        await publishers[0].has_sent(50)
        for publisher in publishers:
            await publisher.end()
        await places[0].publish("end", "kept-a")
        await until(lambda: all("end" in told(client)[0] for client in clients))
        sent = [one for publisher in publishers for one in publisher.sent]
        order, gaps = told(clients[0])
        assert sorted(order) == sorted([*sent, "end"])
        assert [told(client) for client in clients] == [(order, [])] * 3
        assert gaps == []

    async def test_a_redis_that_comes_back_empty_is_told_to_who_may_have_missed_something(
        self, start: Start, own: RedisServer
    ) -> None:
        first, second = await start()
        client, complete = [await place.join("kept-a", "kept-b") for place in (first, second)]
        for number in range(3):
            await second.publish(str(number), "kept-a")
        await until(lambda: [told(one)[0] for one in (client, complete)] == [["0", "1", "2"]] * 2)
        channel: Any = first.placement._channel
        await channel.close()
        await second.publish("3", "kept-a")
        await until(lambda: "3" in told(complete)[0])
        own.kill()
        own.arguments = ()
        own.start()
        await second.publish("4", "kept-a")
        await until(lambda: all("4" in told(one)[0] for one in (client, complete)))
        # In its place: before what came since.
        assert [(seen.id, seen.payload.get("topic")) for seen in client.seen()[3:-1]] == [
            (None, "kept-a"),
            (None, "kept-b"),
        ]
        assert told(client) == (["0", "1", "2", "4"], [("kept-a", None), ("kept-b", None)])
        # Who has had all that was ever published is not told.
        assert told(complete) == (["0", "1", "2", "3", "4"], [])
        # Who comes back with an id that is lost is told; who has seen what came since is not.
        standing = await second.history.locate(["kept-a"], "2")
        assert [gap.reason for gap in standing.gaps] == ["unknown-id"]
        assert list((await second.history.locate(["kept-a", "kept-b"], "4")).gaps) == []

    async def test_a_redis_that_comes_back_without_its_last_events_tells_who_may_have_missed_them(
        self, start: Start, own: RedisServer
    ) -> None:
        first, second = await start()
        client = await first.join("kept-a")
        await second.publish("0", "kept-a", "kept-b")
        await until(lambda: told(client)[0] == ["0"])
        async with Redis.from_url(own.url) as redis:
            await redis.save()
        await second.publish("1", "kept-a")
        await until(lambda: told(client)[0] == ["0", "1"])
        own.kill()
        own.arguments = ("--appendonly", "no")
        own.start()
        await second.publish("2", "kept-a")
        await until(lambda: "2" in told(client)[0])
        # It has had all that is lost.
        assert told(client) == (["0", "1", "2"], [])
        standing = await second.history.locate(["kept-a", "kept-b"], "0")
        assert [(gap.topic, gap.reason) for gap in standing.gaps] == [
            ("kept-a", "interrupted"),
            ("kept-b", "interrupted"),
        ]

    async def test_what_was_evicted_meanwhile_is_told_in_its_place(self, start: Start, own: RedisServer) -> None:
        first, second = await start()
        client = await first.join("few", "kept-a")
        await second.publish("0", "few")
        await until(lambda: told(client)[0] == ["0"])
        # The subscription is dead, and comes back by itself when it is asked for.
        channel: Any = first.placement._channel
        await channel.close()
        for number in range(1, 8):
            await second.publish(str(number), "few")
        first.placement._doubt()
        await channel.open()
        await until(lambda: told(client)[0][-1:] == ["7"])
        assert told(client) == (["0", "5", "6", "7"], [("few", 4)])
        assert [seen.id for seen in client.seen()] == ["0", None, "5", "6", "7"]

    async def test_who_joins_after_an_interruption_gets_nothing_from_before(
        self, start: Start, own: RedisServer
    ) -> None:
        first, second = await start()
        for number in range(5):
            await second.publish(str(number), "kept-a")
        client = await first.join("kept-a")
        await kill_subscriptions(own)
        await second.publish("new", "kept-a")
        await until(lambda: "new" in told(client)[0])
        assert told(client) == (["new"], [])

    async def test_a_node_that_counted_as_dead_costs_kept_topics_nothing(self, start: Start, own: RedisServer) -> None:
        first, second = await start()
        client = await first.join("kept-a")
        publisher = Publisher(second, "p", "kept-a")
        await publisher.has_sent(20)
        lease: Any = first.placement._lease
        await lease.neglect()

        async def is_dead() -> bool:
            return len(await second.placement.nodes()) == 1

        async with asyncio.timeout(5):
            while not await is_dead():
                await asyncio.sleep(0.05)
        await publisher.has_sent(20)
        lease.tend()
        async with asyncio.timeout(5):
            while await is_dead():
                await asyncio.sleep(0.05)
        await publisher.has_sent(20)
        await publisher.end()
        await until(lambda: told(client)[0][-1:] == publisher.sent[-1:])
        assert told(client) == (publisher.sent, [])
