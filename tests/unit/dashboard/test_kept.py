"""What administrators see of topics that keep events."""

from typing import Any

import httpx
import pytest

from dashboard import events
from tests.django_api import Attach
from topics.runtime import Runtime


@pytest.fixture
def gateway_settings() -> dict[str, Any]:
    return {"history": "kept/*=5, k=5"}


async def publish(api: httpx.AsyncClient, topic: str | list[str], id: str, data: str = "x", **more: Any) -> None:
    topics = [topic] if isinstance(topic, str) else topic
    answer = await api.post("/api/v1/publish", json={"topics": topics, "id": id, "data": data, **more})
    assert answer.status_code == 200, answer.text


async def get(api: httpx.AsyncClient, path: str, **query: Any) -> Any:
    answer = await api.get(f"/api/v1/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_event_is_shown_whole(api: httpx.AsyncClient) -> None:
    await publish(api, ["kept/a", "other"], "1", "one\r\ntwo ä", event="order", retry=100)
    page = await get(api, "topics/kept%2Fa/events")
    (item,) = page["items"]
    assert item.pop("time").endswith("Z")
    assert item == {
        "number": 1,
        "topics": ["kept/a", "other"],
        "id": "1",
        "event": "order",
        "data": "one\r\ntwo ä",
        "retry": 100,
    }
    assert (page["next"], page["total"]) == (None, 1)


async def test_events_are_listed_newest_first_on_pages(api: httpx.AsyncClient) -> None:
    for number in range(1, 8):
        await publish(api, "kept/a", str(number))
    seen: list[tuple[str, int]] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = await get(api, "topics/kept/a/events", **query)
        assert page["total"] == 5
        seen += [(item["id"], item["number"]) for item in page["items"]]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
    # The topic keeps five, and their numbers count those that it kept before.
    assert seen == [(str(number), number) for number in (7, 6, 5, 4, 3)]


async def test_what_comes_between_two_pages_moves_nothing(api: httpx.AsyncClient) -> None:
    for number in range(1, 5):
        await publish(api, "kept/a", str(number))
    first = await get(api, "topics/kept/a/events", limit=2)
    await publish(api, "kept/a", "5")
    await publish(api, "kept/a", "6")
    second = await get(api, "topics/kept/a/events", limit=2, cursor=first["next"])
    assert [item["id"] for item in first["items"] + second["items"]] == ["4", "3", "2"]


async def test_a_page_of_large_events_ends_early(api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "PAGE_CHARACTERS", 50)
    monkeypatch.setattr(events, "STEP", 2)
    for number in range(1, 6):
        await publish(api, "kept/a", str(number), "x" * 30)
    first = await get(api, "topics/kept/a/events")
    second = await get(api, "topics/kept/a/events", cursor=first["next"])
    third = await get(api, "topics/kept/a/events", cursor=second["next"])
    assert [[item["id"] for item in page["items"]] for page in (first, second, third)] == [
        ["5", "4"],
        ["3", "2"],
        ["1"],
    ]
    assert third["next"] is None


async def test_a_topic_that_has_kept_nothing_yet_has_an_empty_list(api: httpx.AsyncClient) -> None:
    assert await get(api, "topics/kept/never/events") == {"items": [], "next": None, "total": 0}


async def test_a_topic_that_keeps_nothing_is_404(api: httpx.AsyncClient) -> None:
    answer = await api.get("/api/v1/topics/other/events")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")


@pytest.mark.parametrize("name", ["a%2Cb", "a%20b", "%C3%A4", "x" * 256])
async def test_what_is_no_topic_is_400(api: httpx.AsyncClient, name: str) -> None:
    answer = await api.get(f"/api/v1/topics/{name}/events")
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-topic")


async def test_a_cursor_of_another_topic_is_400(api: httpx.AsyncClient) -> None:
    for topic in ("kept/a", "kept/b"):
        await publish(api, topic, "1")
        await publish(api, topic, "2")
    cursor = (await get(api, "topics/kept/a/events", limit=1))["next"]
    answer = await api.get("/api/v1/topics/kept/b/events", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-cursor")


async def test_a_topic_without_connections_is_listed_while_it_keeps_events(api: httpx.AsyncClient) -> None:
    assert await get(api, "topics") == {"items": [], "next": None, "total": 0}
    await publish(api, "kept/a", "41")
    await publish(api, "kept/a", "42")
    page = await get(api, "topics")
    (topic,) = page["items"]
    assert topic["last_event"].pop("time").endswith("Z")
    assert topic == {
        "name": "kept/a",
        "mode": "idle",
        "connections": 0,
        "nodes": [],
        "events": 2,
        "kept": 2,
        "last_event": {"id": "42"},
    }
    assert page["total"] == 1


async def test_the_count_of_events_does_not_begin_anew_with_the_first_connection(
    api: httpx.AsyncClient, attach: Attach
) -> None:
    for number in range(7):
        await publish(api, "kept/a", str(number))
    await attach("kept/a", "other")
    await publish(api, ["kept/a", "other"], "8")
    kept, other = (await get(api, "topics"))["items"]
    assert (kept["events"], kept["kept"], kept["mode"]) == (8, 5, "unicast")
    assert (other["events"], other["kept"], other["mode"]) == (1, None, "unicast")


async def test_a_topic_that_may_keep_events_and_has_none_keeps_0(api: httpx.AsyncClient, attach: Attach) -> None:
    await attach("kept/a")
    (topic,) = (await get(api, "topics"))["items"]
    assert (topic["kept"], topic["last_event"]) == (0, None)


async def test_pages_hold_each_kept_topic_exactly_once_whoever_comes_and_goes(
    api: httpx.AsyncClient, attach: Attach, runtime: Runtime
) -> None:
    names = [f"kept/{number:02}" for number in range(20)]
    connections = {}
    for number, name in enumerate(names):
        await publish(api, name, "1")
        if number % 2:
            connections[name] = await attach(name)
    await attach("between", "kept/07x", "z")
    await publish(api, "k", "1")
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 3}
    while True:
        page = await get(api, "topics", **query)
        assert len(page["items"]) <= 3
        assert page["total"] == 24
        seen += [topic["name"] for topic in page["items"]]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
        for name in list(connections)[:2]:
            await runtime.detach(connections.pop(name))
        idle = next((name for name in names if name > seen[-1] and name not in connections), None)
        if idle is not None:
            connections[idle] = await attach(idle)
    assert seen == sorted([*names, "between", "kept/07x", "z", "k"])


async def test_kept_topics_are_searched(api: httpx.AsyncClient) -> None:
    await publish(api, "kept/ab", "1")
    await publish(api, "kept/bc", "1")
    assert [topic["name"] for topic in (await get(api, "topics", q="ab"))["items"]] == ["kept/ab"]
