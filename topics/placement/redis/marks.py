"""Marks: how a node learns that it is subscribed, and where each topic's stream stands (attach.lua, mark.lua)."""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence

from topics.exceptions import PlacementUnavailable
from topics.placement.redis.commands import PIPELINE_COMMANDS
from topics.placement.redis.keys import Keys
from topics.placement.redis.layer import EventChannel
from topics.placement.redis.lease import Lease
from topics.placement.redis.patience import Patience
from topics.placement.redis.questions import ANSWER_SECONDS

CONFIRM_SECONDS = 0.03
"""After which a mark that has not come is sent again; twice as long each time."""


class Marks:
    """Asks for the marks of doubtful streams until they come.

    Args:
        lease: This node's.
        keys: Names in Redis.
        channel: What reads them.
    """

    def __init__(self, lease: Lease, keys: Keys, channel: EventChannel) -> None:
        self._lease = lease
        self._keys = keys
        self._channel = channel
        self._wanted = asyncio.Event()

    def want(self) -> None:
        """Take note that streams may be doubtful."""
        self._wanted.set()

    async def send(self, topics: Sequence[str]) -> None:
        """Have the marks of joined topics sent.

        Raises:
            PlacementUnavailable: Redis cannot be reached.
        """
        arguments = [word for topic in topics for word in (topic, self._channel.streams[topic].token)]
        keys = [self._keys.position, *map(self._keys.topic, topics)]
        await self._lease.commands.run("mark", keys, [self._keys.channel_prefix, *arguments])

    async def confirmed(self, topics: Iterable[str], within: float = ANSWER_SECONDS) -> None:
        """Wait for the marks of topics.

        Args:
            topics: Those that have been left meanwhile are not waited for.
            within: Seconds for all of them.

        Raises:
            PlacementUnavailable: They have not come.
        """
        try:
            async with Patience(within):
                for topic in topics:
                    stream = self._channel.streams.get(topic)
                    if stream is not None:
                        await stream.confirmed.wait()
        except TimeoutError:
            raise PlacementUnavailable("Redis does not pass messages on.") from None

    async def run(self) -> None:
        """Send again what has not come, for ever."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            pause = CONFIRM_SECONDS
            while self._channel.doubtful():
                await asyncio.sleep(pause)
                pause = min(2 * pause, ANSWER_SECONDS / 4)
                topics = list(self._channel.doubtful()) if self._lease.reachable else []
                for start in range(0, len(topics), PIPELINE_COMMANDS):
                    some = [
                        topic for topic in topics[start : start + PIPELINE_COMMANDS] if topic in self._channel.streams
                    ]
                    with contextlib.suppress(PlacementUnavailable):
                        await self.send(some)
