"""A connection whose client is played by the test: what it reads, and when, is the test's to say."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
from httpx_sse import EventSource, ServerSentEvent
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from topics import conf
from topics.conf import GatewaySettings
from topics.connection import Connection
from topics.encoding import Format
from topics.outbox import OutboxLimits
from topics.placement.base import Transport
from topics.writer import Framing

WIDE = OutboxLimits(events=100_000, bytes=1 << 30, policy="disconnect")
"""Limits that no test reaches by accident."""


def settings(**variables: object) -> GatewaySettings:
    """Return settings from `GATEWAY_*` variables without their prefix."""
    environ = {"GATEWAY_API_KEYS": "unit-key", **{f"GATEWAY_{name}": str(value) for name, value in variables.items()}}
    loaded, problems = conf.load(environ)
    assert not problems, problems
    return loaded


class ScriptedWriter:
    """A `Writer` in memory that holds its caller to the protocol.

    `take` is what the client's socket has room for, in bytes; None is any amount. What a write has over is held until
    `drain`, as a server holds it.
    """

    def __init__(self, framing: Framing = Framing.IDENTITY, *, take: int | None = None) -> None:
        self.framing = framing
        self.on_drain: Callable[[], None] | None = None
        self.take = take
        self.writes: list[bytes] = []
        self.received = bytearray()
        self.closed_with: list[int | None] = []
        self.aborted = False
        self.misused: list[str] = []
        self._held = b""

    @property
    def pending_bytes(self) -> int:
        return len(self._held)

    @property
    def direct(self) -> Callable[[bytes], int] | None:
        # As a server's writer: not before the first write, not while anything is held, not after the end.
        shut = self.framing is Framing.MESSAGE or not self.writes or self._held or self.closed_with or self.aborted
        return None if shut else self._send

    def _send(self, data: bytes) -> int:
        if self.take == 0:
            raise BlockingIOError
        rest = self._give(data)
        if not rest:
            self.writes.append(data)
        return len(data) - len(rest)

    def write(self, data: bytes) -> bool:
        if self.aborted:
            return False
        if self.closed_with:
            self.misused.append("write after close")
            return False
        if self._held:
            self.misused.append("write before on_drain")
            return False
        self.writes.append(data)
        self._held = self._give(data)
        return not self._held

    def close(self, code: int | None = None) -> None:
        if self.closed_with:
            self.misused.append("close twice")
        self.closed_with.append(code)

    def abort(self) -> None:
        self._held = b""
        self.aborted = True

    def block(self) -> None:
        """The client stops reading."""
        self.take = 0

    def drain(self, take: int | None = None) -> None:
        """The client reads again, `take` bytes for now."""
        self.take = take
        if not self._held or self.aborted:
            return
        self._held = self._give(self._held)
        if not self._held and self.on_drain is not None:
            self.on_drain()

    def _give(self, data: bytes) -> bytes:
        given = len(data) if self.take is None else min(self.take, len(data))
        self.received += data[:given]
        if self.take is not None:
            self.take -= given
        return data[given:]


class Client:
    """A connection, the writer that plays its client, and what the hub was told of it."""

    def __init__(
        self,
        topics: Iterable[str] = (),
        *,
        transport: Transport = "sse",
        form: Format | None = None,
        framing: Framing | None = None,
        limits: OutboxLimits = WIDE,
        client: str = "192.0.2.1",
        writer: ScriptedWriter | None = None,
    ) -> None:
        self.transport = transport
        self.writer = writer or ScriptedWriter(
            framing or (Framing.IDENTITY if transport == "sse" else Framing.WEBSOCKET)
        )
        self.gaps: list[int] = []
        self.slow = 0
        self.connection = Connection(
            self.writer,
            form or (Format.SSE if transport == "sse" else Format.WEBSOCKET_JSON),
            topics=topics,
            limits=limits,
            client=client,
            user_agent="unit test",
            on_gap=self.gaps.append,
            on_slow=self._was_slow,
        )

    def _was_slow(self, connection: Connection) -> None:
        assert connection is self.connection
        self.slow += 1

    def open(self) -> "Client":
        """Send the first bytes: a comment, which no parser shows, or an empty message."""
        self.connection.open(b": open\n\n" if self.transport == "sse" else b"{}")
        return self

    def seen(self) -> list["Seen"]:
        """Return what has reached the client, as independent parsers read it."""
        assert not self.writer.misused, self.writer.misused
        if self.transport == "sse":
            data = bytes(self.writer.received)
            assert not data or data.endswith(b"\n\n"), "a block is cut off"
            return [Seen.of_sse(event) for event in parse_sse(data)]
        return [seen for text in parse_texts(bytes(self.writer.received)) if (seen := Seen.of_text(text)) is not None]


@dataclass(frozen=True)
class Seen:
    """One event or message of the gateway's as a client sees it: `id` None for those of the gateway."""

    type: str
    id: str | None
    data: str

    @classmethod
    def of_sse(cls, event: ServerSentEvent) -> "Seen":
        """Read an event of a stream; the gateway's carry no id of their own."""
        own = event.event.startswith("gateway.")
        return cls(event.event, None if own else event.id, event.data)

    @classmethod
    def of_text(cls, text: str) -> "Seen | None":
        """Read a WebSocket message; None for the one that `Client.open` sends."""
        message = json.loads(text)
        if not message:
            return None
        if message["type"] == "event":
            return cls(message["event"], message["id"], message["data"])
        return cls(f"gateway.{message['type']}", None, text)

    @property
    def payload(self) -> dict[str, Any]:
        """The JSON data of one of the gateway's own."""
        payload: dict[str, Any] = json.loads(self.data)
        return payload


def parse_sse(stream: bytes) -> list[ServerSentEvent]:
    """Read a whole stream with httpx-sse's decoder."""
    headers = {"content-type": "text/event-stream; charset=utf-8"}
    return list(EventSource(httpx.Response(200, headers=headers, content=stream)).iter_sse())


def parse_texts(stream: bytes) -> Iterator[str]:
    """Read WebSocket frames with the websockets package; every one must be a whole, unmasked text message."""
    protocol = ClientProtocol(parse_uri("ws://gateway/ws"), state=OPEN, max_size=None)
    protocol.receive_data(stream)
    frames = protocol.events_received()
    assert protocol.parser_exc is None, protocol.parser_exc
    for frame in frames:
        assert isinstance(frame, Frame)
        assert frame.opcode is Opcode.TEXT
        assert frame.fin
        yield bytes(frame.data).decode()
