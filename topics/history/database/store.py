"""The adapter: what waits is stored together, and handed on once it is stored."""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from django.db import Error, connections

from topics.events import Event
from topics.exceptions import PlacementUnavailable
from topics.history.base import Kept, Limits, Standing
from topics.history.database import tables
from topics.history.database.address import BUSY_SECONDS
from topics.history.database.order import Turn, limit_waits, turn_of
from topics.history.database.reading import Reading
from topics.history.database.thread import DatabaseThread
from topics.history.database.trimming import Trimming
from topics.history.database.writing import Draft, Writing
from topics.history.rules import Rules
from topics.placement.base import Page, Placement, Routed

logger = logging.getLogger(__name__)

BATCH_EVENTS = 64
BATCH_BYTES = 1_048_576
"""Most events, and about the most bytes, that are stored together: a connection's outbox takes as many at once."""

ANSWER_SECONDS = 10.0
"""Longest wait of a publisher, or a reader, for the database."""

HAND_ON_SECONDS = 8.0
"""After which what was stored is not handed on any more: others may have had their turn since."""

ROUTE_SECONDS = 4.0
"""How long it is tried to hand a batch on to a placement that has just been there."""

ROUTE_GRACE_SECONDS = 2.0
"""How much longer its last answer may take. All in all less than the turn lasts (`order.limit_waits`)."""

ROUTE_PAUSE = 0.05

SWEEP_SECONDS = 1.0
"""How often it is looked whether something is to be let go of."""

CLOSE_SECONDS = 5.0

Answer = TypeVar("Answer")


@dataclass(slots=True, eq=False)
class _Waiting:
    """A publish that waits for its answer.

    Attributes:
        kept: What all of its topics keep.
        draft: How it is stored; without topics when all of them had it before.
        sent: Whether the placement was asked to hand it on.
        routed: What the placement said.
    """

    event: Event
    kept: Mapping[str, Limits]
    placement: Placement
    answer: "asyncio.Future[Routed]"
    draft: Draft
    sent: bool = False
    routed: Routed | None = None


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
        self._threads: tuple[DatabaseThread, DatabaseThread] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._waiting: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._wrote = False
        self._failing = False

    @property
    def available(self) -> bool:
        """Whether the database did what it was last asked for."""
        return not self._failing

    def keeps(self, topic: str) -> bool:
        """Tell whether a topic keeps history."""
        return self._rules.of(topic) is not None

    async def start(self) -> None:
        """Open the database.

        Raises:
            PlacementUnavailable: It cannot be reached, or its tables are not those of this version.
        """
        self._threads = DatabaseThread("history writer"), DatabaseThread("history reader")
        try:
            await self._ask(self._writer, self._prepare)
        except BaseException:
            await self.close()
            raise
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._sweep())]

    async def publish(self, event: Event, placement: Placement) -> Routed:
        """Store an event with all that wait, then route it."""
        _ = self._writer
        kept = self._rules.kept(event.topics)
        answer: asyncio.Future[Routed] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(event, kept, placement, answer, Draft(event, kept, event.data.encode())))
        self._wake.set()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await answer
        except TimeoutError:
            raise self._failed("it does not answer") from None

    async def locate(self, topics: Sequence[str], last_id: str) -> Standing:
        """Find where a client stands."""
        return await self._ask(self._reader, partial(self._reading.locate, topics, last_id))

    async def read(self, after: Mapping[str, int], *, limit: int) -> Sequence[Kept]:
        """Return the events behind a position in each of some topics."""
        return await self._ask(self._reader, partial(self._reading.read, dict(after), limit))

    async def events(self, topic: str, *, limit: int, before: int | None = None) -> Page[Kept]:
        """List a topic's events, newest first."""
        return await self._ask(self._reader, partial(self._reading.events, topic, limit, before))

    async def kept(self, topic: str) -> int:
        """Return how many events of a topic are kept."""
        return await self._ask(self._reader, partial(self._reading.count, topic))

    async def names(self, q: str = "") -> Sequence[str]:
        """Return the names of all topics of which events are kept."""
        return await self._ask(self._reader, partial(self._reading.names, q))

    async def close(self) -> None:
        """Finish what is being stored, refuse what waits, and close the connections."""
        if self._threads is None:
            return
        threads, self._threads = self._threads, None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        _refuse(self._waiting, PlacementUnavailable("The history is closed."))
        self._waiting.clear()
        threads[0].run(self._turn.close)
        await asyncio.gather(*(thread.close(CLOSE_SECONDS) for thread in threads))

    # -- in the loop -----------------------------------------------------------------------------------------

    @property
    def _writer(self) -> DatabaseThread:
        return self._both[0]

    @property
    def _reader(self) -> DatabaseThread:
        return self._both[1]

    @property
    def _both(self) -> tuple[DatabaseThread, DatabaseThread]:
        if self._threads is None:
            raise PlacementUnavailable("The history has not been started.")
        return self._threads

    async def _ask(self, thread: DatabaseThread, job: Callable[[], Answer]) -> Answer:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await thread.run(partial(self._try_twice, job))
        except Error as error:
            raise self._failed(error) from error
        except TimeoutError:
            raise self._failed("it does not answer") from None

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                batch = self._take()
                if not batch:
                    continue
                storing = asyncio.create_task(self._store(batch))
                try:
                    await asyncio.shield(storing)
                except asyncio.CancelledError:
                    # What has begun ends, with an answer to those who wait for it.
                    await asyncio.wait([storing], timeout=CLOSE_SECONDS)
                    storing.cancel()
                    raise

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        while self._waiting and len(batch) < BATCH_EVENTS and size < BATCH_BYTES:
            batch.append(self._waiting.popleft())
            size += len(batch[-1].draft.data)
        return [each for each in batch if not each.answer.done()]

    async def _store(self, batch: list[_Waiting]) -> None:
        try:
            await self._prepare_answers(batch)
            loop = asyncio.get_running_loop()
            await self._writer.run(partial(self._store_and_hand_on, batch, loop))
        except Error as error:
            _refuse(batch, self._failed(error))
        except PlacementUnavailable as error:
            _refuse(batch, error)
        except Exception as error:
            logger.exception("history store failed", extra={"detail": str(error)})
            _refuse(batch, PlacementUnavailable("The event could not be stored."))
        else:
            self._works()
            for each in batch:
                if not each.answer.done():
                    if each.routed is None:
                        each.answer.set_exception(PlacementUnavailable("The event could not be handed on."))
                    else:
                        each.answer.set_result(each.routed)

    async def _prepare_answers(self, batch: Sequence[_Waiting]) -> None:
        # A placement that is away is found out before anything is stored; and what had an answer before is not stored.
        await batch[0].placement.count(batch[0].kept)
        answers = await asyncio.gather(*(each.placement.answered(each.event.id, each.kept) for each in batch))
        for each, answered in zip(batch, answers, strict=True):
            each.draft = _without(each, frozenset(answered))

    async def _hand_on(self, batch: Sequence[_Waiting]) -> None:
        # They start in their order, and a placement keeps the order in which it is asked.
        await asyncio.gather(*(self._route(each) for each in batch))
        # Whether a command that failed was done cannot be known. It may be done twice, as nodes know its position.
        loop = asyncio.get_running_loop()
        end = loop.time() + ROUTE_SECONDS
        for each in batch:
            while each.sent and each.routed is None and loop.time() < end:
                await asyncio.sleep(ROUTE_PAUSE)
                await self._route(each)

    async def _route(self, each: _Waiting) -> None:
        if each.answer.done():
            # Its publisher has been told that it failed, or has gone.
            return
        each.sent = True
        with contextlib.suppress(PlacementUnavailable):
            each.routed = await each.placement.route(each.event, each.kept)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                while await self._writer.run(self._trimming.step):
                    pass
                if self._failing:
                    # Whether a publish would be stored again is seen without waiting for one.
                    await self._writer.run(self._touch)
                    self._works()
            except Error as error:
                self._failed(error)
                await self._writer.run(self._hang_up)
            except Exception:
                logger.exception("history sweep failed")

    def _failed(self, why: Exception | str) -> PlacementUnavailable:
        detail = " ".join(str(why).split()) or type(why).__name__
        if not self._failing:
            self._failing = True
            logger.warning("history store unavailable", extra={"detail": detail})
        return PlacementUnavailable(f"The database of the history fails: {detail}")

    def _works(self) -> None:
        if self._failing:
            self._failing = False
            logger.info("history store back")

    # -- in the threads --------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        tables.check(self._alias)
        tables.fill(self._alias)
        self._trimming.look_at_all_again()

    def _touch(self) -> None:
        self._connect()
        with self._turn.held():
            self._writing.touch()

    def _try_twice(self, job: Callable[[], Answer]) -> Answer:
        """Do a job that may be done twice; the database may have been restarted since the last one."""
        began = time.monotonic()
        try:
            self._connect()
            return job()
        except Error:
            self._hang_up()
            if _waited(began):
                raise
        try:
            self._connect()
            return job()
        except Error:
            self._hang_up()
            raise

    def _store_and_hand_on(self, batch: Sequence[_Waiting], loop: asyncio.AbstractEventLoop) -> None:
        began = time.monotonic()
        try:
            self._wrote = False
            self._take_turn(batch, loop)
        except Error:
            self._leave()
            if self._wrote or _waited(began):
                raise
            # It has not even begun: the database may have been restarted since the last time.
            try:
                self._take_turn(batch, loop)
            except Error:
                self._leave()
                raise

    def _take_turn(self, batch: Sequence[_Waiting], loop: asyncio.AbstractEventLoop) -> None:
        deadline = time.monotonic() + HAND_ON_SECONDS
        self._connect()
        with self._turn.held():
            # The others' publishers have been told that they failed, or have gone.
            batch = [each for each in batch if not each.answer.done()]
            drafts = [each.draft for each in batch if each.draft.topics]
            if drafts:
                self._writing.insert(drafts, self._begin)
            for each in batch:
                each.event.position = each.draft.position or None
            drafts = [draft for draft in drafts if draft.topics]
            if time.monotonic() < deadline:
                handing = asyncio.run_coroutine_threadsafe(self._hand_on(batch), loop)
                try:
                    handing.result(ROUTE_SECONDS + ROUTE_GRACE_SECONDS)
                except NotInTime:
                    handing.cancel()
            self._take_back(batch, drafts)

    def _take_back(self, batch: Sequence[_Waiting], stored: Sequence[Draft]) -> None:
        """Let go of what was stored and went to nobody after all, and of what the placement knows as a repeat.

        What may have gone out stays: its publisher is told that it failed, but a client may have it.
        """
        left: list[Draft] = []
        changed = False
        for each in batch:
            if not each.draft.topics:
                continue
            repeated = frozenset() if each.routed is None else each.routed.repeated
            if each.sent and repeated.isdisjoint(each.draft.topics):
                left.append(each.draft)
                continue
            changed = True
            if each.sent:
                rest = _without(each, repeated)
                left += [rest] if rest.topics else []
        if changed:
            try:
                self._writing.amend(stored, left)
            except Error as error:
                # They stay: a client may be given them, though their publishers are told that they failed.
                logger.warning("history keeps events that failed", extra={"detail": str(error)})
                self._leave()

    def _begin(self) -> None:
        self._wrote = True

    def _connect(self) -> None:
        connection = connections[self._alias]
        if connection.connection is None:
            limit_waits(connection)

    def _leave(self) -> None:
        self._turn.close()
        self._hang_up()

    def _hang_up(self) -> None:
        # What is broken already may say so once more.
        with contextlib.suppress(Error):
            connections[self._alias].close()


def _waited(began: float) -> bool:
    # A connection that ended unnoticed fails at once; a wait that ran out would only run out again.
    return time.monotonic() - began > BUSY_SECONDS / 2


def _without(each: _Waiting, repeated: frozenset[str]) -> Draft:
    """Return how an event is stored that some of its topics had before."""
    draft = each.draft
    if not repeated:
        return draft
    event = each.event
    rest = Event(
        tuple(topic for topic in event.topics if topic not in repeated),
        *(event.id, event.data, event.event, event.retry, event.time),
    )
    topics = {name: limits for name, limits in draft.topics.items() if name not in repeated}
    return Draft(rest, topics, draft.data, draft.position)


def _refuse(batch: Iterable[_Waiting], error: PlacementUnavailable) -> None:
    for each in batch:
        if not each.answer.done():
            each.answer.set_exception(error)
