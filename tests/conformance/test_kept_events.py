"""Contract §5 and §6: what administrators see of topics that keep events."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.conformance.subject import TIME, Gateway, assert_problem

NewTopic = Callable[[str], str]


def path_of(topic: str) -> str:
    return f"/topics/{quote(topic, safe='')}/events"


async def test_what_is_kept_is_listed_newest_first(gateway: Gateway, kept_topic: str) -> None:
    for number in range(1, 6):
        await gateway.delivered(kept_topic, f"data {number}\r\né", id=str(number), event="order", retry=number * 100)
    page = await gateway.get(path_of(kept_topic))
    assert (page["next"], page["total"]) == (None, 5)
    for item, number in zip(page["items"], (5, 4, 3, 2, 1), strict=True):
        assert TIME.fullmatch(item.pop("time"))
        assert item == {
            "number": number,
            "topics": [kept_topic],
            "id": str(number),
            "event": "order",
            "data": f"data {number}\r\né",
            "retry": number * 100,
        }


async def test_pages_of_kept_events_hold_each_once_while_more_are_published(gateway: Gateway, kept_topic: str) -> None:
    for number in range(1, 11):
        await gateway.delivered(kept_topic, id=str(number))
    seen: list[str] = []
    async for items in gateway.pages(path_of(kept_topic), limit=3):
        assert len(items) <= 3
        seen += [item["id"] for item in items]
        await gateway.delivered(kept_topic, id=f"later-{len(seen)}")
    assert seen == [str(number) for number in range(10, 0, -1)]


async def test_the_query_of_kept_events_is_checked_like_that_of_other_lists(gateway: Gateway, kept_topic: str) -> None:
    for id in ("1", "2"):
        await gateway.delivered(kept_topic, id=id)
    path = f"/api/v1{path_of(kept_topic)}"
    for limit in ("501", "0", "abc", ""):
        assert_problem(await gateway.http.get(path, params={"limit": limit}), 400, "limit")
    for cursor in ("x", "é", "a" * 2000):
        assert_problem(await gateway.http.get(path, params={"cursor": cursor}), 400, "cursor")
    of_topics = (await gateway.get("/topics", limit=1))["next"]
    if of_topics is not None:
        assert_problem(await gateway.http.get(path, params={"cursor": of_topics}), 400, "cursor")
    cursor = (await gateway.get(path_of(kept_topic), limit=1))["next"]
    other = f"/api/v1{path_of(kept_topic + 'x')}"
    assert_problem(await gateway.http.get(other, params={"cursor": cursor}), 400, "cursor")


async def test_kept_events_need_the_key(gateway: Gateway, kept_topic: str) -> None:
    assert_problem(await gateway.exchange("GET", f"/api/v1{path_of(kept_topic)}"), 401)


async def test_a_topic_that_keeps_nothing_has_no_list_of_events(gateway: Gateway, topic: str) -> None:
    assert_problem(await gateway.http.get(f"/api/v1{path_of(topic)}"), 404)


@pytest.mark.parametrize("topic", ["a,b", "a b", "é", "x" * 256])
async def test_what_is_no_topic_has_no_list_of_events(gateway: Gateway, topic: str) -> None:
    assert_problem(await gateway.http.get(f"/api/v1{path_of(topic)}"), 400)


async def test_a_topic_that_keeps_events_is_listed_though_nobody_is_connected(
    gateway: Gateway, kept_topic: str
) -> None:
    assert (await gateway.get("/topics", q=kept_topic))["items"] == []
    for id in ("1", "2"):
        answer = await gateway.delivered(kept_topic, id=id)
        assert (answer["subscribers"], answer["topics"]) == (0, {kept_topic: 0})
    page = await gateway.get("/topics", q=kept_topic)
    (item,) = page["items"]
    assert page["total"] == 1
    assert TIME.fullmatch(item["last_event"].pop("time"))
    assert item == {
        "name": kept_topic,
        "mode": "idle",
        "connections": 0,
        "nodes": [],
        "events": 2,
        "kept": 2,
        "last_event": {"id": "2"},
    }
    async with gateway.sse(kept_topic) as stream:
        await gateway.delivered(kept_topic, id="3")
        (item,) = (await gateway.get("/topics", q=kept_topic))["items"]
        assert (item["mode"], item["connections"], item["nodes"]) == ("unicast", 1, [stream.opened["node"]])
        assert (item["events"], item["kept"], item["last_event"]["id"]) == (3, 3, "3")


async def test_pages_of_topics_hold_each_kept_one_once(gateway: Gateway, kept_topic: str) -> None:
    names = [f"{kept_topic}/{number:02}" for number in range(12)]
    for name in names:
        await gateway.delivered(name)
    async with gateway.sse(*names[::2]):
        seen = [item["name"] async for items in gateway.pages("/topics", q=kept_topic, limit=5) for item in items]
    assert seen == names
