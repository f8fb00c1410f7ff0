"""`redis-pubsub`: what is sent to Redis with PUBLISH. At most once, as Redis' own pub/sub is."""

from typing import Any

from redis.asyncio.connection import Connection
from redis.exceptions import RedisError

from publishing.sources.base import Guarantee, Misconfigured, Publish, RunsOn, Unreachable
from publishing.sources.formats import Message, NotAnEvent, channel_message, text_of, user_message
from topics.conf import GatewaySettings
from topics.placement.redis.address import parse_address

CHANNEL_PREFIX = "sse:"
BROADCAST_CHANNEL = "sse:broadcast"

PING_SECONDS = 5.0
"""Silence after which Redis is asked whether it is there; as long again without a word, and it is not."""

REMEMBERED_CHANNELS = 10_000


class RedisPubSub:
    """Patterns of channels, and one channel whose messages name a user.

    Args:
        settings: The gateway's.
    """

    name = "redis-pubsub"
    guarantee: Guarantee = "at-most-once"
    # Every subscriber gets every message.
    runs_on: RunsOn = "one-node"

    def __init__(self, settings: GatewaySettings) -> None:
        self._url = settings.redis_pubsub_url or settings.redis_url
        self._patterns = settings.redis_pubsub_patterns
        self._users = settings.redis_pubsub_users

    def validate(self) -> None:
        """See `Source`."""
        if self._url is None:
            raise Misconfigured("The source redis-pubsub needs a Redis; set GATEWAY_REDIS_PUBSUB_URL.")
        if not self._patterns and not self._users:
            raise Misconfigured("The source redis-pubsub has nothing to listen to; set GATEWAY_REDIS_PUBSUB_PATTERNS.")

    async def run(self, publish: Publish) -> None:
        """See `Source`."""
        assert self._url is not None  # noqa: S101 - `validate` has seen to it
        client = parse_address(self._url).client(_prepare)
        try:
            async with client, client.pubsub() as subscription:
                if self._patterns:
                    await subscription.psubscribe(*self._patterns)
                if self._users:
                    await subscription.subscribe(self._users)
                await self._listen(subscription, publish)
        except (RedisError, OSError) as error:
            raise Unreachable(f"Redis: {describe(error)}") from error

    async def close(self) -> None:
        """See `Source`."""

    async def _listen(self, subscription: Any, publish: Publish) -> None:
        wanted = len(self._patterns) + bool(self._users)
        answered = True
        # A channel that several patterns match brings a message once for each: the first one's counts.
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
            elif kind == "message":
                await self._publish(kind, message["channel"], message["data"], publish)
            elif kind == "pmessage":
                if len(pattern_of) >= REMEMBERED_CHANNELS and message["channel"] not in pattern_of:
                    pattern_of.clear()
                if pattern_of.setdefault(message["channel"], message["pattern"]) != message["pattern"]:
                    continue
                await self._publish(kind, message["channel"], message["data"], publish)

    async def _publish(self, kind: str, channel: bytes, payload: bytes, publish: Publish) -> None:
        try:
            message = self.read(kind, text_of(channel), payload)
        except NotAnEvent as error:
            publish.dead(str(error))
            return
        if message is not None:
            await publish([message.topic], message.data, id=message.id, event=message.event)

    def read(self, kind: str, channel: str, payload: bytes) -> Message | None:
        """Read one message; None for one that comes another time, by the other subscription.

        Args:
            kind: `pmessage` for one that a pattern brought, `message` for one of the users' channel.
            channel: Where it was sent.
            payload: As it came.

        Raises:
            NotAnEvent: It cannot be read.
        """
        if channel == self._users:
            return user_message(text_of(payload)) if kind == "message" else None
        if channel == BROADCAST_CHANNEL:
            return channel_message(text_of(payload), None)
        if channel.startswith(CHANNEL_PREFIX):
            return channel_message(text_of(payload), channel.removeprefix(CHANNEL_PREFIX))
        return Message(channel, text_of(payload))


def describe(error: Exception) -> str:
    """Return what Redis, or the way to it, says: it holds addresses, but neither passwords nor data."""
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


async def _prepare(connection: Connection) -> None:
    await connection.on_connect()
