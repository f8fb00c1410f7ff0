"""The JSON ways to publish: one event, or a batch."""

import asyncio
import time
from collections.abc import Sequence

import pydantic
from django.http import HttpRequest, HttpResponse
from ninja import Body, Router
from ninja.responses import Status

from publishing import broadcasts, service
from publishing.authentication import API_KEY
from publishing.exceptions import InvalidBody, TooLarge, problem
from publishing.schemas import (
    BatchAnswer,
    BatchRequest,
    Delivered,
    DeliveredResult,
    DroppedResult,
    ProblemDetails,
    PublishRequest,
)
from publishing.validation import describe
from topics.conf import GatewaySettings
from topics.events import Event, check_event_type, check_id, check_retry, parse_topics
from topics.exceptions import InvalidInput, InvalidTopic, PlacementUnavailable
from topics.metrics import PUBLISH_SECONDS
from topics.placement.base import Routed
from topics.problems import Problem
from topics.process import running
from topics.runtime import Runtime

TURN_EVENTS = 64
TURN_BYTES = 65_536
"""Events, and bytes of data, of a batch that go out in one turn of the loop, far below what an outbox holds."""

DROPPED_HEADER = {
    "x-sse-dropped": {
        "description": "Why the event was dropped.",
        "schema": {"type": "string", "enum": ["no-subscribers"]},
    }
}

router = Router(auth=API_KEY, tags=["publish"])


@router.post(
    "/publish",
    operation_id="publishJson",
    summary="Publish an event",
    response={
        200: Delivered,
        204: None,
        (400, 401, 413, 503): ProblemDetails,
    },
    openapi_extra={
        "responses": {
            204: {
                "description": "Dropped: none of the topics has a subscriber or keeps history.",
                "headers": DROPPED_HEADER,
            }
        }
    },
)
async def publish_one(
    request: HttpRequest, response: HttpResponse, event: Body[PublishRequest]
) -> Delivered | Status[None]:
    """Hand an event to every connection of its topics, on every node, before the answer is given."""
    runtime = await running()
    accepted = read_event(event, runtime.settings)
    routed = await _publish(runtime, accepted)
    if not routed.topics:
        response["x-sse-dropped"] = "no-subscribers"
        return Status(204, None)
    return Delivered(id=accepted.id, subscribers=routed.subscribers, topics=dict(routed.topics))


@router.post(
    "/publish/batch",
    operation_id="publishBatch",
    summary="Publish up to 1,000 events",
    response={200: BatchAnswer, (400, 401, 413, 503): ProblemDetails},
)
async def publish_batch(request: HttpRequest, batch: Body[BatchRequest]) -> BatchAnswer:
    """Publish events one after the other. Each has its own result, as if it had been published alone.

    When the placement store cannot be reached, the events that are left are not tried and their results say 503; when
    that happens before any event was decided, the whole answer is 503.
    """
    runtime = await running()
    results: list[DeliveredResult | DroppedResult | ProblemDetails] = []
    decided = False
    turn_events = turn_bytes = 0
    for index, item in enumerate(batch.events):
        try:
            event = read_event(_shape(item), runtime.settings)
        except InvalidInput as error:
            results.append(_failed(problem(error)))
            continue
        try:
            routed = await _publish(runtime, event)
        except PlacementUnavailable as error:
            if not decided:
                raise
            rest = len(batch.events) - index
            results.extend([_failed(problem(error))] * rest)
            break
        decided = True
        results.append(_result(event, routed))
        turn_events += 1
        turn_bytes += len(event.data)
        if turn_events >= TURN_EVENTS or turn_bytes >= TURN_BYTES:
            turn_events = turn_bytes = 0
            await asyncio.sleep(0)
    return BatchAnswer(results=results)


def read_event(request: PublishRequest, settings: GatewaySettings) -> Event:
    """Check one event by the rules of contract §1 and §3.

    Raises:
        InvalidInput: It breaks one; the message names the field.
    """
    try:
        size = len(request.data.encode("utf-8"))
    except UnicodeEncodeError:
        # JSON can escape half of a surrogate pair (RFC 8259 §8.2), which no event stream can carry.
        raise InvalidBody("data holds a lone surrogate; send valid Unicode.") from None
    if size > settings.max_event_bytes:
        raise TooLarge(f"data is over {settings.max_event_bytes} bytes of UTF-8; send less.")
    topics = _topics(request.topics, settings.max_topics)
    broadcasts.check(topics, allowed=settings.broadcast)
    return Event(
        topics=topics,
        id=check_id(request.id, where="id"),
        data=request.data,
        event=None if request.event is None else check_event_type(request.event, where="event"),
        # As digits, so that there is one rule for the header and for JSON.
        retry=None if request.retry is None else check_retry(str(request.retry), where="retry"),
    )


async def _publish(runtime: Runtime, event: Event) -> Routed:
    begun = time.perf_counter()
    routed = await service.publish(runtime, event)
    PUBLISH_SECONDS.observe(time.perf_counter() - begun)
    return routed


def _topics(items: Sequence[str], limit: int) -> tuple[str, ...]:
    if not items:
        raise InvalidTopic("topics is empty; name at least one topic.")
    # Commas separate and spaces surround the items of a header's list; in a JSON list they are bad characters.
    if any("," in item or item != item.strip(" ") for item in items):
        raise InvalidTopic("topics holds an item with a comma or a space; give each topic an item of its own.")
    return parse_topics(items, limit=limit, where="topics")


def _shape(item: object) -> PublishRequest:
    try:
        return PublishRequest.model_validate(item)
    except pydantic.ValidationError as error:
        raise InvalidBody(describe(error.errors(include_url=False), whole="The event")) from None


def _result(event: Event, routed: Routed) -> DeliveredResult | DroppedResult:
    if not routed.topics:
        return DroppedResult(id=event.id)
    return DeliveredResult(id=event.id, subscribers=routed.subscribers, topics=dict(routed.topics))


def _failed(why: Problem) -> ProblemDetails:
    return ProblemDetails.model_validate(why.as_dict())
