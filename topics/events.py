"""The shared nouns: events, topic lists, ids, and the rules for them. Pure."""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from topics.exceptions import InvalidEventType, InvalidId, InvalidRetry, InvalidTopic

MAX_NAME_LENGTH = 255
"""Longest topic, id or event type, in characters."""

MAX_RETRY_MS = 86_400_000
"""Longest retry that a publisher may ask for, in milliseconds: one day."""

RESERVED_PREFIX = "gateway."
"""Event types that begin so belong to the gateway."""

DEFAULT_EVENT_TYPE = "message"
"""What EventSource dispatches when a stream names no event type (WHATWG HTML §9.2.6)."""

# Visible ASCII without the comma, which separates the items of a list.
_NAME = re.compile(r"[\x21-\x2b\x2d-\x7e]{1,255}", re.ASCII)
_NAME_RULE = "1 to 255 visible ASCII characters without a comma"


@dataclass(slots=True)
class Event:
    """One event as it was accepted. Nobody changes it: to have the class see to that costs 2 µs for each.

    Attributes:
        topics: The topics it was published to, without repeats, in the publisher's order.
        id: The publisher's id.
        data: The text.
        event: The event type, or None for `message`.
        retry: Reconnect time in milliseconds for the clients that get it, or None.
        time: When the gateway accepted it, in seconds since the epoch.
        position: Its place in the order of all events that are kept (`topics.history`); None when it is not kept.
    """

    topics: tuple[str, ...]
    id: str
    data: str
    event: str | None = None
    retry: int | None = None
    time: float = field(default_factory=time.time)
    position: int | None = None


def rfc3339(seconds: float) -> str:
    """Write a time for a machine and a person.

    Args:
        seconds: Since the epoch.

    Returns:
        RFC 3339, UTC, with microseconds: `2026-01-02T03:04:05.678901Z`.
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_topics(values: Iterable[str], *, limit: int, where: str) -> tuple[str, ...]:
    """Read topic lists and return their union.

    Args:
        values: One or more lists, each of topics separated by commas with optional spaces.
        limit: Most topics that the union may hold (`GATEWAY_MAX_TOPICS`).
        where: Name of the header or parameter, for the message.

    Returns:
        The topics in order, repeats counted once; empty only when `values` is empty.

    Raises:
        InvalidTopic: An empty item, a bad character, a topic too long, or more than `limit` topics.
    """
    topics: dict[str, None] = {}
    for value in values:
        for item in value.split(","):
            topic = item.strip(" ")
            if not _NAME.fullmatch(topic):
                raise InvalidTopic(f"{where} holds {_describe(topic)}; a topic is {_NAME_RULE}.")
            topics[topic] = None
            if len(topics) > limit:
                raise InvalidTopic(f"{where} holds more than {limit} topics; send at most {limit}.")
    return tuple(topics)


def check_id(value: str, *, where: str) -> str:
    """Return `value` if it is an id.

    Raises:
        InvalidId: It is not.
    """
    if not _NAME.fullmatch(value):
        raise InvalidId(f"{where} holds {_describe(value)}; an id is {_NAME_RULE}.")
    return value


def check_event_type(value: str, *, where: str) -> str | None:
    """Return the event type, None for `message`.

    Raises:
        InvalidEventType: It is malformed, or begins with `gateway.`.
    """
    if not _NAME.fullmatch(value):
        raise InvalidEventType(f"{where} holds {_describe(value)}; an event type is {_NAME_RULE}.")
    if value.startswith(RESERVED_PREFIX):
        raise InvalidEventType(f"{where} begins with {RESERVED_PREFIX!r}, which is the gateway's; choose another.")
    return None if value == DEFAULT_EVENT_TYPE else value


def check_retry(value: str, *, where: str) -> int:
    """Return the milliseconds.

    Raises:
        InvalidRetry: It is not a whole number from 0 to 86,400,000.
    """
    digits = value.isascii() and value.isdigit() and len(value) <= len(str(MAX_RETRY_MS))
    if not digits or int(value) > MAX_RETRY_MS:
        raise InvalidRetry(f"{where} must be whole milliseconds from 0 to {MAX_RETRY_MS}.")
    return int(value)


def _describe(name: str) -> str:
    # The whole value may be a megabyte of hostile bytes: name the fault, not the value.
    if not name:
        return "an empty item"
    if len(name) > MAX_NAME_LENGTH:
        return f"an item of {len(name)} characters"
    bad = next(character for character in name if not _NAME.fullmatch(character))
    return f"the character {bad!a}"
