"""The Redis adapter on a real Redis: under the suite that every placement passes, and with several nodes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.redis_server import RedisServer, needs_redis
from tests.unit.topics.placement.contract import NODE, Place, PlacementContract, event, ids, until
from tests.unit.topics.placement.dedupe_contract import DedupeContract
from tests.unit.topics.scripted import Client
from topics.encoding import Format
from topics.exceptions import PlacementUnavailable
from topics.hub import Hub
from topics.placement.base import Drop, Node, Placement, Transport
from topics.placement.redis.keys import Keys
from topics.placement.redis.lease import Lease
from topics.placement.redis.placement import RedisPlacement

TTL = 1.0

pytestmark = needs_redis


async def answers(placement: Placement, within: float = 8) -> None:
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


class TestRedisDedupe(DedupeContract):
    @pytest.fixture
    async def remembering(self, server: RedisServer) -> Callable[[float], Placement]:
        async with Redis.from_url(server.url) as client:
            answers: list[bytes] = await client.keys("*answer:*")  # type: ignore[assignment]
            if answers:
                await client.delete(*answers)
        return lambda seconds: RedisPlacement(server.url, ttl=TTL, dedupe_seconds=seconds)


class Nodes:
    """Several nodes in this process, each with its own connections to Redis."""

    def __init__(self, url: str, ttl: float = TTL) -> None:
        self.url = url
        self.ttl = ttl
        self.places: list[Place] = []

    async def add(self, name: str) -> Place:
        placement = RedisPlacement(self.url, ttl=self.ttl)
        hub = Hub(name, retry_ms=3000)
        await placement.start(Node(name, f"host-{name}", time.time(), "1.2.3"), hub)
        await answers(placement)
        self.places.append(Place(placement, hub))
        return self.places[-1]

    async def close(self) -> None:
        async with asyncio.timeout(10):
            for place in self.places:
                await place.placement.close()


@pytest.fixture
async def nodes(server: RedisServer) -> AsyncIterator[Nodes]:
    """Nodes on the module's Redis, which is empty but for them."""
    made = Nodes(server.url)
    yield made
    await made.close()


async def until_answers(placement: Placement, topic: str, count: int, within: float) -> float:
    """Wait until a look-up says *count*; returns the seconds that it took."""
    begun = time.monotonic()
    async with asyncio.timeout(within):
        while True:
            with contextlib.suppress(PlacementUnavailable):
                if (await placement.count([topic])).get(topic, 0) == count:
                    return time.monotonic() - begun
            await asyncio.sleep(0.02)


async def first_answer(placement: Placement, topic: str) -> dict[str, int]:
    """Return the first count that is said at all: a false one would be among the first."""
    async with asyncio.timeout(8):
        while True:
            with contextlib.suppress(PlacementUnavailable):
                return await placement.count([topic])
            await asyncio.sleep(0.001)


async def fall_silent(place: Place) -> Lease:
    """Let a node renew its lease no more, as one that was killed or stalled; its connections stay."""
    lease: Lease = place.placement._lease  # type: ignore[attr-defined]
    await lease.neglect()
    return lease


async def keys(url: str) -> set[str]:
    async with Redis.from_url(url) as client:
        found: list[bytes] = await client.keys("*")  # type: ignore[assignment]
        # A removed session is remembered for a minute, without the name of any topic.
        return {name for key in found if not (name := key.decode().partition(":")[2]).startswith("closed:")}


async def test_who_asks_as_the_node_leaves_does_not_wait_for_ever(nodes: Nodes) -> None:
    node = await nodes.add("leaving")
    looking = asyncio.create_task(node.placement.count(["x"]))
    await asyncio.sleep(0)
    await node.placement.close()
    async with asyncio.timeout(5):
        with contextlib.suppress(PlacementUnavailable):
            await looking


async def test_a_topic_exists_for_every_node_and_its_holder_asks_nobody(nodes: Nodes, server: RedisServer) -> None:
    holder, other = await nodes.add("holder"), await nodes.add("other")
    await holder.join("a")
    assert await other.placement.exist(["b", "a"])

    async def scripts_run() -> int:
        async with Redis.from_url(server.url) as client:
            return int((await client.info("commandstats")).get("cmdstat_evalsha", {}).get("calls", 0))

    # Leases are renewed meanwhile, but not so often.
    before = await scripts_run()
    for _ in range(200):
        assert await holder.placement.exist(["b", "a"])
    assert await scripts_run() < before + 100


def gaps(client: Client) -> list[Any]:
    return [(seen.payload["topic"], seen.payload["missed"]) for seen in client.seen() if seen.type == "gateway.gap"]


class TestSeveralNodes:
    async def test_what_attach_returned_is_delivered_from_every_node(self, nodes: Nodes) -> None:
        first, second = await nodes.add("a"), await nodes.add("b")
        for number in range(200):
            client = await first.join(f"topic-{number}")
            routed = await second.placement.route(event(number, f"topic-{number}"))
            assert dict(routed.topics) == {f"topic-{number}": 1}
            await until(lambda client=client: bool(ids(client)))  # type: ignore[misc]
            await first.leave(client)
        assert await second.placement.count(f"topic-{number}" for number in range(200)) == {}

    async def test_all_nodes_see_one_order_and_once(self, nodes: Nodes) -> None:
        places = [await nodes.add(name) for name in "abc"]
        clients = [await place.join(*topics) for place in places for topics in (("x",), ("y",), ("x", "y"))]

        async def publish(publisher: int) -> None:
            for number in range(50):
                topics = (("x",), ("y",), ("x", "y"))[(publisher + number) % 3]
                await places[publisher % 3].placement.route(event(f"{publisher}-{number}", *topics))

        await asyncio.gather(*map(publish, range(6)))
        await until(lambda: [len(ids(client)) for client in clients] == [200, 200, 300] * 3)
        # Order is promised for each topic: events of x alone and of y alone have none among them.
        for topic, others in (("x", clients[0::3]), ("y", clients[1::3])):
            order = ids(others[0])
            assert len(set(order)) == 200
            for client in (*others, *clients[2::3]):
                assert [one for one in ids(client) if one in set(order)] == order, topic

    async def test_a_node_hears_only_the_topics_that_it_holds(self, nodes: Nodes, server: RedisServer) -> None:
        first, second = await nodes.add("a"), await nodes.add("b")
        client = await first.join("here")
        await second.join("there")
        async with Redis.from_url(server.url) as redis:
            channels = [b"{sse-gateway/0}:__group__" + topic for topic in (b"here", b"there", b"nowhere")]
            assert [count for _, count in await redis.pubsub_numsub(*channels)] == [1, 1, 0]
            await first.join("here")
            await second.join("here")
            assert [count for _, count in await redis.pubsub_numsub(*channels)] == [2, 1, 0]
            await first.leave(client)
            assert [count for _, count in await redis.pubsub_numsub(*channels)] == [2, 1, 0]

    async def test_nothing_is_left_behind_the_last_connection(self, nodes: Nodes, server: RedisServer) -> None:
        before = await keys(server.url)
        first, second = await nodes.add("a"), await nodes.add("b")
        clients = [(place, await place.join("x", "y", "z")) for place in (first, second, first)]
        for place, client in clients:
            await place.subscribe(client, "later")
            await second.placement.route(event(1, "x", "later"))
        for place, client in clients:
            await place.leave(client)
        assert await keys(server.url) == before | {"leases", "info"}
        await nodes.close()
        assert await keys(server.url) == before

    async def test_every_node_gives_the_same_lists(self, nodes: Nodes) -> None:
        places = [await nodes.add(name) for name in "abc"]
        for number in range(30):
            kind: Transport = "websocket" if number % 4 else "sse"
            await places[number % 3].join("all", f"topic-{number % 7}", transport=kind)
        await places[0].placement.route(event(1, "all"))
        await until(lambda: sum(place.hub.delivered for place in places) == 30)

        async def pages(placement: Placement, **filters: Any) -> list[Any]:
            found: list[Any] = []
            after: str | None = None
            while True:
                page = await placement.connections(limit=4, after=after, **filters)
                found += page.items
                after = page.next
                if after is None:
                    assert page.total == len(found)
                    return found

        for filters in ({}, {"topic": "topic-3"}, {"node": "b"}, {"transport": "sse", "topic": "all"}):
            answers_ = [await pages(place.placement, **filters) for place in places]
            assert answers_[0] == answers_[1] == answers_[2]
            assert len({record.id for record in answers_[0]}) == len(answers_[0]) > 0
        assert {record.sent for record in await pages(places[2].placement)} == {1}
        topics = [await place.placement.topics(limit=500) for place in places]
        assert topics[0] == topics[1] == topics[2]
        assert next(topic for topic in topics[0].items if topic.name == "all").nodes == ("a", "b", "c")
        assert [status.node.name for status in await places[1].placement.nodes()] == ["a", "b", "c"]
        stats = [await place.placement.stats() for place in places]
        assert stats[0] == stats[1] == stats[2]
        assert (stats[0].connections, stats[0].delivered) == (30, 30)

    async def test_a_connection_is_shown_and_closed_through_another_node(self, nodes: Nodes) -> None:
        first, second = await nodes.add("a"), await nodes.add("b")
        client = await first.join("x")
        record = await second.placement.connection(client.connection.id)
        assert record == await first.placement.connection(client.connection.id)
        assert await second.placement.close_connection(client.connection.id)
        assert client.seen()[-1].payload["reason"] == "closed-by-administrator"

    async def test_what_a_node_that_does_not_answer_holds_is_unknown_and_not_zero(self, nodes: Nodes) -> None:
        nodes.ttl = 5.0
        first, second = await nodes.add("a"), await nodes.add("b")
        client = await first.join("x")
        shown = await second.placement.connection(client.connection.id)
        assert shown is not None
        assert (shown.sent, shown.pending, shown.pending_bytes, shown.behind_since) == (0, 0, 0, None)
        await fall_silent(first)
        await first.placement._channel.close()  # type: ignore[attr-defined]
        begun = time.time()
        record, (a, b) = await asyncio.gather(
            second.placement.connection(client.connection.id), second.placement.nodes()
        )
        assert record == replace(shown, sent=None, pending=None, pending_bytes=None)
        assert (a.node.name, b.node.name) == ("a", "b")
        assert a.last_seen < begun < b.last_seen
        async with asyncio.timeout(nodes.ttl):
            while not a.silent:
                a, b = await second.placement.nodes()
        assert (a.node.name, b.silent) == ("a", False)

    async def test_a_tail_sees_what_happens_on_another_node(self, nodes: Nodes) -> None:
        first, second = await nodes.add("a"), await nodes.add("b")
        tail = Client(["x"], form=Format.SSE_TAIL)
        await first.placement.watch("x")
        first.hub.add_tail("x", tail.connection)
        tail.open()
        await second.placement.report_drop(Drop(("y", "x"), "dropped", 1.0))
        await until(lambda: b"dropped" in tail.writer.received)
        await second.join("x")
        await second.placement.route(event("routed", "x"))
        await until(lambda: b"routed" in tail.writer.received)
        assert bytes(tail.writer.received).count(b"gateway.gap") == 0
        await first.placement.unwatch("x")

    async def test_the_topics_of_a_dead_node_go_with_its_lease(self, nodes: Nodes, server: RedisServer) -> None:
        first, second = await nodes.add("a"), await nodes.add("b")
        await first.join("only", "shared")
        await second.join("shared")
        await fall_silent(first)
        assert await until_answers(second.placement, "only", 0, within=TTL + 2) > TTL / 3
        assert (await second.placement.route(event(1, "only"))).subscribers == 0
        assert await second.placement.count(["shared"]) == {"shared": 1}
        assert [status.node.name for status in await second.placement.nodes()] == ["b"]
        async with asyncio.timeout(2):
            while any("only" in key or "graves" in key for key in await keys(server.url)):
                await asyncio.sleep(0.02)
        assert await second.names() == ["shared"]

    async def test_a_node_that_was_taken_for_dead_registers_again(self, nodes: Nodes) -> None:
        first, second = await nodes.add("a"), await nodes.add("b")
        client = await first.join("x")
        lease = await fall_silent(first)
        await until_answers(second.placement, "x", 0, within=TTL + 2)
        lease.look()
        lease.tend()
        await until_answers(second.placement, "x", 1, within=2)
        # The topic was gone: what was published then was dropped, and nobody counted it.
        await until(lambda: gaps(client) == [("x", None)])
        await second.placement.route(event(1, "x"))
        await until(lambda: ids(client)[-1] == "1")

    async def test_a_node_that_comes_back_after_its_lease_tells_its_connections(
        self, nodes: Nodes, server: RedisServer
    ) -> None:
        first, second = await nodes.add("a"), await nodes.add("b")
        client = await first.join("x")
        lease = await fall_silent(first)
        # The lease is over, and nobody has removed yet what was registered under it.
        async with Redis.from_url(server.url) as redis:
            await redis.zrem(Keys(0).leases, lease.session)
        assert not (await second.placement.route(event(1, "x"))).subscribers
        lease.fail()
        await lease.renew()
        await until_answers(second.placement, "x", 1, within=5)
        assert gaps(client) == [("x", None)]

    async def test_a_command_that_was_held_up_leaves_nothing(self, nodes: Nodes, server: RedisServer) -> None:
        first, second = await nodes.add("a"), await nodes.add("b")
        session = first.placement._lease.session  # type: ignore[attr-defined]
        await first.placement.close()
        names = Keys(0)
        held_up = [names.order(session), names.records(session), names.held(session), names.topics]
        held_up += [names.closed(session), names.topic("late"), names.members(session, "late")]
        commands = second.placement._lease.commands  # type: ignore[attr-defined]
        assert await commands.run("attach", held_up, [session, "sid", 1, "[]", "e", "", "late", 1, ""]) == 0
        assert not [key for key in await keys(server.url) if "late" in key or session in key]

    async def test_our_name_of_a_group_is_the_layers(self, nodes: Nodes) -> None:
        place = await nodes.add("a")
        channel = place.placement._channel  # type: ignore[attr-defined]
        await place.join("x")
        assert list(channel._layer.groups) == [place.placement._keys.channel("x")]  # type: ignore[attr-defined]


class TestRedisAway:
    @pytest.fixture
    def own(self) -> Iterator[RedisServer]:
        with RedisServer() as running:
            yield running

    @pytest.fixture
    async def pair(self, own: RedisServer) -> AsyncIterator[Nodes]:
        made = Nodes(own.url)
        await made.add("a")
        await made.add("b")
        yield made
        await made.close()

    async def test_nothing_is_said_while_redis_is_away_and_all_is_true_when_it_is_back_empty(
        self, pair: Nodes, own: RedisServer
    ) -> None:
        first, second = pair.places
        client = await first.join("x")
        own.kill()
        for place in pair.places:
            with pytest.raises(PlacementUnavailable):
                await place.placement.route(event(1, "x"))
            with pytest.raises(PlacementUnavailable):
                await place.placement.check()
        with pytest.raises(PlacementUnavailable):
            await second.join("y")
        own.start()
        assert await first_answer(second.placement, "x") == {"x": 1}
        await until(lambda: gaps(client) == [("x", None)])
        await second.placement.route(event(2, "x"))
        await until(lambda: ids(client)[-1] == "2")
        await answers(first.placement)
        await first.placement.check()

    async def test_nobody_answers_before_every_node_has_registered_again(self, pair: Nodes, own: RedisServer) -> None:
        first, second = pair.places
        await first.join("x")
        await fall_silent(first)
        own.kill()
        own.start()
        begun = time.monotonic()
        # The node that holds x has not come back: until its lease would have run out, x may not be called gone.
        await until_answers(second.placement, "x", 0, within=8)
        assert time.monotonic() - begun >= TTL * 0.9

    async def test_data_that_vanished_is_not_taken_for_no_subscribers(self, pair: Nodes, own: RedisServer) -> None:
        first, second = pair.places
        client = await first.join("x")
        async with Redis.from_url(own.url) as redis:
            await redis.flushall()
        with pytest.raises(PlacementUnavailable):
            await second.placement.count(["x"])
        await until_answers(second.placement, "x", 1, within=5)
        assert client.connection.id in await second.connection_ids()

    async def test_a_redis_that_comes_back_with_older_data_tells_a_gap(self, pair: Nodes, own: RedisServer) -> None:
        first, second = pair.places
        client = await first.join("x")
        await second.placement.route(event(1, "x"))
        async with Redis.from_url(own.url) as redis:
            await redis.save()
        await second.placement.route(event(2, "x"))
        await until(lambda: ids(client) == ["1", "2"])
        own.kill()
        own.start()
        # It knows of one event, and gives the next the number of the second: that proves nothing.
        assert await first_answer(second.placement, "x") == {"x": 1}
        await until(lambda: gaps(client) == [("x", None)])
        await second.placement.route(event(3, "x"))
        await until(lambda: ids(client) == ["1", "2", None, "3"])

    async def test_a_redis_that_was_frozen_takes_nobody_for_dead(self, pair: Nodes, own: RedisServer) -> None:
        first, second = pair.places
        client = await first.join("x")
        own.freeze()
        await asyncio.sleep(3 * TTL)
        with pytest.raises(PlacementUnavailable):
            await second.placement.count(["x"])
        own.thaw()
        assert await first_answer(second.placement, "x") == {"x": 1}
        await second.placement.route(event(1, "x"))
        await until(lambda: "1" in ids(client))

    async def test_a_receiver_of_the_layer_that_has_died_is_replaced(self, pair: Nodes, own: RedisServer) -> None:
        first, second = pair.places
        client = await first.join("x")

        async def die() -> None:
            raise TimeoutError

        (shard,) = first.placement._channel._layer._shards  # type: ignore[attr-defined]
        shard._receive_task.cancel()
        shard._receive_task = asyncio.create_task(die())
        await asyncio.sleep(0)
        await second.placement.route(event(1, "x"))
        await until(lambda: gaps(client) == [("x", 1)])
        await second.placement.route(event(2, "x"))
        await until(lambda: ids(client)[-1] == "2")

    async def test_a_subscription_that_was_lost_tells_what_was_missed(self, pair: Nodes, own: RedisServer) -> None:
        first, second = pair.places
        client = await first.join("x")
        await first.placement.route(event(1, "x"))
        await until(lambda: ids(client) == ["1"])
        async with Redis.from_url(own.url) as redis:
            pubsub = [line for line in await redis.client_list(_type="pubsub") if int(line["sub"]) == 2]
            await redis.client_kill_filter(_id=pubsub[0]["id"])
        await second.placement.route(event(2, "x"))
        await until(lambda: gaps(client) == [("x", 1)])
        await second.placement.route(event(3, "x"))
        await until(lambda: ids(client)[-1] == "3")
