"""Messages of any origin, made into events by the rules of contract §1 and §3."""

import secrets
import time
from collections.abc import Iterable

from topics.conf import GatewaySettings
from topics.events import Event, check_event_type, check_id, check_retry, parse_topics
from topics.exceptions import InvalidData, InvalidTopic


def make_event(
    topics: Iterable[str],
    data: object,
    id: object,
    event: object,
    retry: object,
    *,
    settings: GatewaySettings,
) -> Event:
    """Check what somebody was told, of whatever types it is, and make it an event.

    Args:
        topics: Where to.
        data: The text.
        id: None for a new one.
        event: None for `message`.
        retry: None, or milliseconds.
        settings: For the limits.

    Raises:
        InvalidInput: It breaks a rule.
    """
    names = [topics] if isinstance(topics, str) else list(topics)
    if not names:
        raise InvalidTopic("The message names no topic.")
    if not all(isinstance(name, str) for name in names):
        raise InvalidTopic("A topic must be text.")
    if not isinstance(data, str):
        raise InvalidData("data must be text.")
    limit = settings.max_event_bytes
    # A character takes one byte at least: what is too long needs no encoding to say so.
    if len(data) > limit or (not data.isascii() and len(data.encode("utf-8", "surrogatepass")) > limit):
        raise InvalidData(f"data is over {limit} bytes of UTF-8.")
    return Event(
        topics=parse_topics(names, limit=settings.max_topics, where="The message"),
        id=new_id() if id is None else check_id(str(id), where="id"),
        data=data,
        event=None if event is None else check_event_type(str(event), where="The event type"),
        retry=None if retry is None else check_retry(str(retry), where="retry"),
    )


def new_id() -> str:
    """Return an id for a message that has none: unique, and sortable by time."""
    return f"{time.time_ns() // 1_000_000:x}-{secrets.token_hex(6)}"
