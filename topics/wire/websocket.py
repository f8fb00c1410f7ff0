"""WebSocket: the JSON objects, the commands, and the frame around them (RFC 6455 §5.2)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from topics.events import DEFAULT_EVENT_TYPE, Event, check_id, parse_topics, rfc3339
from topics.exceptions import InvalidId, InvalidInput

MAX_MESSAGE_BYTES = 65_536
"""Largest frame or message taken from a client: the longest command (100 topics of 255) fits twice."""

MAX_BAD_MESSAGES = 3
"""So many bad messages in a row close the connection."""

CLOSE_NORMAL = 1000
"""Closed by an administrator (RFC 6455 §7.4.1, as the codes below)."""
CLOSE_POLICY = 1008
"""Bad messages, repeated."""
CLOSE_TOO_BIG = 1009
"""A frame or message over `MAX_MESSAGE_BYTES`."""
CLOSE_INTERNAL = 1011
"""Keep-alive unanswered, or a fault of ours."""
CLOSE_RESTART = 1012
"""The node is shutting down."""
CLOSE_TRY_AGAIN = 1013
"""What the client missed cannot be read now (registered with IANA)."""

_COMMAND_ADVICE = 'send {"type":"subscribe","topics":[…]}, {"type":"unsubscribe","topics":[…]} or {"type":"ping"}'


@dataclass(frozen=True, slots=True)
class Command:
    """What a client asked for on `/ws`."""

    type: Literal["subscribe", "unsubscribe", "ping"]
    topics: tuple[str, ...] = ()
    last_id: str | None = None


def parse_command(message: str | None, *, limit: int) -> Command:
    """Read one message from a client.

    Args:
        message: The text, None for a binary message.
        limit: Most topics in one command.

    Raises:
        InvalidInput: It is no command; the detail says which are.
    """
    if message is None:
        raise InvalidInput(f"A binary message is not understood; {_COMMAND_ADVICE} as text.")
    try:
        command = json.loads(message)
    except (ValueError, RecursionError):
        raise InvalidInput(f"The message is not JSON; {_COMMAND_ADVICE}.") from None
    match command:
        case {"type": "ping"}:
            return Command("ping")
        case {"type": "subscribe" | "unsubscribe" as kind, "topics": [_, *_] as topics}:
            if not all(isinstance(topic, str) for topic in topics):
                raise InvalidInput("topics must be a list of strings.")
            if any("," in topic for topic in topics):
                raise InvalidInput("A topic holds a comma; send each topic as its own item of the list.")
            last_id = _last_id(command.get("last_event_id")) if kind == "subscribe" else None
            return Command(kind, parse_topics(topics, limit=limit, where="topics"), last_id)
        case {"type": "subscribe" | "unsubscribe"}:
            raise InvalidInput("topics must be a list of one topic or more.")
    raise InvalidInput(f"The message is no command; {_COMMAND_ADVICE}.")


def _last_id(value: object) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise InvalidId("last_event_id must be a string: the id of the last event that came.")
    return check_id(value, where="last_event_id")


def event_object(event: Event) -> str:
    """Write an event as the JSON object that WebSocket clients, `format=json` and tails see."""
    return dumps(
        {
            "type": "event",
            "topics": event.topics,
            "id": event.id,
            "event": event.event or DEFAULT_EVENT_TYPE,
            "data": event.data,
            "time": rfc3339(event.time),
        }
    )


def dumps(value: Mapping[str, object]) -> str:
    """Write compact JSON with its text unescaped."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def text_frame(payload: bytes) -> bytes:
    """Put the header of one unmasked, final text frame before a payload (RFC 6455 §5.2).

    Args:
        payload: UTF-8 text; no extension has been negotiated, so RSV1 to RSV3 are 0.
    """
    size = len(payload)
    if size < 126:
        return b"\x81" + bytes((size,)) + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload
