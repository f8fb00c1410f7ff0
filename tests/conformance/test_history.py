"""Contract §6: a client that comes back with its last id gets what it missed, in order, once, and then live events."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import pytest

from tests.conformance.subject import Gateway, JsonSocket, assert_problem
from tests.raw.sse import SseStream

WAYS = ("header", "query", "websocket", "websocket header", "command")
WITHIN = 20.0
LIMIT = 1000
"""Events that the topics of this suite keep (`HISTORY` in tests/run_conformance.py)."""


class Back:
    """A client that came back, over whichever transport: what it gets, as the WebSocket's objects."""

    def __init__(self, source: SseStream | JsonSocket) -> None:
        self._source = source

    async def next(self) -> dict[str, Any]:
        if isinstance(self._source, JsonSocket):
            message: dict[str, Any] = await self._source.receive(within=WITHIN)
            return message
        block = await self._source.next_event(within=WITHIN)
        if block.event.startswith("gateway."):
            assert block.id is None
            return {"type": block.event.removeprefix("gateway."), **block.json()}
        return {"type": "event", "id": block.id, "data": block.data}

    async def take(self, count: int) -> list[dict[str, Any]]:
        async with asyncio.timeout(WITHIN):
            return [await self.next() for _ in range(count)]

    async def ids(self, count: int) -> list[str]:
        """The ids of what comes next, which must be events."""
        taken = await self.take(count)
        assert [message["type"] for message in taken] == ["event"] * count, taken
        return [message["id"] for message in taken]

    async def gaps(self, count: int) -> dict[str, tuple[int | None, str]]:
        """What comes next, which must be gaps, by topic."""
        taken = await self.take(count)
        assert [message["type"] for message in taken] == ["gap"] * count, taken
        return {message["topic"]: (message["missed"], message["reason"]) for message in taken}


@asynccontextmanager
async def come_back(gateway: Gateway, way: str, topics: Sequence[str], last_id: str) -> AsyncIterator[Back]:
    query = f"last_event_id={quote(last_id, safe='')}"
    if way == "header":
        async with gateway.sse(*topics, headers=[("last-event-id", last_id)]) as stream:
            yield Back(stream)
    elif way == "query":
        async with gateway.sse(*topics, query=query) as stream:
            yield Back(stream)
    elif way == "websocket header":
        async with gateway.websocket(*topics, headers={"last-event-id": last_id}) as socket:
            yield Back(socket)
    elif way == "websocket":
        async with gateway.websocket(*topics, query=query) as socket:
            yield Back(socket)
    else:
        async with gateway.websocket("conformance/elsewhere") as socket:
            answer = await socket.ask({"type": "subscribe", "topics": list(topics), "last_event_id": last_id})
            assert answer["type"] == "subscribed", answer
            yield Back(socket)


def numbers(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last + 1)]


async def publish_all(gateway: Gateway, topic: str, ids: Sequence[str]) -> None:
    for start in range(0, len(ids), LIMIT):
        events = [{"topics": [topic], "id": id, "data": f"data {id}"} for id in ids[start : start + LIMIT]]
        answer = await gateway.http.post("/api/v1/publish/batch", json={"events": events}, timeout=60)
        assert {result["status"] for result in answer.json()["results"]} == {200}


async def test_a_topic_that_keeps_history_exists_without_a_connection(gateway: Gateway, kept_topic: str) -> None:
    bare = f"{kept_topic}".replace("/kept/", "/bare/")
    assert await gateway.delivered([kept_topic, bare]) == {"id": "1", "subscribers": 0, "topics": {kept_topic: 0}}
    async with gateway.sse(kept_topic):
        assert (await gateway.delivered(kept_topic))["topics"] == {kept_topic: 1}


@pytest.mark.parametrize("way", WAYS)
async def test_what_was_missed_comes_in_order_then_live(gateway: Gateway, kept_topic: str, way: str) -> None:
    await publish_all(gateway, kept_topic, numbers(1, 120))
    async with come_back(gateway, way, [kept_topic], "20") as client:
        assert await client.ids(100) == numbers(21, 120)
        await publish_all(gateway, kept_topic, numbers(121, 125))
        assert await client.ids(5) == numbers(121, 125)


@pytest.mark.parametrize("way", WAYS)
async def test_who_has_missed_nothing_gets_only_what_is_new(gateway: Gateway, kept_topic: str, way: str) -> None:
    await publish_all(gateway, kept_topic, numbers(1, 3))
    async with come_back(gateway, way, [kept_topic], "3") as client:
        await publish_all(gateway, kept_topic, ["4"])
        assert await client.ids(1) == ["4"]


@pytest.mark.parametrize("way", WAYS)
async def test_an_id_that_is_not_known_is_told_and_all_that_is_kept_follows(
    gateway: Gateway, kept_topic: str, way: str
) -> None:
    other = f"{kept_topic}/other"
    await gateway.delivered(other, id="elsewhere")
    await publish_all(gateway, kept_topic, numbers(1, 5))
    for last_id in ("never", "elsewhere"):
        async with come_back(gateway, way, [kept_topic], last_id) as client:
            assert await client.gaps(1) == {kept_topic: (None, "unknown-id")}
            assert await client.ids(5) == numbers(1, 5)


async def test_without_an_id_or_with_an_empty_one_a_connection_is_live_only(gateway: Gateway, kept_topic: str) -> None:
    await publish_all(gateway, kept_topic, numbers(1, 3))
    async with (
        gateway.sse(kept_topic) as none,
        gateway.sse(kept_topic, headers=[("last-event-id", "")]) as empty,
        gateway.sse(kept_topic, query="last_event_id=") as empty_query,
        gateway.websocket(kept_topic, query="last_event_id=") as socket,
    ):
        await publish_all(gateway, kept_topic, ["4"])
        for source in (none, empty, empty_query, socket):
            assert await Back(source).ids(1) == ["4"]


async def test_the_header_wins_over_the_query(gateway: Gateway, kept_topic: str) -> None:
    await publish_all(gateway, kept_topic, numbers(1, 5))
    async with gateway.sse(kept_topic, headers=[("last-event-id", "4")], query="last_event_id=1") as stream:
        assert await Back(stream).ids(1) == ["5"]
    async with gateway.sse(kept_topic, headers=[("last-event-id", "")], query="last_event_id=4") as stream:
        assert await Back(stream).ids(1) == ["5"]


@pytest.mark.parametrize("last_id", ["a,b", "a b", "x" * 256, "é"])
async def test_a_malformed_id_is_refused(gateway: Gateway, kept_topic: str, last_id: str) -> None:
    query = f"/sse?topic={quote(kept_topic, safe='')}&last_event_id={quote(last_id, safe='')}"
    problem = assert_problem(await gateway.exchange("GET", query), 400, "last_event_id")
    assert problem["type"].endswith("invalid-id")
    headers: list[tuple[str, str | bytes]] = [("x-sse-topic", kept_topic), ("last-event-id", last_id.encode())]
    assert_problem(await gateway.exchange("GET", "/sse", headers), 400, "last-event-id")
    async with gateway.websocket(kept_topic) as socket:
        answer = await socket.ask({"type": "subscribe", "topics": [f"{kept_topic}/b"], "last_event_id": last_id})
        assert answer["type"] == "error"
        assert "last_event_id" in answer["detail"]
        assert (await socket.ask({"type": "subscribe", "topics": ["x"], "last_event_id": 7}))["type"] == "error"


async def test_one_id_resumes_all_topics_in_one_order(gateway: Gateway, kept_topic: str) -> None:
    a, b, c = (f"{kept_topic}/{name}" for name in "abc")
    for number, topics in enumerate([[a], [b], [a, b], [c], [b], [c, a], [b]], 1):
        await gateway.delivered(topics, id=str(number))
    async with come_back(gateway, "query", [a, b, c], "2") as client:
        assert await client.ids(5) == numbers(3, 7)
    async with come_back(gateway, "websocket", [b, c], "3") as client:
        assert await client.ids(4) == numbers(4, 7)
    # An id of a topic that it does not hold says nothing.
    async with come_back(gateway, "query", [a, c], "5") as client:
        assert await client.gaps(2) == {a: (None, "unknown-id"), c: (None, "unknown-id")}
        assert await client.ids(4) == ["1", "3", "4", "6"]


async def test_an_id_that_was_used_again_goes_on_behind_the_oldest(gateway: Gateway, kept_topic: str) -> None:
    for id in ("1", "2", "1", "3"):
        await gateway.delivered(kept_topic, id=id)
    async with come_back(gateway, "header", [kept_topic], "1") as client:
        assert await client.gaps(1) == {kept_topic: (None, "repeated-id")}
        assert await client.ids(3) == ["2", "1", "3"]


async def test_what_is_no_longer_kept_is_counted_first(gateway: Gateway, kept_topic: str) -> None:
    await publish_all(gateway, kept_topic, numbers(1, LIMIT + 10))
    async with come_back(gateway, "header", [kept_topic], "3") as client:
        assert await client.gaps(1) == {kept_topic: (7, "evicted")}
        assert await client.ids(LIMIT) == numbers(11, LIMIT + 10)


async def test_a_kept_event_is_given_as_it_was_live(gateway: Gateway, kept_topic: str) -> None:
    await gateway.delivered(kept_topic, id="0")
    async with (
        gateway.sse(kept_topic) as live,
        gateway.sse(kept_topic, query="format=json") as live_json,
        gateway.websocket(kept_topic) as live_socket,
    ):
        await gateway.delivered(kept_topic, "two\nlines é \U0001f600", id="1", event="order", retry=1234)
        async with (
            gateway.sse(kept_topic, query="last_event_id=0") as stream,
            gateway.sse(kept_topic, query="last_event_id=0&format=json") as stream_json,
            gateway.websocket(kept_topic, query="last_event_id=0") as socket,
        ):
            assert (await stream.next_event()).raw == (await live.next_event()).raw
            assert (await stream_json.next_event()).raw == (await live_json.next_event()).raw
            assert await socket.receive() == await live_socket.receive()


async def test_topics_without_history_are_live_beside_those_that_resume(gateway: Gateway, kept_topic: str) -> None:
    bare = kept_topic.replace("/kept/", "/bare/")
    await publish_all(gateway, kept_topic, numbers(1, 3))
    async with come_back(gateway, "query", [kept_topic, bare], "1") as client:
        assert await client.ids(2) == ["2", "3"]
        await gateway.delivered(bare, id="bare")
        assert await client.ids(1) == ["bare"]
    async with come_back(gateway, "query", [bare], "1") as client:
        await gateway.delivered(bare, id="bare")
        assert await client.ids(1) == ["bare"]


async def test_a_command_replays_only_topics_that_are_new(gateway: Gateway, kept_topic: str) -> None:
    a, b = f"{kept_topic}/a", f"{kept_topic}/b"
    for number in range(1, 7):
        await gateway.delivered(a if number % 2 else b, id=str(number))
    async with gateway.websocket(a) as socket:
        answer = await socket.ask({"type": "subscribe", "topics": [a, b], "last_event_id": "2"})
        assert answer == {"type": "subscribed", "topics": [a, b]}
        client = Back(socket)
        assert await client.ids(2) == ["4", "6"]
        await gateway.delivered([a, b], id="7")
        await gateway.delivered(a, id="8")
        assert await client.ids(2) == ["7", "8"]


@pytest.mark.parametrize("way", ["header", "websocket"])
async def test_nothing_is_lost_or_repeated_however_often_a_client_comes_back(
    gateway: Gateway, kept_topic: str, way: str
) -> None:
    dice = random.Random(6)
    a, b = f"{kept_topic}/a", f"{kept_topic}/b"
    total = 400
    await gateway.delivered(a, id="0")

    async def publish() -> None:
        async with await gateway.connect() as connection:
            for number in range(1, total + 1):
                topic = (a, b, f"{a},{b}")[number % 3]
                request = gateway.publish_request(topic, body=b"x" * (number % 200), id=str(number))
                assert (await connection.exchange(request, "POST")).status == 200

    seen = ["0"]
    # A publisher that fails ends the test: its reader would wait for what never comes.
    async with asyncio.timeout(90), asyncio.TaskGroup() as tasks:
        tasks.create_task(publish())
        while len(seen) <= total:
            async with come_back(gateway, way, [a, b], seen[-1]) as client:
                for _ in range(min(dice.randrange(1, 60), total + 1 - len(seen))):
                    seen += await client.ids(1)
                    assert seen[-1] == str(len(seen) - 1), seen[-5:]
    async with come_back(gateway, way, [a, b], seen[-1]) as client:
        await gateway.delivered(b, id="last")
        assert await client.ids(1) == ["last"]


async def test_clients_that_come_back_together_see_one_order(gateway: Gateway, kept_topic: str) -> None:
    await gateway.delivered(kept_topic, id="0")

    async def publish(publisher: int) -> None:
        async with await gateway.connect() as connection:
            for number in range(60):
                request = gateway.publish_request(kept_topic, body=b"x", id=f"{publisher}-{number}")
                assert (await connection.exchange(request, "POST")).status == 200

    async def follow(last_id: str) -> list[str]:
        async with come_back(gateway, "header", [kept_topic], last_id) as client:
            return await client.ids(180)

    following = []
    async with asyncio.TaskGroup() as tasks:
        for publisher in range(3):
            tasks.create_task(publish(publisher))
        for _ in range(8):
            following.append(tasks.create_task(follow("0")))
            await asyncio.sleep(0.02)
    first, *others = [task.result() for task in following]
    for publisher in range(3):
        own = [id for id in first if id.startswith(f"{publisher}-")]
        assert own == [f"{publisher}-{number}" for number in range(60)]
    assert all(order == first for order in others)
