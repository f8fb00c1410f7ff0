"""The gateway under test, as its clients see it."""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from websockets.asyncio.client import ClientConnection, connect

from tests.raw.http import DEADLINE, HttpConnection, Response, request
from tests.raw.sse import SseStream

MAX_TOPICS = 100
MAX_EVENT_BYTES = 1 << 20
MAX_COMMAND_BYTES = 65_536
HEARTBEAT_SECONDS = 15
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
"""RFC 3339 in UTC."""
VISIBLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != ",")
"""Every character that a topic or an id may hold."""

Fields = Iterable[tuple[str, str | bytes]]


class JsonSocket:
    """A WebSocket that speaks the gateway's JSON messages."""

    def __init__(self, connection: ClientConnection, opened: dict[str, Any]) -> None:
        self.connection = connection
        self.opened = opened

    async def receive(self, *, within: float = DEADLINE) -> Any:
        """The next message, which must be text, read as JSON."""
        async with asyncio.timeout(within):
            return json.loads(await self.connection.recv(decode=True))

    async def events(self, count: int, *, within: float = DEADLINE) -> list[Any]:
        """The next *count* messages."""
        async with asyncio.timeout(within):
            return [await self.receive(within=within) for _ in range(count)]

    async def ask(self, command: Any) -> Any:
        """Send a command and read its answer."""
        await self.connection.send(command if isinstance(command, str | bytes) else json.dumps(command))
        return await self.receive()


class Gateway:
    """A running gateway by its URL; ``http`` is a client with the API key."""

    def __init__(self, url: str, key: str, http: httpx.AsyncClient) -> None:
        self.url = url.rstrip("/")
        self.key = key
        self.http = http
        self.prefix = urlsplit(self.url).path
        self.host = urlsplit(self.url).netloc

    # Requests as bytes

    def request(
        self,
        method: str,
        path: str,
        headers: Fields = (),
        body: bytes | None = None,
        *,
        version: str = "1.1",
    ) -> bytes:
        """The bytes of a request for *path*, with the right ``host``."""
        return request(method, self.prefix + path, [("host", self.host), *headers], body, version=version)

    def publish_request(
        self, topic: str, headers: Fields = (), body: bytes | None = None, *, key: str | None = None, id: str = "1"
    ) -> bytes:
        """The bytes of ``POST /publish`` with the headers that it must have."""
        required = [("authorization", f"Bearer {key or self.key}"), ("x-sse-topic", topic), ("x-sse-id", id)]
        return self.request("POST", "/publish", [*required, *headers], body)

    async def connect(self) -> HttpConnection:
        """A bare connection."""
        return await HttpConnection.open(self.url)

    async def exchange(
        self, method: str, path: str, headers: Fields = (), body: bytes | None = None, *, version: str = "1.1"
    ) -> Response:
        """One request on a connection of its own."""
        async with await self.connect() as connection:
            return await connection.exchange(self.request(method, path, headers, body, version=version), method)

    # Subscribing

    @asynccontextmanager
    async def sse(
        self,
        *topics: str,
        query: str = "",
        headers: Fields = (),
        version: str = "1.1",
        receive_buffer: int | None = None,
    ) -> AsyncIterator[SseStream]:
        """Subscribe by header, and read ``gateway.open``."""
        fields: list[tuple[str, str | bytes]] = [("host", self.host), *headers]
        if topics:
            fields.append(("x-sse-topic", ",".join(topics)))
        target = f"{self.prefix}/sse{'?' if query else ''}{query}"
        stream = await SseStream.open(self.url, target, fields, version=version, receive_buffer=receive_buffer)
        async with stream:
            await stream.read_open()
            yield stream

    @asynccontextmanager
    async def websocket(
        self, *topics: str, query: str = "", headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[JsonSocket]:
        """Subscribe by header, and read the ``open`` message."""
        fields = dict(headers or {})
        if topics:
            fields["x-sse-topic"] = ",".join(topics)
        url = f"ws{self.url.removeprefix('http')}/ws{'?' if query else ''}{query}"
        # Without a limit of what waits to be read: past it this client reads no more, not even the answer to its own
        # close frame, which it then waits ten seconds for.
        async with connect(url, additional_headers=fields, proxy=None, max_size=None, max_queue=None) as connection:
            async with asyncio.timeout(DEADLINE):
                opened = json.loads(await connection.recv())
            assert opened["type"] == "open", opened
            yield JsonSocket(connection, opened)

    # Publishing

    async def publish(
        self,
        topic: str | Iterable[str],
        data: str | bytes = "data",
        *,
        id: str = "1",
        event: str | None = None,
        retry: int | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """``POST /publish``."""
        fields = {"x-sse-topic": topic if isinstance(topic, str) else ",".join(topic), "x-sse-id": id}
        if event is not None:
            fields["x-sse-event"] = event
        if retry is not None:
            fields["x-sse-retry"] = str(retry)
        content = data.encode() if isinstance(data, str) else data
        return await self.http.post("/publish", headers=fields | dict(headers or {}), content=content)

    async def delivered(self, topic: str | Iterable[str], data: str | bytes = "data", **more: Any) -> dict[str, Any]:
        """Publish, and insist on 200."""
        response = await self.publish(topic, data, **more)
        assert response.status_code == 200, (response.status_code, response.text)
        answer: dict[str, Any] = response.json()
        return answer

    async def exists(self, topic: str) -> bool:
        """Whether *topic* exists: a publish to one that does not is a 204."""
        response = await self.publish(topic, id="probe")
        assert response.status_code in {200, 204}, response.text
        return response.status_code == 200

    # Administration

    async def get(self, path: str, **params: Any) -> Any:
        """``GET /api/v1/…`` with the key, read as JSON."""
        response = await self.http.get(f"/api/v1{path}", params=params)
        assert response.status_code == 200, (response.status_code, response.text)
        return response.json()

    async def pages(self, path: str, **params: Any) -> AsyncIterator[list[dict[str, Any]]]:
        """Every page of a list, following ``next``."""
        cursor = None
        while True:
            page = await self.get(path, **params, **({"cursor": cursor} if cursor else {}))
            assert page.keys() == {"items", "next", "total"}
            yield page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    @asynccontextmanager
    async def tail(self, topic: str, *, last: int | None = None) -> AsyncIterator[SseStream]:
        """Tail *topic*, beginning with its *last* kept events, and read ``gateway.open``."""
        fields = [("host", self.host), ("authorization", f"Bearer {self.key}")]
        target = f"{self.prefix}/api/v1/tail?topic={quote(topic, safe='')}{f'&last={last}' if last else ''}"
        async with await SseStream.open(self.url, target, fields) as stream:
            await stream.read_open()
            yield stream


async def eventually(
    condition: Callable[[], Awaitable[bool]], *, within: float = DEADLINE, pause: float = 0.02
) -> float:
    """Ask *condition* again and again until it is true; returns how many seconds that took."""
    start = time.monotonic()
    async with asyncio.timeout(within):
        while not await condition():
            await asyncio.sleep(pause)
    return time.monotonic() - start


def unique(name: str = "topic") -> str:
    """A topic that no other test, run or user has."""
    return f"conformance/{name}/{uuid.uuid4().hex}"


def assert_problem(response: httpx.Response | Response, status: int, *words: str) -> dict[str, Any]:
    """The answer must be a problem (RFC 9457) with *status*, whose detail holds *words*."""
    answered = response.status_code if isinstance(response, httpx.Response) else response.status
    body = response.content if isinstance(response, httpx.Response) else response.body
    assert answered == status, (answered, body[:500])
    kind = dict(response.headers.items() if isinstance(response, httpx.Response) else response.headers)["content-type"]
    assert kind.split(";")[0] == "application/problem+json", (kind, body[:500])
    problem: dict[str, Any] = json.loads(body)
    assert problem["status"] == status, problem
    for member in ("type", "title", "detail"):
        assert isinstance(problem[member], str), problem
        assert problem[member], problem
    for word in words:
        assert word.lower() in problem["detail"].lower(), f"{word!r} is not in the detail: {problem}"
    return problem
