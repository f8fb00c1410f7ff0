"""A subscriber that reads nothing until it is told to."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.conformance.subject import Gateway
from tests.raw.http import LARGEST_HEAD, Ended, HttpConnection
from tests.raw.sse import SseStream
from tests.raw.websocket import CLOSE, TEXT, RawWebSocket, upgrade


@dataclass(frozen=True, slots=True)
class Told:
    """What a subscriber is told: an event's ``id``, or a gap's ``missed`` with its ``reason``."""

    kind: str
    id: str = ""
    missed: int = 0
    reason: str = ""


class StuckSubscriber:
    """A connection on which the request was sent and nothing is read."""

    def __init__(self, sock: socket.socket, transport: str) -> None:
        self._socket = sock
        self._transport = transport
        self._connection: HttpConnection | None = None

    @classmethod
    async def open(cls, gateway: Gateway, topic: str, transport: str, *, receive_buffer: int | None = None) -> Self:
        """Send the request over *transport*, ``sse`` or ``websocket``.

        *receive_buffer* is the kernel's buffer in bytes; by default it grows to some MiB, as for any client.
        """
        parts = urlsplit(gateway.url)
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, (parts.hostname, parts.port))
        request = (
            upgrade(f"/ws?topic={topic}") if transport == "websocket" else gateway.request("GET", f"/sse?topic={topic}")
        )
        await loop.sock_sendall(sock, request)
        return cls(sock, transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is None:
            self._socket.close()
        else:
            await self._connection.close()

    async def read_to_end(self, *, within: float = 30) -> tuple[list[Told], Ended | None]:
        """Read everything: what it is told, and how it broke off, None when it ended in an orderly way."""
        told = []
        try:
            async for each in self.read(within=within):
                told.append(each)  # noqa: PERF401 - a comprehension would lose all when the connection breaks off
        except Ended as ended:
            return told, ended
        return told, None

    async def read(self, *, within: float = 30) -> AsyncIterator[Told]:
        """Begin to read: everything that it is told, from its open event to its end; raises Ended on a reset."""
        self._connection = connection = HttpConnection(
            *await asyncio.open_connection(sock=self._socket, limit=LARGEST_HEAD)
        )
        head = await connection.read_head()
        if self._transport == "websocket":
            assert head.status == 101, head
            told = _read_websocket(RawWebSocket(connection), within)
        else:
            assert head.status == 200, head
            told = _read_sse(SseStream(connection, head), within)
        async for each in told:
            yield each


async def _read_sse(stream: SseStream, within: float) -> AsyncIterator[Told]:
    while True:
        try:
            block = await stream.next_event(within=within)
        except Ended:
            if not stream.body.complete:
                raise
            return
        if block.event.startswith("gateway."):
            yield _told(block.event.removeprefix("gateway."), block.json())
        else:
            yield Told("event", id=block.id or "")


async def _read_websocket(ws: RawWebSocket, within: float) -> AsyncIterator[Told]:
    while (frame := await ws.read_frame(within=within)).opcode != CLOSE:
        if frame.opcode == TEXT:
            message = json.loads(frame.payload)
            yield _told(message["type"], message)


def _told(kind: str, message: dict[str, Any]) -> Told:
    return Told(kind, message.get("id", ""), message.get("missed", 0), message.get("reason") or "")
