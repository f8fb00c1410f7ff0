"""One topic's past in memory: the positions of its events, and behind them those of events that are evicted."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from topics.events import Event
from topics.history.base import INDEXED_EVENTS, Limits

ENTRY_BYTES = 520
"""What an event costs besides its data. Measured with ids of 32 characters, and rounded up, as those below."""

PLACE_BYTES = 130
"""What its place in one topic costs."""

LOG_BYTES = 550
"""What a topic costs besides its events."""

MARK_BYTES = 250
"""What the id and position of an evicted event cost."""

_COMPACT = 1024
"""Places at the front of a list that are given back together."""


class Entry:
    """An event, and how many of its topics still hold it.

    Args:
        event: The event.
        topics: Its topics that keep history.
        size: In bytes.
    """

    __slots__ = ("event", "holders", "size", "topics")

    def __init__(self, event: Event, topics: tuple[str, ...], size: int) -> None:
        self.event = event
        self.topics = topics
        self.size = size
        self.holders = len(topics)


class Log:
    """Positions and ids of one topic's events, oldest first: those evicted, then those kept.

    Args:
        limits: Of the topic.
    """

    __slots__ = (
        "_base",
        "_first_kept",
        "_first_known",
        "_ids",
        "_of_id",
        "_positions",
        "_repeated",
        "forgotten",
        "limits",
    )

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.forgotten = 0
        """Position of the last event that is not even known by its id any more."""
        self._positions: list[int] = []
        self._ids: list[str] = []
        # Places in these lists; what lies before the first known is free.
        self._first_known = 0
        self._first_kept = 0
        # Number of the event at place 0.
        self._base = 1
        self._of_id: dict[str, int] = {}
        # Ids that came more than once: their oldest position, which `_of_id` no longer has.
        self._repeated: dict[str, int] = {}

    @property
    def kept(self) -> int:
        """Number of events that are kept."""
        return len(self._positions) - self._first_kept

    @property
    def marks(self) -> int:
        """Number of evicted events that are known."""
        return self._first_kept - self._first_known

    @property
    def most_marks(self) -> int:
        """Evicted events that may be known."""
        return INDEXED_EVENTS if self.limits.events is None else min(self.limits.events, INDEXED_EVENTS)

    @property
    def first(self) -> int:
        """Position of the oldest event that is kept."""
        return self._positions[self._first_kept]

    def append(self, position: int, event_id: str) -> None:
        """Keep one more event."""
        self._positions.append(position)
        self._ids.append(event_id)
        before = self._of_id.get(event_id)
        if before is not None:
            self._repeated.setdefault(event_id, before)
        self._of_id[event_id] = position

    def evict(self) -> int:
        """Keep one event less, the oldest; returns its position."""
        self._first_kept += 1
        return self._positions[self._first_kept - 1]

    def forget(self) -> None:
        """Know one evicted event less, the oldest."""
        place = self._first_known
        event_id, self.forgotten = self._ids[place], self._positions[place]
        if self._of_id[event_id] == self.forgotten:
            del self._of_id[event_id]
            self._repeated.pop(event_id, None)
        self._first_known += 1
        if self._first_known >= _COMPACT and 2 * self._first_known >= len(self._positions):
            self._compact()

    def find(self, event_id: str) -> tuple[int, ...]:
        """Return where an id stands: nowhere, at one position, or at its oldest and its newest."""
        newest = self._of_id.get(event_id)
        if newest is None:
            return ()
        oldest = self._repeated.get(event_id)
        return (newest,) if oldest is None else (oldest, newest)

    def missed(self, after: int) -> int | None:
        """Return how many events behind a position are evicted, None when that is not known."""
        if after < self.forgotten:
            return None
        return max(0, self._first_kept - bisect_right(self._positions, after, lo=self._first_known))

    def next_number(self, after: int) -> int:
        """Return the number of the first event that is kept behind a position, or that the next one will have."""
        return self._base + bisect_right(self._positions, after, lo=self._first_kept)

    def behind(self, after: int, topic: str) -> Iterator[tuple[int, str, int]]:
        """Return position, `topic` and number of each event that is kept behind a position."""
        for place in range(bisect_right(self._positions, after, lo=self._first_kept), len(self._positions)):
            yield self._positions[place], topic, self._base + place

    def before(self, position: int | None) -> Iterator[tuple[int, int]]:
        """Return position and number of each event that is kept before a position, newest first; None is the end."""
        end = len(self._positions)
        if position is not None:
            end = bisect_left(self._positions, position, lo=self._first_kept)
        for place in range(end - 1, self._first_kept - 1, -1):
            yield self._positions[place], self._base + place

    def count_kept_before(self, position: int) -> int:
        """Return how many events that are kept lie before a position."""
        return bisect_left(self._positions, position, lo=self._first_kept) - self._first_kept

    def count_marks_before(self, position: int) -> int:
        """Return how many events that are evicted, and known, lie before a position."""
        return bisect_left(self._positions, position, lo=self._first_known, hi=self._first_kept) - self._first_known

    def _compact(self) -> None:
        gone = self._first_known
        del self._positions[:gone], self._ids[:gone]
        self._base += gone
        self._first_kept -= gone
        self._first_known = 0
