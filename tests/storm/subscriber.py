"""A client that leaves and comes back with the id of the last event that it got."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Sequence
from urllib.parse import quote, urlencode

from tests.raw.http import Ended, HttpConnection, request
from tests.raw.sse import SseStream
from tests.raw.websocket import CLOSE, PING, PONG, TEXT, RawWebSocket, upgrade
from tests.storm.judge import Record
from tests.storm.plan import QUIET, Client, Visit, data_of

SILENCE_SECONDS = 40.0
"""More than two keep-alives: a connection without a word for so long is a fault."""
BACK_SECONDS = 0.2
"""After a connection that could not be had."""

_MAY_BE = {429, 503}


class _Refused(Exception):
    """The gateway does not take the connection now, and says so."""


class Subscriber:
    """One client, whatever it is connected to.

    Args:
        plan: what it does.
        nodes: the addresses of the gateway's nodes.
        clock: says for an event's id when it was answered, 0 while it was not.
    """

    def __init__(self, plan: Client, nodes: Sequence[str], clock: Callable[[str], float]) -> None:
        self.plan = plan
        self.record = Record(plan.name, frozenset(plan.topics))
        self.connections = 0
        self.refused = 0
        """Connections that could not be had."""
        self.caught_up = 0
        """Events that were answered while it was away."""
        self.last_id: str | None = None
        self._nodes = nodes
        self._clock = clock
        self._first_id: str | None = None
        self._opened = 0.0
        self._news = asyncio.Event()
        self._seen: set[str] = set()

    async def sees(self, event: str) -> None:
        """Wait until it has seen an event."""
        while event not in self._seen:
            self._news.clear()
            await self._news.wait()

    async def is_open(self) -> None:
        """Wait for its first connection."""
        while not self.connections:
            self._news.clear()
            await self._news.wait()

    async def go(self, storm: asyncio.Event) -> None:
        """Hold one connection until the storm begins, then come and go as planned; stays once *storm* is cleared."""
        while True:
            visit = self.plan.visit()
            try:
                await self._visit(visit, storm)
            except (Ended, OSError, TimeoutError, _Refused) as error:
                if isinstance(error, TimeoutError):
                    self.record.faults.append(f"no answer, or {SILENCE_SECONDS:g} s without a word")
                await asyncio.sleep(BACK_SECONDS)
            else:
                await asyncio.sleep(visit.away)

    async def _visit(self, visit: Visit, storm: asyncio.Event) -> None:
        url = self._nodes[visit.node % len(self._nodes)]
        try:
            connection = await HttpConnection.open(url)
        except OSError:
            self.refused += 1
            raise
        reading: asyncio.Task[None] | None = None
        try:
            reading = asyncio.create_task(self._read(connection))
            await self._stays(reading, visit, storm)
            if reading.done():
                await reading
            elif visit.leaving == "reset":
                connection.reset()
            elif self.plan.form.startswith("ws"):
                with contextlib.suppress(OSError):
                    await RawWebSocket(connection).send_frame(CLOSE, b"\x03\xe8")
        finally:
            if reading is not None:
                reading.cancel()
                await asyncio.wait([reading])
            connection.writer.close()

    async def _stays(self, reading: asyncio.Task[None], visit: Visit, storm: asyncio.Event) -> None:
        weather = asyncio.create_task(storm.wait())
        try:
            await asyncio.wait([reading, weather], return_when=asyncio.FIRST_COMPLETED)
        finally:
            weather.cancel()
        if reading.done():
            return
        await asyncio.wait([reading], timeout=visit.stays)
        if not storm.is_set():
            await asyncio.wait([reading])

    async def _read(self, connection: HttpConnection) -> None:
        if self.plan.form.startswith("ws"):
            await self._read_socket(connection)
        else:
            await self._read_stream(connection)

    async def _read_stream(self, connection: HttpConnection) -> None:
        names = ",".join(self.plan.topics)
        query, headers = {"topic": names}, []
        match self.plan.form:
            case "sse-query":
                query |= {"last_event_id": self.last_id} if self.last_id else {}
            case "sse-stale":
                query |= {"last_event_id": self._first_id} if self._first_id else {}
            case "sse-json":
                query |= {"format": "json"}
        if self.last_id and self.plan.form != "sse-query":
            headers.append(("last-event-id", self.last_id))
        await connection.send(request("GET", f"/sse?{urlencode(query, safe=',')}", headers))
        head = await connection.read_head(within=SILENCE_SECONDS)
        self._check(head.status, 200)
        stream = SseStream(connection, head)
        opened = await stream.next_block(within=SILENCE_SECONDS)
        if opened.event != "gateway.open" or opened.id is not None:
            self.record.faults.append(f"began with {opened.raw[:200]!r}")
        self._open()
        while True:
            block = await stream.next_block(within=SILENCE_SECONDS)
            if block.data is None:
                continue
            if block.event.startswith("gateway."):
                self._told(block.event.removeprefix("gateway."), block.data or "")
            elif self.plan.form == "sse-json":
                said = block.json()
                if said["id"] != block.id:
                    self.record.faults.append(f"id {block.id!r} carries {said}")
                self._take(said["id"], said["data"])
            else:
                self._take(block.id or "", block.data or "")

    async def _read_socket(self, connection: HttpConnection) -> None:
        by_command = self.plan.form == "ws-command"
        target = f"/ws?topic={quote(QUIET if by_command else ','.join(self.plan.topics), safe=',')}"
        if self.last_id and not by_command:
            target += f"&last_event_id={quote(self.last_id)}"
        await connection.send(upgrade(target))
        self._check((await connection.read_head(within=SILENCE_SECONDS)).status, 101)
        socket = RawWebSocket(connection)
        if by_command:
            command = {"type": "subscribe", "topics": self.plan.topics}
            await socket.send_json(command | ({"last_event_id": self.last_id} if self.last_id else {}))
        begins = "subscribed" if by_command else "open"
        while True:
            frame = await socket.read_frame(within=SILENCE_SECONDS)
            if frame.opcode == PING:
                await socket.send_frame(PONG, frame.payload)
            elif frame.opcode == CLOSE:
                raise Ended
            elif frame.opcode == TEXT:
                said = json.loads(frame.payload)
                if said["type"] == begins:
                    self._open()
                elif said["type"] == "event":
                    self._take(said["id"], said["data"])
                elif said["type"] == "error" and "placement store" in said["detail"]:
                    # Its command came while Redis was away.
                    raise _Refused
                elif said["type"] != "open":
                    self._told(said["type"], frame.payload.decode())

    def _check(self, status: int, wanted: int) -> None:
        if status in _MAY_BE:
            self.refused += 1
            raise _Refused
        if status != wanted:
            self.record.faults.append(f"answered {status} to {self.last_id!r}")
            raise _Refused

    def _open(self) -> None:
        self._opened = time.monotonic()
        self.connections += 1
        self._news.set()

    def _told(self, what: str, said: str) -> None:
        # The quiet topic keeps no history, so it may have a gap while Redis is away.
        if what != "close" and not (what == "gap" and json.loads(said)["topic"] == QUIET):
            self.record.faults.append(f"told of {what}: {said[:200]}")

    def _take(self, event: str, data: str) -> None:
        if data != data_of(event):
            self.record.faults.append(f"read {data[:80]!r} as the data of {event!r}")
        self.record.seen.append(event)
        self._seen.add(event)
        self.last_id = event
        self._first_id = self._first_id or event
        answered = self._clock(event)
        self.caught_up += 0 < answered < self._opened
        self._news.set()
