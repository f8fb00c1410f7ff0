"""Subscribers and publishers for the dashboard to show: real connections to a real gateway."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

import httpx
import websockets

from tests.gateway import RunningGateway
from tests.worker import RunningWorker

Node = RunningGateway | RunningWorker
SECONDS = 20.0
BATCH = 1000
"""Events of one batch, as the API takes them."""


class SseSubscriber:
    """One SSE connection over a plain socket, cheap enough for thousands."""

    def __init__(
        self, topics: tuple[str, ...], reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, slow: bool
    ) -> None:
        self.topics = topics
        self.id = ""
        """The connection's id, as `gateway.open` told it."""
        self.received = b""
        self.closed = asyncio.Event()
        """Set once the gateway has ended the connection."""
        self._reader = reader
        self._writer = writer
        self._slow = slow
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Read the first event, and then on, unless slow."""
        block = await asyncio.wait_for(self._reader.readuntil(b"\n\n"), SECONDS)
        opened = next(line for line in block.splitlines() if line.startswith(b"data: "))
        self.id = str(json.loads(opened.removeprefix(b"data: "))["connection"])
        if not self._slow:
            self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            while chunk := await self._reader.read(65536):
                self.received = (self.received + chunk)[-65536:]
        except ConnectionError:
            pass
        self.closed.set()

    async def end(self) -> None:
        """Leave."""
        if self._task is not None:
            self._task.cancel()
        self._writer.transport.abort()


async def _drain(client: websockets.ClientConnection) -> None:
    with contextlib.suppress(websockets.ConnectionClosed):
        async for _ in client:
            pass


class Traffic:
    """What flows through one gateway. Everything opened ends with it.

    Connections go to the nodes in turn, unless a node is named; publishes go to the last one.

    Args:
        nodes: The gateway's nodes, started.
    """

    def __init__(self, *nodes: Node) -> None:
        self.nodes = nodes
        self.http = self._client(nodes[-1])
        self._turns = itertools.cycle(nodes)
        self.subscribers: list[SseSubscriber] = []
        self._sockets: list[websockets.ClientConnection] = []
        self._readers: list[asyncio.Task[None]] = []

    @staticmethod
    def _client(node: Node) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=node.url, headers={"authorization": f"Bearer {node.key}"}, timeout=SECONDS, trust_env=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for subscriber in self.subscribers:
            await subscriber.end()
        for client in self._sockets:
            client.transport.abort()
        await asyncio.gather(*self._readers)
        await self.http.aclose()

    async def subscribe(
        self,
        *topics: str,
        user_agent: str = "test/1",
        slow: bool = False,
        at: Node | None = None,
    ) -> SseSubscriber:
        """Open an SSE connection; returns when the gateway has opened it. A slow one reads nothing more."""
        address = urlsplit((at or next(self._turns)).url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=4096)
        if slow:
            # Else the kernel would take megabytes in the reader's place.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        path = f"/sse?topic={quote(','.join(topics), safe='')}"
        # The end of the stream is the end of the connection: workerd would keep it for another request.
        more = f"connection: close\r\nuser-agent: {user_agent}"
        head = f"GET {path} HTTP/1.1\r\nhost: {address.netloc}\r\n{more}\r\n\r\n"
        writer.write(head.encode("latin-1"))
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SECONDS)
        assert answer.startswith(b"HTTP/1.1 200"), answer
        subscriber = SseSubscriber(topics, reader, writer, slow=slow)
        self.subscribers.append(subscriber)
        await subscriber.begin()
        return subscriber

    async def leave(self, subscriber: SseSubscriber) -> None:
        """End one subscriber, and wait until its connection is gone from the gateway."""
        before = (await self.http.get("/api/v1/stats")).json()["connections"]
        self.subscribers.remove(subscriber)
        await subscriber.end()
        async with asyncio.timeout(SECONDS):
            while (await self.http.get("/api/v1/stats")).json()["connections"] >= before:
                await asyncio.sleep(0.02)

    async def subscribe_many(self, topic_lists: Iterable[Sequence[str]]) -> None:
        """Open an SSE connection for each list of topics, some at a time."""
        for_all = list(topic_lists)
        for start in range(0, len(for_all), 50):
            await asyncio.gather(*(self.subscribe(*topics) for topics in for_all[start : start + 50]))

    async def connect(
        self, *topics: str, user_agent: str = "test/1", at: Node | None = None
    ) -> websockets.ClientConnection:
        """Open a WebSocket connection."""
        url = f"{(at or next(self._turns)).url.replace('http', 'ws', 1)}/ws?topic={quote(','.join(topics), safe='')}"
        client = await websockets.connect(url, user_agent_header=user_agent, proxy=None)
        self._sockets.append(client)
        await asyncio.wait_for(client.recv(), SECONDS)
        self._readers.append(asyncio.create_task(_drain(client)))
        return client

    async def publish(
        self,
        *topics: str,
        id: str,
        data: str = "",
        event: str | None = None,
        at: Node | None = None,
    ) -> bool:
        """Publish one event; returns whether it was delivered to anybody."""
        body: dict[str, Any] = {"topics": list(topics), "id": id, "data": data}
        if event is not None:
            body["event"] = event
        async with contextlib.AsyncExitStack() as stack:
            http = self.http if at is None else await stack.enter_async_context(self._client(at))
            answer = await http.post("/api/v1/publish", json=body)
        assert answer.status_code in {200, 204}, answer.text
        return answer.status_code == 200

    async def publish_many(self, topic: str, ids: Iterable[str], data: str = "{}") -> None:
        """Publish events in batches."""
        events = [{"topics": [topic], "id": id, "data": data} for id in ids]
        for start in range(0, len(events), BATCH):
            answer = await self.http.post("/api/v1/publish/batch", json={"events": events[start : start + BATCH]})
            assert answer.status_code == 200, answer.text
