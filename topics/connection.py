"""One connection: a client's SSE response or WebSocket, or an administrator's tail."""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

from topics.encoding import JOINABLE, WEBSOCKET_FORMATS, Batch, Encoding, Format, frame
from topics.outbox import Outbox, OutboxLimits
from topics.placement.base import ConnectionRecord, Transport
from topics.wire import sse, websocket
from topics.writer import Writer

CLOSE_SECONDS = 2.0
"""How long a client gets to take its last bytes before the connection is reset."""

MAX_USER_AGENT = 256
"""Characters of a client's `user-agent` that are kept."""


class Interceptor(Protocol):
    """What stands between the hub and a connection for a while."""

    def take(self, batch: Batch) -> Batch | None:
        """Take what it keeps back of a batch; returns the rest, None when there is none."""

    def stop(self) -> None:
        """End: the connection has ended, or is about to."""


class Connection:
    """What the hub writes to.

    Args:
        writer: The way out.
        form: What this client sees of an event.
        topics: What it asks for at first.
        limits: Of its outbox.
        client: The client's address, empty when unknown.
        user_agent: What it says it is.
        on_gap: Called with the number of events that its slow-reader policy dropped.
        on_slow: Called when it is closed for its slowness.
    """

    __slots__ = (
        "_closing",
        "_joinable",
        "_on_gap",
        "_on_slow",
        "_outbox",
        "_quiet_ticks",
        "_sent_at_tick",
        "client",
        "encoding",
        "id",
        "interceptor",
        "sent",
        "since",
        "topics",
        "transport",
        "user_agent",
        "writer",
    )

    def __init__(
        self,
        writer: Writer,
        form: Format,
        *,
        topics: Iterable[str],
        limits: OutboxLimits,
        client: str,
        user_agent: str,
        on_gap: Callable[[int], None],
        on_slow: Callable[["Connection"], None],
    ) -> None:
        self.id = secrets.token_urlsafe(16)
        self.topics: dict[str, None] = dict.fromkeys(topics)
        self.transport: Transport = "websocket" if form in WEBSOCKET_FORMATS else "sse"
        self.client = client
        self.user_agent = user_agent[:MAX_USER_AGENT]
        self.since = time.time()
        self.sent = 0
        """Events taken for it, less those dropped; some of them may still wait."""
        self.writer = writer
        self.encoding = Encoding.of(form, writer.framing)
        """Which bytes of an event are its."""
        self._joinable = writer.framing in JOINABLE
        self._closing = False
        self.interceptor: Interceptor | None = None
        """What the hub's deliveries go by first, while it catches up."""
        self._quiet_ticks = 0
        self._sent_at_tick = 0
        self._on_gap = on_gap
        self._on_slow = on_slow
        self._outbox = Outbox(
            writer,
            limits,
            joinable=self._joinable,
            gap_frame=self._gap_frame,
            on_overflow=self._overflowed,
            on_gap=self._dropped,
        )

    def record(self, node: str) -> ConnectionRecord:
        """Return what the lists show of it now."""
        return ConnectionRecord(
            id=self.id,
            topics=tuple(self.topics),
            transport=self.transport,
            node=node,
            client=self.client,
            user_agent=self.user_agent,
            since=self.since,
            sent=self.sent - self._outbox.pending,
            pending=self._outbox.pending,
            pending_bytes=self._outbox.pending_bytes,
            behind_since=self._outbox.behind_since,
        )

    @property
    def pending_bytes(self) -> int:
        """Bytes that the process holds for it."""
        return self._outbox.pending_bytes

    def open(self, first: bytes) -> None:
        """Write the opening frame; what was delivered since it was attached follows.

        Args:
            first: The payload, without framing.
        """
        self._outbox.open(frame(first, self.encoding.framing))

    def deliver(self, batch: Batch) -> None:
        """Write a batch, or let it wait."""
        if self.interceptor is not None:
            rest = self.interceptor.take(batch)
            if rest is None:
                return
            batch = rest
        self.hand(batch)

    def hand(self, batch: Batch) -> None:
        """Write a batch, or let it wait, whatever else is to come before it."""
        outbox = self._outbox
        if outbox.clear and (self._joinable or batch.size == 1):
            self.sent += batch.size
            outbox.write(batch.joined(self.encoding))
            return
        if self._closing:
            return
        self.sent += batch.size
        for encoded in batch.events:
            outbox.put(
                encoded.frame(self.encoding),
                tuple(topic for topic in encoded.event.topics if topic in self.topics),
            )

    @property
    def clear(self) -> bool:
        """Whether it is open and nothing waits for it."""
        return self._outbox.clear

    async def cleared(self) -> None:
        """Wait until it is `clear`; for ever when it ends before. One may wait at a time."""
        while not self._outbox.clear:
            waiting = asyncio.get_running_loop().create_future()
            self._outbox.on_clear = partial(_wake, waiting)
            await waiting

    @property
    def piece(self) -> tuple[int, int]:
        """Events and bytes that it may be given in one go when nothing waits, without coming near its limits."""
        return self._outbox.piece

    def intercept(self, interceptor: Interceptor | None, writer: Writer) -> None:
        """Have what the hub delivers go by way of an interceptor first; None ends it.

        Args:
            interceptor: Which.
            writer: For the fan-out: one that offers nothing `direct` while there is an interceptor.
        """
        self.interceptor = interceptor
        self.writer = writer

    def deliver_rest(self, batch: Batch, rest: bytes) -> None:
        """Write what the socket did not take of a batch."""
        self.sent += batch.size
        self._outbox.write(rest)

    def tell(self, payload: bytes) -> None:
        """Write something of this connection's own, in order with its events.

        Args:
            payload: Without framing.
        """
        self._quiet_ticks = 0
        self._outbox.put(frame(payload, self.encoding.framing))

    def tick(self, quiet_ticks: int) -> None:
        """Count a tick of the clock; after `quiet_ticks` without a write, write a keep-alive.

        Only SSE: a WebSocket is kept alive by the server's protocol pings. Bytes that wait keep a connection busy by
        themselves, and TCP_USER_TIMEOUT ends one whose peer takes none.
        """
        # A delivery counts in `sent` alone: it has nothing else to remember.
        self._quiet_ticks = 1 + (self._quiet_ticks if self.sent == self._sent_at_tick else 0)
        self._sent_at_tick = self.sent
        if self._quiet_ticks >= quiet_ticks and self.transport == "sse" and self._outbox.clear:
            self._quiet_ticks = 0
            self._outbox.write(frame(sse.KEEP_ALIVE, self.encoding.framing))

    def close(self, reason: str, *, code: int, retry_ms: int) -> None:
        """Tell the client why, let it take what waits, and end.

        Args:
            reason: For `gateway.close`.
            code: WebSocket close code; not used for SSE.
            retry_ms: When to come back, in milliseconds.
        """
        if self._closing:
            return
        payload: dict[str, object] = {"reason": reason, "retry": retry_ms}
        if self.transport == "websocket":
            self.tell(websocket.dumps({"type": "close", **payload}).encode())
        else:
            self.tell(sse.encode_control("gateway.close", payload, retry=retry_ms))
        self.end(code)

    def end(self, code: int) -> None:
        """End without a word, once what waits has been written; reset after `CLOSE_SECONDS`."""
        if self._closing:
            return
        self._closing = True
        self._stop_interceptor()
        writer = self.writer
        self._outbox.finish(lambda: writer.close(code if self.transport == "websocket" else None))
        self._outbox.clear = False
        asyncio.get_running_loop().call_later(CLOSE_SECONDS, writer.abort)

    def abort(self) -> None:
        """Reset at once."""
        self._closing = True
        self._stop_interceptor()
        self._outbox.discard()
        self.writer.abort()

    def gone(self) -> None:
        """Forget what waits: the client has left."""
        self._closing = True
        self._stop_interceptor()
        self._outbox.discard()

    def _dropped(self, events: int) -> None:
        self.sent -= events
        self._on_gap(events)

    def _overflowed(self) -> None:
        self._closing = True
        self._stop_interceptor()
        self._on_slow(self)
        self.writer.abort()

    def _stop_interceptor(self) -> None:
        if self.interceptor is not None:
            self.interceptor.stop()

    def _gap_frame(self, topic: str, missed: int) -> bytes:
        return frame(gap_payload(self.transport, topic, missed, "slow-reader"), self.encoding.framing)


def _wake(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)


def gap_payload(transport: Transport, topic: str, missed: int | None, reason: str) -> bytes:
    """Encode `gateway.gap` for a transport.

    Args:
        transport: Decides the form.
        topic: Whose events were missed.
        missed: Number of events, None when it is not known.
        reason: Why.
    """
    payload: dict[str, object] = {"topic": topic, "missed": missed, "reason": reason}
    if transport == "websocket":
        return websocket.dumps({"type": "gap", **payload}).encode()
    return sse.encode_control("gateway.gap", payload)
