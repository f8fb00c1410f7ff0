"""The process's gateway on a real hub and a real placement; where a store must fail, the memory one has a switch."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest

from tests.unit.topics.scripted import Client, settings
from tests.unit.topics.switched import Switched
from topics import metrics
from topics.conf import GatewaySettings
from topics.encoding import Format
from topics.events import Event
from topics.exceptions import Draining, PlacementUnavailable, TooManyConnections, TooManyFromClient
from topics.hub import SLICE
from topics.placement.memory import MemoryPlacement
from topics.runtime import Runtime

Start = Callable[..., "asyncio.Future[Runtime]"]


@pytest.fixture
async def start() -> AsyncIterator[Callable[..., "asyncio.Task[Runtime]"]]:
    started: list[Runtime] = []

    async def run(placement: MemoryPlacement | None, gateway: GatewaySettings) -> Runtime:
        runtime = Runtime(gateway, placement)
        await runtime.start()
        started.append(runtime)
        return runtime

    def begin(placement: MemoryPlacement | None = None, **variables: object) -> "asyncio.Task[Runtime]":
        return asyncio.create_task(run(placement, settings(**variables)))

    yield begin
    for runtime in started:
        await runtime.close()


async def join(runtime: Runtime, *topics: str, client: str = "192.0.2.1") -> Client:
    made = Client(topics or ("news",), client=client, limits=runtime.limits)
    await runtime.attach(made.connection)
    return made.open()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


def gauge(transport: str = "sse") -> float:
    value = metrics.REGISTRY.get_sample_value("gateway_connections", {"transport": transport})
    return value or 0.0


async def is_empty(runtime: Runtime) -> bool:
    return (
        not runtime.hub.everything()
        and not runtime.hub.topic_count
        and not (await runtime.placement.connections(limit=1)).total
    )


async def test_a_connection_is_visible_once_it_is_attached_and_gone_at_once(start: Start) -> None:
    runtime = await start()
    before = gauge()
    client = await join(runtime, "a", "b")
    assert await runtime.placement.count(["a", "b"]) == {"a": 1, "b": 1}
    assert gauge() == before + 1
    assert metrics.REGISTRY.get_sample_value("gateway_topics") == 2
    await runtime.detach(client.connection)
    assert await is_empty(runtime)
    assert gauge() == before


async def test_detaching_twice_counts_once(start: Start) -> None:
    runtime = await start(MAX_CONNECTIONS_PER_CLIENT=2)
    before = gauge()
    first, _ = await join(runtime), await join(runtime)
    for _ in range(3):
        await runtime.detach(first.connection)
    assert gauge() == before + 1
    # Had it counted down twice, there would be room for two.
    await join(runtime)
    with pytest.raises(TooManyFromClient):
        await join(runtime)


async def test_a_full_node_refuses_and_takes_again_when_one_has_left(start: Start) -> None:
    runtime = await start(MAX_CONNECTIONS=2)
    first = await join(runtime, client="192.0.2.1")
    await join(runtime, client="192.0.2.2")
    with pytest.raises(TooManyConnections) as refused:
        await join(runtime, client="192.0.2.3")
    assert (refused.value.status, refused.value.retry_after > 0) == (503, True)
    await runtime.detach(first.connection)
    await join(runtime, client="192.0.2.3")
    assert len(runtime.hub.connections) == 2


async def test_one_address_is_refused_while_others_are_taken(start: Start) -> None:
    runtime = await start(MAX_CONNECTIONS_PER_CLIENT=2)
    first, _ = await join(runtime), await join(runtime)
    with pytest.raises(TooManyFromClient) as refused:
        runtime.check_room("192.0.2.1")
    assert (refused.value.status, refused.value.retry_after > 0) == (429, True)
    await join(runtime, client="192.0.2.2")
    await runtime.detach(first.connection)
    await join(runtime)


async def test_no_limit_is_no_limit(start: Start) -> None:
    runtime = await start()
    for _ in range(300):
        await join(runtime)
    assert len(runtime.hub.connections) == 300


async def test_an_attach_that_the_placement_refuses_leaves_nothing_behind(start: Start) -> None:
    placement = Switched()
    runtime = await start(placement, MAX_CONNECTIONS_PER_CLIENT=1)
    before = gauge()
    placement.away = True
    for _ in range(2):
        with pytest.raises(PlacementUnavailable):
            await join(runtime, "a", "b")
    placement.away = False
    assert await is_empty(runtime)
    assert gauge() == before
    await join(runtime)


async def test_a_client_that_leaves_while_it_is_attached_leaves_nothing_behind(start: Start) -> None:
    runtime = await start(Switched(), MAX_CONNECTIONS_PER_CLIENT=1)
    before = gauge()
    joining = asyncio.create_task(join(runtime))
    await asyncio.sleep(0)
    assert runtime.hub.connections
    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining
    assert await is_empty(runtime)
    assert gauge() == before
    await join(runtime)


async def test_a_subscribe_that_fails_leaves_the_topics_as_they_were(start: Start) -> None:
    placement = Switched()
    runtime = await start(placement)
    client = await join(runtime, "a")
    placement.away = True
    with pytest.raises(PlacementUnavailable):
        await runtime.subscribe(client.connection, ["b", "a"])
    placement.away = False
    assert list(client.connection.topics) == ["a"]
    assert (runtime.hub.member_count("a"), runtime.hub.member_count("b")) == (1, 0)
    await runtime.subscribe(client.connection, ["b", "a"])
    await runtime.unsubscribe(client.connection, ["a", "never held"])
    assert await runtime.placement.count(["a", "b"]) == {"b": 1}


async def test_events_of_a_topic_reach_it_from_the_moment_of_attach(start: Start) -> None:
    runtime = await start(Switched())
    client = Client(["news"])
    attaching = asyncio.create_task(runtime.attach(client.connection))
    await asyncio.sleep(0)
    assert not attaching.done()
    runtime.hub.deliver(Event(("news",), "1", "x"))
    await attaching
    await until(lambda: client.connection.record("node-1").pending)
    client.open()
    assert [seen.id for seen in client.seen()] == ["1"]


async def test_drain_tells_everybody_to_come_back_at_different_times(start: Start) -> None:
    runtime = await start(RETRY_MS=1000, DRAIN_SECONDS=30)
    clients = [await join(runtime) for _ in range(8 * SLICE + 50)]
    tail = Client(["news"], form=Format.SSE_TAIL)
    await runtime.attach_tail("news", tail.connection)
    tail.open()
    draining = asyncio.create_task(runtime.drain())
    await until(lambda: all(client.writer.closed_with for client in [*clients, tail]))
    for refused in (runtime.attach(Client(["news"]).connection), runtime.attach_tail("news", tail.connection)):
        with pytest.raises(Draining):
            await refused
    closing = [client.seen()[-1].payload for client in clients]
    assert {payload["reason"] for payload in closing} == {"shutdown"}
    retries = [payload["retry"] for payload in closing]
    assert all(500 <= retry <= 1500 for retry in retries)
    assert len(set(retries)) > 100
    assert tail.seen()[-1].payload["reason"] == "shutdown"
    assert not draining.done()
    for client in clients:
        await runtime.detach(client.connection)
    await runtime.detach_tail("news", tail.connection)
    await asyncio.wait_for(draining, 5)
    assert not any(client.writer.aborted for client in clients)


async def test_drain_ends_at_its_deadline_and_cuts_what_is_left(start: Start) -> None:
    runtime = await start(DRAIN_SECONDS=0.1)
    quick, stuck = await join(runtime), await join(runtime)
    stuck.writer.block()
    runtime.hub.deliver(Event(("news",), "1", "x"))
    begun = time.monotonic()
    draining = asyncio.create_task(runtime.drain())
    await until(lambda: quick.writer.closed_with)
    await runtime.detach(quick.connection)
    await asyncio.wait_for(draining, 5)
    assert time.monotonic() - begun >= 0.1
    assert stuck.writer.aborted
    assert not quick.writer.aborted


async def test_rates_are_per_second_of_the_time_passed(start: Start) -> None:
    begun = time.monotonic()
    runtime = await start()
    assert runtime.hub.rates() == {"published": 0.0, "delivered": 0.0, "dropped": 0.0, "gaps": 0.0}
    await join(runtime)
    for number in range(50):
        runtime.hub.deliver(Event(("news",), str(number), "x"))
    runtime.hub.dropped = 7
    await until(lambda: runtime.hub.delivered == 50)
    rates = runtime.hub.rates()
    longest = time.monotonic() - begun
    assert rates["delivered"] >= 50 / longest
    assert rates["delivered"] / rates["dropped"] == pytest.approx(50 / 7, rel=0.5)
    assert (rates["published"], rates["gaps"]) == (0.0, 0.0)


async def test_the_clock_keeps_silent_connections_alive(start: Start) -> None:
    runtime = await start(HEARTBEAT_SECONDS=0.1)
    client = await join(runtime)
    begun = time.monotonic()
    await until(lambda: len(client.writer.writes) >= 3)
    # The opening, then a keep-alive each three quarters of a heartbeat.
    assert time.monotonic() - begun >= 0.1
    assert set(client.writer.writes[1:]) == {b": keep-alive\n\n"}


async def test_a_fault_in_the_clock_does_not_stop_it(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    runtime = await start(HEARTBEAT_SECONDS=0.1)
    broken, client = await join(runtime), await join(runtime)

    def fail(data: bytes) -> bool:
        raise OSError("a fault of the server's")

    broken.writer.write = fail  # type: ignore[method-assign]
    await until(lambda: "clock tick failed" in caplog.text)
    await runtime.detach(broken.connection)
    await until(lambda: len(client.writer.writes) >= 3)
