"""Redis behind Sentinel when its master changes, and when the way to it breaks: nothing is lost without a word."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager

import pytest
from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError
from redis.backoff import NoBackoff

from tests.redis_server import RedisServer, needs_redis
from tests.unit.topics.placement.contract import Place, event, ids, until
from tests.unit.topics.placement.test_redis import TTL, Nodes, answers, fall_silent, gaps, until_answers
from tests.unit.topics.placement.test_redis_kinds import SentinelServer
from tests.unit.topics.scripted import Client
from topics.exceptions import PlacementUnavailable
from topics.placement.redis.address import parse_address, sentinels_of
from topics.placement.redis.layer import EventChannel
from topics.placement.redis.lease import Lease
from topics.placement.redis.sentinels import Belief, Sentinels, has_moved

pytestmark = needs_redis


class Pair:
    """A master and a server with a copy of its data, and one sentinel, which is told which of them is the master.

    As in a failover in which the former master was frozen, or cut off: nobody tells it to follow.
    """

    def __init__(self, stack: ExitStack) -> None:
        # A copy would be made 5 s after it is asked for.
        self.former = stack.enter_context(RedisServer(arguments=("--repl-diskless-sync-delay", "0")))
        self.promoted = stack.enter_context(RedisServer())
        self.sentinel = stack.enter_context(SentinelServer(self.former.port))
        self.url = f"redis+sentinel://127.0.0.1:{self.sentinel.port}/main"

    async def copy(self) -> None:
        """Have the other server hold what the master holds now, and take writes."""
        async with asyncio.timeout(10), Redis(port=self.promoted.port) as client:
            await client.execute_command("REPLICAOF", "127.0.0.1", self.former.port)  # type: ignore[no-untyped-call]
            while (await client.info("replication"))["master_link_status"] != "up":
                await asyncio.sleep(0.02)
            await client.execute_command("REPLICAOF", "NO", "ONE")  # type: ignore[no-untyped-call]

    async def name(self, server: RedisServer) -> None:
        """Have the sentinel name this one."""
        async with Redis(port=self.sentinel.port) as client:
            await client.execute_command("SENTINEL", "REMOVE", "main")  # type: ignore[no-untyped-call]
            words = ("SENTINEL", "MONITOR", "main", "127.0.0.1", server.port, 1)
            await client.execute_command(*words)  # type: ignore[no-untyped-call]


async def is_with(place: Place, server: RedisServer) -> None:
    """Wait until a node has registered with this server."""
    lease: Lease = place.placement._lease  # type: ignore[attr-defined]
    async with asyncio.timeout(10), Redis(port=server.port) as client:
        run = (await client.info("server"))["run_id"]
        while not (lease.reachable and lease._run == run):
            await asyncio.sleep(0.01)


async def hears(client: Client, publisher: Place, topic: str, number: int) -> None:
    """Publish until it is taken, and wait until a subscriber has it."""
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(PlacementUnavailable):
                assert dict((await publisher.placement.route(event(number, topic))).topics) == {topic: 1}
                break
            await asyncio.sleep(0.02)
    await until(lambda: str(number) in ids(client))


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    with ExitStack() as stack:
        yield Pair(stack)


async def test_a_message_that_comes_while_the_channel_closes_does_not_subscribe_again() -> None:
    """The receiver would ask a layer that has forgotten its channel, and subscribe behind the back of the closing."""
    with RedisServer() as master, SentinelServer(master.port) as sentinel:
        heard = asyncio.Event()
        address = parse_address(f"redis+sentinel://127.0.0.1:{sentinel.port}/main")
        address.belief.address = "127.0.0.1", master.port
        channel = EventChannel(
            address,
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


async def test_nodes_leave_a_former_master_that_goes_on_as_if_nothing_had_happened(pair: Pair) -> None:
    nodes = Nodes(pair.url)
    try:
        first, second = await nodes.add("a"), await nodes.add("b")
        client = await first.join("x")
        await hears(client, second, "x", 1)
        await pair.copy()
        await pair.name(pair.promoted)
        for place in (first, second):
            await is_with(place, pair.promoted)
        await hears(client, second, "x", 2)
        # What somebody may have published to the former one meanwhile is told before what comes of the new one.
        assert [seen.type for seen in client.seen()][-2:] == ["gateway.gap", "message"]
    finally:
        await nodes.close()


async def test_a_node_that_is_moved_while_it_renews_tells_its_connections(pair: Pair) -> None:
    """It registers again at once, on connections that it has not asked yet whose they are."""
    # Its lease must not run out meanwhile, which would be told too.
    nodes = Nodes(pair.url, ttl=4)
    try:
        first, second = await nodes.add("a"), await nodes.add("b")
        client = await first.join("x")
        lease = await fall_silent(first)
        await pair.copy()
        await pair.name(pair.promoted)
        assert await has_moved(lease.client)
        lease.fail()
        async with lease._renewing:
            await lease._register()
        lease.tend()
        await is_with(second, pair.promoted)
        await hears(client, second, "x", 1)
        assert [seen.type for seen in client.seen()][-2:] == ["gateway.gap", "message"]
    finally:
        await nodes.close()


async def test_who_was_stalled_longer_than_others_wait_asks_before_it_answers(pair: Pair) -> None:
    """The former master would have it renew its lease, and answer from what the others left there."""
    nodes = Nodes(pair.url)
    try:
        first, second = await nodes.add("a"), await nodes.add("b")
        client = await second.join("x")
        await pair.copy()
        lease = await fall_silent(first)
        await pair.name(pair.promoted)
        await is_with(second, pair.promoted)
        await answers(second.placement)
        lease.tend()
        await hears(client, first, "x", 1)
    finally:
        await nodes.close()


async def test_who_comes_back_to_a_former_master_waits_for_those_who_left_it_too(pair: Pair) -> None:
    """It still says that all are there: their leases are given their time back, as nobody has renewed for long."""
    nodes = Nodes(pair.url)
    try:
        first, second = await nodes.add("a"), await nodes.add("b")
        client = await second.join("x")
        await pair.copy()
        await pair.name(pair.promoted)
        for place in (first, second):
            await is_with(place, pair.promoted)
        await hears(client, first, "x", 1)
        lease = await fall_silent(second)
        await pair.name(pair.former)
        await is_with(first, pair.former)
        before = time.monotonic()
        while time.monotonic() < before + TTL:
            with pytest.raises(PlacementUnavailable):
                await first.placement.count(["x"])
            await asyncio.sleep(0.02)
        lease.tend()
        await is_with(second, pair.former)
        await hears(client, first, "x", 2)
        assert [seen.type for seen in client.seen()][-2:] == ["gateway.gap", "message"]
    finally:
        await nodes.close()


async def test_who_has_stayed_while_others_answered_elsewhere_is_told_so(pair: Pair) -> None:
    nodes = Nodes(pair.url)
    try:
        first, second = await nodes.add("a"), await nodes.add("b")
        client = await second.join("x")
        # It does not ask the sentinels, but renews its lease.
        following = second.placement._lease._tasks.pop()  # type: ignore[attr-defined]
        following.cancel()
        await asyncio.wait([following])
        await pair.copy()
        await pair.name(pair.promoted)
        await answers(first.placement)
        assert await until_answers(first.placement, "x", 0, within=8) >= 0
        assert not gaps(client)
        await pair.name(pair.former)
        await is_with(first, pair.former)
        await hears(client, first, "x", 1)
        assert gaps(client) == [("x", None)]
    finally:
        await nodes.close()


async def test_what_was_heard_of_a_failover_is_not_forgotten() -> None:
    """The sentinel that had heard of it is away; the other one has not, and the former master looks well to it."""
    with RedisServer() as former, RedisServer() as promoted, SentinelServer(former.port, epoch=1) as stale:
        belief = Belief()
        with SentinelServer(promoted.port, epoch=2) as newest:
            ports = [("127.0.0.1", stale.port), ("127.0.0.1", newest.port)]
            sentinels = Sentinels(tuple(ports), belief, {"socket_timeout": 1, "retry": Retry(NoBackoff(), 0)})
            assert await sentinels.discover_master("main") == ("127.0.0.1", promoted.port)
        with pytest.raises(MasterNotFoundError):
            await sentinels.discover_master("main")
        assert belief == Belief(("127.0.0.1", promoted.port), 2)
        # Sentinels that were all set up anew count from the beginning.
        anew = Sentinels(tuple(ports[:1]), belief, {})
        assert await anew.discover_master("main") == ("127.0.0.1", former.port)
        for each in (sentinels, anew):
            await each.aclose()


async def test_a_late_word_of_a_former_master_does_not_hold_up_a_node() -> None:
    """Of two connections that were made at once, the one to the former master was the last to say whose it is."""
    with RedisServer() as master:
        nodes = Nodes(master.url)
        try:
            only = await nodes.add("a")
            client = await only.join("x")
            only.placement._lease._take_run("0" * 40)  # type: ignore[attr-defined]
            with pytest.raises(PlacementUnavailable):
                await only.placement.count(["x"])
            await hears(client, only, "x", 1)
        finally:
            await nodes.close()


async def test_who_turns_back_before_others_are_settled_waits_for_them(pair: Pair) -> None:
    """What it has left was the last that was settled, and says still that all are there."""
    nodes = Nodes(pair.url)
    try:
        first, second, third = [await nodes.add(name) for name in "abc"]
        client = await second.join("x")
        await pair.copy()
        # While this one is waited for, nothing is settled at the other server.
        late = await fall_silent(third)
        await pair.name(pair.promoted)
        for place in (first, second):
            await is_with(place, pair.promoted)
        lease = await fall_silent(second)
        await pair.name(pair.former)
        await is_with(first, pair.former)
        before = time.monotonic()
        while time.monotonic() < before + TTL / 2:
            with pytest.raises(PlacementUnavailable):
                await first.placement.count(["x"])
            await asyncio.sleep(0.02)
        for each in (lease, late):
            each.tend()
        for place in (second, third):
            await is_with(place, pair.former)
        await hears(client, first, "x", 1)
        assert [seen.type for seen in client.seen()][-2:] == ["gateway.gap", "message"]
    finally:
        await nodes.close()


@asynccontextmanager
async def client_of(url: str, on_connect: Callable[[Redis, Connection], Awaitable[None]]) -> AsyncIterator[Redis]:
    """A client as a lease has one."""

    async def connected(connection: Connection) -> None:
        await connection.on_connect()
        await on_connect(client, connection)

    client = parse_address(url).client(connected)
    try:
        yield client
    finally:
        for each in (*sentinels_of(client), client):
            await each.aclose(close_connection_pool=True)


async def run_of(client: Redis) -> str:
    """Which server it is."""
    run: str = (await client.info("server"))["run_id"]
    return run


async def test_a_connection_that_was_busy_when_another_master_was_named_is_not_used_again(pair: Pair) -> None:
    async def nothing_else(client: Redis, connection: Connection) -> None:
        return

    async with client_of(pair.url, nothing_else) as client:
        pool = client.connection_pool
        former = await run_of(client)
        busy = await pool.get_connection()  # type: ignore[no-untyped-call]
        await pair.name(pair.promoted)
        assert await has_moved(client)
        assert not await has_moved(client)
        await pool.release(busy)
        assert await run_of(client) != former


async def test_a_connection_that_was_made_while_another_master_was_named_is_not_used(pair: Pair) -> None:
    connected: list[int] = []

    async def name_another(client: Redis, connection: Connection) -> None:
        connected.append(connection.port)
        if len(connected) == 1:
            await pair.name(pair.promoted)
            assert await has_moved(client)

    async with client_of(pair.url, name_another) as client:
        with pytest.raises(exceptions.ConnectionError):
            await client.ping()
        await client.ping()
        assert connected == [pair.former.port, pair.promoted.port]
