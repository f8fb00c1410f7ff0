"""The adapter: what a node asks the history, given to the threads that ask the database."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from django.db import Error

from topics.events import Event
from topics.exceptions import PlacementUnavailable
from topics.history.base import Kept, Standing
from topics.history.database import tables
from topics.history.database.access import Access
from topics.history.database.batches import Batches
from topics.history.database.health import Health
from topics.history.database.order import Turn, turn_of
from topics.history.database.reading import Reading
from topics.history.database.thread import DatabaseThread
from topics.history.database.trimming import Trimming
from topics.history.database.writing import Writing
from topics.history.rules import Rules
from topics.placement.base import Page, Placement, Routed

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 1.0
"""How often it is looked whether something is to be let go of."""

CLOSE_SECONDS = 5.0
"""Longest wait for what a thread has begun when the store is closed."""

Answer = TypeVar("Answer")


@dataclass(slots=True)
class _Parts:
    writer: DatabaseThread
    reader: DatabaseThread
    batches: Batches


class DatabaseHistory:
    """The `History` in a database of Django's.

    Args:
        rules: What is kept.
        alias: The database's name among Django's.
        dedupe_seconds: Within which an event with the id of another is the same one; 0 is off.
        clock: Tells the time, in seconds since the epoch.
    """

    def __init__(
        self,
        rules: Rules,
        alias: str = "default",
        *,
        dedupe_seconds: float = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        def now() -> int:
            return int(clock() * 1_000_000)

        self._rules = rules
        self._alias = alias
        self._writing = Writing(alias, now, int(dedupe_seconds * 1_000_000))
        self._trimming = Trimming(alias, rules, now, self._writing)
        self._reading = Reading(alias, rules, now)
        self._turn: Turn = turn_of(alias)
        self._writer_access = Access(alias, self._turn)
        self._reader_access = Access(alias)
        self._health = Health()
        self._parts: _Parts | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def available(self) -> bool:
        """Whether the database did what it was last asked for."""
        return not self._health.failing

    def keeps(self, topic: str) -> bool:
        """Tell whether a topic keeps history."""
        return self._rules.of(topic) is not None

    async def start(self) -> None:
        """Open the database.

        Raises:
            PlacementUnavailable: It cannot be reached, or its tables are not those of this version.
        """
        writer, reader = DatabaseThread("history writer"), DatabaseThread("history reader")
        batches = Batches(writer, self._writer_access, self._turn, self._writing, self._health)
        self._parts = _Parts(writer, reader, batches)
        try:
            await self._health.answer(self._in_writer(self._prepare))
        except BaseException:
            await self.close()
            raise
        self._tasks = [asyncio.create_task(batches.run()), asyncio.create_task(self._sweep())]

    async def publish(self, event: Event, placement: Placement) -> Routed:
        """Store an event with all that wait, then route it."""
        return await self._own.batches.publish(event, self._rules.kept(event.topics), placement)

    async def locate(self, topics: Sequence[str], last_id: str) -> Standing:
        """Find where a client stands."""
        return await self._ask(partial(self._reading.locate, topics, last_id))

    async def read(self, after: Mapping[str, int], *, limit: int) -> Sequence[Kept]:
        """Return the events behind a position in each of some topics."""
        return await self._ask(partial(self._reading.read, dict(after), limit))

    async def events(self, topic: str, *, limit: int, before: int | None = None) -> Page[Kept]:
        """List a topic's events, newest first."""
        return await self._ask(partial(self._reading.events, topic, limit, before))

    async def names(self, q: str = "") -> Sequence[str]:
        """Return the names of all topics of which events are kept."""
        return await self._ask(partial(self._reading.names, q))

    async def close(self) -> None:
        """Finish what is being stored, refuse what waits, and close the connections."""
        if self._parts is None:
            return
        parts, self._parts = self._parts, None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        parts.batches.refuse()
        parts.writer.run(self._turn.close)
        await asyncio.gather(*(thread.close(CLOSE_SECONDS) for thread in (parts.writer, parts.reader)))

    @property
    def _own(self) -> _Parts:
        if self._parts is None:
            raise PlacementUnavailable("The history has not been started.")
        return self._parts

    async def _ask(self, job: Callable[[], Answer]) -> Answer:
        return await self._health.answer(self._own.reader.run(partial(self._reader_access.attempt, job)))

    def _in_writer(self, job: Callable[[], Answer]) -> "asyncio.Future[Answer]":
        return self._own.writer.run(partial(self._writer_access.attempt, job))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                while await self._in_writer(self._trimming.step):
                    pass
                if self._health.failing:
                    # Whether a publish would be stored again is seen without waiting for one.
                    await self._in_writer(self._touch)
                    self._health.works()
            except Error as error:
                self._health.failed(error)
            except Exception:
                logger.exception("history sweep failed")

    # -- in the writer's thread ------------------------------------------------------------------------------

    def _prepare(self) -> None:
        tables.check(self._alias)
        tables.fill(self._alias)
        self._trimming.look_at_all_again()

    def _touch(self) -> None:
        with self._turn.held():
            self._writing.touch()
