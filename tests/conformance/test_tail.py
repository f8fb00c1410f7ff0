"""Contract §5: ``GET /api/v1/tail``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.subject import MAX_EVENT_BYTES, TIME, Gateway, assert_problem
from tests.raw.sse import Block, SseStream

NewTopic = Callable[[str], str]


async def next_of(stream: SseStream, kind: str) -> Any:
    """The JSON of the next event, which must be a *kind*."""
    event: Block = await stream.next_event()
    assert event.event == kind, event
    value = event.json()
    assert TIME.fullmatch(value.pop("time")), value
    return value


async def test_the_first_event_is_open(gateway: Gateway, topic: str) -> None:
    async with gateway.tail(topic) as stream:
        assert stream.opened["topic"] == topic
        assert stream.opened["node"]
        assert stream.head.headers.get("cache-control") == "no-store"
        assert stream.head.headers.get("x-accel-buffering") == "no"


async def test_a_published_event_is_shown_whole(gateway: Gateway, topic: str) -> None:
    async with gateway.tail(topic) as stream, gateway.sse(topic):
        await gateway.delivered(topic, "one\r\ntwo é", id="42", event="order")
        assert await next_of(stream, "published") == {
            "type": "event",
            "topics": [topic],
            "id": "42",
            "event": "order",
            "data": "one\r\ntwo é",
        }


async def test_a_dropped_publish_is_shown_with_topic_and_id(gateway: Gateway, topic: str) -> None:
    async with gateway.tail(topic) as stream:
        assert (await gateway.publish(topic, id="lost")).status_code == 204
        dropped = await next_of(stream, "dropped")
        assert (dropped["topics"], dropped["id"], dropped["reason"]) == ([topic], "lost", "no-subscribers")


async def test_what_a_tail_sends_is_what_its_description_says(gateway: Gateway, topic: str) -> None:
    document = (await gateway.http.get("/api/v1/openapi.json")).json()
    media_type = document["paths"]["/api/v1/tail"]["get"]["responses"]["200"]["content"]["text/event-stream"]
    fields = {
        kind: set(document["components"]["schemas"][place["$ref"].rpartition("/")[2]]["properties"])
        for kind, place in media_type["x-events"].items()
    }
    async with gateway.tail(topic) as stream:
        await gateway.publish(topic, id="lost")
        async with gateway.sse(topic):
            await gateway.delivered(topic)
            told = [await stream.next_event() for _ in range(2)]
        assert stream.opened.keys() == fields["gateway.open"]
        assert [event.event for event in told] == ["dropped", "published"]
        for event in told:
            assert event.json().keys() == fields[event.event]
    assert {"gateway.gap", "gateway.close"} <= fields.keys()


async def test_a_tail_is_not_a_connection(gateway: Gateway, topic: str) -> None:
    async with gateway.tail(topic) as stream:
        assert not await gateway.exists(topic)
        await next_of(stream, "dropped")
        assert (await gateway.get("/connections", topic=topic))["items"] == []
        assert (await gateway.get("/topics", q=topic))["items"] == []
        async with gateway.sse(topic):
            answer = await gateway.delivered(topic)
            assert (answer["subscribers"], answer["topics"]) == (1, {topic: 1})


async def test_only_what_concerns_the_topic_is_shown(gateway: Gateway, new_topic: NewTopic) -> None:
    mine, other = new_topic("mine"), new_topic("other")
    async with gateway.tail(mine) as stream, gateway.sse(mine, other):
        await gateway.delivered(other, id="1")
        await gateway.delivered([other, mine], id="2")
        shown = await next_of(stream, "published")
        assert (shown["id"], shown["topics"]) == ("2", [other, mine])


async def test_an_event_is_shown_once_and_to_every_tail(gateway: Gateway, topic: str) -> None:
    async with gateway.tail(topic) as first, gateway.tail(topic) as second:
        async with gateway.sse(topic), gateway.websocket(topic):
            for id in ("1", "2"):
                await gateway.delivered(topic, id=id)
        for stream in (first, second):
            assert [(await next_of(stream, "published"))["id"] for _ in range(2)] == ["1", "2"]


async def test_delivered_and_dropped_are_shown_in_their_order(gateway: Gateway, topic: str) -> None:
    async with gateway.tail(topic) as stream:
        for number in range(5):
            await gateway.publish(topic, id=f"dropped-{number}")
            assert (await next_of(stream, "dropped"))["id"] == f"dropped-{number}"
            async with gateway.websocket(topic) as socket:
                await gateway.delivered(topic, id=f"published-{number}")
                assert (await next_of(stream, "published"))["id"] == f"published-{number}"
                await socket.ask({"type": "unsubscribe", "topics": [topic]})


async def test_what_was_not_accepted_is_not_shown(gateway: Gateway, topic: str) -> None:
    async with gateway.tail(topic) as stream, gateway.sse(topic):
        assert (await gateway.publish(topic, id="a b")).status_code == 400
        assert (await gateway.publish(topic, b"\xff", id="2")).status_code == 400
        assert (await gateway.publish(topic, b"x" * (MAX_EVENT_BYTES + 1), id="3")).status_code == 413
        await gateway.delivered(topic, id="4")
        assert (await next_of(stream, "published"))["id"] == "4"


@pytest.mark.parametrize("query", ["", "topic=", "topic=a%20b", "topic=%FF", "topic=%C3%A9", "topic=a,,b"])
async def test_a_missing_or_bad_topic_is_refused(gateway: Gateway, query: str) -> None:
    assert_problem(await gateway.http.get(f"/api/v1/tail?{query}"), 400)


async def test_a_tail_may_begin_with_the_last_kept_events(gateway: Gateway, kept_topic: str) -> None:
    for number in range(1, 6):
        await gateway.delivered(kept_topic, f"data {number}", id=str(number))
    async with gateway.tail(kept_topic, last=3) as stream:
        assert stream.opened["kept"] == 3
        await gateway.delivered(kept_topic, id="6")
        shown = [await next_of(stream, "published") for _ in range(4)]
        assert [event["id"] for event in shown] == ["3", "4", "5", "6"]
        assert shown[0]["data"] == "data 3"
        await gateway.delivered(kept_topic, id="7")
        assert (await next_of(stream, "published"))["id"] == "7"
    async with gateway.tail(kept_topic, last=500) as stream:
        assert stream.opened["kept"] == 7
        assert [(await next_of(stream, "published"))["id"] for _ in range(7)] == [str(number) for number in range(1, 8)]


async def test_a_tail_that_asks_for_nothing_kept_begins_with_what_comes(gateway: Gateway, kept_topic: str) -> None:
    await gateway.delivered(kept_topic, id="before")
    async with gateway.tail(kept_topic) as stream:
        assert stream.opened["kept"] == 0
        await gateway.delivered(kept_topic, id="after")
        assert (await next_of(stream, "published"))["id"] == "after"


async def test_the_last_of_a_topic_that_keeps_nothing_is_nothing(gateway: Gateway, topic: str) -> None:
    async with gateway.tail(topic, last=10) as stream, gateway.sse(topic):
        assert stream.opened["kept"] == 0
        await gateway.delivered(topic, id="1")
        assert (await next_of(stream, "published"))["id"] == "1"


async def test_what_is_published_while_a_tail_begins_comes_once_and_in_order(gateway: Gateway, kept_topic: str) -> None:
    async def publish() -> None:
        for number in range(1, 301):
            await gateway.delivered(kept_topic, id=str(number))

    async def tail(begins_at: int) -> None:
        while (await gateway.get("/topics", q=kept_topic))["total"] == 0:
            await asyncio.sleep(0.01)
        await asyncio.sleep(begins_at / 50)
        async with gateway.tail(kept_topic, last=100) as stream:
            ids: list[int] = []
            while not ids or ids[-1] != 300:
                ids.append(int((await next_of(stream, "published"))["id"]))
            assert ids == list(range(ids[0], 301))
            assert len(ids) >= stream.opened["kept"] > 0

    async with asyncio.TaskGroup() as group:
        for begins_at in range(8):
            group.create_task(tail(begins_at))
        group.create_task(publish())


@pytest.mark.parametrize("last", ["0", "501", "-1", "ten", "", "1.5", "%D9%A1", "1&last=2"])
async def test_a_wrong_number_of_kept_events_is_refused(gateway: Gateway, topic: str, last: str) -> None:
    assert_problem(await gateway.http.get(f"/api/v1/tail?topic={topic}&last={last}"), 400, "last")


@pytest.mark.http1
async def test_an_http_1_0_client_gets_the_tail_without_chunks(gateway: Gateway, topic: str) -> None:
    fields = [("authorization", f"Bearer {gateway.key}")]
    target = f"{gateway.prefix}/api/v1/tail?topic={topic}"
    async with await SseStream.open(gateway.url, target, fields, version="1.0") as stream:
        assert "transfer-encoding" not in stream.head.headers
        await stream.read_open()
        await gateway.publish(topic, id="lost")
        assert (await next_of(stream, "dropped"))["id"] == "lost"
