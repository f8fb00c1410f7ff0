"""`redis-pubsub`: what is sent to Redis with PUBLISH. At most once, as Redis' own pub/sub is."""

from publishing.sources.base import Guarantee, Misconfigured, Publish, RunsOn
from publishing.sources.formats import Message, channel_message, text_of, user_message
from publishing.sources.redis_subscription import listen
from topics.conf import GatewaySettings

CHANNEL_PREFIX = "sse:"
BROADCAST_CHANNEL = "sse:broadcast"


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
        self._url = settings.redis_pubsub_url or settings.redis_url or ""
        self._patterns = settings.redis_pubsub_patterns
        self._users = settings.redis_pubsub_users

    def validate(self) -> None:
        """See `Source`."""
        if not self._url:
            raise Misconfigured("The source redis-pubsub needs a Redis; set GATEWAY_REDIS_PUBSUB_URL.")
        if not self._patterns and not self._users:
            raise Misconfigured("The source redis-pubsub has nothing to listen to; set GATEWAY_REDIS_PUBSUB_PATTERNS.")

    async def run(self, publish: Publish) -> None:
        """See `Source`."""

        async def handle(kind: str, channel: bytes, payload: bytes) -> None:
            message = self._read(kind, text_of(channel), payload)
            if message is not None:
                await publish([message.topic], message.data, id=message.id, event=message.event)

        users = [self._users] if self._users else []
        await listen(self._url, publish, handle, patterns=self._patterns, channels=users)

    async def close(self) -> None:
        """See `Source`."""

    def _read(self, kind: str, channel: str, payload: bytes) -> Message | None:
        """Read one message; None for one that comes a second time, by the subscription of its own."""
        if channel == self._users:
            return user_message(text_of(payload)) if kind == "message" else None
        if channel == BROADCAST_CHANNEL:
            return channel_message(text_of(payload), None)
        if channel.startswith(CHANNEL_PREFIX):
            return channel_message(text_of(payload), channel.removeprefix(CHANNEL_PREFIX))
        return Message(channel, text_of(payload))
