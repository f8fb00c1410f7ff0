"""A client that comes back: what it missed, then live, without a seam, whatever happens between."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from publishing.service import publish
from tests.unit.topics.scripted import Client, Seen, settings
from topics.events import Event
from topics.exceptions import PlacementUnavailable
from topics.history import replay as replay_module
from topics.history.base import Kept
from topics.history.memory import MemoryHistory
from topics.outbox import OutboxLimits
from topics.runtime import Runtime
from topics.writer import Framing


class Gateway:
    """A runtime, and clients that come back to it."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.published: list[str] = []

    @property
    def history(self) -> MemoryHistory:
        assert isinstance(self.runtime.history, MemoryHistory)
        return self.runtime.history

    async def publish(self, *topics: str, event_id: str | None = None, data: str = "x") -> str:
        event_id = event_id or str(len(self.published))
        self.published.append(event_id)
        await publish(self.runtime, Event(topics, event_id, data))
        return event_id

    async def settle(self) -> None:
        """Have the fan-out of what was published done."""
        await self.until(lambda: not self.runtime.hub._inbox and self.runtime.hub._fan_out is None)

    async def shortened(self, client: Client, topic: str) -> None:
        """Wait until deliveries take the short way again: from some event after the replay on."""
        async with asyncio.timeout(10):
            while client.connection.writer is not client.writer:
                await self.publish(topic)
                await self.settle()

    async def come(self, *topics: str, last_id: str | None = None, **options: Any) -> Client:
        client = Client(topics, **options)
        await self.runtime.attach(client.connection, last_id)
        return client.open()

    async def leave(self, client: Client) -> None:
        await self.runtime.detach(client.connection)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0)

    async def seen(self, client: Client, *ids: str) -> None:
        """Wait until the client has seen these events and no other."""
        with contextlib.suppress(TimeoutError):
            await self.until(lambda: len(events(client)) >= len(ids))
        for _ in range(20):
            await asyncio.sleep(0)
        assert events(client) == list(ids)


def shown(client: Client) -> list[Seen]:
    """Return what the client has got whole."""
    received = client.writer.received
    if client.transport == "sse":
        rest = received[received.rfind(b"\n\n") + 2 :] if b"\n\n" in received else received
        client.writer.received = received[: len(received) - len(rest)]
        try:
            return client.seen()
        finally:
            client.writer.received = received
    return client.seen()


def events(client: Client) -> list[str]:
    return [seen.id for seen in shown(client) if seen.id is not None]


def gaps(client: Client) -> list[tuple[str, int | None, str]]:
    found = [json.loads(seen.data) for seen in shown(client) if seen.type in ("gateway.gap", "gap")]
    return [(gap["topic"], gap["missed"], gap["reason"]) for gap in found]


@pytest.fixture
async def start() -> AsyncIterator[Callable[..., Any]]:
    runtimes: list[Runtime] = []

    async def start(**variables: object) -> Gateway:
        runtime = Runtime(settings(**{"HISTORY": "k*=1000, few*=3, other*=1000", **variables}))
        runtimes.append(runtime)
        await runtime.start()
        return Gateway(runtime)

    yield start
    for runtime in runtimes:
        await runtime.close()


@pytest.fixture
async def gateway(start: Callable[..., Any]) -> Gateway:
    started: Gateway = await start()
    return started


@pytest.mark.parametrize("transport", ["sse", "websocket"])
@pytest.mark.parametrize("framing", [None, Framing.MESSAGE])
async def test_what_was_missed_comes_in_order_then_live(
    gateway: Gateway, transport: Any, framing: Framing | None
) -> None:
    if framing is Framing.MESSAGE and transport == "sse":
        pytest.skip("messages are of WebSockets")
    for number in range(100):
        await gateway.publish("k1" if number % 3 else "k2", *(["k3"] if number % 7 == 0 else []))
    client = await gateway.come("k1", "k2", last_id="9", transport=transport)
    await gateway.publish("k2")
    await gateway.seen(client, *map(str, range(10, 101)))
    await gateway.publish("k1")
    await gateway.seen(client, *map(str, range(10, 102)))
    assert gaps(client) == []
    assert gateway.runtime.hub.counters()["delivered"] == 92
    await gateway.shortened(client, "k1")


async def test_without_an_id_or_without_history_a_connection_is_live_only(gateway: Gateway) -> None:
    await gateway.publish("k1")
    await gateway.settle()
    fresh = await gateway.come("k1")
    bare = await gateway.come("x", last_id="0")
    for client in (fresh, bare):
        assert client.connection.interceptor is None
        assert client.connection.writer is client.writer
    await gateway.publish("k1", "x")
    await gateway.seen(fresh, "1")
    await gateway.seen(bare, "1")
    assert gaps(bare) == []


async def test_an_event_whose_fan_out_is_still_to_come_is_not_repeated(gateway: Gateway) -> None:
    await gateway.publish("k1")
    client = await gateway.come("k1", last_id="0")
    # Both wait for the fan-out, and both are stored.
    await gateway.publish("k1")
    other = await gateway.come("k1", last_id="0")
    await gateway.publish("k1")
    await gateway.seen(client, "1", "2")
    await gateway.seen(other, "1", "2")


async def test_a_gap_comes_before_what_is_kept(gateway: Gateway) -> None:
    for _ in range(6):
        await gateway.publish("few")
    client = await gateway.come("few", "k1", last_id="never")
    await gateway.seen(client, "3", "4", "5")
    assert gaps(client) == [("few", None, "unknown-id"), ("k1", None, "unknown-id")]
    assert [seen.type for seen in shown(client)][:2] == ["gateway.gap"] * 2
    client = await gateway.come("few", last_id="0")
    await gateway.seen(client, "3", "4", "5")
    assert gaps(client) == [("few", 2, "evicted")]
    assert gateway.runtime.hub.counters()["gaps"] == 4


async def test_what_is_evicted_while_it_replays_is_told_where_it_is_missing(start: Callable[..., Any]) -> None:
    gateway = await start(HISTORY="k=100")
    for _ in range(80):
        await gateway.publish("k")
    client = Client(["k"])
    client.writer.block()
    await gateway.runtime.attach(client.connection, "0")
    client.open()
    for _ in range(400):
        await gateway.publish("k")
        await asyncio.sleep(0)
    client.writer.drain()
    await gateway.until(lambda: "479" in events(client))
    ids = [int(event_id) for event_id in events(client)]
    told = gaps(client)
    assert ids == sorted(set(ids))
    assert [reason for _, _, reason in told] == ["evicted"]
    assert sum(missed or 0 for _, missed, _ in told) + len(ids) == 479


async def test_events_that_were_left_to_the_store_and_aged_there_are_told(
    start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = await start(HISTORY="k=100")
    await gateway.publish("k")
    monkeypatch.setattr(replay_module, "HELD_EVENTS", 3)
    client = Client(["k"])
    client.writer.block()
    await gateway.runtime.attach(client.connection, "0")
    client.open()
    for _ in range(5):
        await gateway.publish("k")
        await asyncio.sleep(0)

    async def nothing(after: object, *, limit: int) -> list[Kept]:
        return []

    monkeypatch.setattr(gateway.history, "read", nothing)
    client.writer.drain()
    await gateway.until(lambda: bool(gaps(client)))
    assert gaps(client) == [("k", None, "evicted")]


async def test_a_reader_that_is_stuck_holds_little_and_is_not_cut_off(gateway: Gateway) -> None:
    for _ in range(900):
        await gateway.publish("k1", data="x" * 1000)
    client = await gateway.come("k1", last_id="0", limits=OutboxLimits(256, 100_000, "disconnect"))
    client.writer.block()
    for _ in range(600):
        await gateway.publish("k1", data="x" * 1000)
        await asyncio.sleep(0)
    assert client.connection.pending_bytes <= 100_000
    assert not client.writer.aborted
    async with asyncio.timeout(10):
        while "1499" not in events(client):
            client.writer.drain(20_000)
            for _ in range(10):
                await asyncio.sleep(0)
    # 1,000 are kept: the rest was evicted while it did not read.
    assert len(events(client)) + sum(missed or 0 for _, missed, _ in gaps(client)) == 1499
    assert not client.slow


@pytest.mark.parametrize("limits", [OutboxLimits(1, 1024, "disconnect"), OutboxLimits(4, 2048, "drop-oldest")])
@pytest.mark.parametrize("transport", ["sse", "websocket"])
async def test_small_limits_are_obeyed_and_enough(gateway: Gateway, limits: OutboxLimits, transport: Any) -> None:
    for number in range(200):
        await gateway.publish("k1", data="x" * (number % 50 * 40))
    framing = Framing.MESSAGE if transport == "websocket" else None
    client = await gateway.come("k1", last_id="0", limits=limits, transport=transport, framing=framing)
    if framing is None:
        await gateway.seen(client, *map(str, range(1, 200)))
        assert (client.gaps, client.slow) == ([], 0)


async def test_live_events_of_other_topics_do_not_wait(gateway: Gateway) -> None:
    for _ in range(100):
        await gateway.publish("k1", data="x" * 5000)
    client = await gateway.come("k1", "x", last_id="0")
    await gateway.publish("x", event_id="live")
    await gateway.until(lambda: len(events(client)) == 100)
    assert events(client).index("live") < 50
    assert [one for one in events(client) if one != "live"] == [str(number) for number in range(1, 100)]


async def test_a_topic_that_shares_an_event_keeps_its_order(gateway: Gateway) -> None:
    for _ in range(100):
        await gateway.publish("k1", data="x" * 5000)
    client = await gateway.come("k1", "x", last_id="0")
    await asyncio.sleep(0)
    await gateway.publish("k1", "x", event_id="both")
    await gateway.publish("x", event_id="after")
    await gateway.until(lambda: "after" in events(client))
    assert events(client) == [*(str(number) for number in range(1, 100)), "both", "after"]
    assert gaps(client) == []


async def test_more_than_can_be_held_of_a_topic_without_history_is_told(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_module, "HELD_EVENTS", 3)
    await gateway.publish("k1")
    await gateway.settle()
    client = Client(["k1", "x"])
    client.writer.block()
    await gateway.runtime.attach(client.connection, "0")
    client.open()
    await gateway.publish("k1", "x")
    for _ in range(4):
        await gateway.publish("x")
    for _ in range(10):
        await asyncio.sleep(0)
    client.writer.drain()
    await gateway.until(lambda: "5" in events(client))
    assert events(client) == ["1", "5"]
    assert gaps(client) == [("x", 3, "slow-reader")]


async def test_a_topic_that_is_added_with_an_id_is_replayed_and_the_others_stay_live(gateway: Gateway) -> None:
    for number in range(100):
        await gateway.publish("k1" if number % 2 else "k2")
    await gateway.settle()
    client = await gateway.come("k1", transport="websocket")
    await gateway.runtime.subscribe(client.connection, ["k1", "k2"], "49")
    # Not an id of k2: told, then all.
    await gateway.publish("k1", event_id="a")
    await gateway.publish("k1", "k2", event_id="b")
    await gateway.publish("k1", event_id="c")
    await gateway.until(lambda: "c" in events(client))
    assert gaps(client) == [("k2", None, "unknown-id")]
    assert [one for one in events(client) if one.isdigit()] == [str(number) for number in range(0, 100, 2)]
    assert [one for one in events(client) if not one.isdigit()] == ["a", "b", "c"]
    await gateway.shortened(client, "k2")


async def test_topics_may_be_added_and_left_while_others_replay(gateway: Gateway) -> None:
    for number in range(300):
        await gateway.publish(f"k{number % 3}")
    await gateway.settle()
    client = await gateway.come("k0", last_id="0", transport="websocket")
    await gateway.runtime.subscribe(client.connection, ["k1"], "1")
    await gateway.runtime.subscribe(client.connection, ["k2"])
    await gateway.publish("k2", event_id="live")
    await gateway.until(lambda: len(events(client)) == 199)
    assert [one for one in events(client) if one != "live" and int(one) % 3 == 0] == [str(n) for n in range(3, 300, 3)]
    assert [one for one in events(client) if one != "live" and int(one) % 3 == 1] == [str(n) for n in range(4, 300, 3)]
    await gateway.runtime.unsubscribe(client.connection, ["k0", "k1"])
    await gateway.until(lambda: client.connection.writer is client.writer)
    await gateway.publish("k1")
    await gateway.publish("k2", event_id="last")
    await gateway.until(lambda: "last" in events(client))
    assert len(events(client)) == 200


async def test_what_comes_while_a_topic_is_being_added_waits_for_what_was_missed_of_it(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(60):
        await gateway.publish(f"k{number % 2}")
    await gateway.settle()
    client = await gateway.come("k0", last_id="0", transport="websocket")
    attach = gateway.runtime.placement.attach
    seen = asyncio.Event()

    async def slowly(*arguments: Any) -> None:
        await seen.wait()
        await attach(*arguments)

    monkeypatch.setattr(gateway.runtime.placement, "attach", slowly)
    subscribing = asyncio.create_task(gateway.runtime.subscribe(client.connection, ["k1"], "1"))
    await asyncio.sleep(0)
    for number in range(60, 80):
        await gateway.publish(f"k{number % 2}")
        await asyncio.sleep(0)
    for _ in range(50):
        await asyncio.sleep(0)
    assert [one for one in events(client) if int(one) % 2] == []
    seen.set()
    await subscribing
    await gateway.until(lambda: len(events(client)) >= 78)
    for parity in (0, 1):
        of_topic = [one for one in events(client) if int(one) % 2 == parity]
        assert of_topic == [str(number) for number in range(2 + parity, 80, 2)]
    assert gaps(client) == []


async def test_a_topic_that_cannot_be_added_leaves_the_others_as_they_were(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    await gateway.publish("k0")
    await gateway.settle()
    client = await gateway.come("k0", last_id="0", transport="websocket")

    async def fail(*_: Any) -> None:
        await asyncio.sleep(0)
        raise PlacementUnavailable("Away.")

    monkeypatch.setattr(gateway.runtime.placement, "attach", fail)
    for _ in range(2):
        with pytest.raises(PlacementUnavailable):
            await gateway.runtime.subscribe(client.connection, ["k1"], "1")
        await gateway.publish("k0", "k1")
        await gateway.publish("k1")
    await gateway.seen(client, "1", "3")
    await gateway.shortened(client, "k0")


async def test_leaving_a_topic_ends_its_replay(gateway: Gateway) -> None:
    for number in range(500):
        await gateway.publish(f"k{number % 2}", data="x" * 2000)
    client = await gateway.come("k0", "k1", last_id="0", transport="websocket")
    await gateway.until(lambda: len(events(client)) > 20)
    await gateway.runtime.unsubscribe(client.connection, ["k1"])
    already = len(events(client))
    await gateway.until(lambda: "498" in events(client))
    rest = events(client)[already:]
    assert {int(one) % 2 for one in rest} == {0}
    assert [int(one) for one in events(client) if int(one) % 2 == 0] == list(range(2, 500, 2))


async def test_a_client_that_leaves_ends_its_replay(gateway: Gateway) -> None:
    for _ in range(500):
        await gateway.publish("k1", data="x" * 2000)
    before = asyncio.all_tasks()
    client = await gateway.come("k1", last_id="0")
    await gateway.until(lambda: len(events(client)) > 20)
    await gateway.leave(client)
    await gateway.until(lambda: asyncio.all_tasks() <= before)
    seen = len(events(client))
    await gateway.publish("k1")
    await asyncio.sleep(0)
    assert len(events(client)) == seen


async def test_a_node_that_drains_ends_replays_in_an_orderly_way(gateway: Gateway) -> None:
    for _ in range(500):
        await gateway.publish("k1", data="x" * 2000)
    client = await gateway.come("k1", last_id="0")
    await gateway.until(lambda: len(events(client)) > 20)
    client.connection.close("shutdown", code=1012, retry_ms=1000)
    for _ in range(50):
        await asyncio.sleep(0)
    assert shown(client)[-1].type == "gateway.close"
    assert client.writer.closed_with == [None]
    seen = events(client)
    again = await gateway.come("k1", last_id=seen[-1])
    await gateway.until(lambda: "499" in events(again))
    assert [*seen, *events(again)] == [str(number) for number in range(1, 500)]
    client.connection.abort()


@pytest.mark.parametrize("step", ["locate", "read"])
async def test_a_store_that_is_away_closes_the_connection_which_comes_back(
    gateway: Gateway, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await gateway.publish("k1")

    async def fail(*_: object, **__: object) -> None:
        raise PlacementUnavailable("The store is away.")

    monkeypatch.setattr(gateway.history, step, fail)
    client = await gateway.come("k1", last_id="0")
    await gateway.until(lambda: bool(client.writer.closed_with))
    (close,) = [json.loads(seen.data) for seen in shown(client) if seen.type == "gateway.close"]
    assert close["reason"] == "unavailable"
    assert close["retry"] > 0
    client.connection.abort()


async def test_keep_alives_go_on_while_a_replay_waits_for_its_store(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    await gateway.publish("k1")
    stuck = asyncio.Event()

    async def wait(*_: object, **__: object) -> list[Kept]:
        await stuck.wait()
        return []

    monkeypatch.setattr(gateway.history, "read", wait)
    client = await gateway.come("k1", last_id="0")
    for _ in range(6):
        client.connection.tick(3)
    assert client.writer.received.count(b": keep-alive") == 2
    stuck.set()


moves = st.one_of(
    st.tuples(
        st.just("publish"), st.lists(st.sampled_from(["k1", "k2", "other"]), min_size=1, max_size=3, unique=True)
    ),
    st.tuples(st.just("turns"), st.integers(1, 8)),
    st.tuples(st.just("read"), st.integers(0, 3000)),
    st.tuples(st.just("reset"), st.none()),
    st.tuples(st.just("read on"), st.none()),
)


@examples(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=st.lists(moves, max_size=60), before=st.integers(0, 120), held=st.integers(1, 6), size=st.integers(1, 900))
async def test_whatever_happens_everything_is_seen_once_and_in_order(
    start: Callable[..., Any], moves: list[tuple[str, Any]], before: int, held: int, size: int
) -> None:
    gateway = await start(OUTBOX_EVENTS=8, OUTBOX_BYTES=4096)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay_module, "HELD_EVENTS", held)
        limits = gateway.runtime.limits
        wanted: list[str] = []
        got: list[str] = []
        await gateway.publish("k1", "k2")
        wanted.extend([await gateway.publish("k1", data="x" * size) for _ in range(before)])
        client = await gateway.come("k1", "k2", last_id="0", limits=limits)
        for move, what in moves:
            match move:
                case "publish":
                    event_id = await gateway.publish(*what, data="x" * size)
                    if {"k1", "k2"} & set(what):
                        wanted.append(event_id)
                case "turns":
                    for _ in range(what):
                        await asyncio.sleep(0)
                case "read":
                    client.writer.drain(what)
                case "read on":
                    client.writer.drain()
                case "reset":
                    got += events(client)
                    await gateway.leave(client)
                    client = await gateway.come("k1", "k2", last_id=got[-1] if got else "0", limits=limits)
            if client.writer.aborted:
                # Too slow: it comes back.
                got += events(client)
                await gateway.leave(client)
                client = await gateway.come("k1", "k2", last_id=got[-1] if got else "0", limits=limits)
        client.writer.drain()
        await gateway.until(lambda: len(got + events(client)) >= len(wanted) or client.writer.aborted)
        if client.writer.aborted:
            got += events(client)
            client = await gateway.come("k1", "k2", last_id=got[-1] if got else "0", limits=limits)
            await gateway.until(lambda: len(got + events(client)) >= len(wanted))
        for _ in range(10):
            await asyncio.sleep(0)
        assert got + events(client) == wanted
        assert gaps(client) == []
        await gateway.leave(client)


def _streams(clients: list[Client]) -> Iterator[list[tuple[int | None, Any]]]:
    for client in clients:
        yield [
            (None, json.loads(seen.data)) if seen.id is None else (int(seen.id), None)
            for seen in shown(client)
            if seen.id is not None or seen.type == "gateway.gap"
        ]


@examples(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=st.lists(moves, max_size=60), before=st.integers(0, 30), held=st.integers(1, 4))
async def test_whatever_is_evicted_is_told_where_it_is_missing(
    start: Callable[..., Any], moves: list[tuple[str, Any]], before: int, held: int
) -> None:
    gateway = await start(HISTORY="k*=4, other*=4")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay_module, "HELD_EVENTS", held)
        for _ in range(before + 1):
            await gateway.publish("k1")
        clients = [await gateway.come("k1", last_id="0")]
        for move, what in moves:
            match move:
                case "publish":
                    await gateway.publish("k1")
                case "turns":
                    for _ in range(what):
                        await asyncio.sleep(0)
                case "read":
                    clients[-1].writer.drain(what)
                case "read on":
                    clients[-1].writer.drain()
                case "reset":
                    await gateway.leave(clients[-1])
                    got = [one for client in clients for one in events(client)]
                    clients.append(await gateway.come("k1", last_id=got[-1] if got else "0"))
        clients[-1].writer.drain()
        await gateway.until(
            lambda: gateway.published[-1] in [one for client in clients for one in events(client)] + ["0"]
        )
        await gateway.leave(clients[-1])
        expected = 1
        for stream in _streams(clients):
            told: int | None = 0
            for number, gap in stream:
                if gap is not None:
                    told = None if told is None or gap["missed"] is None else told + gap["missed"]
                    continue
                assert number is not None
                if told is None:
                    # All that is kept follows, some of it again.
                    assert number <= expected + 1000
                else:
                    assert number == expected + told
                expected, told = number + 1, 0
