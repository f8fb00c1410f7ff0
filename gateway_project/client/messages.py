"""What a gateway says on a subscription or a tail, whichever transport carries it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from gateway_project.client.exceptions import Unavailable


class _Message(BaseModel):
    # What a newer gateway adds is kept, so that --json shows it.
    model_config = ConfigDict(frozen=True, extra="allow")


class Open(_Message):
    """The subscription stands: what is published from now on arrives, or is told as a gap."""

    type: Literal["open"] = "open"
    connection: str = ""
    topics: list[str] = []
    topic: str = ""
    node: str = ""


class Event(_Message):
    """An event, with the whole list of topics that it was published to."""

    type: Literal["event"] = "event"
    topics: list[str]
    # It goes back in a header, whatever the other side is.
    id: Annotated[str, Field(pattern="^[!-~]+$")]
    event: str = "message"
    data: str
    time: str = ""


class Dropped(_Message):
    """On a tail: a publish to a topic that nobody was connected to."""

    type: Literal["dropped"] = "dropped"
    topics: list[str]
    id: str
    time: str = ""
    reason: str = ""


class Gap(_Message):
    """Events of a topic that this connection did not get."""

    type: Literal["gap"] = "gap"
    topic: str = ""
    missed: int | None = None
    reason: str = ""


class Close(_Message):
    """The gateway ends the connection and says when to come back (milliseconds)."""

    type: Literal["close"] = "close"
    reason: str = ""
    retry: Annotated[int, Field(ge=0)] | None = None


class Complaint(_Message):
    """The gateway did not understand something."""

    type: Literal["error"] = "error"
    detail: str = ""


@dataclass(frozen=True)
class ReconnectionTime:
    """A `retry:` line: milliseconds to wait before connecting again (WHATWG HTML section 9.2.6)."""

    milliseconds: int


Message = Open | Event | Dropped | Gap | Close | Complaint | ReconnectionTime

_KNOWN: TypeAdapter[Open | Event | Dropped | Gap | Close | Complaint] = TypeAdapter(
    Annotated[Open | Event | Dropped | Gap | Close | Complaint, Field(discriminator="type")]
)
_TYPES = frozenset({"open", "event", "dropped", "gap", "close", "error"})


def from_websocket(frame: str) -> Message | None:
    """The message in a text frame; None for one of a type that this client does not know.

    Raises:
        Unavailable: it is not a gateway's message. Nothing can be relied upon any more on this connection.
    """
    return _message(frame, lambda found: found.get("type"))


def from_sse(name: str, data: str) -> Message | None:
    """The message in an event of a stream that was asked for with `format=json`, or of a tail.

    Args:
        name: the event's type as the stream has it.
        data: the event's data; empty when the parser met a block without any, such as a keep-alive.

    Raises:
        Unavailable: it is not a gateway's message.
    """
    if not data:
        return None
    if name.startswith("gateway."):
        own = name.removeprefix("gateway.")
        return _message(data, lambda _: own)
    # A subscriber's event says in its data that it is one: its name is the publisher's, and may be
    # "dropped". A tail's "dropped" is the only one that does not.
    return _message(data, lambda found: found.get("type", name))


def _message(text: str, type_of: Callable[[dict[str, Any]], object]) -> Message | None:
    try:
        found = json.loads(text)
        if not isinstance(found, dict):
            raise TypeError("not a JSON object")
        kind = type_of(found)
        if kind not in _TYPES:
            return None
        return _KNOWN.validate_python({**found, "type": kind})
    except (ValueError, TypeError, ValidationError) as error:
        raise Unavailable(f"What came is not a gateway's message: {text[:80]!r}") from error
