"""A subscription to channels of a Redis, which notices when nobody is there any more."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from redis.asyncio.connection import Connection
from redis.exceptions import RedisError

from publishing.sources.base import Publish, Unreachable
from publishing.sources.formats import NotAnEvent
from topics.placement.redis.address import parse_address

PING_SECONDS = 5.0
"""Silence after which Redis is asked whether it is there; as long again without a word, and it is not."""

REMEMBERED_CHANNELS = 10_000

Handle = Callable[[str, bytes, bytes], Awaitable[None]]
"""Takes a message: `pmessage` for one that a pattern brought, else `message`; its channel; its payload."""


async def listen(
    url: str, publish: Publish, handle: Handle, *, patterns: Sequence[str] = (), channels: Sequence[str] = ()
) -> None:
    """Subscribe, and hand on what comes until cancelled.

    Args:
        url: Of the Redis.
        publish: Is told when all subscriptions stand, and of messages that are no events.
        handle: Takes each message, one after the other; raises `NotAnEvent` for one that cannot be read.
        patterns: Of channels. A channel that several of them match brings its messages once.
        channels: By their names.

    Raises:
        Unreachable: Redis is away, or refuses.
    """
    client = parse_address(url).client(prepare)
    try:
        async with client, client.pubsub() as subscription:
            if patterns:
                await subscription.psubscribe(*patterns)
            if channels:
                await subscription.subscribe(*channels)
            await _hand_on(subscription, publish, handle, len(set(patterns)) + len(set(channels)))
    except (RedisError, OSError) as error:
        raise Unreachable(f"Redis: {describe(error)}") from error


async def _hand_on(subscription: Any, publish: Publish, handle: Handle, wanted: int) -> None:
    answered = True
    # Redis sends a message once for each pattern that matches: the first one's counts.
    pattern_of: dict[bytes, bytes] = {}
    while True:
        message = await subscription.get_message(timeout=PING_SECONDS)
        if message is None:
            if not answered:
                raise Unreachable("Redis: it does not answer.")
            answered = False
            await subscription.ping()
            continue
        answered = True
        kind = message["type"]
        if kind in ("psubscribe", "subscribe"):
            wanted -= 1
            if wanted == 0:
                publish.connected()
            continue
        if kind not in ("pmessage", "message"):
            continue
        channel = message["channel"]
        if kind == "pmessage":
            if len(pattern_of) >= REMEMBERED_CHANNELS and channel not in pattern_of:
                pattern_of.clear()
            if pattern_of.setdefault(channel, message["pattern"]) != message["pattern"]:
                continue
        try:
            await handle(kind, channel, message["data"])
        except NotAnEvent as error:
            publish.dead(str(error))


def describe(error: Exception) -> str:
    """Return what Redis, or the way to it, says: it holds addresses, but neither passwords nor data."""
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


async def prepare(connection: Connection) -> None:
    """Greet Redis on a new connection, as redis-py does."""
    await connection.on_connect()
