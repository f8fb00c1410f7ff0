"""The process-local fan-out: topic to connections.

An event is encoded once for all connections that want the same bytes. Events of one turn of the loop go out in
one write a connection. A large fan-out is cut into slices, so that other requests are answered in between.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import get_args

from topics import metrics, turns
from topics.broadcast import TOPIC as BROADCAST
from topics.connection import Connection, gap_payload
from topics.encoding import Batch, EncodedEvent
from topics.events import Event, rfc3339
from topics.fanout import deliver_all
from topics.outbox import JOIN_BYTES
from topics.placement.base import ConnectionRecord, Drop, Transport
from topics.rates import Rates
from topics.wire import sse, websocket

logger = logging.getLogger(__name__)

SLICE = 256
"""Deliveries in one go, one to two milliseconds."""

SHORT_SLICE = 32
"""Deliveries in one go while somebody waits for more than one turn of the loop (`topics.turns`).

A request of Django's takes a dozen turns, each behind a slice: while events went to 5,000 connections it waited 40 ms
at slices of 256, and 10 at slices of 32. But a turn of Daphne's loop costs as much as three deliveries.
"""

BATCH_EVENTS = 128
"""Most events joined for one write: half an outbox, so that one turn alone does not fill it."""

BACKLOG_EVENTS = 1024
BACKLOG_BYTES = 8 * 1_048_576
"""What may wait for the fan-out before publishers are made to wait: only the processor is slow then, no reader."""


class Hub:
    """Every connection of this process, and every tail.

    Args:
        node: Name of this node.
        retry_ms: When a client should come back that an administrator closed, in milliseconds.
    """

    def __init__(self, node: str, retry_ms: int) -> None:
        self.node = node
        self._retry_ms = retry_ms
        self.draining = False
        self.published = 0
        self.delivered = 0
        self.dropped = 0
        self.gaps = 0
        self.meter = Rates(self.counters)
        self.connections: dict[str, Connection] = {}
        self.tails: dict[str, dict[Connection, None]] = {}
        self._topics: dict[str, dict[Connection, None]] = {}
        # How often anything was removed: a fan-out under way looks closer only after that.
        self._removals = 0
        self._inbox: list[Event] = []
        self._inbox_bytes = 0
        self._fan_out: Iterator[None] | None = None
        self._settled = asyncio.Event()
        self._settled.set()

    def add(self, connection: Connection, topics: Iterable[str]) -> None:
        """Subscribe a connection (which may be new) to topics."""
        self.connections[connection.id] = connection
        for topic in topics:
            connection.topics[topic] = None
            self._topics.setdefault(topic, {})[connection] = None

    def remove(self, connection: Connection, topics: Iterable[str]) -> None:
        """Unsubscribe a connection from topics that it holds."""
        self._removals += 1
        for topic in list(topics):
            connection.topics.pop(topic, None)
            members = self._topics.get(topic)
            if members is not None:
                members.pop(connection, None)
                if not members:
                    del self._topics[topic]

    def forget(self, connection: Connection) -> None:
        """Drop a connection that has ended."""
        connection.gone()
        self.remove(connection, connection.topics)
        self.connections.pop(connection.id, None)

    def add_tail(self, topic: str, tail: Connection) -> None:
        """Let an administrator see a topic; this makes no topic exist."""
        self.tails.setdefault(topic, {})[tail] = None

    def remove_tail(self, topic: str, tail: Connection) -> None:
        """Undo `add_tail`."""
        tail.gone()
        tails = self.tails.get(topic, {})
        tails.pop(tail, None)
        if not tails:
            self.tails.pop(topic, None)

    @property
    def topic_count(self) -> int:
        """Topics with a connection here."""
        return len(self._topics)

    def member_count(self, topic: str) -> int:
        """Connections of a topic here."""
        return len(self._topics.get(topic, ()))

    def deliver(self, event: Event) -> None:
        """Hand an event to every connection and tail of its topics, in this turn of the loop or the next."""
        self._inbox.append(event)
        self._inbox_bytes += len(event.data)
        if self._fan_out is None:
            self._fan_out = self._slices()
            asyncio.get_running_loop().call_soon(self._step)
        if len(self._inbox) >= BACKLOG_EVENTS or self._inbox_bytes >= BACKLOG_BYTES:
            self._settled.clear()

    async def settled(self) -> None:
        """Wait while more events wait for the fan-out than the processor should be given."""
        await self._settled.wait()

    def report_drop(self, drop: Drop) -> None:
        """Tell the tails of a dropped publish's topics: its topic and id, as nothing else of it was read."""
        if not self.tails:
            return
        payload = sse.encode_control(
            "dropped",
            {"topics": drop.topics, "id": drop.id, "time": rfc3339(drop.time), "reason": drop.reason},
        )
        for tail in {tail: None for topic in drop.topics for tail in self.tails.get(topic, ())}:
            tail.tell(payload)

    def gap(self, topic: str, missed: int | None, reason: str) -> None:
        """Tell every connection and tail of a topic that events did not reach this node."""
        # It stands behind what came before it.
        while self._go_on():
            pass
        payloads = {transport: gap_payload(transport, topic, missed, reason) for transport in get_args(Transport)}
        members = list(self._topics.get(topic, ()))
        for member in (*members, *self.tails.get(topic, ())):
            member.tell(payloads[member.transport])
        # An unknown number counts as one: no gap may be invisible in the totals.
        self.gaps += (missed or 1) * len(members)
        metrics.GAPS.labels(reason).inc((missed or 1) * len(members))

    def connection(self, connection_id: str) -> ConnectionRecord | None:
        """Return a connection that this node holds, as it is now."""
        connection = self.connections.get(connection_id)
        return None if connection is None else connection.record(self.node)

    def close_connection(self, connection_id: str) -> bool:
        """Close a connection for an administrator; False when there is none of that id."""
        connection = self.connections.get(connection_id)
        if connection is None:
            return False
        connection.close("closed-by-administrator", code=websocket.CLOSE_NORMAL, retry_ms=self._retry_ms)
        return True

    def counters(self) -> Mapping[str, int]:
        """Return the totals since start."""
        return {
            "published": self.published,
            "delivered": self.delivered,
            "dropped": self.dropped,
            "gaps": self.gaps,
        }

    def rates(self) -> Mapping[str, float]:
        """Return the totals' growth per second, over the last seconds."""
        return self.meter.per_second()

    def everything(self) -> list[Connection]:
        """Return all connections and tails."""
        return [*self.connections.values(), *{tail: None for tails in self.tails.values() for tail in tails}]

    def count_gap(self, missed: int, reason: str = "slow-reader") -> None:
        """Count events that a connection was told it missed."""
        self.gaps += missed
        metrics.GAPS.labels(reason).inc(missed)

    def count_replayed(self, events: int) -> None:
        """Count events that a connection got from history; less than 0 for those that were handed to it in vain."""
        self.delivered += events

    def _step(self) -> None:
        if self._go_on():
            asyncio.get_running_loop().call_soon(self._step)

    def _go_on(self) -> bool:
        """Do one slice of the fan-out under way; returns whether there is another."""
        if self._fan_out is None:
            return False
        try:
            next(self._fan_out)
        except StopIteration:
            self._fan_out = None
        except Exception:
            # A generator that raised is finished; what waits behind the event that it failed on still goes out.
            logger.exception("fan-out failed")
            self._fan_out = self._slices()
        return self._fan_out is not None

    def _slices(self) -> Iterator[None]:
        room = _room()
        while self._inbox:
            inbox, self._inbox, self._inbox_bytes = self._inbox, [], 0
            self._settled.set()
            for topics, batch in _batches(inbox):
                removals = self._removals
                members = self._members(topics)
                handed = position = 0
                while position < len(members):
                    if not room:
                        yield
                        room = _room()
                    now = members[position : position + room]
                    position += len(now)
                    room -= len(now)
                    if removals != self._removals:
                        # They may have unsubscribed while other requests ran.
                        now = [member for member in now if self._holds_any(member, topics)]
                    deliver_all(now, batch)
                    handed += len(now)
                if self.tails:
                    deliver_all(_once(self.tails, topics), batch)
                self._account(handed, batch)

    def _holds_any(self, member: Connection, topics: tuple[str, ...]) -> bool:
        return any(member in self._topics.get(topic, ()) for topic in topics)

    def _members(self, topics: tuple[str, ...]) -> list[Connection]:
        if len(topics) == 1:
            return list(self._topics.get(topics[0], ()))
        return _once(self._topics, topics)

    def _account(self, handed: int, batch: Batch) -> None:
        self.delivered += handed * batch.size
        now = time.time()
        for encoded in batch.events:
            metrics.DELIVERY_SECONDS.observe(max(0.0, now - encoded.event.time))


def _once(members: Mapping[str, Mapping[Connection, None]], topics: tuple[str, ...]) -> list[Connection]:
    """Return the members of any of the topics; one that holds several of them is in here once."""
    found: dict[Connection, None] = {}
    for topic in topics:
        found.update(members.get(topic, {}))
    return list(found)


def _room() -> int:
    return SHORT_SLICE if turns.waited_for else SLICE


def _batches(inbox: list[Event]) -> Iterator[tuple[tuple[str, ...], Batch]]:
    """Group the events of one turn by topic without changing the order that any topic's subscribers see.

    An event of several topics ties their orders together: what came before it goes out first. So does one of another
    topic that is kept as well: events that are kept go out in the order of their positions. A broadcast goes to the
    subscribers of all topics, and keeps its place among their events.
    """
    if len(inbox) == 1:
        yield inbox[0].topics, Batch([EncodedEvent(inbox[0])])
        return
    groups: dict[tuple[str, ...], list[Event]] = {}
    kept: tuple[str, ...] | None = None
    for event in inbox:
        single = len(event.topics) == 1 and event.topics[0] != BROADCAST
        if single and (event.position is None or kept is None or kept == event.topics):
            groups.setdefault(event.topics, []).append(event)
        else:
            for topics, events in groups.items():
                yield from _cut(topics, events)
            groups.clear()
            kept = None
            if not single:
                yield event.topics, Batch([EncodedEvent(event)])
                continue
            groups[event.topics] = [event]
        if event.position is not None:
            kept = event.topics
    for topics, events in groups.items():
        yield from _cut(topics, events)


def _cut(topics: tuple[str, ...], events: list[Event]) -> Iterator[tuple[tuple[str, ...], Batch]]:
    batch: list[EncodedEvent] = []
    size = 0
    for event in events:
        if batch and (len(batch) >= BATCH_EVENTS or size + len(event.data) > JOIN_BYTES):
            yield topics, Batch(batch)
            batch, size = [], 0
        batch.append(EncodedEvent(event))
        size += len(event.data)
    yield topics, Batch(batch)
