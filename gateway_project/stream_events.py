"""What OpenAPI says of the events in the gateway's streams: the JSON in their `data:` (docs/reference/events.md).

OpenAPI 3.1 has no words for the events of a stream; `x-events` maps an event type to the schema of its data.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_TIME = "2026-01-02T03:04:05.678901Z"


class StreamEvent(BaseModel):
    """The data of one event; nothing else is in it."""

    model_config = ConfigDict(extra="forbid")


class Opened(StreamEvent):
    """`gateway.open`: the connection is there, and every node knows of it."""

    connection: str = Field(description="The connection's id.")
    topics: list[str]
    node: str = Field(description="Name of the node that holds it.")


class TailOpened(StreamEvent):
    """`gateway.open` of a tail, which is no connection."""

    topic: str
    node: str = Field(description="Name of the node that answers.")
    kept: int = Field(description="How many events the topic had kept come first, as asked for with `last`.")


class EventObject(StreamEvent):
    """One event, as it was published."""

    type: Literal["event"]
    topics: list[str] = Field(description="All topics that it was published to.", examples=[["news"]])
    id: str = Field(examples=["1"])
    event: str = Field(description="The event type; `message` when the publisher gave none.")
    data: str
    time: str = Field(description="When the gateway accepted it, RFC 3339 in UTC.", examples=[_TIME])


class DroppedPublish(StreamEvent):
    """A publish that was dropped. Its body was not read, so there is no data."""

    topics: list[str]
    id: str
    time: str = Field(description="When it was dropped, RFC 3339 in UTC.", examples=[_TIME])
    reason: Literal["no-subscribers"]


class Gap(StreamEvent):
    """`gateway.gap`: events are missing at this place of the stream."""

    topic: str = Field(description="Whose events.")
    missed: int | None = Field(description="How many; null when that is not known.")
    reason: Literal["slow-reader", "interrupted", "evicted", "unknown-id", "repeated-id"]


class Closing(StreamEvent):
    """`gateway.close`: the gateway ends the stream."""

    reason: Literal["shutdown", "closed-by-administrator", "unavailable"]
    retry: int = Field(description="When to come back, in milliseconds.")


Events = Mapping[str, type[StreamEvent]]

_CONTROL: Events = {"gateway.gap": Gap, "gateway.close": Closing}

SUBSCRIBER_EVENTS: Events = {"gateway.open": Opened, **_CONTROL}
"""What `/sse` says of its own; with `format=json` every other event carries an `EventObject`."""

TAIL_EVENTS: Events = {"gateway.open": TailOpened, "published": EventObject, "dropped": DroppedPublish, **_CONTROL}
"""What `/api/v1/tail` says."""

_PLACE = "#/components/schemas/{model}"


def references(events: Events) -> dict[str, dict[str, str]]:
    """Return `x-events`: event types and where their schemas are."""
    return {name: {"$ref": _PLACE.format(model=model.__name__)} for name, model in events.items()}


def schemas() -> dict[str, dict[str, Any]]:
    """Return the schemas of all events of the streams, by their names in the document's components."""
    models = {*SUBSCRIBER_EVENTS.values(), *TAIL_EVENTS.values()}
    return {
        model.__name__: model.model_json_schema(ref_template=_PLACE)
        for model in sorted(models, key=lambda model: model.__name__)
    }
