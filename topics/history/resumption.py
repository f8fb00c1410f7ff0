"""The connections of a node that want what was published before: who comes back, and a tail with the last events."""

import asyncio
from collections.abc import Callable, Sequence

from topics.connection import Connection
from topics.history.base import History
from topics.history.last import before_last
from topics.history.replay import TURNS, Replay
from topics.hub import Hub


class Resumption:
    """Begins and ends the replays of a node. They take turns; where nothing is kept there are none.

    Args:
        history: The store, None when no topic keeps anything.
        hub: Counts what is replayed to clients.
        retry_ms: When a client should come back if the store cannot be reached, in milliseconds.
    """

    def __init__(self, history: History | None, hub: Hub, retry_ms: Callable[[], int]) -> None:
        self._history = history
        self._hub = hub
        self._retry_ms = retry_ms
        self._turns = asyncio.Semaphore(TURNS)

    def hold(self, connection: Connection, topics: Sequence[str], last_id: str | None) -> Sequence[str]:
        """Hold the live events of topics that are to be replayed; `begin` or `release` follows.

        Args:
            connection: Which has not been added to these topics yet.
            topics: What it asks for.
            last_id: Of the last event that its client has; None when it wants none from before.

        Returns:
            Those that are to be replayed.
        """
        if last_id is None or self._history is None:
            return ()
        replayed = [topic for topic in topics if self._history.keeps(topic)]
        if replayed:
            replay = connection.interceptor
            if not isinstance(replay, Replay):
                replay = Replay(
                    connection,
                    self._history,
                    self._turns,
                    retry_ms=self._retry_ms,
                    count=self._hub.count_replayed,
                    count_gap=self._hub.count_gap,
                )
            replay.hold(replayed)
        return replayed

    def begin(self, connection: Connection, topics: Sequence[str], last_id: str | None) -> None:
        """Replay topics that are held, now that every node sees the connection."""
        replay = connection.interceptor
        # It has none any more when its client left meanwhile.
        if topics and last_id is not None and isinstance(replay, Replay):
            replay.begin(topics, last_id)

    def release(self, connection: Connection, topics: Sequence[str]) -> None:
        """Leave topics alone that the connection does not hold any more, or never did."""
        replay = connection.interceptor
        if isinstance(replay, Replay):
            replay.release(topics)

    def hold_tail(self, tail: Connection, topic: str, last: int) -> None:
        """Hold the live events of a topic whose last ones a tail is to be given first; `begin_tail` follows.

        Args:
            tail: Which has not been added to the topic yet.
            topic: Which.
            last: How many at most.
        """
        if last and self._history is not None and self._history.keeps(topic):
            # A tail is no delivery, and what it misses nobody has missed: nothing is counted.
            replay = Replay(
                tail, self._history, self._turns, retry_ms=self._retry_ms, count=_not_counted, count_gap=_not_counted
            )
            replay.hold([topic])

    async def begin_tail(self, tail: Connection, topic: str, last: int) -> int:
        """Give a tail the last events that its topic keeps, if they are held for.

        Returns:
            How many there are.

        Raises:
            PlacementUnavailable: The store cannot be reached.
        """
        replay = tail.interceptor
        if self._history is None or not isinstance(replay, Replay):
            return 0
        standing, found = await before_last(self._history, topic, last)
        replay.begin([topic], standing)
        return found


def _not_counted(*_: object) -> None:
    """Stand in for the counters where nothing is counted."""
