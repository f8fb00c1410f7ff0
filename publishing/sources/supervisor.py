"""Runs the sources: starts them, watches them, runs them again when they fail, and ends them before the node drains."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from publishing.sources import metrics
from publishing.sources.backoff import Backoff
from publishing.sources.base import Outcome, Source, Unreachable
from publishing.sources.board import WRITE_SECONDS, Board
from publishing.sources.intake import Intake, NotTheOne
from publishing.sources.leadership import RENEW_SECONDS, TAKE_SECONDS, Seat, Seats
from publishing.sources.status import SourceStatus, State
from topics.runtime import Runtime

logger = logging.getLogger(__name__)

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0

CLOSE_SECONDS = 2.0
"""How long a source may take to give things back."""

REPEATS = "A message that comes again after a crash is delivered again; set GATEWAY_DEDUPE_SECONDS=60 or more."


class Supervised:
    """One source under watch.

    Args:
        source: Which one.
        runtime: This process's.
        seat: The right to run it; None where there is only this node, or every node runs it.
    """

    def __init__(self, source: Source, runtime: Runtime, seat: Seat | None) -> None:
        self._source = source
        self._runtime = runtime
        self._seat = seat
        self._state: State = "starting"
        self._since = time.time()
        self._detail: str | None = None
        self._restarts = 0
        self._backoff = Backoff(FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS)
        self._intake = Intake(
            runtime, source.name, may_publish=self._may_publish(), on_connected=lambda: self._enter("running")
        )
        metrics.UP.labels(source.name).set(0)
        for outcome in Outcome:
            metrics.MESSAGES.labels(source.name, outcome.value)
        metrics.RESTARTS.labels(source.name)

    def status(self) -> SourceStatus:
        """Return what the list shows of it now."""
        counts = self._intake.counts
        return SourceStatus(
            name=self._source.name,
            node=self._runtime.node.name,
            guarantee=self._source.guarantee,
            runs_on=self._source.runs_on,
            state=self._state,
            since=self._since,
            detail=self._detail,
            published=counts[Outcome.PUBLISHED],
            dropped=counts[Outcome.DROPPED],
            dead=counts[Outcome.DEAD],
            restarts=self._restarts,
        )

    async def watch(self) -> None:
        """Keep it running until it ends by itself, or this is cancelled."""
        try:
            while True:
                try:
                    if await self._run_once():
                        return
                except NotTheOne:
                    logger.warning("source given up", extra={"source": self._source.name})
                    continue
                self._restarts += 1
                metrics.RESTARTS.labels(self._source.name).inc()
                await asyncio.sleep(self._backoff.next())
        finally:
            self._enter("ended")

    async def close(self) -> None:
        """Have the source give back what it holds."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._source.close()
        except Exception:
            logger.exception("source not closed", extra={"source": self._source.name})

    def _may_publish(self) -> Callable[[], bool]:
        seat = self._seat
        return (lambda: True) if seat is None else (lambda: seat.held)

    async def _run_once(self) -> bool:
        """Run the source once this node is the one to do so; returns whether it has ended for good.

        Raises:
            NotTheOne: Another node runs it now.
        """
        seat = self._seat
        if seat is None:
            return await self._run()
        while not await seat.take():
            self._enter("standby")
            await asyncio.sleep(TAKE_SECONDS)
        if self._state == "standby":
            self._enter("starting")
        running = asyncio.create_task(self._run())
        keeping = asyncio.create_task(_keep(seat))
        try:
            await asyncio.wait({running, keeping}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                raise NotTheOne(self._source.name)
            return running.result()
        finally:
            running.cancel()
            keeping.cancel()
            await asyncio.gather(running, keeping, return_exceptions=True)
            await seat.give_back()

    async def _run(self) -> bool:
        began = time.monotonic()
        try:
            await self._source.run(self._intake)
        except NotTheOne:
            raise
        except Unreachable as error:
            self._failed(error.detail)
            logger.warning("source unreachable", extra={"source": self._source.name, "detail": error.detail})
        except Exception as error:
            self._failed(f"{type(error).__name__}: the log says more.")
            logger.exception("source failed", extra={"source": self._source.name})
        else:
            return True
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            # What the source raised in its own clean-up must not keep it running.
            raise asyncio.CancelledError
        if time.monotonic() - began > LONGEST_WAIT_SECONDS:
            self._backoff.reset()
        return False

    def _failed(self, detail: str) -> None:
        self._enter("failing")
        self._detail = detail

    def _enter(self, state: State) -> None:
        if state == self._state:
            return
        self._state = state
        self._since = time.time()
        metrics.UP.labels(self._source.name).set(state == "running")
        if state in ("running", "standby"):
            if state == "running":
                logger.info("source running", extra={"source": self._source.name})
            self._detail = None


async def _keep(seat: Seat) -> None:
    """Return when the seat is lost."""
    while await seat.renew():  # noqa: ASYNC110 - Redis has no word for a key that ran out
        await asyncio.sleep(RENEW_SECONDS)


class Supervisor:
    """All sources of this node.

    Args:
        sources: What `GATEWAY_SOURCES` names.
        runtime: This process's.
    """

    def __init__(self, sources: Sequence[Source], runtime: Runtime) -> None:
        url = runtime.settings.redis_url
        # The name may be used again by the process that comes after this one.
        self._seats = Seats(url, f"{runtime.node.name}/{runtime.node.since!r}") if url else None
        self._board = Board(self._seats.redis, self._seats.board) if self._seats else None
        self._watched = [Supervised(source, runtime, self._seat(source)) for source in sources]
        self._tasks: list[asyncio.Task[None]] = []
        removed = runtime.settings.dedupe_seconds > 0
        self._repeating = [] if removed else [each.name for each in sources if each.guarantee == "at-least-once"]

    def start(self) -> None:
        """Run them from now on."""
        for source in self._repeating:
            logger.warning("source repeats", extra={"source": source, "detail": REPEATS})
        self._tasks = [asyncio.create_task(each.watch()) for each in self._watched]
        if self._board is not None:
            self._tasks.append(asyncio.create_task(self._tell(self._board)))

    def status(self) -> list[SourceStatus]:
        """Return the sources of this node, in the order of `GATEWAY_SOURCES`."""
        return [each.status() for each in self._watched]

    async def status_everywhere(self) -> list[SourceStatus]:
        """Return the sources of all nodes.

        Raises:
            PlacementUnavailable: It cannot be known what the others say.
        """
        if self._board is None:
            return sorted(self.status(), key=lambda status: status.name)
        await self._board.write(self.status())
        return await self._board.read()

    async def stop(self) -> None:
        """Take no more messages, and let other nodes have the sources at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*[each.close() for each in self._watched])
        if self._board is not None:
            await self._board.wipe(self.status())
        if self._seats is not None:
            await self._seats.close()

    def _seat(self, source: Source) -> Seat | None:
        if self._seats is None or source.runs_on == "every-node":
            return None
        return self._seats.seat(source.name)

    async def _tell(self, board: Board) -> None:
        while True:
            try:
                await board.write(self.status())
            except Exception:
                logger.exception("source status not told")
            await asyncio.sleep(WRITE_SECONDS)
