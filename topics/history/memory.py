"""History in the memory of one process: bounded by count, age and bytes, gone with the process."""

import asyncio
import contextlib
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from heapq import merge
from itertools import islice

from topics.events import Event
from topics.history.base import PAGE_BYTES, Gap, Kept, Limits, Standing
from topics.history.memory_log import ENTRY_BYTES, LOG_BYTES, MARK_BYTES, PLACE_BYTES, Entry, Log
from topics.history.rules import Rules
from topics.placement.base import Page, Placement, Routed

SWEEP_SECONDS = 1.0
"""How often what is too old is let go of; no reader ever sees it, so it is only memory that waits."""

SWEEP_TOPICS = 256
"""Topics looked at in one turn of the loop: less than a millisecond."""

MARKS_SHARE = 4
"""What is remembered of evicted events takes at most one part in so many of the bytes."""


class MemoryHistory:
    """The `History` of a gateway of one process.

    Args:
        rules: What is kept.
        max_bytes: Memory that all of it may take; about, as Python's own share is estimated.
        clock: Tells the time, in seconds since the epoch.
    """

    def __init__(self, rules: Rules, max_bytes: int, clock: Callable[[], float] = time.time) -> None:
        self._rules = rules
        self._max_bytes = max_bytes
        self._clock = clock
        self._logs: dict[str, Log] = {}
        self._entries: OrderedDict[int, Entry] = OrderedDict()
        self._bytes = 0
        self._marks = 0
        self._position = 0
        # Position of the last event of all topics of which nothing is left: what came before it may be missing.
        self._vanished = 0
        self._sweeping: asyncio.Task[None] | None = None

    @property
    def available(self) -> bool:
        """Return True: it is this process."""
        return True

    def keeps(self, topic: str) -> bool:
        """Tell whether a topic keeps history."""
        return self._rules.of(topic) is not None

    async def start(self) -> None:
        """Begin to let go of what is too old."""
        self._sweeping = asyncio.create_task(self._sweep())

    async def publish(self, event: Event, placement: Placement) -> Routed:
        """Route and store an event: all in one turn of the loop, as `MemoryPlacement.route` never suspends."""
        kept = self._rules.kept(event.topics)
        # Microseconds, so that a position tells an age and never falls back over a restart.
        self._position = event.position = max(self._position + 1, self._now())
        routed = await placement.route(event, kept)
        if routed.repeated:
            event = replace(event, topics=tuple(topic for topic in event.topics if topic not in routed.repeated))
            kept = {topic: limits for topic, limits in kept.items() if topic not in routed.repeated}
        if kept:
            size = ENTRY_BYTES + PLACE_BYTES * len(kept) + sys.getsizeof(event.data)
            self._store(Entry(event, tuple(kept), size), kept)
        return routed

    async def locate(self, topics: Sequence[str], last_id: str) -> Standing:
        """Find where a client stands."""
        logs = {topic: self._log(topic) for topic in topics}
        positions: list[int] = []
        for log in logs.values():
            if log is not None:
                positions.extend(log.find(last_id))
        if not positions:
            return self._standing(logs, 0, [Gap(topic, None, "unknown-id") for topic in topics])
        after = min(positions)
        if len(set(positions)) > 1:
            return self._standing(logs, after, [Gap(topic, None, "repeated-id") for topic in topics])
        gaps = []
        for topic, log in logs.items():
            missed = log.missed(after) if log is not None else None if after < self._vanished else 0
            if missed != 0:
                gaps.append(Gap(topic, missed, "evicted"))
        return self._standing(logs, after, gaps)

    async def read(self, after: Mapping[str, int], *, limit: int) -> Sequence[Kept]:
        """Return the events behind a position in each of some topics, in the order of their positions."""
        logs = [(topic, log, position) for topic, position in after.items() if (log := self._log(topic)) is not None]
        page: list[Kept] = []
        size = 0
        numbers: dict[str, int] = {}
        found = merge(*(islice(log.behind(position, topic), limit) for topic, log, position in logs))
        for position, topic, number in found:
            event = self._entries[position].event
            if page and page[-1].event is event:
                numbers[topic] = number
                continue
            if len(page) == limit or size >= PAGE_BYTES:
                break
            numbers = {topic: number}
            page.append(Kept(event, numbers))
            size += len(event.data)
        return page

    async def events(self, topic: str, *, limit: int, before: int | None = None) -> Page[Kept]:
        """List a topic's events, newest first."""
        log = self._log(topic)
        if log is None:
            return Page([], None, 0)
        found = list(islice(log.before(before), limit + 1))
        items = [Kept(self._entries[position].event, {topic: number}) for position, number in found[:limit]]
        return Page(items, str(found[limit - 1][0]) if len(found) > limit else None, log.kept)

    async def names(self, q: str = "") -> Sequence[str]:
        """Return the names of all topics of which events are kept."""
        return [name for name in list(self._logs) if q in name and (log := self._log(name)) is not None and log.kept]

    async def close(self) -> None:
        """Forget everything."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeping
            self._sweeping = None
        self._logs.clear()
        self._entries.clear()
        self._bytes = self._marks = 0

    @property
    def size(self) -> int:
        """Bytes that it takes now, about."""
        return self._bytes + self._marks * MARK_BYTES + len(self._logs) * LOG_BYTES

    def _now(self) -> int:
        return int(self._clock() * 1_000_000)

    def _standing(self, logs: Mapping[str, Log | None], after: int, gaps: Sequence[Gap]) -> Standing:
        numbers = {topic: 1 if log is None else log.next_number(after) for topic, log in logs.items()}
        return Standing(dict.fromkeys(logs, after), gaps, numbers)

    def _store(self, entry: Entry, kept: Mapping[str, Limits]) -> None:
        self._entries[self._position] = entry
        self._bytes += entry.size
        for topic, limits in kept.items():
            log = self._logs.get(topic)
            if log is None:
                log = self._logs[topic] = Log(limits)
            log.append(self._position, entry.event.id)
            if limits.events is not None:
                self._evict(log, log.kept - limits.events)
            self._log(topic)
        while self.size > self._max_bytes and self._entries:
            position, oldest = next(iter(self._entries.items()))
            for topic in oldest.topics:
                log = self._logs.get(topic)
                # The oldest of all is the oldest of each of its topics that still holds it.
                if log is not None and log.kept and log.first == position:
                    self._evict(log, 1)
                    self._tidy(topic, log)

    def _log(self, topic: str) -> Log | None:
        """Return a topic's log without what is too old."""
        log = self._logs.get(topic)
        if log is None:
            return None
        seconds = log.limits.seconds
        if seconds is not None:
            now = self._now()
            self._evict(log, log.count_kept_before(now - int(seconds * 1_000_000)))
            self._forget(log, log.count_marks_before(now - int(2 * seconds * 1_000_000)))
        return self._tidy(topic, log)

    def _evict(self, log: Log, count: int) -> None:
        for _ in range(count):
            position = log.evict()
            self._marks += 1
            entry = self._entries[position]
            entry.holders -= 1
            if not entry.holders:
                del self._entries[position]
                self._bytes -= entry.size
        if count > 0:
            room = self._max_bytes // MARKS_SHARE // MARK_BYTES
            self._forget(log, min(log.marks, max(log.marks - log.most_marks, self._marks - room)))

    def _forget(self, log: Log, count: int) -> None:
        for _ in range(count):
            log.forget()
            self._marks -= 1

    def _tidy(self, topic: str, log: Log) -> Log | None:
        if log.kept or log.marks:
            return log
        self._vanished = max(self._vanished, log.forgotten)
        del self._logs[topic]
        return None

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            for number, topic in enumerate(list(self._logs)):
                self._log(topic)
                if number % SWEEP_TOPICS == SWEEP_TOPICS - 1:
                    await asyncio.sleep(0)
