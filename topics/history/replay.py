"""One connection that came back: what it missed, then what is published meanwhile, then live, without a seam.

While it replays, the connection is a normal member of hub and placement. Live events of the topics that it replays are
held here; all of them are in the store too, so when they are too many they are dropped and read again. What reaches the
client is in the order of positions: whenever it breaks off, its last id tells all that it has.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager

from topics.connection import Connection, gap_payload
from topics.encoding import Batch, EncodedEvent
from topics.events import Event
from topics.exceptions import PlacementUnavailable
from topics.history.base import Gap, History, Kept, Standing
from topics.wire.websocket import CLOSE_TRY_AGAIN
from topics.writer import Framing, Writer

logger = logging.getLogger(__name__)

PAGE_EVENTS = 32
"""Events read, encoded and written in one go: half a millisecond, which live events may wait for."""

HELD_EVENTS = 256
HELD_BYTES = 1_048_576
"""Live events, and characters of their data, held for one connection before they are left to the store."""

TURNS = 2
"""Connections of a node that read or write a page at one time: however many come back, live events go between."""


class Aside:
    """A connection's writer, which the fan-out may not call directly: each batch goes by way of `Connection.deliver`.

    Args:
        writer: The server's.
    """

    direct: None = None

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.framing: Framing = writer.framing
        self.on_drain: Callable[[], None] | None = None

    @property
    def pending_bytes(self) -> int:
        """As the writer's."""
        return self.writer.pending_bytes

    def write(self, data: bytes) -> bool:
        """As the writer's."""
        return self.writer.write(data)

    def close(self, code: int | None = None) -> None:
        """As the writer's."""
        self.writer.close(code)

    def abort(self) -> None:
        """As the writer's."""
        self.writer.abort()


class Replay:
    """What stands between hub and one connection until it is live again.

    Args:
        connection: Which has not been added to the hub yet, or not to the topics that are replayed.
        history: The store.
        turns: Shared by all replays of the node.
        retry_ms: When the client should come back if the store cannot be reached, in milliseconds.
        count: Called with the change of the number of events delivered.
        count_gap: Called with the number of events that a gap told, and its reason.
    """

    def __init__(
        self,
        connection: Connection,
        history: History,
        turns: asyncio.Semaphore,
        *,
        retry_ms: Callable[[], int],
        count: Callable[[int], None],
        count_gap: Callable[[int, str], None],
    ) -> None:
        self._connection = connection
        self._history = history
        self._turns = turns
        self._retry_ms = retry_ms
        self._count = count
        self._count_gap = count_gap
        self._writer = connection.writer
        self._task: asyncio.Task[None] | None = None
        self._asked: deque[tuple[tuple[str, ...], str | Standing]] = deque()
        # Topics that are replayed, and up to where; -1 until it is known where.
        self._after: dict[str, int] = {}
        # Number of the next event of a topic, where it is known.
        self._numbers: dict[str, int] = {}
        # Topics without history that share an event with these: their order holds too.
        self._tied: set[str] = set()
        self._held: deque[EncodedEvent] = deque()
        self._held_bytes = 0
        # Position from which on all that came is held, or has been given.
        self._since: int | None = None
        # Position of the newest event of each topic that was left to the store.
        self._left: dict[str, int] = {}
        self._overflowed = False
        self._live = False
        self._stopped = False
        self._changed = asyncio.Event()
        connection.intercept(self, Aside(self._writer))

    def hold(self, topics: Iterable[str]) -> None:
        """Hold the live events of topics, before the connection is added to them; `begin` or `release` follows."""
        self._live = False
        self._since = None
        self._after.update(dict.fromkeys(topics, -1))

    def begin(self, topics: Iterable[str], last_id: str | Standing) -> None:
        """Replay topics that are held, now that every node sees the connection.

        Args:
            topics: Which.
            last_id: Where the client stands in them, or what was found of that.
        """
        self._asked.append((tuple(topics), last_id))
        self._go_on()

    def release(self, topics: Iterable[str]) -> None:
        """Leave topics alone that the connection does not hold any more, or never did."""
        for topic in topics:
            self._after.pop(topic, None)
            self._numbers.pop(topic, None)
            self._left.pop(topic, None)
            self._tied.discard(topic)
        if self._live and not self._after:
            self._connection.intercept(None, self._writer)
        self._go_on()

    def stop(self) -> None:
        """End before its time: the connection has ended, or is about to."""
        self._stopped = True
        if self._task is not None:
            self._task.cancel()
        self._count(-len(self._held))
        self._held.clear()
        self._connection.intercept(None, self._writer)

    def take(self, batch: Batch) -> Batch | None:
        """Take what is to be held of a batch from the hub; returns the rest, None when there is none."""
        passing = [encoded for encoded in batch.events if not self._takes(encoded)]
        if len(passing) == batch.size:
            return batch
        return Batch(passing) if passing else None

    def _takes(self, encoded: EncodedEvent) -> bool:
        event = encoded.event
        mine = [topic for topic in event.topics if topic in self._connection.topics]
        if not any(topic in self._after or topic in self._tied for topic in mine):
            return False
        if self._given(event):
            self._count(-1)
            return True
        if self._live:
            if event.position is not None and event.position > max(self._after.values(), default=0):
                # The hub hands events on in the order of their positions: none that was given can come now.
                self._connection.intercept(None, self._writer)
            return False
        for topic in mine:
            if topic not in self._after:
                if event.position is not None and self._history.keeps(topic):
                    # A topic that was live waits as well: it was given what came before this event.
                    self._after[topic] = event.position - 1
                else:
                    self._tied.add(topic)
        self._hold(encoded)
        return True

    def _given(self, event: Event) -> bool:
        position = event.position
        return position is not None and any(self._after.get(topic, -1) >= position for topic in event.topics)

    def _is_wanted(self, event: Event) -> bool:
        return any(topic in self._connection.topics for topic in event.topics)

    def _hold(self, encoded: EncodedEvent) -> None:
        self._held.append(encoded)
        self._held_bytes += len(encoded.event.data)
        if self._since is None:
            self._since = encoded.event.position
        if len(self._held) <= HELD_EVENTS and self._held_bytes <= HELD_BYTES:
            return
        self._overflowed = True
        self._since = None
        self._count(-len(self._held))
        lost: dict[str, int] = {}
        for event in (held.event for held in self._held):
            for topic in event.topics:
                if topic in self._after and event.position is not None:
                    self._left[topic] = event.position
                elif topic in self._tied and event.position is None:
                    lost[topic] = lost.get(topic, 0) + 1
        self._held.clear()
        self._held_bytes = 0
        for topic, missed in lost.items():
            self._tell(topic, missed, "slow-reader")

    # -- the task --------------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        self._changed.set()
        if self._task is None and not self._live and not self._stopped:
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            await self._catch_up()
        except PlacementUnavailable:
            # It comes back with the last id that it has, to this node or another.
            self._connection.close("unavailable", code=CLOSE_TRY_AGAIN, retry_ms=self._retry_ms())
        except Exception:
            logger.exception("replay failed", extra={"connection": self._connection.id})
            self._connection.abort()
        finally:
            self._task = None

    async def _catch_up(self) -> None:
        while not self._live:
            if self._asked:
                await self._locate(*self._asked.popleft())
                continue
            self._overflowed = False
            after = {topic: position for topic, position in self._after.items() if position >= 0}
            async with self._turns:
                page = await self._history.read(after, limit=PAGE_EVENTS)
            if page:
                await self._give(page)
                if self._overflowed or not self._meets():
                    continue
            self._tell_what_was_left()
            if self._is_asked():
                # What is held is theirs too, and comes behind what they will be given.
                await self._located()
            else:
                await self._give_held()
        if not self._after:
            self._connection.intercept(None, self._writer)

    def _is_asked(self) -> bool:
        """Tell whether topics wait to be located."""
        return bool(self._asked) or -1 in self._after.values()

    async def _located(self) -> None:
        """Wait until it can be known where topics go on that every node does not see yet."""
        while not self._asked and -1 in self._after.values():
            self._changed.clear()
            await self._changed.wait()

    async def _locate(self, topics: Sequence[str], last_id: str | Standing) -> None:
        topics = [topic for topic in topics if topic in self._after]
        if not topics:
            return
        if isinstance(last_id, Standing):
            standing = last_id
        else:
            async with self._turns:
                standing = await self._history.locate(topics, last_id)
        for topic in topics:
            if topic in self._after:
                self._after[topic] = standing.after[topic]
                if topic in standing.numbers:
                    self._numbers[topic] = standing.numbers[topic]
                if self._left.get(topic, 0) <= standing.after[topic]:
                    # The client has it.
                    self._left.pop(topic, None)
        for gap in standing.gaps:
            self._tell_gap(gap)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait until the client has taken what it was given, and for a turn among those who replay."""
        while True:
            await self._connection.cleared()
            async with self._turns:
                if not self._connection.clear:
                    continue
                yield
                # Live events, and other requests, go between.
                await asyncio.sleep(0)
                return

    async def _give(self, page: Sequence[Kept]) -> None:
        for piece in _pieces(page, self._connection.piece):
            async with self._turn():
                batch: list[EncodedEvent] = []
                for kept in piece:
                    numbers = {topic: number for topic, number in kept.number.items() if topic in self._after}
                    gaps = self._holes(kept.event, numbers)
                    if gaps:
                        self._write(batch)
                        batch = []
                        for gap in gaps:
                            self._tell_gap(gap)
                    if numbers:
                        batch.append(EncodedEvent(kept.event))
                        self._count(1)
                self._write(batch)
                self._reached(_position(piece[-1].event))

    def _meets(self) -> bool:
        """Tell whether what was read has met what is held: then the rest need not be read."""
        return self._since is not None and self._since <= min(self._after.values(), default=-1)

    async def _give_held(self) -> None:
        most_events, most_bytes = self._connection.piece
        while not self._overflowed and not self._is_asked():
            async with self._turn():
                if self._is_asked():
                    return
                batch: list[EncodedEvent] = []
                size = 0
                while self._held and len(batch) < most_events and size < most_bytes:
                    encoded = self._held.popleft()
                    self._held_bytes -= len(encoded.event.data)
                    if self._given(encoded.event) or not self._is_wanted(encoded.event):
                        self._count(-1)
                        continue
                    batch.append(encoded)
                    size += len(encoded.event.data)
                self._write(batch)
                for encoded in batch:
                    if encoded.event.position is not None:
                        self._reached(encoded.event.position)
                if not self._held:
                    # In the same turn, or a publisher who is quick enough would never let it be live.
                    self._live = not self._overflowed
                    return

    def _write(self, events: list[EncodedEvent]) -> None:
        if events:
            self._connection.hand(Batch(events))

    def _reached(self, position: int) -> None:
        for topic, after in self._after.items():
            # Not those that wait to be located: these begin where they will be found.
            if 0 <= after < position:
                self._after[topic] = position

    def _holes(self, event: Event, numbers: Mapping[str, int]) -> list[Gap]:
        gaps = []
        for topic, number in numbers.items():
            expected = self._numbers.get(topic, number)
            if number > expected:
                gaps.append(Gap(topic, number - expected, "evicted"))
            elif number < expected:
                # The store has begun anew.
                gaps.append(Gap(topic, None, "interrupted"))
            self._numbers[topic] = number + 1
            if self._left.get(topic, 0) <= _position(event):
                self._left.pop(topic, None)
        return gaps

    def _tell_what_was_left(self) -> None:
        # Nothing more is kept, and yet these were not read: they are evicted, and no later number shows it.
        for topic in [topic for topic in self._left if self._after.get(topic, -1) >= 0]:
            del self._left[topic]
            self._tell_gap(Gap(topic, None, "evicted"))

    def _tell_gap(self, gap: Gap) -> None:
        self._tell(gap.topic, gap.missed, gap.reason)

    def _tell(self, topic: str, missed: int | None, reason: str) -> None:
        if topic in self._connection.topics:
            self._count_gap(missed or 1, reason)
            self._connection.tell(gap_payload(self._connection.transport, topic, missed, reason))


def _position(event: Event) -> int:
    return event.position or 0


def _pieces(page: Sequence[Kept], most: tuple[int, int]) -> Iterator[list[Kept]]:
    """Cut a page into what one connection may be given in one go: so many events, and characters of data."""
    most_events, most_bytes = most
    piece: list[Kept] = []
    size = 0
    for kept in page:
        if piece and (len(piece) >= most_events or size + len(kept.event.data) > most_bytes):
            yield piece
            piece, size = [], 0
        piece.append(kept)
        size += len(kept.event.data)
    yield piece
