"""The gate between the nodes' layer and the hub: what a node missed of kept topics it reads from the store.

While the subscription is lost, or numbers have a hole, kept events that arrive are held back. What lies behind the last
position that the hub was handed is read page by page, then what is held follows: connections see all of it, in order,
once. Only what the store has lost, or evicted meanwhile, is told as a gap.

An event may also have topics that keep nothing. Their order holds as well: what follows in them waits behind it.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from topics.events import Event
from topics.exceptions import PlacementUnavailable
from topics.history.base import Kept

logger = logging.getLogger(__name__)

PAGE_EVENTS = 128
"""Events read and handed on in one go."""

HELD_EVENTS = 256
HELD_BYTES = 1_048_576
"""Events, and characters of their data, that are held back; beyond that they are left to the store."""

RECENT_EVENTS = 1024
"""Positions that are remembered, to tell an event that came twice from one that comes too late."""

RETRY_SECONDS = 0.05
"""Pause between attempts while the store cannot be read."""


@dataclass(slots=True)
class Place:
    """Where this node stands in a kept topic.

    Attributes:
        since: Position from which its connections hear it.
        last: Position of the last event that came; 0 when none has.
        number: Of the next event, None when it is not known.
    """

    since: int
    last: int
    number: int | None


class Store(Protocol):
    """What is asked of the history."""

    def keeps(self, topic: str) -> bool:
        """Tell whether a topic keeps history (`History.keeps`)."""

    async def read(self, after: Mapping[str, int], *, limit: int) -> Sequence[Kept]:
        """Return the events behind a position in each of some topics (`History.read`)."""


class Gate:
    """Hands kept events to the hub, each once, in the order of their positions.

    Args:
        store: The history.
        hand: Takes an event.
        gap: Takes a topic and the number of its events that are lost, None when unknown.
        settled: Waits until the hub can take more.
        ready: Waits until this node hears all its topics again; returns the position up to which the store has lost
            events, 0 for none. Raises `PlacementUnavailable` as long as it is not so.
        places: Returns the kept topics that this node hears, and where it stands in them.
    """

    def __init__(
        self,
        store: Store,
        *,
        hand: Callable[[Event], None],
        gap: Callable[[str, int | None], None],
        settled: Callable[[], Awaitable[None]],
        ready: Callable[[], Awaitable[int]],
        places: Callable[[], Mapping[str, Place]],
    ) -> None:
        self._store = store
        self._hand = hand
        self._gap = gap
        self._settled = settled
        self._ready = ready
        self._places = places
        self.last = 0
        """Position of the last event that the hub was handed."""
        self._recent: deque[int] = deque(maxlen=RECENT_EVENTS)
        self._lost = 0
        self._held: deque[Event] = deque()
        self._held_bytes = 0
        self._overflowed = False
        # Topics that keep nothing, and share a held event with one that does.
        self._tied: set[str] = set()
        # Number of the next event of each topic, as far as it is known, while the gate is closed.
        self._numbers: dict[str, int] = {}
        self._holes: set[str] = set()
        # Position of the last event of each topic when the gate was closed.
        self._lasts: dict[str, int] = {}
        # Since when each of these topics was heard: one that was left and joined again has missed nothing between.
        self._sinces: dict[str, int] = {}
        # The event that came last. It comes once for each of its topics, and the gate may close in between.
        self._newest: Event | None = None
        self._closings = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether events go straight to the hub."""
        return self._task is None

    def take(self, event: Event) -> None:
        """Take an event from the layer."""
        position = event.position
        if position is None:
            if self._task is None or self._tied.isdisjoint(event.topics):
                self._hand(event)
            else:
                self._hold(event)
        elif position <= self.last:
            # It was read from the store, or its turn is over: its publisher's first try has failed half-way.
            if self._is_late(position):
                self._tell_late(event)
        elif self._task is None:
            self._advance(position)
            self._newest = event
            self._hand(event)
        else:
            self._hold(event)

    def _advance(self, position: int) -> None:
        self.last = position
        self._recent.append(position)

    def _is_late(self, position: int) -> bool:
        # What is older than all that is remembered cannot be told.
        return bool(self._recent) and self._recent[0] < position and position not in self._recent

    def _tell_late(self, event: Event) -> None:
        places = self._places()
        for topic in event.topics:
            if topic in places and places[topic].since < (event.position or 0):
                self._gap(topic, 1)

    def close(self) -> None:
        """Hold back what comes from now on, and catch up: events may have been missed."""
        self._closings += 1
        places = self._places()
        # Where nothing was heard, nothing was missed.
        if self._task is None and places:
            self._numbers = {
                topic: place.number + self._is_ahead(topic, place)
                for topic, place in places.items()
                if place.number is not None
            }
            self._lasts = {topic: place.last for topic, place in places.items()}
            self._sinces = {topic: place.since for topic, place in places.items()}
            self._holes.clear()
            self._task = asyncio.create_task(self._run())

    def close_at(self, topic: str, number: int | None) -> None:
        """Close because of a hole in a topic.

        Args:
            topic: Which.
            number: Of the first event that is missing, as far as it is known.
        """
        was_open = self.is_open
        self.close()
        self._holes.add(topic)
        if was_open and number is not None and topic in self._numbers:
            self._numbers[topic] = number + self._is_ahead(topic, self._places()[topic])

    def _is_ahead(self, topic: str, place: Place) -> bool:
        """Tell whether the hub was handed the topic's next event, which came for another of its topics."""
        newest = self._newest
        if newest is None or newest.position is None or newest.position != self.last:
            return False
        return topic in newest.topics and max(place.since, place.last) < newest.position

    async def stop(self) -> None:
        """End whatever is under way."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        while self._task is asyncio.current_task():
            try:
                await self._catch_up(self._closings)
            except PlacementUnavailable:
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:
                logger.exception("catch-up failed")
                await asyncio.sleep(RETRY_SECONDS)

    async def _catch_up(self, closings: int) -> None:
        lost = await self._ready()
        if lost > max(self.last, self._lost):
            self._lost = lost
            # Numbers may have been given twice.
            self._numbers.clear()
            self._lasts.clear()
            self._holes.clear()
            for topic in self._places():
                self._gap(topic, None)
        begun = self.last
        while closings == self._closings:
            self._overflowed = False
            after = self._after(begun)
            page = await self._store.read(after, limit=PAGE_EVENTS) if after else ()
            if closings != self._closings:
                return
            places = self._held_places()
            for kept in page:
                self._give(kept, places)
            if page:
                begun = max(begun, page[-1].event.position or 0)
                await self._settled()
            elif not self._overflowed:
                self._open()
                return

    def _held_places(self) -> Mapping[str, Place]:
        """Return the places, and forget what is known of topics that have been left or joined since."""
        places = self._places()
        for topic, since in list(self._sinces.items()):
            place = places.get(topic)
            if place is None or place.since != since:
                del self._sinces[topic]
                self._numbers.pop(topic, None)
                self._lasts.pop(topic, None)
                self._holes.discard(topic)
        for topic, place in places.items():
            self._sinces.setdefault(topic, place.since)
        return places

    def _after(self, begun: int) -> dict[str, int]:
        after = {}
        for topic, place in self._held_places().items():
            if place.number is not None and place.number <= self._numbers.get(topic, 0):
                # The marks have come, and say that it has had no event.
                continue
            after[topic] = max(begun, place.since)
            last = self._lasts.get(topic, 0)
            if topic not in self._numbers and 0 < last <= after[topic]:
                # The last event once more: its number says whether the next one follows it.
                after[topic] = last - 1
        return after

    def _give(self, kept: Kept, places: Mapping[str, Place]) -> None:
        position = kept.event.position or 0
        self._hand_held(position - 1)
        is_new = position > self.last
        for topic, number in kept.number.items():
            if topic not in places:
                continue
            expected = self._numbers.get(topic)
            if is_new and expected is None and topic in self._holes:
                self._gap(topic, None)
            elif is_new and expected is not None and number > expected:
                self._gap(topic, number - expected)
            self._holes.discard(topic)
            self._numbers[topic] = number + 1
        if not is_new:
            return
        for topic in kept.event.topics:
            # It was not asked about, as it had had no event by then: this is its next one.
            if topic not in kept.number and topic in places and places[topic].since < position:
                self._count(topic)
        if self._held and self._held[0].position == position:
            self._hand(self._pop())
        else:
            # It came to nobody: of its topics that keep nothing this is told as a gap.
            self._hand(self._of_kept_topics(kept.event))
        self._advance(position)

    def _of_kept_topics(self, event: Event) -> Event:
        topics = tuple(filter(self._store.keeps, event.topics))
        return event if len(topics) == len(event.topics) else replace(event, topics=topics)

    def _hold(self, event: Event) -> None:
        self._held.append(event)
        self._held_bytes += len(event.data)
        self._tied.update(topic for topic in event.topics if not self._store.keeps(topic))
        if len(self._held) <= HELD_EVENTS and self._held_bytes <= HELD_BYTES:
            return
        self._overflowed = True
        lost = Counter(topic for held in self._held for topic in held.topics if topic in self._tied)
        self._drop_held()
        for topic, missed in lost.items():
            self._gap(topic, missed)

    def _hand_held(self, until: int | None) -> None:
        """Hand on what is held up to a position, all of it with None, and what keeps nothing behind it."""
        while self._held and (until is None or (self._held[0].position or 0) <= until):
            event = self._pop()
            if event.position is not None:
                if event.position <= self.last:
                    continue
                self._advance(event.position)
                for topic in event.topics:
                    self._count(topic)
            self._hand(event)

    def _count(self, topic: str) -> None:
        if topic in self._numbers:
            self._numbers[topic] += 1

    def _pop(self) -> Event:
        event = self._held.popleft()
        self._held_bytes -= len(event.data)
        return event

    def _drop_held(self) -> None:
        self._held.clear()
        self._held_bytes = 0
        self._tied.clear()

    def _open(self) -> None:
        # Nothing is awaited from the last read on: what was not in it is held, or has not come yet.
        self._hand_held(None)
        self._drop_held()
        for topic, place in self._held_places().items():
            missed = (place.number or 0) - self._numbers.get(topic, place.number or 0)
            if missed > 0:
                # They have been evicted, and nothing behind them is kept.
                self._gap(topic, missed)
        self._task = None
