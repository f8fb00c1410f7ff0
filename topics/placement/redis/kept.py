"""The topics that keep history, as a node hears them: their gate, and what this node knows of their positions."""

from collections.abc import Awaitable, Callable

from topics.events import Event
from topics.history.catchup import Gate, Place, Store
from topics.placement.redis.keys import Keys
from topics.placement.redis.layer import EventChannel
from topics.placement.redis.lease import Lease
from topics.placement.redis.marks import Marks


class KeptTopics:
    """What stands between the event channel and the hub where topics keep history.

    Args:
        history: The store.
        here: It is kept in this Redis, by the step that routes.
        keys: Names in Redis.
        lease: This node's.
        hand: Takes an event.
        gap: Takes a topic and the number of its events that are lost, None when unknown.
        settled: Waits until the hub can take more.

    Attributes:
        keeps: Tells whether a topic keeps history.
    """

    def __init__(
        self,
        history: Store,
        *,
        here: bool,
        keys: Keys,
        lease: Lease,
        hand: Callable[[Event], None],
        gap: Callable[[str, int | None], None],
        settled: Callable[[], Awaitable[None]],
    ) -> None:
        self.keeps = history.keeps
        self.here = here
        self._keys = keys
        self._lease = lease
        self._listening: tuple[EventChannel, Marks] | None = None
        # The newest position that this node knows of: what is stored must reach so far.
        self._newest = 0
        self._gate = Gate(history, hand=hand, gap=gap, settled=settled, ready=self._hears_all, places=self._places)

    def listen(self, channel: EventChannel, marks: Marks) -> None:
        """Begin to look at the event channel, whose events this takes."""
        self._listening = channel, marks

    def know(self, position: int | None) -> None:
        """Take note of a position that was given to an event."""
        if position is not None and position > self._newest:
            self._newest = position

    def take(self, event: Event) -> None:
        """Take an event from the channel, of whatever topics."""
        self.know(event.position)
        self._gate.take(event)

    def doubt(self) -> None:
        """Catch up: events may have been missed."""
        self._gate.close()

    def fill(self, topic: str) -> None:
        """Catch up because of a hole in a topic."""
        stream = None if self._listening is None else self._listening[0].streams.get(topic)
        self._gate.close_at(topic, stream.following if self.here and stream is not None else None)

    async def report(self) -> int:
        """Tell Redis what this node knows of; returns the position up to which it has lost events, 0 for none.

        Raises:
            PlacementUnavailable: Redis cannot be reached.
        """
        lost: int = await self._lease.commands.run("lost", [self._keys.position, self._keys.lost], [self._newest])
        return lost

    async def stop(self) -> None:
        """End what is under way."""
        await self._gate.stop()

    def _places(self) -> dict[str, Place]:
        if self._listening is None:
            return {}
        return {
            topic: Place(stream.since, stream.last, stream.seq + 1 if self.here and stream.epoch else None)
            for topic, stream in self._listening[0].streams.items()
            if stream.since is not None and self.keeps(topic)
        }

    async def _hears_all(self) -> int:
        self._lease.must_answer()
        if self._listening is not None:
            channel, marks = self._listening
            await marks.confirmed([topic for topic in channel.streams if self.keeps(topic)])
        return await self.report() if self.here else 0
