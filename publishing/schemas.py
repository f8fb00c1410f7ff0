"""What the JSON publishing API takes and answers, as OpenAPI describes it.

The schemas check shapes only. Topics, ids, event types and retries follow the rules of `topics.events`, as they do
for `POST /publish`, so that both answer a mistake alike.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SkipValidation

from topics.events import MAX_NAME_LENGTH, MAX_RETRY_MS

MAX_BATCH = 1000
"""Most events in one batch."""

_STRICT = ConfigDict(strict=True, extra="forbid")
# The rules are checked by `topics.events`; these tell OpenAPI of them.
_NAME_SCHEMA: dict[str, Any] = {"minLength": 1, "maxLength": MAX_NAME_LENGTH, "pattern": r"^[\x21-\x2b\x2d-\x7e]+$"}
_RETRY_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "integer", "minimum": 0, "maximum": MAX_RETRY_MS}, {"type": "null"}]
}


class PublishRequest(BaseModel):
    """One event to publish."""

    model_config = _STRICT

    topics: list[Annotated[str, Field(json_schema_extra=_NAME_SCHEMA)]] = Field(
        description="The topics that get the event. Repeats count once.",
        examples=[["news"]],
        json_schema_extra={"minItems": 1},
    )
    id: str = Field(
        description="The event's id, which EventSource sends back as `Last-Event-ID`.",
        examples=["42"],
        json_schema_extra=_NAME_SCHEMA,
    )
    data: str = Field(description="The event's data, any text.", examples=["Hello"])
    event: str | None = Field(
        default=None,
        description="The event type; left out, it is `message`. Types that begin with `gateway.` are reserved.",
        examples=["headline"],
    )
    retry: int | None = Field(
        default=None,
        description="Reconnect time for the clients that get the event, in milliseconds.",
        examples=[5000],
        json_schema_extra=_RETRY_SCHEMA,
    )


class BatchRequest(BaseModel):
    """Events to publish in this order, each for itself."""

    model_config = _STRICT

    # Not validated here: a malformed event is told in its own result, and the others are published.
    events: list[SkipValidation[PublishRequest]] = Field(
        max_length=MAX_BATCH,
        description="The events.",
        examples=[[{"topics": ["news"], "id": "42", "data": "Hello"}]],
    )


class Delivered(BaseModel):
    """An event that was handed to every node that holds a connection of its topics."""

    id: str = Field(examples=["42"])
    subscribers: int = Field(
        description="The sum over the topics: a connection that holds two of them counts twice.", examples=[2]
    )
    topics: dict[str, int] = Field(
        description="Connections of each topic that exists; 0 for one that keeps history and has none.",
        examples=[{"news": 2}],
    )


class DeliveredResult(Delivered):
    """An event of a batch that was handed to every node that holds a connection of its topics."""

    status: Literal[200] = 200


class DroppedResult(BaseModel):
    """An event of a batch that was dropped: none of its topics exists."""

    status: Literal[204] = 204
    id: str = Field(examples=["43"])
    dropped: Literal["no-subscribers"] = "no-subscribers"


class ProblemDetails(BaseModel):
    """Why a request, or one event of a batch, failed (RFC 9457)."""

    type: str = Field(description="The problem type.", examples=["/problems/invalid-topic"])
    title: str = Field(description="What all problems of the type have in common.")
    status: int = Field(description="HTTP status code.", examples=[400])
    detail: str = Field(description="What is wrong here, and what to do.")


class BatchAnswer(BaseModel):
    """One result for each event, in the events' order."""

    results: list[DeliveredResult | DroppedResult | ProblemDetails]
