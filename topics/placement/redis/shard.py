"""The channel layer's connection to Redis, read as messages come."""

import asyncio
import logging
from collections.abc import Callable

from channels_redis.pubsub import RedisPubSubLoopLayer, RedisSingleShardConnection

from topics.placement.redis.commands import UNREACHABLE

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 0.1
"""Between two looks whether there is a subscription."""

RETRY_SECONDS = 1.0


class Shard(RedisSingleShardConnection):  # type: ignore[misc]
    """Waits for the next message without a time-out, where channels-redis asks ten times a second.

    A subscription that is dead without having ended is found by the lease's canary, as before.
    """

    async def _do_receiving(self) -> None:
        while True:
            try:
                if not (self._pubsub and self._pubsub.subscribed):
                    await asyncio.sleep(PAUSE_SECONDS)
                    continue
                message = await self._pubsub.parse_response(block=True)
                if message[0] == b"message":
                    self._receive_message({"channel": message[1], "data": message[2]})
                else:
                    await self._pubsub.handle_message(message, ignore_subscribe_messages=True)
            except UNREACHABLE:
                # The placement says it, once.
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:
                logger.exception("receiving failed")
                await asyncio.sleep(RETRY_SECONDS)


def use_shards(layer: RedisPubSubLoopLayer) -> None:
    """Give a layer that has not been used yet, or that was flushed, connections of this kind."""
    layer._shards = [Shard(shard.host, layer) for shard in layer._shards]


class Inlet:
    """Stands where the layer has a channel's queue, and hands each message on at once: no task has to wake for it.

    Args:
        take: Takes a message.
    """

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self.put_nowait = take
