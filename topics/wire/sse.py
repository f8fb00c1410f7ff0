"""Server-Sent Events: bytes out (WHATWG HTML §9.2, "Server-sent events")."""

import json
import re
from collections.abc import Mapping

from topics.events import Event
from topics.wire.websocket import event_object

KEEP_ALIVE = b": keep-alive\n\n"
"""A comment, which every EventSource ignores (WHATWG HTML §9.2.5)."""

LAST_CHUNK = b"0\r\n\r\n"
"""The end of a chunked body (RFC 9112 §7.1)."""

# The three line ends of the format; str.splitlines would also split on U+2028 and others, which are data.
_LINE_END = re.compile(r"\r\n|\r|\n")


def encode_event(event: Event) -> bytes:
    """Encode an event with its data as it is, one `data:` line a line.

    CR, LF and CRLF in the data all reach the client as LF: the format has no other way.
    """
    return _block(event, _LINE_END.split(event.data))


def encode_event_json(event: Event) -> bytes:
    """Encode an event with the WebSocket's event object as its data (`format=json`)."""
    return _block(event, [event_object(event)])


def encode_control(name: str, payload: Mapping[str, object], *, retry: int | None = None) -> bytes:
    """Encode one of the gateway's own events. It carries no id, so that it never moves a client's position.

    Args:
        name: `gateway.open`, `gateway.gap` or `gateway.close`; the tail's `published` and `dropped`.
        payload: Becomes the JSON data.
        retry: Reconnect time in milliseconds to set, or None.
    """
    first = "" if retry is None else f"retry: {retry}\n"
    data = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return f"{first}event: {name}\ndata: {data}\n\n".encode()


def chunk(payload: bytes) -> bytes:
    """Put HTTP/1.1 chunk framing around a payload that is not empty (RFC 9112 §7.1)."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


def _block(event: Event, lines: list[str]) -> bytes:
    fields = [f"id: {event.id}"]
    if event.event is not None:
        fields.append(f"event: {event.event}")
    if event.retry is not None:
        fields.append(f"retry: {event.retry}")
    fields.extend(f"data: {line}" for line in lines)
    return ("\n".join(fields) + "\n\n").encode()
