"""Checks that are mostly waiting, run beside the rest of the suite in a thread of their own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from threading import Thread
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from tests.conformance.subject import HEARTBEAT_SECONDS, eventually, unique
from tests.raw.http import Ended, HttpConnection
from tests.raw.sse import Block, SseStream
from tests.raw.websocket import CLOSE, PING, PONG, Frame, RawWebSocket

MARGIN_SECONDS = 5.0
"""How late a timer may be on a busy machine."""


class Patience:
    """A thread with an event loop, and the results that it will have."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._key = key
        parts = urlsplit(url)
        self._prefix, self._host = parts.path.rstrip("/"), parts.netloc
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="patience", daemon=True)
        self._results: dict[str, Future[Any]] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._cancel_all(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _cancel_all(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def begin(self) -> None:
        """Start every check."""
        checks: tuple[Callable[[], Coroutine[Any, Any, Any]], ...] = (
            self.silent_stream,
            self.answering_websocket,
            self.mute_websocket,
            self.slow_headers,
            self.vanished_streams,
            self.vanished_websockets,
        )
        for check in checks:
            self._results[check.__name__] = asyncio.run_coroutine_threadsafe(check(), self._loop)

    async def result(self, check: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """What *check* has found, as soon as it has."""
        return await asyncio.wrap_future(self._results[check.__name__])

    async def silent_stream(self) -> tuple[float, Block]:
        """The first block on a stream after its open event, and after how many seconds it came."""
        target = f"{self._prefix}/sse?topic={unique('silent')}"
        async with await SseStream.open(self._url, target, [("host", self._host)]) as stream:
            await stream.read_open()
            start = time.monotonic()
            block = await stream.next_block(within=HEARTBEAT_SECONDS + MARGIN_SECONDS)
            return time.monotonic() - start, block

    async def answering_websocket(self) -> tuple[list[Frame], bool]:
        """The frames of two heartbeats on a WebSocket that answers its pings, and whether it then still lives."""
        async with await self._websocket(unique("answering")) as socket:
            frames = []
            for _ in range(2):
                frames.append(await socket.read_frame(within=HEARTBEAT_SECONDS + MARGIN_SECONDS))
                await socket.send_frame(PONG, frames[-1].payload)
            await socket.send_json({"type": "ping"})
            return frames, await socket.read_json() == {"type": "pong"}

    async def mute_websocket(self) -> float:
        """After how many seconds a WebSocket that answers no ping is ended."""
        async with await self._websocket(unique("mute")) as socket:
            start = time.monotonic()
            try:
                async with asyncio.timeout(3 * HEARTBEAT_SECONDS):
                    while True:
                        frame = await socket.read_frame(within=3 * HEARTBEAT_SECONDS)
                        assert frame.opcode in {PING, CLOSE}, frame
                        if frame.opcode == CLOSE:
                            break
            except Ended:
                pass
            return time.monotonic() - start

    async def vanished_streams(self) -> list[float]:
        """After how many seconds streams leave the lists whose clients went silent, and then without a goodbye."""
        return [await self._leaves_the_lists("sse", reset=reset) for reset in (False, True)]

    async def vanished_websockets(self) -> list[float]:
        """The same of WebSockets, which sent no close frame."""
        return [await self._leaves_the_lists("ws", reset=reset) for reset in (False, True)]

    async def _leaves_the_lists(self, way: str, *, reset: bool) -> float:
        topic = unique("vanished")
        async with httpx.AsyncClient(
            base_url=self._url, headers={"authorization": f"Bearer {self._key}"}, trust_env=False
        ) as http:

            async def listed() -> bool:
                # No publish: a write would find out.
                answer = await http.get("/api/v1/connections", params={"topic": topic})
                return bool(answer.raise_for_status().json()["items"])

            async def unlisted() -> bool:
                return not await listed()

            if way == "sse":
                target = f"{self._prefix}/sse?topic={topic}"
                stream = await SseStream.open(self._url, target, [("host", self._host)])
                await stream.read_open()
                connection = stream.connection
            else:
                connection = (await self._websocket(topic)).connection
            assert await listed()
            if reset:
                connection.reset()
            await connection.close()
            return await eventually(unlisted, within=2 * HEARTBEAT_SECONDS + MARGIN_SECONDS, pause=0.5)

    async def _websocket(self, topic: str) -> RawWebSocket:
        target = f"{self._prefix}/ws?topic={topic}"
        socket = await RawWebSocket.open(self._url, target, [("host", self._host)])
        assert (await socket.read_json())["type"] == "open"
        return socket

    async def slow_headers(self) -> tuple[float, bytes]:
        """A client that sends a byte of its headers a second: when it was cut off, and what it was told."""
        async with await HttpConnection.open(self._url) as connection:
            start = time.monotonic()
            reading = asyncio.ensure_future(connection.read_to_end(within=45))
            await connection.send(f"GET {self._prefix}/health HTTP/1.1\r\nhost: {self._host}\r\nx-slow: ".encode())
            while not reading.done():
                await connection.send(b"a")
                await asyncio.wait([reading], timeout=1)
            return time.monotonic() - start, await reading
