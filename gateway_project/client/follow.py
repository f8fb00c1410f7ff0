"""A subscription that outlives its connections."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

from gateway_project.client.backoff import FLOOR, Backoff
from gateway_project.client.exceptions import Unavailable
from gateway_project.client.messages import Close, Event, Message, Open, ReconnectionTime

Connect = Callable[[str | None], AsyncGenerator[Message, None]]
"""Makes one connection, given the last event id, and raises when it ends."""


@dataclass(frozen=True)
class Lost:
    """The connection is gone; the next one is made after `delay` seconds."""

    reason: str
    delay: float


async def follow(
    connect: Connect,
    *,
    backoff: Backoff,
    last_event_id: str | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncGenerator[Message | Lost, None]:
    """All that the connections bring, one after the other, for ever.

    Each connection resumes after the last event of the one before. The wait between two is what the
    gateway asked for (`gateway.close`, `retry-after`), else the reconnection time of the stream, longer
    with each connection that does not come to stand.

    Raises:
        Refused: the gateway will not give the subscription, now or later.
    """
    while True:
        delay: float | None = None
        reason = "The stream ended"
        try:
            async with aclosing(connect(last_event_id)) as messages:
                async for message in messages:
                    match message:
                        case Open():
                            backoff.reset()
                        case ReconnectionTime(milliseconds):
                            backoff.base = milliseconds / 1000
                        case Event(id=event_id):
                            last_event_id = event_id
                    yield message
                    if isinstance(message, Close):
                        # Only the end of the stream can follow; a peer that never ends it is not waited for.
                        reason = f"The gateway closed the connection ({message.reason or 'no reason given'})"
                        if message.retry is not None:
                            # The gateway has spread these times over its clients already.
                            delay = max(message.retry / 1000, FLOOR)
                        break
        except Unavailable as error:
            reason, delay = str(error), backoff.delay(at_least=error.retry_after)
        if delay is None:
            delay = backoff.delay()
        yield Lost(reason, delay)
        await sleep(delay)
