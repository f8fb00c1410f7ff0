"""Publishes that wait are stored together, and handed on as soon as they are, while this node has the turn."""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import dataclass
from functools import partial

from django.db import Error

from topics.events import Event
from topics.exceptions import PlacementUnavailable
from topics.history.base import Limits
from topics.history.database.access import Access
from topics.history.database.health import Health
from topics.history.database.order import Turn
from topics.history.database.thread import DatabaseThread
from topics.history.database.writing import Draft, Writing
from topics.placement.base import Placement, Routed

logger = logging.getLogger(__name__)

BATCH_EVENTS = 64
BATCH_BYTES = 1_048_576
"""Most events, and about the most bytes, that are stored together: a connection's outbox takes as many at once."""

HAND_ON_SECONDS = 8.0
"""After which what was stored is not handed on any more: others may have had their turn since."""

ROUTE_SECONDS = 4.0
"""How long it is tried to hand a batch on to a placement that has just been there."""

ROUTE_GRACE_SECONDS = 2.0
"""How much longer its last answer may take. All in all less than the turn lasts (`order.limit_waits`)."""

ROUTE_PAUSE = 0.05

CLOSE_SECONDS = 5.0
"""Longest wait for a batch that has begun when the store is closed."""


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


class Batches:
    """What waits to be stored, and the way from there to the placement.

    Args:
        thread: Stores.
        access: Its connection.
        turn: Of this node among all on the database.
        writing: The rows.
        health: Learns of each failure.
    """

    def __init__(self, thread: DatabaseThread, access: Access, turn: Turn, writing: Writing, health: Health) -> None:
        self._thread = thread
        self._access = access
        self._turn = turn
        self._writing = writing
        self._health = health
        self._waiting: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        # Whether the database may have stored what it was last given.
        self._wrote = False

    async def publish(self, event: Event, kept: Mapping[str, Limits], placement: Placement) -> Routed:
        """Store an event with all that wait, then route it.

        Args:
            event: Gets its position.
            kept: What all of its topics keep.
            placement: Which is to hand it on.

        Raises:
            PlacementUnavailable: It may not have been stored, or not have been handed on.
        """
        answer: asyncio.Future[Routed] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(event, kept, placement, answer, Draft(event, kept, event.data.encode())))
        self._wake.set()
        return await self._health.answer(answer)

    async def run(self) -> None:
        """Store what waits, for ever; a batch that has begun is ended."""
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

    def refuse(self) -> None:
        """Refuse what waits: nothing is stored any more."""
        _refuse(self._waiting, PlacementUnavailable("The history is closed."))
        self._waiting.clear()

    # -- in the loop -----------------------------------------------------------------------------------------

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
            await self._thread.run(partial(self._store_and_hand_on, batch, loop))
        except Error as error:
            _refuse(batch, self._health.failed(error))
        except PlacementUnavailable as error:
            _refuse(batch, error)
        except Exception as error:
            logger.exception("history store failed", extra={"detail": str(error)})
            _refuse(batch, PlacementUnavailable("The event could not be stored."))
        else:
            self._health.works()
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

    # -- in the thread ---------------------------------------------------------------------------------------

    def _store_and_hand_on(self, batch: Sequence[_Waiting], loop: asyncio.AbstractEventLoop) -> None:
        self._wrote = False
        self._access.attempt(partial(self._take_turn, batch, loop), begun=lambda: self._wrote)

    def _take_turn(self, batch: Sequence[_Waiting], loop: asyncio.AbstractEventLoop) -> None:
        deadline = time.monotonic() + HAND_ON_SECONDS
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
                self._access.close()

    def _begin(self) -> None:
        self._wrote = True


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
