"""Placement in one process: what the hub holds is all there is."""

import bisect
import itertools
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from topics.events import Event
from topics.exceptions import PlacementUnavailable
from topics.placement.base import (
    NOTHING_KEPT,
    ConnectionRecord,
    Drop,
    Limits,
    LocalNode,
    Node,
    NodeStatus,
    Page,
    Routed,
    Stats,
    TopicRecord,
    Transport,
)
from topics.placement.memory_answers import Answers


@dataclass(slots=True)
class _Topic:
    connections: set[str] = field(default_factory=set)
    events: int = 0
    last_id: str | None = None
    last_time: float | None = None


class MemoryPlacement:
    """The `Placement` of a gateway of one process.

    Args:
        dedupe_seconds: How long an id is remembered in a topic, so that it is not delivered again; 0 is off.
    """

    def __init__(self, dedupe_seconds: float = 0) -> None:
        self._answers = Answers(dedupe_seconds) if dedupe_seconds else None
        self._started: tuple[Node, LocalNode] | None = None
        self._topics: dict[str, _Topic] = {}
        # Connections get numbers in the order of their coming: a page begins after a number, whatever has
        # come or gone since.
        # Numbers of this process are beyond those of the one before, whose cursors may still be used.
        self._numbers = itertools.count(time.time_ns())
        self._number_of: dict[str, int] = {}
        self._by_number: dict[int, ConnectionRecord] = {}

    async def start(self, node: Node, local: LocalNode) -> None:
        """Remember this node; there is no other."""
        self._started = node, local

    async def attach(self, record: ConnectionRecord, topics: Sequence[str]) -> None:
        """Add topics to a connection, which may be new."""
        self._must_run()
        if record.id not in self._number_of:
            number = next(self._numbers)
            self._number_of[record.id] = number
            self._by_number[number] = record
        for topic in topics:
            self._topics.setdefault(topic, _Topic()).connections.add(record.id)

    async def detach(self, connection_id: str, topics: Sequence[str], *, gone: bool) -> None:
        """Take topics from a connection, and the connection itself when it is gone."""
        self._must_run()
        for name in topics:
            topic = self._topics.get(name)
            if topic is not None:
                topic.connections.discard(connection_id)
                if not topic.connections:
                    del self._topics[name]
        if gone:
            number = self._number_of.pop(connection_id, None)
            if number is not None:
                del self._by_number[number]

    async def exist(self, topics: Sequence[str]) -> bool:
        """Tell whether any of the topics has a connection."""
        self._must_run()
        return any(topic in self._topics for topic in topics)

    async def count(self, topics: Iterable[str]) -> dict[str, int]:
        """Return the number of connections of each topic that exists."""
        self._must_run()
        return {name: len(self._topics[name].connections) for name in topics if name in self._topics}

    async def route(self, event: Event, kept: Mapping[str, Limits] = NOTHING_KEPT) -> Routed:
        """Hand an event to the hub. Never suspends: what a caller does next it does in the same turn of the loop."""
        self._must_run()
        repeated = None if self._answers is None else self._answers.of(event.id, event.topics)
        if repeated:
            event = replace(event, topics=tuple(topic for topic in event.topics if topic not in repeated))
        counts = {name: 0 for name in event.topics if name in kept} if kept else {}
        for name in event.topics:
            topic = self._topics.get(name)
            if topic is not None:
                counts[name] = len(topic.connections)
                topic.events += 1
                topic.last_id = event.id
                topic.last_time = event.time
        if counts:
            self._here.deliver(event)
            if self._answers is not None:
                self._answers.remember(event.id, counts)
        return Routed(counts) if not repeated else Routed({**repeated, **counts}, frozenset(repeated))

    async def answered(self, event_id: str, topics: Iterable[str]) -> dict[str, int]:
        """Return what was answered for an id before."""
        self._must_run()
        return {} if self._answers is None else self._answers.of(event_id, topics)

    async def report_drop(self, drop: Drop) -> None:
        """Tell the hub's tails."""
        self._here.report_drop(drop)

    async def watch(self, topic: str) -> None:
        """Do nothing: every event passes here."""
        self._must_run()

    async def unwatch(self, topic: str) -> None:
        """Do nothing."""
        self._must_run()

    async def topics(self, *, limit: int, after: str | None = None, q: str = "") -> Page[TopicRecord]:
        """List topics by name."""
        self._must_run()
        names = sorted(name for name in self._topics if q in name)
        start = 0 if after is None else bisect.bisect_right(names, after)
        page = names[start : start + limit]
        return Page(
            items=[self._topic_record(name) for name in page],
            next=page[-1] if start + limit < len(names) else None,
            total=len(names),
        )

    async def connections(
        self,
        *,
        limit: int,
        after: str | None = None,
        topic: str | None = None,
        node: str | None = None,
        transport: Transport | None = None,
    ) -> Page[ConnectionRecord]:
        """List connections in the order of their coming."""
        self._must_run()
        numbers = self._matching(topic, node, transport)
        start = 0 if after is None else bisect.bisect_right(numbers, int(after))
        page = numbers[start : start + limit]
        now = (self._here.connection(self._by_number[number].id) for number in page)
        return Page(
            items=[record for record in now if record is not None],
            next=str(page[-1]) if start + limit < len(numbers) else None,
            total=len(numbers),
        )

    async def connection(self, connection_id: str) -> ConnectionRecord | None:
        """Return one connection."""
        self._must_run()
        return self._here.connection(connection_id) if connection_id in self._number_of else None

    async def close_connection(self, connection_id: str) -> bool:
        """Close a connection."""
        self._must_run()
        return connection_id in self._number_of and self._here.close_connection(connection_id)

    async def nodes(self) -> Sequence[NodeStatus]:
        """Return the one node."""
        node, local = self._own
        return [
            NodeStatus(
                node=node,
                last_seen=time.time(),
                silent=False,
                connections=len(self._number_of),
                topics=len(self._topics),
                draining=local.draining,
            )
        ]

    async def stats(self) -> Stats:
        """Return the one node's totals."""
        here = self._here
        return Stats(connections=len(self._number_of), topics=len(self._topics), rates=here.rates(), **here.counters())

    async def check(self) -> None:
        """Pass: a process that answers can deliver to itself."""
        self._must_run()

    async def close(self) -> None:
        """Forget everything."""
        self._topics.clear()
        self._number_of.clear()
        self._by_number.clear()

    @property
    def _here(self) -> LocalNode:
        return self._own[1]

    @property
    def _own(self) -> tuple[Node, LocalNode]:
        if self._started is None:
            raise PlacementUnavailable("The placement has not been started.")
        return self._started

    def _must_run(self) -> None:
        # Before the start every list is empty, and every answer from it would be a false one.
        _ = self._own

    def _matching(self, topic: str | None, node: str | None, transport: Transport | None) -> list[int]:
        if topic is None:
            numbers = list(self._by_number)
        else:
            members = self._topics[topic].connections if topic in self._topics else ()
            numbers = sorted(self._number_of[connection_id] for connection_id in members)
        if node is None and transport is None:
            return numbers
        return [
            number
            for number, record in ((number, self._by_number[number]) for number in numbers)
            if node in (None, record.node) and transport in (None, record.transport)
        ]

    def _topic_record(self, name: str) -> TopicRecord:
        topic = self._topics[name]
        return TopicRecord(
            name=name,
            connections=len(topic.connections),
            nodes=(self._own[0].name,),
            events=topic.events,
            last_id=topic.last_id,
            last_time=topic.last_time,
        )
