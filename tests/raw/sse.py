"""An event stream with its exact bytes (WHATWG HTML, 9.2 Server-sent events)."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tests.raw.http import DEADLINE, Body, Ended, Head, HttpConnection, request

_LINE_END = re.compile("\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Block:
    """The lines up to and with an empty line: an event, or comments alone."""

    raw: bytes
    fields: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read the lines of *raw*, its empty line included."""
        fields = []
        for line in _LINE_END.split(raw.decode("utf-8"))[:-2]:
            name, _, value = line.partition(":")
            fields.append((name, value.removeprefix(" ")))
        return cls(raw, tuple(fields))

    def _last(self, name: str) -> str | None:
        values = [value for known, value in self.fields if known == name]
        return values[-1] if values else None

    @property
    def id(self) -> str | None:
        return self._last("id")

    @property
    def event(self) -> str:
        return self._last("event") or "message"

    @property
    def retry(self) -> str | None:
        return self._last("retry")

    @property
    def data(self) -> str | None:
        """The data lines joined, or None when there is none (the block is no event then)."""
        lines = [value for name, value in self.fields if name == "data"]
        return "\n".join(lines) if lines else None

    def json(self) -> Any:
        """The data read as JSON."""
        return json.loads(self.data or "")


class SseStream:
    """The response to ``GET /sse``, read as it comes."""

    def __init__(self, connection: HttpConnection, head: Head) -> None:
        self.connection = connection
        self.head = head
        self.body = Body(connection, head)
        self.opened: dict[str, Any] = {}
        """The data of ``gateway.open``, once ``read_open`` has read it."""
        self._pending = bytearray()

    @classmethod
    async def open(
        cls,
        url: str,
        target: str,
        headers: Iterable[tuple[str, str | bytes]] = (),
        *,
        version: str = "1.1",
        receive_buffer: int | None = None,
    ) -> Self:
        """Send the request and read the response's head; fails when it is not an event stream."""
        connection = await HttpConnection.open(url, receive_buffer=receive_buffer)
        await connection.send(request("GET", target, headers, version=version))
        head = await connection.read_head()
        if head.status != 200 or not head.headers.get("content-type").startswith("text/event-stream"):
            await connection.close()
            raise AssertionError(f"not an event stream: {head}")
        return cls(connection, head)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def next_block(self, *, within: float = DEADLINE) -> Block:
        """The next block, comments not left out; raises Ended at the stream's end."""
        async with asyncio.timeout(within):
            start = 0
            while (end := self._pending.find(b"\n\n", start)) < 0:
                start = max(0, len(self._pending) - 1)
                piece = await self.body.read(within=within)
                if not piece:
                    raise Ended(bytes(self._pending))
                self._pending += piece
            raw = bytes(self._pending[: end + 2])
            del self._pending[: end + 2]
            return Block.parse(raw)

    async def next_event(self, *, within: float = DEADLINE) -> Block:
        """The next block that is an event."""
        async with asyncio.timeout(within):
            while True:
                block = await self.next_block(within=within)
                if block.data is not None:
                    return block

    async def events(self, count: int, *, within: float = DEADLINE) -> list[Block]:
        """The next *count* events, all within *within* seconds."""
        async with asyncio.timeout(within):
            return [await self.next_event(within=within) for _ in range(count)]

    async def read_open(self) -> dict[str, Any]:
        """Read the first block, which must be ``gateway.open``."""
        block = await self.next_block()
        assert block.event == "gateway.open", block
        self.opened = block.json()
        return self.opened

    async def close(self) -> None:
        """Close the connection."""
        await self.connection.close()
