"""Messages as other services write them, read into what `Publish` takes. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from publishing.sources.names import BROADCAST, channel_topic, escape, user_topic


class NotAnEvent(ValueError):
    """A message that cannot be read; the text says why, without its content."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        topic: Where to.
        data: The text.
        id: None when it has none.
        event: None for `message`.
    """

    topic: str
    data: str
    id: str | None = None
    event: str | None = None


def text_of(payload: bytes) -> str:
    """Decode a payload.

    Raises:
        NotAnEvent: It is not UTF-8.
    """
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise NotAnEvent(f"It is not UTF-8 at byte {error.start}.") from None


def channel_message(text: str, channel: str | None) -> Message:
    """Read `{"event_type", "data", "channel_id", "id"}`, or plain text, which is an event `message`.

    Args:
        text: The payload.
        channel: Where it was sent, None for a broadcast; `channel_id` in the payload wins.

    Raises:
        NotAnEvent: It is such an object, but a field has a wrong type.
    """
    fields = _object(text)
    if fields is None or not fields.keys() & {"event_type", "data"}:
        return Message(_topic_of(channel), text)
    named = fields.get("channel_id")
    if named is not None:
        channel = _name(named, "channel_id")
    return Message(
        _topic_of(channel), data_of(fields.get("data")), optional_id(fields.get("id")), _type(fields.get("event_type"))
    )


def user_message(text: str) -> Message:
    """Read `{"user_id", "message", "created_at"}`; the event's data is the whole object as it came.

    Raises:
        NotAnEvent: It is no object, or names no user.
    """
    fields = _object(text)
    if fields is None:
        raise NotAnEvent("It is not a JSON object.")
    user = fields.get("user_id")
    if user is None:
        raise NotAnEvent("user_id is missing.")
    return Message(user_topic(_name(user, "user_id")), text)


def event_message(text: str) -> dict[str, Any]:
    """Read `{"topics", "data", "id", "event", "retry"}`, or an older service's `{"channel_id", "event_type", "data"}`.

    Returns:
        The arguments of `Publish`.

    Raises:
        NotAnEvent: It is neither.
    """
    fields = _object(text)
    if fields is None:
        raise NotAnEvent("It is not a JSON object.")
    if "topics" not in fields:
        if "channel_id" not in fields:
            raise NotAnEvent("topics is missing.")
        message = channel_message(text, None)
        return {"topics": [message.topic], "data": message.data, "id": message.id, "event": message.event}
    topics = fields["topics"]
    names = [topics] if isinstance(topics, str) else topics
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise NotAnEvent("topics is neither text nor a list of texts.")
    return {
        "topics": names,
        "data": data_of(fields.get("data")),
        "id": optional_id(fields.get("id")),
        "event": _type(fields.get("event")),
        "retry": fields.get("retry"),
    }


def data_of(value: object) -> str:
    """Return a field's value as an event's data: text as it is, anything else as JSON.

    Raises:
        NotAnEvent: There is none.
    """
    if value is None:
        raise NotAnEvent("data is missing.")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def optional_id(value: object) -> str | None:
    """Return an id of another service as one of ours; an empty one is none.

    Raises:
        NotAnEvent: It is neither text nor a number.
    """
    if value is None or value == "":
        return None
    return escape(_name(value, "id"))


def _topic_of(channel: str | None) -> str:
    return BROADCAST if channel is None else channel_topic(channel)


def _type(value: object) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise NotAnEvent("event_type is not text.")
    return value


def _name(value: object, field: str) -> str:
    # A number is a name, too; true is a number to Python only.
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise NotAnEvent(f"{field} is neither text nor a whole number.")
    if value == "":
        raise NotAnEvent(f"{field} is empty.")
    try:
        return str(value)
    except ValueError:
        # More digits than Python converts.
        raise NotAnEvent(f"{field} is too long.") from None


def _object(text: str) -> Mapping[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
