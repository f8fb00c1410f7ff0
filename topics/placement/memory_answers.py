"""What publishes were answered, for publishers that try again: the memory placement's part of dedupe."""

import time
from collections.abc import Callable, Iterable, Mapping

REMEMBERED = 100_000
"""Most answers; past it the oldest is forgotten before its time."""


class Answers:
    """The counts of recent publishes, by id and topic.

    Args:
        seconds: How long each is remembered.
        clock: Tells the time, in seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        # In the order of their coming, and so of their end.
        self._counts: dict[tuple[str, str], tuple[float, int]] = {}

    def of(self, event_id: str, topics: Iterable[str]) -> dict[str, int]:
        """Return the counts that are remembered for an id in any of these topics."""
        self._forget()
        counts = self._counts
        return {topic: counts[event_id, topic][1] for topic in topics if (event_id, topic) in counts}

    def remember(self, event_id: str, counts: Mapping[str, int]) -> None:
        """Remember the counts of one publish, whose id is not remembered in these topics."""
        end = self._clock() + self._seconds
        for topic, count in counts.items():
            self._counts[event_id, topic] = end, count

    def _forget(self) -> None:
        now = self._clock()
        over = len(self._counts) - REMEMBERED
        ended: list[tuple[str, str]] = []
        for key, (end, _) in self._counts.items():
            if end > now and over <= len(ended):
                break
            ended.append(key)
        for key in ended:
            del self._counts[key]
