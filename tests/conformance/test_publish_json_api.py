"""Contract §3: ``POST /api/v1/publish`` and ``/api/v1/publish/batch``."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.conformance.subject import MAX_EVENT_BYTES, MAX_TOPICS, TIME, Gateway, assert_problem

NewTopic = Callable[[str], str]
BATCH_EVENTS = 1_000


async def publish(gateway: Gateway, value: Any, path: str = "/api/v1/publish") -> httpx.Response:
    """Post *value* as JSON, or as it is when it is bytes."""
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return await gateway.http.post(path, content=content, headers={"content-type": "application/json"}, timeout=50)


async def publish_batch(gateway: Gateway, events: list[Any]) -> list[dict[str, Any]]:
    """Post a batch, and insist on 200."""
    response = await publish(gateway, {"events": events}, "/api/v1/publish/batch")
    assert response.status_code == 200, response.text
    results: list[dict[str, Any]] = response.json()["results"]
    assert len(results) == len(events)
    return results


async def test_a_delivered_event_is_answered_as_by_publish(gateway: Gateway, new_topic: NewTopic) -> None:
    a, b = new_topic("a"), new_topic("b")
    async with gateway.websocket(a, b) as socket, gateway.sse(a) as stream:
        event = {"topics": [a, b], "id": "7", "event": "order", "data": "one\r\ntwo é🎈", "retry": 5}
        response = await publish(gateway, event)
        assert response.status_code == 200, response.text
        answer = response.json()
        assert answer.keys() == {"id", "subscribers", "topics"}
        assert (answer["id"], answer["subscribers"], answer["topics"]) == ("7", 3, {a: 2, b: 1})
        received = await socket.receive()
        assert TIME.fullmatch(received.pop("time"))
        assert received == {"type": "event", "topics": [a, b], "id": "7", "event": "order", "data": event["data"]}
        block = await stream.next_event()
        assert (block.id, block.event, block.retry, block.data) == ("7", "order", "5", "one\ntwo é🎈")


async def test_event_and_retry_are_optional(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic) as stream:
        for event in (
            {"topics": [topic], "id": "1", "data": "x"},
            {"topics": [topic], "id": "1", "data": "x", "event": None, "retry": None},
        ):
            assert (await publish(gateway, event)).status_code == 200
            block = await stream.next_event()
            assert (block.event, block.retry) == ("message", None)


async def test_an_event_for_nobody_is_dropped(gateway: Gateway, topic: str) -> None:
    response = await publish(gateway, {"topics": [topic], "id": "1", "data": "x"})
    assert response.status_code == 204
    assert response.headers["x-sse-dropped"] == "no-subscribers"
    assert response.content == b""


@pytest.mark.parametrize("path", ["/api/v1/publish", "/api/v1/publish/batch"])
async def test_without_the_key_it_is_401_whatever_else_is_wrong(gateway: Gateway, topic: str, path: str) -> None:
    good = json.dumps({"topics": [topic], "id": "1", "data": "x"}).encode()
    json_type = ("content-type", "application/json")
    for credentials in ([], [("authorization", "Bearer wrong")], [("x-api-key", "wrong")]):
        for body in (good, b"", b"{", b"\xff"):
            answer = await gateway.exchange("POST", path, [json_type, *credentials], body)
            assert_problem(answer, 401)
            assert answer.headers.get("www-authenticate").startswith("Bearer")


async def test_the_key_may_be_in_x_api_key(gateway: Gateway, topic: str) -> None:
    body = json.dumps({"topics": [topic], "id": "1", "data": "x"}).encode()
    fields = [("content-type", "application/json"), ("x-api-key", gateway.key)]
    assert (await gateway.exchange("POST", "/api/v1/publish", fields, body)).status == 204


BAD: dict[str, Any] = {
    "no topics": {"id": "1", "data": "x"},
    "topics empty": {"topics": [], "id": "1", "data": "x"},
    "topics not a list": {"topics": "TOPIC", "id": "1", "data": "x"},
    "topic not a text": {"topics": [1], "id": "1", "data": "x"},
    "topic with a space": {"topics": ["a b"], "id": "1", "data": "x"},
    "topic with a comma": {"topics": ["a,b"], "id": "1", "data": "x"},
    "topic empty": {"topics": [""], "id": "1", "data": "x"},
    "topic too long": {"topics": ["x" * 256], "id": "1", "data": "x"},
    "topic with a NUL": {"topics": ["a\0"], "id": "1", "data": "x"},
    "topic not ASCII": {"topics": ["é"], "id": "1", "data": "x"},
    "too many topics": {"topics": [f"t{n}" for n in range(MAX_TOPICS + 1)], "id": "1", "data": "x"},
    "no id": {"topics": ["TOPIC"], "data": "x"},
    "id a number": {"topics": ["TOPIC"], "id": 1, "data": "x"},
    "id empty": {"topics": ["TOPIC"], "id": "", "data": "x"},
    "id with a line end": {"topics": ["TOPIC"], "id": "a\n", "data": "x"},
    "id too long": {"topics": ["TOPIC"], "id": "x" * 256, "data": "x"},
    "no data": {"topics": ["TOPIC"], "id": "1"},
    "data not a text": {"topics": ["TOPIC"], "id": "1", "data": {"a": 1}},
    "data no Unicode": {"topics": ["TOPIC"], "id": "1", "data": "\ud800"},
    "event reserved": {"topics": ["TOPIC"], "id": "1", "data": "x", "event": "gateway.close"},
    "event with a line end": {"topics": ["TOPIC"], "id": "1", "data": "x", "event": "a\nid: 2"},
    "retry negative": {"topics": ["TOPIC"], "id": "1", "data": "x", "retry": -1},
    "retry too large": {"topics": ["TOPIC"], "id": "1", "data": "x", "retry": 86_400_001},
    "retry a fraction": {"topics": ["TOPIC"], "id": "1", "data": "x", "retry": 1.5},
    "retry a text": {"topics": ["TOPIC"], "id": "1", "data": "x", "retry": "soon"},
    "retry true": {"topics": ["TOPIC"], "id": "1", "data": "x", "retry": True},
    "a list": [],
    "null": None,
    "no JSON": b"{",
    "empty": b"",
    "not UTF-8": b'{"topics":["TOPIC"],"id":"1","data":"\xff"}',
    "too deep": b"[" * 100_000,
}


def with_topic(value: Any, topic: str) -> Any:
    """*value* with a topic that exists in the place of TOPIC."""
    if isinstance(value, bytes):
        return value.replace(b"TOPIC", topic.encode())
    return json.loads(json.dumps(value).replace("TOPIC", topic))


@pytest.mark.parametrize("name", BAD)
async def test_a_malformed_event_is_a_400(gateway: Gateway, topic: str, name: str) -> None:
    async with gateway.sse(topic) as stream:
        assert_problem(await publish(gateway, with_topic(BAD[name], topic)), 400)
        await gateway.delivered(topic, "after")
        assert (await stream.next_event()).data == "after"


async def test_other_methods_are_not_allowed(gateway: Gateway, topic: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        for path in ("/api/v1/publish", "/api/v1/publish/batch"):
            answer = await gateway.exchange(method, path, [("authorization", f"Bearer {gateway.key}")])
            assert_problem(answer, 405)
            assert "POST" in answer.headers.get("allow")


async def test_data_may_have_one_mib_and_no_byte_more(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic) as stream:
        event = {"topics": [topic], "id": "1", "data": "é" * (MAX_EVENT_BYTES // 2)}
        assert (await publish(gateway, event)).status_code == 200
        assert len((await stream.next_event()).data or "") == MAX_EVENT_BYTES // 2
        assert_problem(await publish(gateway, event | {"data": "é" * (MAX_EVENT_BYTES // 2) + "x"}), 413)


@pytest.mark.http1
@pytest.mark.parametrize("more", [[], [("expect", "100-continue")]], ids=["", "expect"])
async def test_a_request_declared_far_too_large_is_refused_at_once(
    gateway: Gateway, more: list[tuple[str, str]]
) -> None:
    for path in ("/api/v1/publish", "/api/v1/publish/batch"):
        for key, status in ((gateway.key, 413), ("wrong", 401)):
            headers = [("authorization", f"Bearer {key}"), ("content-type", "application/json"), *more]
            async with await gateway.connect() as connection:
                size = ("content-length", str(1 << 30))
                await connection.send(gateway.request("POST", path, [*headers, size]))
                start = time.monotonic()
                assert_problem(await connection.read_response("POST"), status)
                assert time.monotonic() - start < 1


async def test_a_batch_has_an_answer_for_each_event_in_order(gateway: Gateway, new_topic: NewTopic) -> None:
    here, nobody = new_topic("here"), new_topic("nobody")
    async with gateway.sse(here) as stream:
        results = await publish_batch(
            gateway,
            [
                {"topics": [here], "id": "1", "data": "a"},
                {"topics": [nobody], "id": "2", "data": "b"},
                {"topics": ["a b"], "id": "3", "data": "c"},
                {"topics": [here], "id": "4", "data": "x" * (MAX_EVENT_BYTES + 1)},
                {"topics": [here], "id": "5", "data": "e", "event": "gateway.open"},
                {"topics": [here, nobody], "id": "6", "data": "f"},
            ],
        )
        assert [result["status"] for result in results] == [200, 204, 400, 413, 400, 200]
        assert (results[0]["id"], results[0]["subscribers"], results[0]["topics"]) == ("1", 1, {here: 1})
        assert (results[1]["id"], results[1]["dropped"]) == ("2", "no-subscribers")
        assert all(results[number]["detail"] for number in (2, 3, 4))
        assert [event.data for event in await stream.events(2)] == ["a", "f"]


@pytest.mark.parametrize("event", [None, 1, "text", [], {}, {"topics": ["a"]}], ids=repr)
async def test_what_is_no_event_in_a_batch_spoils_no_other(gateway: Gateway, topic: str, event: Any) -> None:
    good = {"topics": [topic], "id": "1", "data": "good"}
    async with gateway.sse(topic) as stream:
        results = await publish_batch(gateway, [good, event, good])
        assert [result["status"] for result in results] == [200, 400, 200]
        assert [received.data for received in await stream.events(2)] == ["good", "good"]


async def test_a_batch_has_at_most_1000_events(gateway: Gateway, topic: str) -> None:
    events = [{"topics": [topic], "id": str(number), "data": "x"} for number in range(BATCH_EVENTS)]
    results = await publish_batch(gateway, events)
    assert {result["status"] for result in results} == {204}
    assert [result["id"] for result in results] == [str(number) for number in range(BATCH_EVENTS)]
    response = await publish(gateway, {"events": [*events, events[0]]}, "/api/v1/publish/batch")
    assert_problem(response, 400, "1,000" if "1,000" in response.text else "1000")


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b"[]", b"1", b'{"events":1}', b'{"events":{}}', b"\xff"], ids=repr)
async def test_a_malformed_batch_is_a_400(gateway: Gateway, body: bytes) -> None:
    assert_problem(await publish(gateway, body, "/api/v1/publish/batch"), 400)


async def test_a_batch_is_delivered_in_its_order(gateway: Gateway, topic: str) -> None:
    # More than an outbox holds: a batch is no reason to take whoever reads for slow.
    numbers = [str(number) for number in range(600)]
    async with gateway.sse(topic) as stream:
        results = await publish_batch(
            gateway, [{"topics": [topic], "id": number, "data": number} for number in numbers]
        )
        assert [event.data for event in await stream.events(len(numbers))] == numbers
    assert {result["status"] for result in results} == {200}
