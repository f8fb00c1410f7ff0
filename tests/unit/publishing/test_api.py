import asyncio
import json
from typing import Any

import httpx
import pytest

from publishing.schemas import MAX_BATCH
from tests.django_api import Attach
from tests.lost_placement import make_losable
from topics.runtime import Runtime

ONE = "/api/v1/publish"
BATCH = "/api/v1/publish/batch"


@pytest.fixture
def gateway_settings() -> dict[str, Any]:
    return {"max_event_bytes": 64, "max_topics": 3}


def event(**changed: Any) -> dict[str, Any]:
    return {"topics": ["news"], "id": "1", "data": "x"} | changed


async def test_an_event_is_handed_to_each_connection_once(
    api: httpx.AsyncClient, attach: Attach, runtime: Runtime
) -> None:
    both, one = await attach("news", "weather"), await attach("news", transport="websocket")
    answer = await api.post(ONE, json=event(topics=["news", "weather", "news", "nobody"]))
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.json() == {"id": "1", "subscribers": 3, "topics": {"news": 2, "weather": 1}}
    assert await delivered(runtime, 2)
    assert (both.sent, one.sent) == (1, 1)


async def test_all_fields_reach_the_event(api: httpx.AsyncClient, attach: Attach, runtime: Runtime) -> None:
    await attach("news")
    seen = []
    deliver = runtime.hub.deliver
    runtime.hub.deliver = lambda event: (seen.append(event), deliver(event))[1]  # type: ignore[method-assign, func-returns-value]
    await api.post(ONE, json=event(data="ä\nb\u0000", event="headline", retry=0))
    await api.post(ONE, json=event(event="message", retry=None))
    assert [(each.data, each.event, each.retry) for each in seen] == [("ä\nb\u0000", "headline", 0), ("x", None, None)]


async def test_without_a_subscriber_it_is_dropped(api: httpx.AsyncClient, runtime: Runtime) -> None:
    answer = await api.post(ONE, json=event())
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["x-sse-dropped"] == "no-subscribers"
    assert "content-type" not in answer.headers
    assert "content-length" not in answer.headers
    assert runtime.hub.dropped == 1


@pytest.mark.parametrize(
    ("changed", "status", "slug", "named"),
    [
        ({"topics": []}, 400, "invalid-topic", "topics"),
        ({"topics": [""]}, 400, "invalid-topic", "topics"),
        ({"topics": ["a,b"]}, 400, "invalid-topic", "topics"),
        ({"topics": [" a"]}, 400, "invalid-topic", "topics"),
        ({"topics": ["a\n"]}, 400, "invalid-topic", "topics"),
        ({"topics": ["a" * 256]}, 400, "invalid-topic", "topics"),
        ({"topics": ["\ud800"]}, 400, "invalid-topic", "topics"),
        ({"topics": ["a", "b", "c", "d"]}, 400, "invalid-topic", "topics"),
        ({"topics": "news"}, 400, "invalid-body", "topics"),
        ({"topics": ["news", 1]}, 400, "invalid-body", "topics.1"),
        ({"id": ""}, 400, "invalid-id", "id"),
        ({"id": "a b"}, 400, "invalid-id", "id"),
        ({"id": 1}, 400, "invalid-body", "id"),
        ({"id": None}, 400, "invalid-body", "id"),
        ({"data": 1}, 400, "invalid-body", "data"),
        ({"data": {"a": 1}}, 400, "invalid-body", "data"),
        ({"data": "\ud800"}, 400, "invalid-body", "data"),
        ({"data": "x" * 65}, 413, "too-large", "data"),
        ({"data": "ä" * 33}, 413, "too-large", "data"),
        ({"event": "gateway.open"}, 400, "invalid-event-type", "event"),
        ({"event": "a\r\nid: 2"}, 400, "invalid-event-type", "event"),
        ({"event": 1}, 400, "invalid-body", "event"),
        ({"retry": -1}, 400, "invalid-retry", "retry"),
        ({"retry": 86_400_001}, 400, "invalid-retry", "retry"),
        ({"retry": 1.0}, 400, "invalid-body", "retry"),
        ({"retry": True}, 400, "invalid-body", "retry"),
        ({"retry": "1"}, 400, "invalid-body", "retry"),
        ({"topcis": ["news"]}, 400, "invalid-body", "topcis"),
    ],
)
async def test_a_malformed_field_is_named(
    api: httpx.AsyncClient, attach: Attach, changed: dict[str, Any], status: int, slug: str, named: str
) -> None:
    await attach("news")
    # httpx's own JSON cannot carry a lone surrogate.
    answer = await api.post(ONE, content=json.dumps(event(**changed)))
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["type"]) == (status, status, f"/problems/{slug}")
    assert named in problem["detail"]
    # A batch tells the same of the event, and publishes the others.
    batch = await api.post(BATCH, content=json.dumps({"events": [event(**changed), event()]}))
    assert batch.json()["results"][0] == problem
    assert batch.json()["results"][1]["status"] == 200


@pytest.mark.parametrize("name", ["topics", "id", "data"])
async def test_a_missing_field_is_named(api: httpx.AsyncClient, name: str) -> None:
    body = event()
    del body[name]
    answer = await api.post(ONE, json=body)
    assert answer.status_code == 400
    assert answer.json()["detail"] == f"The field '{name}' is missing; send it."


@pytest.mark.parametrize("path", [ONE, BATCH])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"null",
        b"[]",
        b'"news"',
        b"[" * 100_000,
        b'{"retry": ' + b"9" * 5000 + b"}",
    ],
)
async def test_what_is_no_json_object_is_refused(api: httpx.AsyncClient, path: str, body: bytes) -> None:
    answer = await api.post(path, content=body)
    assert answer.status_code == 400
    assert answer.json()["type"] == "/problems/invalid-body"


async def test_data_at_the_limit_is_taken(api: httpx.AsyncClient, attach: Attach) -> None:
    await attach("news")
    assert (await api.post(ONE, json=event(data="ä" * 32))).status_code == 200


async def test_a_batch_answers_for_each_event_in_order(api: httpx.AsyncClient, attach: Attach) -> None:
    await attach("news")
    events = [event(id="1"), event(id="2", topics=["nobody"]), 3, event(id="4")]
    answer = await api.post(BATCH, json={"events": events})
    assert answer.status_code == 200
    first, second, third, fourth = answer.json()["results"]
    assert first == {"status": 200, "id": "1", "subscribers": 1, "topics": {"news": 1}}
    assert second == {"status": 204, "id": "2", "dropped": "no-subscribers"}
    assert (third["status"], third["type"]) == (400, "/problems/invalid-body")
    assert fourth["id"] == "4"


async def test_a_full_batch_goes_out_without_filling_an_outbox(
    api: httpx.AsyncClient, attach: Attach, runtime: Runtime
) -> None:
    connection = await attach("news")
    answer = await api.post(BATCH, json={"events": [event(id=str(number)) for number in range(MAX_BATCH)]})
    assert {result["status"] for result in answer.json()["results"]} == {200}
    assert await delivered(runtime, MAX_BATCH)
    assert connection.sent == MAX_BATCH
    assert runtime.hub.gaps == 0


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"events": [event()] * (MAX_BATCH + 1)}, "at most 1000"),
        ({"events": {}}, "'events' must be a list"),
        ({}, "'events' is missing"),
        ({"events": [], "event": []}, "'event' is not known"),
    ],
)
async def test_a_malformed_batch_is_refused_whole(
    api: httpx.AsyncClient, runtime: Runtime, body: dict[str, Any], named: str
) -> None:
    answer = await api.post(BATCH, json=body)
    assert answer.status_code == 400
    assert named in answer.json()["detail"]
    assert runtime.hub.dropped == 0


async def test_an_empty_batch_has_no_results(api: httpx.AsyncClient) -> None:
    assert (await api.post(BATCH, json={"events": []})).json() == {"results": []}


async def test_a_lost_store_is_503_never_a_drop(api: httpx.AsyncClient, runtime: Runtime) -> None:
    (await make_losable(runtime)).left = 0
    for path, body in ((ONE, event()), (BATCH, {"events": [event()]})):
        answer = await api.post(path, json=body)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json()["type"] == "/problems/unavailable"
    assert runtime.hub.dropped == 0


async def test_a_store_lost_in_the_middle_of_a_batch_takes_no_answer_back(
    api: httpx.AsyncClient, runtime: Runtime
) -> None:
    (await make_losable(runtime)).left = 2
    answer = await api.post(BATCH, json={"events": [event(id=str(number)) for number in range(4)]})
    assert answer.status_code == 200
    assert [result["status"] for result in answer.json()["results"]] == [204, 204, 503, 503]


@pytest.mark.parametrize("path", [ONE, BATCH])
async def test_the_key_is_asked_before_anything_else(anonymous: httpx.AsyncClient, path: str) -> None:
    answer = await anonymous.post(path, content=b"not json", headers={"authorization": "Bearer wrong"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["type"] == "/problems/unauthorized"
    assert json.dumps(answer.json()).count("news") == 0


async def delivered(runtime: Runtime, count: int) -> bool:
    """Wait until the hub has handed on so many events; they go out in later turns of the loop."""
    async with asyncio.timeout(5):
        while runtime.hub.delivered < count:
            await asyncio.sleep(0)
    return runtime.hub.delivered == count
