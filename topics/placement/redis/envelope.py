"""What nodes say to each other, as bytes. Pure.

Fields are separated by single spaces, which neither topics nor tokens hold; the last field is JSON.

    E epoch seq topic identity event    an event of a topic (route.lua writes all before the identity)
    K epoch seq topic position identity event
                                        an event that is kept (keep.lua writes all)
    M epoch seq topic token position    where a topic's stream stands (attach.lua, mark.lua)
    D identity drop                     a dropped publish (for tails)
    N note                              from node to node
"""

import json
from typing import Any

from topics.events import Event
from topics.placement.base import ConnectionRecord, Drop, Transport


def pack_event(identity: str, event: Event) -> bytes:
    """Return what route.lua puts behind the topic."""
    fields = [event.topics, event.id, event.event, event.retry, event.time, event.data]
    return f"{identity} {_dumps(fields)}".encode()


def pack_rest(event: Event) -> bytes:
    """Return what keep.lua puts behind an event's topics, of which it may leave some out."""
    return _dumps([event.id, event.event, event.retry, event.time, event.data])[1:].encode()


def unpack_event(data: bytes, position: int | None = None) -> Event:
    """Read the last field of an `E` or `K` message, or an event from a stream.

    Args:
        data: The JSON.
        position: Of an event that is kept.
    """
    topics, event_id, event, retry, time, text = json.loads(data)
    return Event(tuple(topics), event_id, text, event, retry, time, position)


def pack_drop(identity: str, drop: Drop) -> bytes:
    """Return a whole `D` message."""
    return f"D {identity} {_dumps([drop.topics, drop.id, drop.time, drop.reason])}".encode()


def unpack_drop(data: bytes) -> Drop:
    """Read the last field of a `D` message."""
    topics, event_id, time, reason = json.loads(data)
    return Drop(tuple(topics), event_id, time, reason)


def pack_note(note: dict[str, Any]) -> bytes:
    """Return a whole `N` message."""
    return f"N {_dumps(note)}".encode()


def pack_record(record: ConnectionRecord, topics: list[str]) -> bytes:
    """Return what Redis keeps of a connection: all but what changes with each event.

    Args:
        record: As it was attached.
        topics: What it holds now.
    """
    return _dumps([record.id, topics, record.transport, record.client, record.user_agent, record.since]).encode()


def unpack_record(data: bytes, node: str) -> ConnectionRecord:
    """Read a record of a node that does not answer for itself: nothing is known of what waits there."""
    connection_id, topics, transport, client, user_agent, since = json.loads(data)
    kind: Transport = "websocket" if transport == "websocket" else "sse"
    return ConnectionRecord(
        connection_id,
        tuple(topics),
        kind,
        node,
        client,
        user_agent,
        since,
        sent=None,
        pending=None,
        pending_bytes=None,
        behind_since=None,
    )


class Envelope:
    """The channel layer's serializer: messages are bytes already, as Lua writes the most of them.

    Args:
        options: Channels' own; none of them applies.
    """

    def __init__(self, **options: object) -> None:
        self.options = options

    def serialize(self, message: dict[str, Any]) -> bytes:
        """Return the bytes of a note."""
        return pack_note(message)

    def deserialize(self, message: bytes) -> bytes:
        """Return the bytes as they came."""
        return message


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
