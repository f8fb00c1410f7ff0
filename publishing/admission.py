"""The decision on a publish, taken on its headers alone (contract §3). Pure: the one look-up is the caller's.

The order is method, key, headers, declared size; the caller adds placement. Nothing here reads a body, so a publish
that will not be delivered costs nothing but its headers.
"""

from collections.abc import Sequence
from typing import NamedTuple

from publishing import broadcasts
from publishing.keys import Keys
from topics.events import check_event_type, check_id, check_retry, parse_topics
from topics.exceptions import InvalidInput
from topics.problems import Problem, from_exception, method_not_allowed, unauthorized

ALLOW = "POST, OPTIONS"

_SINGLE = {b"authorization", b"x-api-key", b"x-sse-id", b"x-sse-event", b"x-sse-retry", b"content-length"}


class Admitted(NamedTuple):
    """A publish whose headers are in order.

    Attributes:
        topics: Where to.
        id: The publisher's id.
        event: Event type, None for `message`.
        retry: Milliseconds, or None.
    """

    topics: tuple[str, ...]
    id: str
    event: str | None
    retry: int | None


def admit(
    method: str,
    headers: Sequence[tuple[bytes, bytes]],
    *,
    keys: Keys,
    max_topics: int,
    max_event_bytes: int,
    broadcast: bool = False,
) -> Admitted | Problem:
    """Decide on a publish by its method and headers.

    Args:
        method: HTTP method in capitals.
        headers: Names in lower case, values as sent, in order.
        keys: Who may publish.
        max_topics: Most topics in the list.
        max_event_bytes: Largest body, in bytes.
        broadcast: Whether a publisher may reach every connection.

    Returns:
        What was admitted, or the problem to answer with.
    """
    if method != "POST":
        return method_not_allowed(method, ALLOW)
    topic_lists: list[str] = []
    single: dict[bytes, bytes] = {}
    repeated: bytes | None = None
    for name, value in headers:
        if name == b"x-sse-topic":
            topic_lists.append(value.decode("latin-1"))
        elif name in _SINGLE:
            if name in single and single[name] != value:
                repeated = name
            single.setdefault(name, value)
    if not keys.allows(single.get(b"authorization"), single.get(b"x-api-key")):
        return unauthorized()
    if repeated is not None:
        return Problem(400, "invalid-request", f"The header {repeated.decode()} is sent twice; send it once.")
    if not topic_lists:
        return _missing("x-sse-topic", "the topics to publish to, separated by commas")
    if b"x-sse-id" not in single:
        return _missing("x-sse-id", "the event's id")
    try:
        admitted = Admitted(
            topics=parse_topics(topic_lists, limit=max_topics, where="x-sse-topic"),
            id=check_id(single[b"x-sse-id"].decode("latin-1"), where="x-sse-id"),
            event=_event_type(single.get(b"x-sse-event")),
            retry=_retry(single.get(b"x-sse-retry")),
        )
        broadcasts.check(admitted.topics, allowed=broadcast)
    except InvalidInput as error:
        return from_exception(error)
    declared = single.get(b"content-length", b"0")
    if not declared.isdigit():
        return Problem(400, "invalid-request", "content-length must be a whole number of bytes.")
    # Compared by length first: Python refuses to convert a number of thousands of digits, leading zeros counted in.
    digits = declared.lstrip(b"0")
    if len(digits) > len(str(max_event_bytes)) or int(digits or b"0") > max_event_bytes:
        return too_large(max_event_bytes)
    return admitted


def too_large(limit: int) -> Problem:
    """Return the answer to a body over the limit.

    Args:
        limit: In bytes.
    """
    return Problem(413, "too-large", f"The body is over {limit} bytes; send a smaller one.")


def _missing(name: str, meaning: str) -> Problem:
    return Problem(400, "missing-header", f"The header {name} is missing; send {meaning}.")


def _event_type(value: bytes | None) -> str | None:
    return None if value is None else check_event_type(value.decode("latin-1"), where="x-sse-event")


def _retry(value: bytes | None) -> int | None:
    return None if value is None else check_retry(value.decode("latin-1"), where="x-sse-retry")
