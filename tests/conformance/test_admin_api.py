"""Contract §5: topics, connections, nodes and stats."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from websockets.exceptions import ConnectionClosed

from tests.conformance.subject import TIME, VISIBLE, Gateway, assert_problem, eventually, unique
from tests.raw.http import Ended

NewTopic = Callable[[str], str]
ROUTES = ("/topics", "/connections", "/nodes", "/stats", "/connections/x", "/tail?topic=a")
LISTS = ("/topics", "/connections", "/nodes")


def time_of(value: str) -> datetime:
    """Read a time that must be RFC 3339 in UTC."""
    assert TIME.fullmatch(value), value
    return datetime.fromisoformat(value)


async def topic_entry(gateway: Gateway, topic: str) -> dict[str, Any] | None:
    """The entry of exactly *topic*, or None."""
    page = await gateway.get("/topics", q=topic)
    assert page["total"] == len(page["items"]) <= 1
    return page["items"][0] if page["items"] else None


@pytest.mark.parametrize("route", ROUTES)
async def test_the_key_is_needed(gateway: Gateway, route: str) -> None:
    path = f"/api/v1{route}"
    for credentials in ([], [("authorization", "Bearer wrong")], [("x-api-key", "wrong")]):
        answer = await gateway.exchange("GET", path, credentials)
        assert_problem(answer, 401)
        assert answer.headers.get("www-authenticate").startswith("Bearer")
    assert_problem(await gateway.exchange("DELETE", "/api/v1/connections/x"), 401)


async def test_a_topic_is_listed_with_all_that_is_told_of_it(gateway: Gateway, topic: str) -> None:
    before = datetime.now(UTC)
    async with gateway.sse(topic) as stream:
        entry = await topic_entry(gateway, topic)
        assert entry is not None
        assert {"name", "mode", "connections", "nodes", "events", "kept", "last_event"} <= entry.keys()
        assert (entry["name"], entry["mode"], entry["connections"]) == (topic, "unicast", 1)
        assert entry["nodes"] == [stream.opened["node"]]
        assert (entry["events"], entry["kept"], entry["last_event"]) == (0, None, None)
        async with gateway.websocket(topic):
            await gateway.delivered(topic, id="first")
            await gateway.delivered(topic, id="last")
            entry = await topic_entry(gateway, topic)
            assert entry is not None
            assert (entry["mode"], entry["connections"], entry["events"]) == ("multicast", 2, 2)
            assert entry["last_event"]["id"] == "last"
            assert abs((time_of(entry["last_event"]["time"]) - before).total_seconds()) < 60


async def test_a_topic_is_unlisted_with_its_last_connection(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic), gateway.websocket(topic):
        assert await topic_entry(gateway, topic) is not None

    async def unlisted() -> bool:
        return await topic_entry(gateway, topic) is None

    await eventually(unlisted, within=2)


async def test_a_dropped_publish_makes_no_topic(gateway: Gateway, topic: str) -> None:
    await gateway.publish(topic)
    assert await topic_entry(gateway, topic) is None


async def test_topics_are_filtered_by_part_of_the_name(gateway: Gateway, new_topic: NewTopic) -> None:
    part = unique("part")
    names = [f"a{part}", f"{part}b%_*?[x]"]
    async with gateway.sse(*names, new_topic("other")):
        page = await gateway.get("/topics", q=part)
        assert sorted(item["name"] for item in page["items"]) == sorted(names)
        assert page["total"] == 2
        assert page["next"] is None
        # Wildcards of a store are characters like any other.
        assert [item["name"] for item in (await gateway.get("/topics", q=f"{part}b%_*?[x]"))["items"]] == [names[1]]
        for pattern in (f"{part}%", f"{part}*", f"{part}?", f"{part}[a-z]", f".*{part}"):
            assert (await gateway.get("/topics", q=pattern))["items"] == [], pattern


async def test_a_connection_is_listed_with_all_that_is_told_of_it(gateway: Gateway, new_topic: NewTopic) -> None:
    a, b = new_topic("a"), new_topic("b")
    async with gateway.sse(a, b, headers=[("user-agent", "conformance é/1".encode())]) as stream:
        await gateway.delivered(a)
        await stream.next_event()
        [item] = (await gateway.get("/connections", topic=a))["items"]
        assert item.keys() >= {
            "id",
            "topics",
            "transport",
            "node",
            "client",
            "user_agent",
            "since",
            "sent",
            "pending",
            "pending_bytes",
            "behind_since",
        }
        assert item["id"] == stream.opened["connection"]
        assert sorted(item["topics"]) == sorted([a, b])
        assert (item["transport"], item["node"]) == ("sse", stream.opened["node"])
        assert isinstance(item["client"], str)
        assert item["user_agent"].startswith("conformance ")
        assert abs((datetime.now(UTC) - time_of(item["since"])).total_seconds()) < 60
        assert (item["sent"], item["pending"]) == (1, 0)
        assert (item["pending_bytes"], item["behind_since"]) == (0, None)
        assert (await gateway.get(f"/connections/{item['id']}")).keys() == item.keys()


async def test_connections_are_filtered(gateway: Gateway, new_topic: NewTopic) -> None:
    a, b = new_topic("a"), new_topic("b")

    async def ids(**params: str) -> set[str]:
        return {item["id"] for item in (await gateway.get("/connections", **params))["items"]}

    async with gateway.sse(a) as stream, gateway.websocket(a, b) as socket:
        one, other = stream.opened["connection"], socket.opened["connection"]
        assert await ids(topic=a) == {one, other}
        assert await ids(topic=b) == {other}
        assert await ids(topic=a, transport="sse") == {one}
        assert await ids(topic=a, transport="websocket") == {other}
        assert one in await ids(topic=a, node=stream.opened["node"])
        assert await ids(topic=a, node="no-such-node") == set()
        assert await ids(topic=unique()) == set()
        refused = await gateway.http.get("/api/v1/connections", params={"transport": "pigeon"})
        assert_problem(refused, 400, "transport")


async def test_what_a_websocket_subscribes_to_is_listed(gateway: Gateway, new_topic: NewTopic) -> None:
    a, b = new_topic("a"), new_topic("b")
    async with gateway.websocket(a) as socket:
        await socket.ask({"type": "subscribe", "topics": [b]})
        connection = await gateway.get(f"/connections/{socket.opened['connection']}")
        assert (sorted(connection["topics"]), connection["transport"]) == (sorted([a, b]), "websocket")


async def test_a_stream_can_be_closed(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic) as stream:
        path = f"/api/v1/connections/{stream.opened['connection']}"
        response = await gateway.http.delete(path)
        assert (response.status_code, response.content) == (204, b"")
        event = await stream.next_event()
        assert event.event == "gateway.close"
        assert event.id is None
        assert event.json()["reason"] == "closed-by-administrator"
        assert (event.retry or "").isdigit()
        with pytest.raises(Ended):
            await stream.next_event()
        assert not await gateway.exists(topic)
        assert_problem(await gateway.http.get(path), 404)
        assert_problem(await gateway.http.delete(path), 404)


async def test_a_websocket_can_be_closed(gateway: Gateway, topic: str) -> None:
    async with gateway.websocket(topic) as socket:
        response = await gateway.http.delete(f"/api/v1/connections/{socket.opened['connection']}")
        assert response.status_code == 204
        message = await socket.receive()
        assert (message["type"], message["reason"]) == ("close", "closed-by-administrator")
        assert isinstance(message["retry"], int)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1000
        assert not await gateway.exists(topic)


@pytest.mark.parametrize("id", ["x", VISIBLE, "a/b", "é", " ", "%00", "x" * 3000], ids=lambda id: id[:12])
async def test_a_connection_that_is_not_there_is_404(gateway: Gateway, id: str) -> None:
    for method in ("GET", "DELETE"):
        answer = await gateway.http.request(method, f"/api/v1/connections/{quote(id, safe='')}")
        assert_problem(answer, 404)


@pytest.mark.parametrize("path", ["/api/v1/", "/api/v1/nothing", "/api/v2/topics", "/nothing", "/sse/x", "/publish/x"])
async def test_a_path_that_is_not_there_is_a_problem(gateway: Gateway, path: str) -> None:
    assert_problem(await gateway.http.get(path), 404)


@pytest.mark.parametrize("path", LISTS)
async def test_a_limit_is_1_to_500(gateway: Gateway, path: str) -> None:
    for limit in ("1", "500"):
        page = await gateway.get(path, limit=limit)
        assert len(page["items"]) <= int(limit)
    for limit in ("501", "0", "-1", "abc", "", "1.5", "1e2", "٣", "9" * 30):
        answer = await gateway.http.get(f"/api/v1{path}", params={"limit": limit})
        assert_problem(answer, 400, "limit")


@pytest.mark.parametrize("path", LISTS)
async def test_a_cursor_that_the_gateway_did_not_give_is_refused(gateway: Gateway, path: str) -> None:
    for cursor in ("x", "0", "null", "é", "AAAA", "eyJ4IjoxfQ", "=" * 8, "a" * 2000, "\x00"):
        answer = await gateway.http.get(f"/api/v1{path}", params={"cursor": cursor})
        assert_problem(answer, 400, "cursor")


async def test_a_cursor_changed_by_a_hand_is_refused(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic), gateway.sse(topic):
        cursor = (await gateway.get("/connections", topic=topic, limit=1))["next"]
        assert isinstance(cursor, str)
        middle = len(cursor) // 2
        changed = cursor[:middle] + ("A" if cursor[middle] != "A" else "B") + cursor[middle + 1 :]
        for wrong in (changed, cursor + "x", cursor[:-2]):
            answer = await gateway.http.get("/api/v1/connections", params={"topic": topic, "cursor": wrong})
            assert_problem(answer, 400, "cursor")
        # One list's cursor is no other list's.
        assert_problem(await gateway.http.get("/api/v1/topics", params={"cursor": cursor}), 400, "cursor")


async def test_the_default_limit_is_100(gateway: Gateway, topic: str) -> None:
    async with AsyncExitStack() as stack:
        names = [f"{topic}/{number:03}" for number in range(120)]
        await stack.enter_async_context(gateway.sse(*names[:60]))
        await stack.enter_async_context(gateway.sse(*names[60:]))
        first = await gateway.get("/topics", q=topic)
        assert (len(first["items"]), first["total"]) == (100, 120)
        second = await gateway.get("/topics", q=topic, cursor=first["next"])
        assert (len(second["items"]), second["next"]) == (20, None)
        assert sorted(item["name"] for item in (*first["items"], *second["items"])) == names


async def test_paging_gives_each_connection_that_stays_exactly_once(gateway: Gateway, topic: str) -> None:
    async with AsyncExitStack() as staying, AsyncExitStack() as coming:
        stays: set[str] = set()
        leaving: list[AsyncExitStack] = []
        for _ in range(20):
            stays.add((await staying.enter_async_context(gateway.sse(topic))).opened["connection"])
            leaves = await coming.enter_async_context(AsyncExitStack())
            await leaves.enter_async_context(gateway.sse(topic))
            leaving.append(leaves)
        seen: list[str] = []
        async for items in gateway.pages("/connections", topic=topic, limit=3):
            assert len(items) <= 3
            seen += [item["id"] for item in items]
            await coming.enter_async_context(gateway.sse(topic))
            for _ in range(min(2, len(leaving))):
                await leaving.pop(0).aclose()
        assert len(seen) == len(set(seen)), "a connection was listed twice"
        assert stays <= set(seen), "a connection that was there throughout was left out"


async def test_paging_gives_each_topic_that_stays_exactly_once(gateway: Gateway, topic: str) -> None:
    names = [f"{topic}/{number:02}" for number in range(30)]
    async with gateway.sse(*names), AsyncExitStack() as coming:
        seen: list[str] = []
        number = 0
        async for items in gateway.pages("/topics", q=topic, limit=4):
            seen += [item["name"] for item in items]
            number += 1
            await coming.enter_async_context(gateway.sse(f"{topic}/{number:02}x", f"{topic}/!{number}"))
        assert len(seen) == len(set(seen))
        assert set(names) <= set(seen)


async def test_the_node_of_a_connection_is_listed(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic) as stream:
        page = await gateway.get("/nodes", limit=500)
        assert page["total"] >= 1
        [node] = [item for item in page["items"] if item["name"] == stream.opened["node"]]
        assert {
            "name",
            "host",
            "port",
            "since",
            "last_seen",
            "silent",
            "connections",
            "topics",
            "version",
            "draining",
        } <= node.keys()
        assert time_of(node["since"]) <= time_of(node["last_seen"])
        assert node["connections"] >= 1
        assert node["topics"] >= 1
        assert re.match(r"\d+\.\d+", node["version"])
        assert node["port"] is None or 0 < node["port"] < 65_536
        assert node["draining"] is False
        assert node["silent"] is False


async def test_stats_count_what_happens(gateway: Gateway, topic: str) -> None:
    names = ("connections", "topics", "published", "delivered", "dropped", "gaps")
    before = await gateway.get("/stats")
    assert set(names) <= before.keys()
    assert {"published", "delivered", "dropped"} <= before["per_second"].keys()
    assert all(isinstance(rate, int | float) for rate in before["per_second"].values())
    async with gateway.sse(topic) as first, gateway.sse(topic) as second:
        await asyncio.gather(*(gateway.delivered(topic) for _ in range(3)))
        await gateway.publish(unique())
        await first.events(3)
        await second.events(3)

        async def counted() -> bool:
            # At least: whoever else uses the gateway is counted too.
            after = await gateway.get("/stats")
            return bool(
                after["published"] >= before["published"] + 3
                and after["delivered"] >= before["delivered"] + 6
                and after["dropped"] >= before["dropped"] + 1
                and after["connections"] >= 2
                and after["topics"] >= 1
                and after["gaps"] >= before["gaps"]
            )

        await eventually(counted, within=5)


@pytest.mark.parametrize("route", ROUTES)
async def test_other_methods_are_not_allowed(gateway: Gateway, route: str) -> None:
    for method in ("POST", "PUT", "PATCH"):
        answer = await gateway.http.request(method, f"/api/v1{route}")
        assert_problem(answer, 405)
        assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize("query", ["q=%FF", "q=%C3", "topic=%FF", "node=%FF%FE", "cursor=%FF", "limit=%FF"])
async def test_a_query_that_is_not_utf8_is_no_error_of_the_gateway(gateway: Gateway, query: str) -> None:
    credentials = [("authorization", f"Bearer {gateway.key}")]
    for path in LISTS:
        answer = await gateway.exchange("GET", f"/api/v1{path}?{query}", credentials)
        assert answer.status in {200, 400}
