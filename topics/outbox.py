"""One connection's bounded queue and its slow-reader policy (contract §4.4).

Bytes wait here, not in the server: the server only ever holds what was left of one write. So the limits are true, and
the oldest event can still be dropped.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from topics.writer import Writer

JOIN_BYTES = 65_536
"""Frames that wait are joined up to this size, in bytes, for one write: a socket's buffer rarely takes more at once."""

SlowReader = Literal["disconnect", "drop-oldest"]

_Queue = deque[tuple[bytes, tuple[str, ...]]]

# Stands for every queue that has never held anything: an empty deque of one's own is 760 bytes a connection. It cannot
# hold anything.
_UNUSED: _Queue = deque(maxlen=0)


@dataclass(frozen=True, slots=True)
class OutboxLimits:
    """What may wait for one connection.

    Attributes:
        events: Most events.
        bytes: Most bytes, those in the server's buffer for the socket counted in.
        policy: What happens past either.
    """

    events: int
    bytes: int
    policy: SlowReader


class Outbox:
    """Frames on their way to one writer, in order.

    Args:
        writer: Where they go.
        limits: What may wait.
        joinable: Whether frames may be joined into one write.
        gap_frame: Encodes `gateway.gap` for a topic and the number of events missed.
        on_overflow: Called once when the limits are passed under the policy `disconnect`, or by the gateway's own
            frames alone, which are never dropped.
        on_gap: Called with the number of events dropped under `drop-oldest`.
    """

    __slots__ = (
        "_behind_since",
        "_events",
        "_finish",
        "_gap_frame",
        "_gaps",
        "_joinable",
        "_limits",
        "_on_gap",
        "_on_overflow",
        "_queue",
        "_queued_bytes",
        "clear",
        "on_clear",
        "writer",
    )

    def __init__(
        self,
        writer: Writer,
        limits: OutboxLimits,
        *,
        joinable: bool,
        gap_frame: Callable[[str, int], bytes],
        on_overflow: Callable[[], None],
        on_gap: Callable[[int], None],
    ) -> None:
        self.writer = writer
        self.clear = False
        """Whether a write may go straight to the writer: it has been opened and nothing waits before it."""
        self.on_clear: Callable[[], None] | None = None
        """Called once, and forgotten, when a write may go straight to the writer again."""
        self._limits = limits
        self._joinable = joinable
        self._gap_frame = gap_frame
        self._on_overflow = on_overflow
        self._on_gap = on_gap
        self._queue = _UNUSED
        self._queued_bytes = 0
        self._events = 0
        self._gaps: dict[str, int] = {}
        self._behind_since: float | None = None
        self._finish: Callable[[], None] | None = None
        writer.on_drain = self._drained

    @property
    def piece(self) -> tuple[int, int]:
        """Events and bytes that may be given in one go when nothing waits, without coming near the limits."""
        return max(1, self._limits.events // 4), max(1, min(self._limits.bytes // 4, JOIN_BYTES))

    @property
    def pending(self) -> int:
        """Events that wait here."""
        return self._events

    @property
    def pending_bytes(self) -> int:
        """Bytes that wait here and in the server's buffer."""
        return self._queued_bytes + self.writer.pending_bytes

    @property
    def behind_since(self) -> float | None:
        """Since when something has waited without a break, in seconds since the epoch; None while nothing waits."""
        return self._behind_since

    def blocked(self) -> None:
        """Note that a write did not go out whole: what follows waits for the writer."""
        self.clear = False
        if self._behind_since is None:
            self._behind_since = time.time()

    def open(self, first: bytes) -> None:
        """Write the first frame, then what has come since the connection was attached."""
        if self.writer.write(first):
            self._drained()
        else:
            self.blocked()

    def write(self, frame: bytes) -> None:
        """Write a frame straight to the writer; only when `clear`."""
        if not self.writer.write(frame):
            self.blocked()

    def put(self, frame: bytes, topics: tuple[str, ...] = ()) -> None:
        """Append one frame and apply the limits.

        Args:
            frame: Ready for the writer.
            topics: This connection's topics that the event belongs to: what a gap would name. Empty for the gateway's
                own events, which are never dropped.
        """
        if self._finish is not None:
            return
        if self.clear:
            self.write(frame)
            return
        if self._queue is _UNUSED:
            self._queue = deque()
        self._queue.append((frame, topics))
        self._queued_bytes += len(frame)
        self._events += bool(topics)
        if len(self._queue) > self._limits.events or self.pending_bytes > self._limits.bytes:
            self._overflow()

    def finish(self, then: Callable[[], None]) -> None:
        """Take nothing more, and call `then` once all that waits has been handed to the server."""
        self._finish = then
        self._end_if_empty()

    def discard(self) -> None:
        """Forget all that waits; the connection is gone."""
        self._finish = _nothing
        self.clear = False
        self._queue = _UNUSED
        self._queued_bytes = 0
        self._events = 0
        self._gaps.clear()
        self._behind_since = None
        self.writer.on_drain = None
        # Who owns this is owned by nobody else: what has ended is freed at once, not when the collector comes round.
        self._gap_frame, self._on_overflow, self._on_gap = _no_gap, _nothing, _ignore

    def _overflow(self) -> None:
        on_overflow = self._on_overflow
        if self._limits.policy == "disconnect":
            self.discard()
            on_overflow()
            return
        dropped = 0
        kept: list[tuple[bytes, tuple[str, ...]]] = []
        while self._queue and (len(self._queue) > self._limits.events or self.pending_bytes > self._limits.bytes):
            frame, topics = self._queue.popleft()
            if not topics:
                kept.append((frame, topics))
                continue
            self._queued_bytes -= len(frame)
            self._events -= 1
            dropped += 1
            for topic in topics:
                self._gaps[topic] = self._gaps.get(topic, 0) + 1
        self._queue.extendleft(reversed(kept))
        if dropped:
            self._on_gap(dropped)
        if len(kept) > self._limits.events or (not self._events and self._queued_bytes > self._limits.bytes):
            # Answers to a client that asks and reads none of them: dropping events makes no room for those.
            self.discard()
            on_overflow()

    def _drained(self) -> None:
        # The gap stands where the dropped events stood: before everything that still waits.
        if self._gaps:
            gaps, self._gaps = self._gaps, {}
            for topic, missed in reversed(gaps.items()):
                frame = self._gap_frame(topic, missed)
                self._queue.appendleft((frame, ()))
                self._queued_bytes += len(frame)
        self.clear = True
        while self._queue and self.clear:
            self.write(self._next())
        if self.clear:
            self._behind_since = None
            if self.on_clear is not None and self._finish is None:
                on_clear, self.on_clear = self.on_clear, None
                on_clear()
        if self._finish is not None:
            # Nothing may follow the end.
            self.clear = False
        self._end_if_empty()

    def _next(self) -> bytes:
        frame, topics = self._queue.popleft()
        self._events -= bool(topics)
        if self._joinable and self._queue and len(frame) < JOIN_BYTES:
            frames, size = [frame], len(frame)
            while self._queue and size + len(self._queue[0][0]) <= JOIN_BYTES:
                frame, topics = self._queue.popleft()
                self._events -= bool(topics)
                frames.append(frame)
                size += len(frame)
            frame = b"".join(frames)
        self._queued_bytes -= len(frame)
        return frame

    def _end_if_empty(self) -> None:
        if self._finish is not None and not self._queue and not self._gaps:
            then, self._finish = self._finish, _nothing
            then()


def _nothing() -> None:
    """Stand in for what has been called, or will not be."""


def _ignore(_missed: int) -> None:
    """Stand in for `on_gap` when the connection is gone."""


def _no_gap(_topic: str, _missed: int) -> bytes:
    """Stand in for `gap_frame` when the connection is gone."""
    return b""
