from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.django_api import Attach
from tests.lost_placement import make_losable
from topics.runtime import Runtime

LISTS = ("topics", "connections", "nodes")


async def get(api: httpx.AsyncClient, path: str, **query: Any) -> Any:
    answer = await api.get(f"/api/v1/{path}", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


async def test_a_topic_is_shown_with_its_connections_and_last_event(api: httpx.AsyncClient, attach: Attach) -> None:
    await attach("news")
    await attach("news", "weather")
    await api.post("/api/v1/publish", json={"topics": ["news"], "id": "41", "data": "x"})
    await api.post("/api/v1/publish", json={"topics": ["news"], "id": "42", "data": "x"})
    answer = await get(api, "topics")
    news, weather = answer["items"]
    assert recent(news["last_event"].pop("time"))
    assert news == {
        "name": "news",
        "mode": "multicast",
        "connections": 2,
        "nodes": ["node-1"],
        "events": 2,
        "kept": None,
        "last_event": {"id": "42"},
    }
    assert (weather["mode"], weather["events"], weather["last_event"]) == ("unicast", 0, None)
    assert (answer["next"], answer["total"]) == (None, 2)


async def test_topics_are_filtered_by_a_part_of_the_name(api: httpx.AsyncClient, attach: Attach) -> None:
    await attach("news.local", "local/%C3%A4", "Local", "other")
    assert [topic["name"] for topic in (await get(api, "topics", q="local"))["items"]] == ["local/%C3%A4", "news.local"]
    assert (await get(api, "topics", q="l/%"))["total"] == 1
    assert (await get(api, "topics", q=""))["total"] == 4
    assert await get(api, "topics", q="none") == {"items": [], "next": None, "total": 0}


async def test_a_connection_is_shown(api: httpx.AsyncClient, attach: Attach) -> None:
    connection = await attach("news", "weather", transport="websocket")
    (listed,) = (await get(api, "connections"))["items"]
    assert listed == await get(api, f"connections/{connection.id}")
    assert recent(listed.pop("since"))
    assert listed == {
        "id": connection.id,
        "topics": ["news", "weather"],
        "transport": "websocket",
        "node": "node-1",
        "client": "192.0.2.1",
        "user_agent": "a test",
        "sent": 0,
        "pending": 0,
        "pending_bytes": 0,
        "behind_since": None,
    }


async def test_connections_are_filtered(api: httpx.AsyncClient, attach: Attach) -> None:
    first, second = await attach("a"), await attach("a", "b", transport="websocket")
    third = await attach("b")

    async def ids(**query: str) -> list[str]:
        return [item["id"] for item in (await get(api, "connections", **query))["items"]]

    assert await ids() == [first.id, second.id, third.id]
    assert await ids(topic="a") == [first.id, second.id]
    assert await ids(transport="sse") == [first.id, third.id]
    assert await ids(topic="b", transport="websocket", node="node-1") == [second.id]
    assert await ids(node="node-2") == []
    assert await ids(topic="A") == []


async def test_a_connection_is_closed_by_its_id(api: httpx.AsyncClient, attach: Attach, runtime: Runtime) -> None:
    connection, other = await attach("a"), await attach("a")
    answer = await api.delete(f"/api/v1/connections/{connection.id}")
    assert (answer.status_code, answer.content) == (204, b"")
    # A connection that is closing takes no more events.
    await api.post("/api/v1/publish", json={"topics": ["a"], "id": "1", "data": "x"})
    await runtime.hub.settled()
    assert (connection.sent, other.sent) == (0, 1)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("name", ["nothing", "%20", "%00", "%C3%A4", "x" * 1000])
async def test_an_unknown_connection_is_404(api: httpx.AsyncClient, method: str, name: str) -> None:
    answer = await api.request(method, f"/api/v1/connections/{name}")
    assert answer.status_code == 404
    assert answer.json()["type"] == "/problems/not-found"


async def test_the_node_is_shown(api: httpx.AsyncClient, attach: Attach) -> None:
    await attach("a", "b")
    answer = await get(api, "nodes")
    (node,) = answer["items"]
    assert recent(node.pop("since"))
    assert recent(node.pop("last_seen"))
    version = node.pop("version")
    assert version.count(".") == 2
    assert node == {
        "name": "node-1",
        "host": "host-1",
        "port": 8080,
        "connections": 1,
        "topics": 2,
        "draining": False,
        "silent": False,
    }
    assert (answer["next"], answer["total"]) == (None, 1)


async def test_stats_count(api: httpx.AsyncClient, attach: Attach) -> None:
    await attach("a", "b")
    for topics in (["a"], ["a", "b"], ["nobody"]):
        await api.post("/api/v1/publish", json={"topics": topics, "id": "1", "data": "x"})
    stats = await get(api, "stats")
    rates = stats.pop("per_second")
    assert stats == {"connections": 1, "topics": 2, "published": 2, "delivered": 2, "dropped": 1, "gaps": 0}
    assert set(rates) == {"published", "delivered", "dropped", "gaps"}
    assert rates["published"] == pytest.approx(2 * rates["dropped"])
    assert rates["gaps"] == 0


@pytest.mark.parametrize("name", ["topics", "connections"])
async def test_pages_hold_each_item_exactly_once_while_others_come_and_go(
    api: httpx.AsyncClient, attach: Attach, runtime: Runtime, name: str
) -> None:
    stay, leave = {}, []
    for number in range(30):
        connection = await attach(f"topic-{number:02}")
        if number % 3:
            stay[connection.id] = f"topic-{number:02}"
        else:
            leave.append(connection)
    key = "name" if name == "topics" else "id"
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 4}
    while True:
        page = await get(api, name, **query)
        assert len(page["items"]) <= 4
        seen += [item[key] for item in page["items"]]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
        await runtime.detach(leave.pop())
        await attach(f"topic-{len(leave):02}-new")
    expected = set(stay.values()) if name == "topics" else set(stay)
    assert expected <= set(seen)
    assert len(seen) == len(set(seen))


async def test_pages_end_exactly(api: httpx.AsyncClient, attach: Attach) -> None:
    for number in range(4):
        await attach(f"t{number}")
    first = await get(api, "topics", limit=2)
    second = await get(api, "topics", limit=2, cursor=first["next"])
    assert [item["name"] for item in first["items"] + second["items"]] == ["t0", "t1", "t2", "t3"]
    assert (second["next"], first["total"], second["total"]) == (None, 4, 4)


async def test_a_page_has_a_hundred_items_unless_asked(api: httpx.AsyncClient, attach: Attach) -> None:
    await attach(*(f"t{number:03}" for number in range(100)))
    await attach(*(f"u{number:03}" for number in range(100)))
    assert len((await get(api, "topics"))["items"]) == 100
    assert len((await get(api, "topics", limit=500))["items"]) == 200


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("limit", ["0", "501", "-1", "1.5", "", "ten", "1_0", " 1", "+1", "9" * 5000, "%D9%A1"])
async def test_a_wrong_limit_is_400(api: httpx.AsyncClient, name: str, limit: str) -> None:
    answer = await api.get(f"/api/v1/{name}?limit={limit}")
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-query")
    assert "'limit'" in answer.json()["detail"]


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("cursor", ["", "x", "1", "%00", "a~b", "%C3%A4~%C3%A4"])
async def test_a_cursor_that_was_not_given_is_400(api: httpx.AsyncClient, name: str, cursor: str) -> None:
    answer = await api.get(f"/api/v1/{name}?cursor={cursor}")
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-cursor")


async def test_a_cursor_of_another_list_is_400(api: httpx.AsyncClient, attach: Attach) -> None:
    await attach("a", "b")
    cursor = (await get(api, "topics", limit=1))["next"]
    answer = await api.get("/api/v1/connections", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-cursor")


@pytest.mark.parametrize(
    ("query", "slug", "named"),
    [
        ("topics?x=1", "invalid-query", "limit, cursor, q"),
        ("topics?q=a&q=b", "invalid-query", "q"),
        ("topics?q=%ff", "invalid-query", "UTF-8"),
        ("connections?transport=foo", "invalid-query", "'transport'"),
        ("connections?transport=", "invalid-query", "'transport'"),
        ("connections?topic=a,b", "invalid-topic", "topic"),
        ("connections?topic=", "invalid-topic", "topic"),
        ("nodes?q=a", "invalid-query", "limit, cursor"),
        ("stats?limit=1", "invalid-query", "none"),
    ],
)
async def test_a_query_that_would_be_misread_is_400(api: httpx.AsyncClient, query: str, slug: str, named: str) -> None:
    answer = await api.get(f"/api/v1/{query}")
    assert (answer.status_code, answer.json()["type"]) == (400, f"/problems/{slug}")
    assert named in answer.json()["detail"]


async def test_a_lost_store_is_503(api: httpx.AsyncClient, runtime: Runtime) -> None:
    (await make_losable(runtime)).left = 0
    answer = await api.get("/api/v1/nodes")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["type"] == "/problems/unavailable"


@pytest.mark.parametrize("path", [*LISTS, "stats", "connections/x", "topics?limit=0"])
async def test_each_route_asks_for_a_key(anonymous: httpx.AsyncClient, path: str) -> None:
    answer = await anonymous.get(f"/api/v1/{path}")
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthorized")
    assert (await anonymous.get("/api/v1/nodes", headers={"x-api-key": "test-key"})).status_code == 200


def recent(time: str) -> bool:
    """Tell whether an RFC 3339 time in UTC is of this minute."""
    assert time.endswith("Z")
    return abs((datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds()) < 60
