"""Both consumers on a server that offers nothing but ASGI: no writer, no denial responses."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from pytest_django import Settings

from tests.unit.topics.scripted import parse_sse
from topics import hub as hub_module
from topics.asgi import Message, Scope
from topics.conf import GatewaySettings
from topics.consumers.sse import SseConsumer
from topics.consumers.websocket import WebSocketConsumer
from topics.cors import Cors
from topics.events import Event
from topics.process import running, shut_down
from topics.responses import WEBSOCKET_DENIAL
from topics.runtime import Runtime

CORS = Cors(["https://app.example"], methods="GET", headers="x-sse-topic")
SSE, WEBSOCKET = SseConsumer.as_asgi(cors=CORS), WebSocketConsumer.as_asgi(cors=CORS)


@pytest.fixture
async def runtime(settings: Settings) -> AsyncIterator[Runtime]:
    settings.GATEWAY = GatewaySettings(api_keys=("unit-key",), node_name="node-1", max_topics=3, drain_seconds=0)
    yield await running()
    await shut_down()


class Server:
    """One request of a plain ASGI server."""

    def __init__(self, application: Any, scope: Scope) -> None:
        self.sent: list[Message] = []
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self.done = asyncio.create_task(application(scope, self._incoming.get, self._send))

    async def _send(self, message: Message) -> None:
        await asyncio.sleep(0)
        self.sent.append(message)

    def give(self, message: Message) -> None:
        """Hand the application a message."""
        self._incoming.put_nowait(message)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for something, or for the application to fail."""
        async with asyncio.timeout(5):
            while not condition():
                if self.done.done():
                    self.done.result()
                await asyncio.sleep(0)

    async def end(self, message_type: str) -> None:
        """Tell the application that the client has left, and wait for it."""
        self.give({"type": message_type, "code": 1005})
        await asyncio.wait_for(self.done, 5)

    @property
    def stream(self) -> bytes:
        """The response's body so far."""
        return b"".join(message["body"] for message in self.sent if message["type"] == "http.response.body")

    @property
    def texts(self) -> list[dict[str, Any]]:
        """The WebSocket's messages so far."""
        return [json.loads(message["text"]) for message in self.sent if message["type"] == "websocket.send"]

    @property
    def types(self) -> list[str]:
        """The kinds of messages sent so far."""
        return [message["type"] for message in self.sent]


def scope(kind: str, query: bytes, headers: tuple[tuple[bytes, bytes], ...], **more: Any) -> Scope:
    return {"type": kind, "query_string": query, "headers": list(headers), "client": ("192.0.2.1", 1), **more}


def http(query: bytes = b"topic=news", method: str = "GET", *headers: tuple[bytes, bytes]) -> Server:
    return Server(SSE, scope("http", query, headers, method=method, path="/sse"))


def websocket(query: bytes = b"topic=news", *headers: tuple[bytes, bytes], denial: bool = False) -> Server:
    extensions: dict[str, object] | None = {WEBSOCKET_DENIAL: {}} if denial else None
    server = Server(WEBSOCKET, scope("websocket", query, headers, path="/ws", extensions=extensions))
    server.give({"type": "websocket.connect"})
    return server


async def test_a_stream_opens_delivers_and_leaves_nothing(runtime: Runtime) -> None:
    server = http(b"topic=news,more")
    await server.until(lambda: server.stream)
    assert server.sent[0]["status"] == 200
    headers = dict(server.sent[0]["headers"])
    assert headers[b"content-type"] == b"text/event-stream"
    assert (headers[b"cache-control"], headers[b"x-accel-buffering"]) == (b"no-store", b"no")
    (opened,) = parse_sse(server.stream)
    value = json.loads(opened.data)
    assert (opened.event, opened.retry, opened.id) == ("gateway.open", 3000, "")
    assert (value["topics"], value["node"]) == (["news", "more"], "node-1")
    assert value["connection"] in runtime.hub.connections
    runtime.hub.deliver(Event(("news",), "1", "x"))
    await server.until(lambda: len(parse_sse(server.stream)) == 2)
    assert parse_sse(server.stream)[1].id == "1"
    await server.end("http.disconnect")
    assert (runtime.hub.connections, runtime.hub.topic_count) == ({}, 0)
    assert await runtime.placement.count(["news", "more"]) == {}


async def test_a_stream_that_is_closed_ends_its_response(runtime: Runtime) -> None:
    server = http()
    await server.until(lambda: server.stream)
    (connection_id,) = runtime.hub.connections
    assert runtime.hub.close_connection(connection_id)
    await server.until(lambda: server.sent[-1].get("more_body") is False)
    assert parse_sse(server.stream)[-1].event == "gateway.close"
    await server.end("http.disconnect")


async def test_json_format_tells_topics_apart(runtime: Runtime) -> None:
    server = http(b"topic=news&format=json")
    await server.until(lambda: server.stream)
    runtime.hub.deliver(Event(("news",), "1", "x"))
    await server.until(lambda: len(parse_sse(server.stream)) == 2)
    assert json.loads(parse_sse(server.stream)[1].data)["topics"] == ["news"]
    await server.end("http.disconnect")


@pytest.mark.parametrize(
    ("query", "method", "status"),
    [(b"", "GET", 400), (b"topic=a b", "GET", 400), (b"topic=a,b,c,d", "GET", 400), (b"topic=news", "POST", 405)],
)
async def test_what_is_refused_opens_nothing(runtime: Runtime, query: bytes, method: str, status: int) -> None:
    server = http(query, method)
    await asyncio.wait_for(server.done, 5)
    assert server.sent[0]["status"] == status
    assert dict(server.sent[0]["headers"])[b"content-type"] == b"application/problem+json"
    assert runtime.hub.connections == {}


async def test_head_checks_and_opens_nothing(runtime: Runtime) -> None:
    good, bad = http(method="HEAD"), http(b"topic=", method="HEAD")
    await asyncio.gather(good.done, bad.done)
    assert (good.sent[0]["status"], good.stream) == (200, b"")
    assert bad.sent[0]["status"] == 400
    assert runtime.hub.connections == {}


async def test_a_draining_node_sends_newcomers_away(runtime: Runtime) -> None:
    runtime.hub.draining = True
    server, socket = http(), websocket(denial=True)
    await asyncio.gather(server.done, socket.done)
    for refused in (server, socket):
        assert refused.sent[0]["status"] == 503
        assert b"retry-after" in dict(refused.sent[0]["headers"])


async def test_a_websocket_opens_obeys_and_leaves_nothing(runtime: Runtime) -> None:
    server = websocket()
    await server.until(lambda: server.texts)
    assert server.types[0] == "websocket.accept"
    (connection_id,) = runtime.hub.connections
    assert server.texts == [{"type": "open", "connection": connection_id, "topics": ["news"], "node": "node-1"}]

    async def ask(text: str) -> dict[str, Any]:
        count = len(server.texts)
        server.give({"type": "websocket.receive", "text": text})
        await server.until(lambda: len(server.texts) > count)
        return server.texts[-1]

    assert await ask('{"type":"ping"}') == {"type": "pong"}
    answer = await ask('{"type":"subscribe","topics":["b","news","c"]}')
    assert answer == {"type": "subscribed", "topics": ["news", "b", "c"]}
    assert await runtime.placement.count(["news", "b", "c"]) == {"news": 1, "b": 1, "c": 1}
    # The limit is for the connection, whatever it has asked for before.
    assert (await ask('{"type":"subscribe","topics":["d"]}'))["type"] == "error"
    answer = await ask('{"type":"unsubscribe","topics":["news","b","never"]}')
    assert answer == {"type": "unsubscribed", "topics": ["c"]}
    assert await runtime.placement.count(["news", "b", "c"]) == {"c": 1}
    runtime.hub.deliver(Event(("c",), "1", "x", event="greeting"))
    await server.until(lambda: server.texts[-1]["type"] == "event")
    seen = server.texts[-1]
    assert (seen["topics"], seen["id"], seen["event"], seen["data"]) == (["c"], "1", "greeting", "x")
    await server.end("websocket.disconnect")
    assert runtime.hub.connections == {}
    assert await runtime.placement.count(["c"]) == {}


async def test_bad_messages_are_answered_and_three_in_a_row_close(runtime: Runtime) -> None:
    server = websocket()
    bad: Message = {"type": "websocket.receive", "bytes": b"\x00"}
    for message in (bad, bad, {"type": "websocket.receive", "text": '{"type":"ping"}'}, bad, bad):
        server.give(message)
    await server.until(lambda: len(server.texts) == 6)
    assert [text["type"] for text in server.texts] == ["open", "error", "error", "pong", "error", "error"]
    server.give({"type": "websocket.receive", "text": "nonsense"})
    await server.until(lambda: server.types[-1] == "websocket.close")
    assert server.texts[-1]["type"] == "error"
    assert server.sent[-1]["code"] == 1008
    await server.end("websocket.disconnect")
    assert runtime.hub.connections == {}


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        (b"", (), 400),
        (b"topic=a&format=xml", (), 400),
        (b"topic=news", ((b"origin", b"https://evil.example"),), 403),
    ],
)
async def test_a_handshake_that_is_refused_says_why_where_the_server_can(
    runtime: Runtime, query: bytes, headers: tuple[tuple[bytes, bytes], ...], status: int
) -> None:
    able, plain = websocket(query, *headers, denial=True), websocket(query, *headers)
    await asyncio.gather(able.done, plain.done)
    assert able.sent[0]["status"] == status
    assert json.loads(able.sent[1]["body"])["status"] == status
    assert plain.types == ["websocket.close"]
    assert runtime.hub.connections == {}


async def test_a_page_of_an_allowed_origin_may_subscribe(runtime: Runtime) -> None:
    origin = (b"origin", b"https://app.example")
    socket, stream = websocket(b"topic=news", origin), http(b"topic=news", "GET", origin)
    await socket.until(lambda: socket.texts and stream.stream)
    assert dict(stream.sent[0]["headers"])[b"access-control-allow-origin"] == b"https://app.example"
    await socket.end("websocket.disconnect")
    await stream.end("http.disconnect")


async def test_a_fault_inside_a_consumer_leaves_no_connection(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = websocket()
    await server.until(lambda: server.texts)

    def fail(*_args: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(hub_module.Hub, "add", fail)
    server.give({"type": "websocket.receive", "text": '{"type":"subscribe","topics":["b"]}'})
    with pytest.raises(RuntimeError, match="a fault of ours"):
        await asyncio.wait_for(server.done, 5)
    assert runtime.hub.connections == {}
    assert await runtime.placement.count(["news"]) == {}
