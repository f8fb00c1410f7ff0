"""Contract §4: in order, once, no silent loss, a slow reader hurts only itself, gone is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.conformance.subject import Gateway, JsonSocket, eventually, unique
from tests.raw.http import Ended
from tests.raw.sse import Block, SseStream
from tests.raw.websocket import RawWebSocket, upgrade

NewTopic = Callable[[str], str]
AT_ONCE_SECONDS = 2.0
"""An end is noticed when the system tells of it; the rest is for a busy machine."""

PATIENT_SECONDS = 50.0
"""Nothing here asks how fast: a busy machine may take its time."""


async def data_of(subscriber: SseStream | JsonSocket, count: int) -> list[str]:
    """The data of the next *count* events."""
    if isinstance(subscriber, SseStream):
        return [block.data or "" for block in await subscriber.events(count, within=PATIENT_SECONDS)]
    return [event["data"] for event in await subscriber.events(count, within=PATIENT_SECONDS)]


async def five_subscribers(gateway: Gateway, stack: AsyncExitStack, topic: str) -> list[SseStream | JsonSocket]:
    """Three streams and two WebSockets on *topic*."""
    streams = [await stack.enter_async_context(gateway.sse(topic)) for _ in range(3)]
    return [*streams, *[await stack.enter_async_context(gateway.websocket(topic)) for _ in range(2)]]


async def test_500_events_reach_5_subscribers_in_order(gateway: Gateway, topic: str) -> None:
    async with AsyncExitStack() as stack:
        subscribers = await five_subscribers(gateway, stack, topic)
        reading = [asyncio.ensure_future(data_of(subscriber, 500)) for subscriber in subscribers]
        publisher = await stack.enter_async_context(await gateway.connect())
        for number in range(500):
            data = str(number).encode()
            answer = await publisher.exchange(gateway.publish_request(topic, body=data, id=f"{number}"), "POST")
            assert answer.status == 200
            assert answer.json()["subscribers"] == 5
        expected = [str(number) for number in range(500)]
        for received in await asyncio.gather(*reading):
            assert received == expected


async def test_all_subscribers_see_the_events_of_several_publishers_in_one_order(gateway: Gateway, topic: str) -> None:
    async def publish_all(publisher: int) -> None:
        async with await gateway.connect() as connection:
            for number in range(50):
                data = f"{publisher}-{number}".encode()
                assert (await connection.exchange(gateway.publish_request(topic, body=data), "POST")).status == 200

    async with AsyncExitStack() as stack:
        subscribers = await five_subscribers(gateway, stack, topic)
        reading = [asyncio.ensure_future(data_of(subscriber, 200)) for subscriber in subscribers]
        await asyncio.gather(*(publish_all(number) for number in range(4)))
        first, *others = await asyncio.gather(*reading)
        assert sorted(first) == sorted(f"{publisher}-{number}" for publisher in range(4) for number in range(50))
        for publisher in range(4):
            own = [data for data in first if data.startswith(f"{publisher}-")]
            assert own == [f"{publisher}-{number}" for number in range(50)]
        assert all(received == first for received in others)


async def test_an_event_for_several_topics_arrives_once(gateway: Gateway, new_topic: NewTopic) -> None:
    a, b, c = (new_topic(name) for name in "abc")
    async with gateway.sse(a, b) as stream, gateway.websocket(a, b, c) as socket:
        answer = await gateway.delivered([a, b, c, a], "once")
        assert answer["topics"] == {a: 2, b: 2, c: 1}
        await gateway.delivered(b, "next")
        assert await data_of(stream, 2) == ["once", "next"]
        events = await socket.events(2)
        assert [event["data"] for event in events] == ["once", "next"]
        assert sorted(events[0]["topics"]) == sorted([a, b, c])


async def test_an_event_reaches_only_its_topics(gateway: Gateway, new_topic: NewTopic) -> None:
    a, b = new_topic("a"), new_topic("b")
    async with gateway.sse(a) as first, gateway.sse(b) as second:
        await gateway.delivered(a, "for a")
        await gateway.delivered(b, "for b")
        assert (await first.next_event()).data == "for a"
        assert (await second.next_event()).data == "for b"


async def test_two_connections_of_one_client_get_an_event_each(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic) as first, gateway.sse(topic) as second:
        assert (await gateway.delivered(topic))["subscribers"] == 2
        assert (await first.next_event()).data == (await second.next_event()).data == "data"


async def close_stream(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic):
        assert await gateway.exists(topic)


async def half_close_stream(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic) as stream:
        stream.connection.half_close()
        await eventually(lambda: gone(gateway, topic), within=AT_ONCE_SECONDS)


async def reset_stream(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic) as stream:
        stream.connection.reset()


async def old_client_leaves(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic, version="1.0"):
        assert await gateway.exists(topic)


async def close_websocket(gateway: Gateway, topic: str) -> None:
    async with gateway.websocket(topic):
        assert await gateway.exists(topic)


async def drop_websocket(gateway: Gateway, topic: str) -> None:
    async with await RawWebSocket.open(gateway.url, f"{gateway.prefix}/ws", [("x-sse-topic", topic)]) as socket:
        await socket.read_json()


async def half_close_websocket(gateway: Gateway, topic: str) -> None:
    async with await RawWebSocket.open(gateway.url, f"{gateway.prefix}/ws", [("x-sse-topic", topic)]) as socket:
        await socket.read_json()
        socket.connection.half_close()
        await eventually(lambda: gone(gateway, topic), within=AT_ONCE_SECONDS)


async def reset_websocket(gateway: Gateway, topic: str) -> None:
    async with await RawWebSocket.open(gateway.url, f"{gateway.prefix}/ws", [("x-sse-topic", topic)]) as socket:
        await socket.read_json()
        socket.connection.reset()


async def unsubscribe_websocket(gateway: Gateway, topic: str) -> None:
    async with gateway.websocket(topic, unique("other")) as socket:
        await socket.ask({"type": "unsubscribe", "topics": [topic]})
        assert not await gateway.exists(topic)


ENDS: list[Callable[[Gateway, str], Coroutine[Any, Any, None]]] = [
    close_stream,
    half_close_stream,
    reset_stream,
    old_client_leaves,
    close_websocket,
    drop_websocket,
    half_close_websocket,
    reset_websocket,
    unsubscribe_websocket,
]


async def gone(gateway: Gateway, topic: str) -> bool:
    return not await gateway.exists(topic)


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
async def test_the_topic_is_gone_as_soon_as_its_last_connection(
    gateway: Gateway, topic: str, end: Callable[[Gateway, str], Coroutine[Any, Any, None]]
) -> None:
    await end(gateway, topic)
    await eventually(lambda: gone(gateway, topic), within=AT_ONCE_SECONDS)


async def test_the_topic_stays_while_another_connection_holds_it(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic) as stays:
        async with gateway.sse(topic):
            assert (await gateway.delivered(topic, "both"))["subscribers"] == 2

        async def one_is_left() -> bool:
            answer = await gateway.delivered(topic, "one")
            return bool(answer["topics"] == {topic: 1})

        await eventually(one_is_left, within=AT_ONCE_SECONDS)
        assert (await stays.next_event()).data == "both"


async def test_many_come_and_go_and_nothing_is_left(gateway: Gateway, topic: str) -> None:
    async def come_and_go(number: int) -> None:
        async with gateway.sse(topic) as stream:
            if number % 2:
                stream.connection.reset()

    for _ in range(5):
        await asyncio.gather(*(come_and_go(number) for number in range(40)))
    await eventually(lambda: gone(gateway, topic), within=AT_ONCE_SECONDS)


@pytest.mark.parametrize("transport", ["sse", "websocket"])
async def test_clients_that_leave_while_they_come_leave_nothing(
    gateway: Gateway, new_topic: NewTopic, transport: str
) -> None:
    topic = new_topic("vanishing")

    async def vanish(number: int) -> None:
        async with await gateway.connect() as connection:
            if transport == "sse":
                data = gateway.request("GET", "/sse", [("x-sse-topic", topic)])
            else:
                data = upgrade(f"{gateway.prefix}/ws", [("host", gateway.host), ("x-sse-topic", topic)])
            await connection.send(data if number % 4 else data[: len(data) // 2])
            if number % 2:
                connection.reset()

    for _ in range(5):
        await asyncio.gather(*(vanish(number) for number in range(20)))
    async with gateway.sse(topic):

        async def only_this_one() -> bool:
            return bool((await gateway.delivered(topic))["topics"] == {topic: 1})

        await eventually(only_this_one, within=AT_ONCE_SECONDS)
    await eventually(lambda: gone(gateway, topic), within=AT_ONCE_SECONDS)


async def test_a_client_that_half_closes_with_its_request_is_gone(gateway: Gateway, topic: str) -> None:
    async with await gateway.connect() as connection:
        await connection.send(gateway.request("GET", "/sse", [("x-sse-topic", topic)]))
        connection.half_close()
        await connection.read_to_end()
        # On several nodes the others hear of it a moment after its client.
        await eventually(lambda: gone(gateway, topic), within=AT_ONCE_SECONDS)


async def test_a_slow_reader_hurts_only_itself_and_is_told_or_ended(gateway: Gateway, topic: str) -> None:
    # More than the buffers of a gateway, of a proxy before it, and of two connections' kernels hold together.
    size, count = 256 * 1024, 192
    loop = asyncio.get_running_loop()
    # Nobody reads from `slow`, so asyncio stops reading its socket after a few kilobytes.
    async with (
        gateway.sse(topic, receive_buffer=4096) as slow,
        gateway.sse(topic) as quick,
        await gateway.connect() as publisher,
    ):
        slowest = 0.0
        for number in range(count):
            body = f"{number:08}".encode().ljust(size, b".")
            start = loop.time()
            answer = await publisher.exchange(gateway.publish_request(topic, body=body), "POST")
            slowest = max(slowest, loop.time() - start)
            assert answer.status == 200
            assert (await quick.next_event()).data == body.decode()
        assert slowest < 1, f"a publisher waited {slowest:.2f} s for a slow reader"
        assert await what_the_slow_reader_learns(slow, count)


async def what_the_slow_reader_learns(slow: SseStream, count: int) -> bool:
    """Whether it was ended, or told of a gap, before it could take the stream for whole."""
    events: list[Block] = []
    try:
        while len(events) < count:
            events.append(await slow.next_event())
    except Ended:
        return True
    return any(event.event == "gateway.gap" for event in events)
