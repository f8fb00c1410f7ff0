"""The only way that an event enters, whoever brings it."""

import time

import structlog

from topics.events import Event
from topics.exceptions import InvalidData
from topics.placement.base import Drop, Routed
from topics.runtime import Runtime

# Not by way of the standard library, as elsewhere: a line for every dropped publish cost more than the decision.
logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()


async def publish(runtime: Runtime, event: Event) -> Routed:
    """Keep an event where its topics keep history, and route it to every node that holds a connection of them.

    Waits only while the processor is behind with the fan-out of earlier events, never for a reader.

    Args:
        runtime: This process's.
        event: What to publish.

    Returns:
        Whom it was handed to. Without `topics` it was dropped, and that has been logged and counted.

    Raises:
        InvalidData: The data holds half a surrogate pair, which UTF-8 cannot carry.
        PlacementUnavailable: It cannot be known who is connected; nothing was routed.
    """
    if not event.data.isascii():
        # Only JSON can bring such text in (an escape such as \ud800): refuse it here, before any subscriber's encoder.
        try:
            event.data.encode()
        except UnicodeEncodeError as error:
            raise InvalidData(
                f"data holds half a surrogate pair at character {error.start}; send whole characters."
            ) from None
    await runtime.hub.settled()
    history = runtime.history
    if history is None or not any(map(history.keeps, event.topics)):
        routed = await runtime.placement.route(event)
    else:
        routed = await history.publish(event, runtime.placement)
    if not routed.topics:
        await drop(runtime, event.topics, event.id)
    elif len(routed.repeated) < len(routed.topics):
        runtime.hub.published += 1
    return routed


async def deliverable(runtime: Runtime, topics: tuple[str, ...], event_id: str) -> bool:
    """Tell by its headers alone whether a publish's body is to be read.

    Args:
        runtime: This process's.
        topics: Where to.
        event_id: The publisher's id.

    Raises:
        PlacementUnavailable: It cannot be known who is connected.
    """
    history = runtime.history
    if history is not None and any(map(history.keeps, topics)):
        return True
    if await runtime.placement.exist(topics):
        return True
    # Tried again after the last subscriber has left: the answer is still the first one.
    return bool(runtime.settings.dedupe_seconds and await runtime.placement.answered(event_id, topics))


async def drop(runtime: Runtime, topics: tuple[str, ...], event_id: str) -> None:
    """Record a publish that nobody is connected for, from its headers alone."""
    runtime.hub.dropped += 1
    logger.info("publish dropped", logger=__name__, topics=topics, id=event_id)
    await runtime.placement.report_drop(Drop(topics, event_id, time.time()))
