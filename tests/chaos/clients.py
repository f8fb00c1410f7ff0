"""The publishers and subscribers of a run, which write down what they sent and saw for the judge."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import time
from collections.abc import Callable
from urllib.parse import quote, urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, WebSocketException

from tests.chaos.judge import Publication, Seen, Subscriber
from tests.raw.http import Ended, HttpConnection, request
from tests.raw.sse import SseStream

ANSWER_SECONDS = 12.0
"""How long a publisher waits: longer than any fault, so that it learns what became of its events."""

OPEN_SECONDS = 5.0
STREAM_SECONDS = 120.0
FILLER = "x" * 150


class NotOpened(Exception):
    """The gateway did not take a subscriber."""


def data_of(event: str) -> str:
    """What the event with this id says."""
    return f"{event} {FILLER}"


class Source:
    """One publisher, which sends an event, waits for its answer, and sends the next.

    Args:
        name: prefix of its events' ids.
        node: name of the node that it publishes to.
        url: of that node.
        key: API key.
        book: where its publications are written down.
    """

    def __init__(self, name: str, node: str, url: str, key: str, book: list[Publication]) -> None:
        self.name, self.node = name, node
        self._url, self._key, self._book = url, key, book
        self._numbers = itertools.count(1)
        self._connection: HttpConnection | None = None

    async def publish(self, topics: tuple[str, ...]) -> Publication:
        """Publish one event."""
        event = f"{self.name}-{next(self._numbers)}"
        fields = [
            ("host", urlsplit(self._url).netloc),
            ("authorization", f"Bearer {self._key}"),
            ("x-sse-topic", ",".join(topics)),
            ("x-sse-id", event),
        ]
        publication = Publication(event, topics, self.node, time.monotonic())
        self._book.append(publication)
        try:
            if self._connection is None:
                self._connection = await HttpConnection.open(self._url)
                publication.sent = time.monotonic()
            data = request("POST", "/publish", fields, data_of(event).encode())
            answer = await self._connection.exchange(data, "POST", within=ANSWER_SECONDS)
        except (Ended, OSError, TimeoutError):
            await self.close()
            return publication
        except BaseException:
            await self.close()
            raise
        publication.answered, publication.status = time.monotonic(), answer.status
        if answer.closes:
            await self.close()
        return publication

    async def run(
        self, choose: Callable[[random.Random], tuple[str, ...]], dice: random.Random, pause: float, stop: asyncio.Event
    ) -> None:
        """Publish to what *choose* says, about every *pause* seconds, until *stop*."""
        while not stop.is_set():
            due = time.monotonic() + pause * dice.uniform(0.5, 1.5)
            publication = await self.publish(choose(dice))
            if publication.status is None:
                due = max(due, time.monotonic() + 0.05)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        await self.close()

    async def close(self) -> None:
        """Drop its connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                await connection.close()


class Watcher:
    """A client that subscribes and reads until it is closed or lost.

    Args:
        name: for the findings.
        node: name of the node that it connects to.
        url: of that node.
        form: ``sse``, ``json`` (SSE with JSON data) or ``ws``.
    """

    def __init__(self, name: str, node: str, url: str, form: str) -> None:
        self.record = Subscriber(name, node)
        self._url, self._form = url, form
        self._stream: SseStream | None = None
        self._socket: ClientConnection | None = None
        self._reading: asyncio.Task[None] | None = None
        self._events: set[str] = set()
        self._news = asyncio.Event()
        self.faults: list[str] = []
        """What it read that no gateway should write."""

    async def open(self, topics: tuple[str, ...]) -> None:
        """Subscribe; raises NotOpened."""
        names = quote(",".join(topics), safe=",")
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                if self._form == "ws":
                    await self._open_socket(f"/ws?topic={names}")
                else:
                    form = "&format=json" if self._form == "json" else ""
                    self._stream = await SseStream.open(self._url, f"/sse?topic={names}{form}")
                    await self._stream.read_open()
        except (Ended, OSError, TimeoutError, AssertionError, WebSocketException) as error:
            await self._hang_up()
            raise NotOpened(repr(error)) from error
        now = time.monotonic()
        self.record.held = dict.fromkeys(topics, (now, float("inf")))
        self._reading = asyncio.create_task(self._read())

    async def _open_socket(self, target: str) -> None:
        url = self._url.replace("http://", "ws://", 1) + target
        try:
            self._socket = await connect(url, proxy=None, ping_interval=None, compression=None, close_timeout=1)
        except InvalidHandshake as error:
            raise NotOpened(repr(error)) from error
        opened = json.loads(await self._socket.recv())
        assert opened["type"] == "open", opened

    async def subscribe(self, topic: str) -> None:
        """Add a topic to a WebSocket; it counts as held from the gateway's answer on."""
        assert self._socket is not None
        self.record.asked.add(topic)
        with contextlib.suppress(WebSocketException, OSError):
            await self._socket.send(json.dumps({"type": "subscribe", "topics": [topic]}))

    async def sees(self, event: str, within: float) -> bool:
        """Wait until it has seen *event*; False when it has not in time, or when its connection ended."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while event not in self._events and self.record.ended is None:
                    self._news.clear()
                    await self._news.wait()
        return event in self._events

    async def close(self) -> None:
        """Leave."""
        self.record.leave(time.monotonic())
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
            if not self._reading.cancelled() and (error := self._reading.exception()) is not None:
                self.faults.append(repr(error))
        await self._hang_up()

    async def _hang_up(self) -> None:
        with contextlib.suppress(OSError, WebSocketException, TimeoutError):
            if self._stream is not None:
                await self._stream.close()
            if self._socket is not None:
                self._socket.transport.abort()

    async def _read(self) -> None:
        try:
            if self._socket is not None:
                async for message in self._socket:
                    self._take_message(json.loads(message))
            while self._stream is not None:
                block = await self._stream.next_event(within=STREAM_SECONDS)
                if block.event == "gateway.gap":
                    self._take_gap(block.json())
                elif block.event == "gateway.close":
                    break
                elif self._form == "json":
                    said = block.json()
                    self._take_event(said["id"], said["data"])
                else:
                    self._take_event(block.id or "", block.data or "")
        except (Ended, OSError, WebSocketException, TimeoutError):
            pass
        finally:
            if self.record.ended is None and (task := asyncio.current_task()) is not None and not task.cancelling():
                self.record.ended = time.monotonic()
                self.record.leave(self.record.ended)
            self._news.set()

    def _take_message(self, message: dict[str, object]) -> None:
        match message["type"]:
            case "event":
                self._take_event(str(message["id"]), str(message["data"]))
            case "gap":
                self._take_gap(message)
            case "subscribed":
                topics = message["topics"]
                assert isinstance(topics, list)
                for topic in topics:
                    self.record.held.setdefault(topic, (time.monotonic(), float("inf")))
            case "close":
                pass
            case "error" if "placement store" in str(message["detail"]):
                # It asked for a topic while Redis was away, and holds what it held.
                pass
            case _:
                self.faults.append(f"{self.record.name} read {message}")

    def _take_event(self, event: str, data: str) -> None:
        if data != data_of(event):
            self.faults.append(f"{self.record.name} read {data[:80]!r} as the data of {event}")
        self.record.seen.append(Seen(time.monotonic(), event))
        self._events.add(event)
        self._news.set()

    def _take_gap(self, said: dict[str, object]) -> None:
        missed = said["missed"]
        gap = Seen(time.monotonic(), None, str(said["topic"]), missed if isinstance(missed, int) else None)
        self.record.seen.append(gap)
        self._news.set()
