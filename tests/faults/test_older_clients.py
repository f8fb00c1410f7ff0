"""Clients of three older services. What they send is taken from the older services' own documents, word for word."""

# ruff: noqa: RUF001 - their punctuation, too
from __future__ import annotations

import asyncio
import json
import shutil
import subprocess

import httpx
import pytest

from tests.conformance.subject import eventually
from tests.faults.conftest import Start
from tests.faults.subject import Subject
from tests.faults.test_sources_redis import runs
from tests.gateway import RunningGateway
from tests.raw.sse import SseStream
from tests.redis_server import RedisServer, needs_redis
from tests.server_process import free_port

has_programs = pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("redis-cli")), reason="not run: curl or redis-cli is not installed"
)


async def older(node: Subject, target: str) -> SseStream:
    stream = await SseStream.open(node.url, target, [("host", node.host)])
    await stream.read_open()
    return stream


def shell(script: str, **variables: str) -> str:
    return subprocess.run(
        ["bash", "-eu", "-c", script],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
        env={"PATH": "/usr/bin:/bin:/usr/local/bin", **variables},
    ).stdout


@needs_redis
@has_programs
async def test_the_rust_services_lines_work(start: Start) -> None:
    with RedisServer() as redis:
        node = await start(sources="redis-pubsub", redis_pubsub_url=redis.url)
        await runs(node, "redis-pubsub")
        async with await older(node, "/sse/connect?channel_id=user123") as stream:
            await asyncio.to_thread(
                shell,
                """
                redis-cli() { command redis-cli -p "$REDIS_PORT" "$@"; }
                redis-cli PUBLISH "sse:user123" '{"event_type":"notification","data":{"msg":"Hello!"}}'
                redis-cli PUBLISH "sse:broadcast" '{"event_type":"alert","data":"System update"}'
                """,
                REDIS_PORT=str(redis.port),
            )
            first, second = await stream.events(2)
            assert (first.event, first.data) == ("notification", '{"msg":"Hello!"}')
            assert (second.event, second.data) == ("alert", "System update")


@has_programs
async def test_the_rust_services_endpoints_answer(start: Start) -> None:
    node = await start()
    async with (
        await older(node, "/sse/connect?channel_id=my-channel") as mine,
        await older(node, "/sse/connect?channel_id=other") as other,
    ):
        answer = await node.http.post(
            "/api/send", json={"channel_id": "my-channel", "event_type": "notification", "data": {"a": 1}}
        )
        assert (answer.status_code, answer.json()) == (200, {"success": True, "sent_count": 1})
        event = await mine.next_event()
        assert (event.event, event.data) == ("notification", '{"a":1}')
        answer = await node.http.post("/api/send", json={"event_type": "message", "data": "to all"})
        assert answer.json() == {"success": True, "sent_count": 2}
        assert [(await stream.next_event()).data for stream in (mine, other)] == ["to all", "to all"]
        answer = await node.http.post("/api/send", json={"channel_id": "nobody", "event_type": "x", "data": "a"})
        assert answer.json() == {"success": True, "sent_count": 0}
        stats = (await node.http.get("/api/stats")).json()
        assert stats["total_connections"] == 2
        assert {one["channel_id"] for one in stats["connections"]} == {"my-channel", "other"}
    assert await asyncio.to_thread(shell, "curl -fsS $URL/health", URL=node.url) == "OK"
    assert await asyncio.to_thread(shell, "curl -fsS $URL/ready", URL=node.url) == "READY"
    assert (await node.http.get("/dashboard")).status_code == 308


async def test_bad_requests_to_the_rust_services_endpoints(start: Start) -> None:
    node = await start(max_event_bytes=100)
    async with httpx.AsyncClient(base_url=node.url, trust_env=False) as anybody:
        for target in ("/sse/connect", "/sse/connect?channel_id=", "/sse/connect?channel_id=%ff"):
            answer = await anybody.get(target)
            assert answer.status_code == 400
            assert answer.headers["content-type"].startswith("text/plain")
        assert (await anybody.post("/api/send", json={"event_type": "a", "data": "b"})).status_code == 401
        assert (await anybody.get("/api/stats")).status_code == 401
    for body in (
        b"",
        b"\xff",
        b"text",
        b"[]",
        b"[" * 100_000,
        b"{}",
        b'{"event_type":"a"}',
        b'{"event_type":1,"data":"a"}',
        b'{"event_type":"gateway.open","data":"a"}',
        b'{"channel_id":{},"event_type":"a","data":"a"}',
        b'{"event_type":"a","data":"' + b"a" * 101 + b'"}',
        b'{"event_type":"a","data":"\\ud800"}',
    ):
        answer = await node.http.post("/api/send", content=body)
        assert answer.status_code == 400, body[:50]
        assert answer.headers["content-type"] == "application/problem+json"
    assert (await node.http.get("/api/send")).status_code == 405
    assert (await node.http.post("/api/stats")).status_code == 405


async def test_the_older_api_is_open_only_where_the_operator_says_so(start: Start) -> None:
    node = await start(older_api_open="true")
    node.running.wait_for_log("older api open")
    async with httpx.AsyncClient(base_url=node.url, trust_env=False) as anybody:
        assert (await anybody.post("/api/send", json={"event_type": "a", "data": "b"})).status_code == 200
        assert (await anybody.get("/api/stats")).json() == {"total_connections": 0, "connections": []}
        assert (await anybody.post("/publish")).status_code == 401


@needs_redis
@has_programs
async def test_the_go_services_lines_work_with_its_variables(start: Start) -> None:
    with RedisServer() as redis:
        node = await start(
            default_user_id="1",
            environment={
                "SSE_REDIS_CHANNEL": "notifications",
                "REDIS_HOST": "127.0.0.1",
                "REDIS_PORT": str(redis.port),
                "REDIS_USERNAME": "",
                "REDIS_PASSWORD": "",
                "REDIS_MAIN_DB": "1",
            },
        )
        await runs(node, "redis-pubsub")
        async with (
            await older(node, "/sse?user_id=1") as first,
            await older(node, "/sse?user_id=1") as same,
            await older(node, "/sse") as default,
            await older(node, "/sse?user_id=2") as second,
        ):
            for stream, user in ((first, "1"), (same, "1"), (default, "1"), (second, "2")):
                assert json.loads((await stream.next_event()).data or "") == {"type": "connected", "user_id": user}
            await asyncio.to_thread(
                shell,
                """
                redis-cli() { command redis-cli -p "$REDIS_PORT" "$@"; }
                redis-cli PUBLISH notifications '{"user_id":1,"message":"你好，这是一条测试消息！"}'
                redis-cli PUBLISH notifications '{"user_id":2,"message":"发送给用户2的消息"}'
                redis-cli PUBLISH notifications '{"user_id":1,"message":"测试消息1"}'
                redis-cli PUBLISH notifications '{"user_id":1,"message":"测试消息2"}'
                redis-cli PUBLISH notifications '{"user_id":2,"message":"发送给用户2"}'
                """,
                REDIS_PORT=str(redis.port),
            )
            for stream in (first, same, default):
                messages = [json.loads(block.data or "")["message"] for block in await stream.events(3)]
                assert messages == ["你好，这是一条测试消息！", "测试消息1", "测试消息2"]
            messages = [json.loads(block.data or "")["message"] for block in await second.events(2)]
            assert messages == ["发送给用户2的消息", "发送给用户2"]
            channels = await asyncio.to_thread(
                shell, 'redis-cli -p "$REDIS_PORT" PUBSUB CHANNELS', REDIS_PORT=str(redis.port)
            )
            assert channels.split() == ["notifications"]
        async with node.sse("a") as stream:
            assert "user:1" not in stream.opened["topics"]


@pytest.mark.parametrize("variables", [{"SSE_HOST": "0.0.0.0", "SSE_PORT": ""}, {"PORT": ""}], ids=["go", "rust"])  # noqa: S104
async def test_the_older_services_variables_say_where_it_listens(variables: dict[str, str], server: str) -> None:
    port = str(free_port())
    # The Go service's Redis may come later.
    gateway = RunningGateway(server, {"PORT": None, **{name: value or port for name, value in variables.items()}})
    where = gateway.command.index("--bind")
    del gateway.command[where : where + 4]
    with gateway:
        assert gateway.url.endswith(f":{port}")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as anybody:
            assert (await anybody.get("/health")).text == "OK"


async def test_a_user_is_a_topic(start: Start) -> None:
    node = await start()
    async with httpx.AsyncClient(base_url=node.url, trust_env=False) as anybody:
        assert (await anybody.get("/sse")).status_code == 400
        assert (await anybody.get("/sse?user_id=" + "9" * 300)).status_code == 400
        answer = await anybody.head("/sse?user_id=7", headers={"origin": "https://example.org"})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")
    async with await older(node, "/sse?user_id=7&topic=news") as stream:
        assert stream.opened["topics"] == ["user:7", "news"]

        async def gone() -> bool:
            return await node.connections("user:7") == 0

    await eventually(gone, within=5)


async def test_api_events_has_topics_and_a_topic_for_pages_that_name_none(start: Start) -> None:
    node = await start()
    async with await older(node, "/api/events?topic=news") as named, await older(node, "/api/events") as unnamed:
        assert (named.opened["topics"], unnamed.opened["topics"]) == (["news"], ["events"])
        await node.publish("events", '{"n":1}', event="update", id="5", retry=100)
        event = await unnamed.next_event()
        assert (event.event, event.data, event.id, event.retry) == ("update", '{"n":1}', "5", "100")
