"""What settings change, seen from outside."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.conformance.subject import assert_problem
from tests.faults.conftest import Start
from tests.faults.subject import Subject
from tests.raw.http import Ended, Response
from tests.raw.websocket import CLOSE, PING, PONG, RawWebSocket, upgrade

A, B, C = "https://a.example", "https://b.example:8443", "https://c.example"


async def refused(gateway: Subject, status: int, *more: tuple[str, str]) -> None:
    """Both transports must be refused with *status*, and told when to come again."""
    for request in (gateway.request("GET", "/sse?topic=full", more), upgrade("/ws?topic=full", more)):
        async with await gateway.connect() as connection:
            answer = await connection.exchange(request)
            assert_problem(answer, status)
            assert int(answer.headers.get("retry-after")) >= 1


async def test_max_connections(start: Start) -> None:
    gateway = await start(max_connections=2)
    async with gateway.sse("one"):
        async with gateway.websocket("two"):
            await refused(gateway, 503)
            assert (await gateway.metrics())["gateway_refused_connections_total"] == 2
            # Full is not broken: whoever is in gets what is published.
            assert (await gateway.delivered("two"))["subscribers"] == 1
        await gateway.has_connections(1)
        async with gateway.websocket("full"):
            await refused(gateway, 503)
    await gateway.is_idle()


async def test_max_connections_per_client_and_trusted_proxies(start: Start) -> None:
    gateway = await start(max_connections_per_client=2, trusted_proxies="127.0.0.0/8, 10.0.0.0/8")
    first, second = ("x-forwarded-for", "203.0.113.7"), ("x-forwarded-for", "2001:db8::1")
    # What a client claims by itself stands left of what the proxy saw.
    claimed = ("x-forwarded-for", "198.51.100.1, 203.0.113.7, 10.1.2.3")
    async with gateway.sse("a", headers=[first]), gateway.websocket("a", headers=dict([first])):
        await refused(gateway, 429, first)
        await refused(gateway, 429, claimed)
        async with gateway.sse("a", headers=[second]):
            items = (await gateway.get("/connections"))["items"]
            assert [item["client"] for item in items] == ["203.0.113.7", "203.0.113.7", "2001:db8::1"]
    await gateway.is_idle()
    async with gateway.sse("a", headers=[first]):
        pass


async def test_forwarded_addresses_mean_nothing_without_trusted_proxies(start: Start) -> None:
    gateway = await start(max_connections_per_client=1)
    async with gateway.sse("a", headers=[("x-forwarded-for", "203.0.113.7")]):
        (item,) = (await gateway.get("/connections"))["items"]
        assert item["client"] == "127.0.0.1"
        await refused(gateway, 429, ("x-forwarded-for", "203.0.113.8"))


def allowed_origin(answer: Response | httpx.Response) -> str:
    return str(answer.headers.get("access-control-allow-origin", ""))


async def test_cors_origins(start: Start) -> None:
    gateway = await start(cors_origins=f"{A}, {B}", admin_cors_origins=C)
    key = ("authorization", f"Bearer {gateway.key}")
    for origin, subscribes, administers in ((A, True, False), (B, True, False), (C, False, True)):
        page = ("origin", origin)
        asks = [page, ("access-control-request-method", "GET"), ("access-control-request-headers", "x-sse-topic")]

        answer = await gateway.exchange("HEAD", "/sse?topic=a", [page])
        assert allowed_origin(answer) == (origin if subscribes else "")
        assert "origin" in answer.headers.get("vary").lower()
        answer = await gateway.exchange("OPTIONS", "/sse", asks)
        assert answer.status == 204
        assert allowed_origin(answer) == (origin if subscribes else "")
        url = f"ws{gateway.url.removeprefix('http')}/ws?topic=a"
        if subscribes:
            async with connect(url, origin=origin, proxy=None):  # type: ignore[arg-type]
                pass
        else:
            with pytest.raises(InvalidStatus) as refusal:
                async with connect(url, origin=origin, proxy=None):  # type: ignore[arg-type]
                    pass
            assert refusal.value.response.status_code == 403

        for method, path in (("POST", "/publish"), ("GET", "/api/v1/topics"), ("GET", "/api/v1/tail?topic=a")):
            answer = await gateway.exchange("OPTIONS", path, [page, ("access-control-request-method", method)])
            assert answer.status == 204
            assert allowed_origin(answer) == (origin if administers else ""), path
        answer = await gateway.exchange("GET", "/api/v1/topics", [page, key])
        assert answer.status == 200
        assert allowed_origin(answer) == (origin if administers else "")
        # A page must be able to read why it was refused.
        answer = await gateway.exchange("GET", "/api/v1/topics", [page])
        assert answer.status == 401
        assert allowed_origin(answer) == (origin if administers else "")


async def test_metrics_public(start: Start) -> None:
    closed, public = await start(), await start(metrics_public="true")
    assert_problem(await closed.exchange("GET", "/metrics"), 401)
    answer = await public.exchange("GET", "/metrics")
    assert answer.status == 200
    assert b"gateway_connections" in answer.body
    # The rest stays closed.
    assert_problem(await public.exchange("GET", "/api/v1/topics"), 401)


async def test_sizes_and_times(start: Start) -> None:
    gateway = await start(
        max_topics=3, max_event_bytes=10, max_body_bytes=1000, retry_ms=77, node_name="left", node_host="left.example"
    )
    async with gateway.sse("a", "b", "c") as stream:
        assert stream.opened["node"] == "left"
        (node,) = (await gateway.get("/nodes"))["items"]
        assert (node["name"], node["host"], node["connections"], node["topics"]) == ("left", "left.example", 1, 3)
        assert_problem(await gateway.exchange("GET", "/sse?topic=a,b,c,d"), 400, "3")
        assert_problem(await gateway.publish("a,b,c,d"), 400, "3")
        await gateway.delivered("a", "0123456789")
        assert_problem(await gateway.publish("a", "0123456789a"), 413, "10")
        post = gateway.http.post
        event = {"topics": ["a"], "id": "1", "data": "0123456789a"}
        assert_problem(await post("/api/v1/publish", json=event), 413, "10")
        assert_problem(await post("/api/v1/publish", json=event | {"data": "x" * 2000}), 413, "1000")
        assert (await stream.next_event()).data == "0123456789"
    async with await gateway.connect() as connection:
        await connection.send(gateway.request("GET", "/sse?topic=a"))
        await connection.read_head()
        assert b"retry: 77\n" in await connection.reader.readuntil(b"\n\n")


HEARTBEAT_SECONDS = 0.4


async def test_heartbeat(start: Start) -> None:
    gateway = await start(heartbeat_seconds=HEARTBEAT_SECONDS)

    async def comments() -> None:
        async with gateway.sse("quiet") as stream:
            last = time.monotonic()
            for _ in range(4):
                block = await stream.next_block(within=5)
                now = time.monotonic()
                assert block.raw.startswith(b":"), block
                assert now - last < HEARTBEAT_SECONDS + 0.3, "silence was longer than a heartbeat"
                last = now

    async def answers() -> None:
        async with await websocket() as ws:
            for _ in range(4):
                frame = await ws.read_until(PING, within=5)
                await ws.send_frame(PONG, frame.payload)
            await ws.send_json({"type": "ping"})
            assert await ws.read_json() == {"type": "pong"}

    async def is_mute() -> None:
        async with await websocket() as ws:
            begun = time.monotonic()
            code = None
            try:
                while code is None:
                    frame = await ws.read_frame(within=5)
                    assert frame.opcode in {PING, CLOSE}, frame
                    if frame.opcode == CLOSE:
                        code = frame.code
            except Ended:
                pass
            assert code in {None, 1011}
            assert HEARTBEAT_SECONDS < time.monotonic() - begun < 2 * HEARTBEAT_SECONDS + 1

    async def websocket() -> RawWebSocket:
        ws = await RawWebSocket.open(gateway.url, "/ws?topic=quiet")
        assert (await ws.read_json())["type"] == "open"
        return ws

    async with asyncio.TaskGroup() as group:
        for check in (comments, answers, is_mute):
            group.create_task(check())
    await gateway.is_idle()


async def test_keys_never_reach_the_log(start: Start) -> None:
    keys = {"first-key-of-two", "second-key-of-two"}
    gateway = await start(
        environment={"GATEWAY_API_KEYS": ",".join(sorted(keys))}, log_level="debug", max_event_bytes=100
    )
    secrets = keys | {"a-wrong-key", "another-wrong-key"}
    for key in secrets:
        status = 204 if key in keys else 401
        for header in ({"authorization": f"Bearer {key}"}, {"authorization": key}, {"x-api-key": key}):
            answer = await gateway.http.post(
                "/publish", headers={"authorization": "", "x-sse-topic": "a", "x-sse-id": "1", **header}
            )
            if header != {"authorization": key}:
                assert answer.status_code == status, answer.text
        fields = [("authorization", f"Bearer {key}")]
        for method, path in (("GET", "/api/v1/topics"), ("POST", "/api/v1/publish"), ("GET", f"/nothing?key={key}")):
            await gateway.exchange(method, path, fields, b"{" if method == "POST" else None)
        await gateway.exchange("POST", "/publish", [*fields, ("content-length", "9" * 30)])
        await gateway.exchange("GET", "/sse?topic=", fields)
        for broken in (b"GET / HTTP/9.9\r\n", b"GET /health HTTP/1.1\r\nbad header\r\n"):
            async with await gateway.connect() as connection:
                await connection.send(broken + b"authorization: Bearer " + key.encode() + b"\r\n\r\n")
                await connection.read_to_end(within=5) if broken.startswith(b"GET / ") else connection.half_close()
        try:
            async with connect(
                f"ws{gateway.url.removeprefix('http')}/ws?topic=a", additional_headers=dict(fields), proxy=None
            ) as ws:
                await ws.send(f'{{"type":"subscribe","topics":["a"],"key":"{key}"}}')
                await ws.recv()
        except ConnectionClosed:
            pass
    gateway.running.wait_for_log("publish dropped")
    await asyncio.to_thread(gateway.running.stop)
    for secret in secrets:
        assert secret not in gateway.running.log, f"{secret} is in the log"
