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
    """Route an event to every node that holds a connection of its topics.

    Waits only while the processor is behind with the fan-out of earlier events, never for a reader.

    Args:
        runtime: This process's.
        event: What to publish.

    Returns:
        Whom it was handed to. With `subscribers` 0 it was dropped, and that has been logged and counted.

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
    routed = await runtime.placement.route(event)
    if not routed.subscribers:
        await drop(runtime, event.topics, event.id)
        return routed
    runtime.hub.published += 1
    return routed


async def drop(runtime: Runtime, topics: tuple[str, ...], event_id: str) -> None:
    """Record a publish that nobody is connected for, from its headers alone."""
    runtime.hub.dropped += 1
    logger.info("publish dropped", logger=__name__, topics=topics, id=event_id)
    await runtime.placement.report_drop(Drop(topics, event_id, time.time()))
