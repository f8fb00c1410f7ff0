"""One event, or those of one turn, encoded once for each way that a connection may want them."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cache

from topics.events import Event
from topics.wire import sse, websocket
from topics.writer import Framing


class Format(Enum):
    """What a client sees of an event."""

    SSE = "sse"
    """An SSE block with the data as it is."""

    SSE_JSON = "sse-json"
    """An SSE block whose data is the event object (`format=json`)."""

    SSE_TAIL = "sse-tail"
    """As `SSE_JSON`, with the event type `published`: what an administrator's tail shows."""

    WEBSOCKET_JSON = "websocket-json"
    """The event object."""

    WEBSOCKET_RAW = "websocket-raw"
    """The data alone (`format=raw`)."""


_PAYLOAD: dict[Format, Callable[[Event], bytes]] = {
    Format.SSE: sse.encode_event,
    Format.SSE_JSON: sse.encode_event_json,
    Format.SSE_TAIL: lambda event: f"event: published\ndata: {websocket.event_object(event)}\n\n".encode(),
    Format.WEBSOCKET_JSON: lambda event: websocket.event_object(event).encode(),
    Format.WEBSOCKET_RAW: lambda event: event.data.encode(),
}

_FRAME: dict[Framing, Callable[[bytes], bytes]] = {
    Framing.CHUNKED: sse.chunk,
    Framing.IDENTITY: bytes,
    Framing.WEBSOCKET: websocket.text_frame,
    Framing.MESSAGE: bytes,
}

WEBSOCKET_FORMATS = frozenset({Format.WEBSOCKET_JSON, Format.WEBSOCKET_RAW})
"""Formats that travel over WebSocket; the others are SSE."""

JOINABLE = frozenset({Framing.CHUNKED, Framing.IDENTITY, Framing.WEBSOCKET})
"""Framings whose frames stay themselves when written one behind the other."""


@dataclass(frozen=True, eq=False, slots=True)
class Encoding:
    """What decides a connection's bytes: connections of one encoding share them.

    It is looked up for each delivery, so it is compared by identity, which costs nothing; a tuple of two enums took
    0.2 µs to hash. `of` gives the one object of each pair.
    """

    form: Format
    framing: Framing

    @staticmethod
    @cache
    def of(form: Format, framing: Framing) -> "Encoding":
        """Return the encoding of a format in a framing."""
        return Encoding(form, framing)


def frame(payload: bytes, framing: Framing) -> bytes:
    """Put a connection's framing around a payload that is its own."""
    return _FRAME[framing](payload)


class EncodedEvent:
    """An event and the frames made of it so far; a frame is made when the first connection needs it.

    Args:
        event: The event.
    """

    __slots__ = ("_frames", "event")

    def __init__(self, event: Event) -> None:
        self.event = event
        self._frames: dict[Encoding, bytes] = {}

    def frame(self, encoding: Encoding) -> bytes:
        """Return the event as bytes ready for a writer."""
        frame = self._frames.get(encoding)
        if frame is None:
            payload = _PAYLOAD[encoding.form](self.event)
            frame = self._frames[encoding] = _FRAME[encoding.framing](payload)
        return frame


class Batch:
    """Events of one turn of the loop that go to the same connections, in order.

    Args:
        events: One or more, all of the same topics.
    """

    __slots__ = ("_joined", "events", "size")

    def __init__(self, events: list[EncodedEvent]) -> None:
        self.events = events
        self.size = len(events)
        self._joined: dict[Encoding, bytes] = {}

    def joined(self, encoding: Encoding) -> bytes:
        """Return all frames of one encoding, one behind the other."""
        data = self._joined.get(encoding)
        if data is None:
            data = b"".join([event.frame(encoding) for event in self.events])
            self._joined[encoding] = data
        return data
