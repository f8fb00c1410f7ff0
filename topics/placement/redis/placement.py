"""Placement of several nodes, in one Redis (docs/explanation/nodes.md says how, docs/reference/placement.md what)."""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from topics.events import Event
from topics.exceptions import PlacementUnavailable
from topics.history.catchup import Store
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
from topics.placement.redis import registration
from topics.placement.redis.address import parse_address
from topics.placement.redis.commands import Argument
from topics.placement.redis.holdings import Held, Holdings
from topics.placement.redis.kept import KeptTopics
from topics.placement.redis.keys import Keys
from topics.placement.redis.layer import EventChannel
from topics.placement.redis.lease import Lease
from topics.placement.redis.lists import Lists
from topics.placement.redis.marks import Marks
from topics.placement.redis.questions import ANSWER_SECONDS, Questions
from topics.placement.redis.routing import Routing

CONFIRM_TOPIC_SECONDS = 0.001
"""What each topic adds to the longest wait for all of a node's marks."""

GAP_REASON = "interrupted"


@dataclass(slots=True)
class _Parts:
    local: LocalNode
    lease: Lease
    channel: EventChannel
    marks: Marks
    kept: KeptTopics | None
    questions: Questions
    lists: Lists
    routing: Routing


class RedisPlacement:
    """The `Placement` of a gateway of several nodes.

    Args:
        url: Of the Redis (`address.parse_address`).
        ttl: Seconds after which a silent node counts as dead.
        dedupe_seconds: How long an id is remembered in a topic, so that it is not delivered again; 0 is off.
    """

    def __init__(self, url: str, ttl: float = 10, dedupe_seconds: float = 0) -> None:
        self._address = parse_address(url)
        self._keys = self.keys = Keys(self._address.database)
        self._ttl = ttl
        self._dedupe_seconds = dedupe_seconds
        self._history: tuple[Store, bool] | None = None
        self._parts: _Parts | None = None
        self._holdings = Holdings()
        self._tasks: set[asyncio.Task[None]] = set()

    def use_history(self, history: Store, *, here: bool) -> None:
        """Let a store of past events fill in what this node misses of kept topics; before the start.

        Args:
            history: The store.
            here: It is kept in this Redis, by the step that routes.
        """
        self._history = history, here

    async def start(self, node: Node, local: LocalNode) -> None:
        """Report this node, and begin to take what other nodes send."""
        lease = Lease(self._address, self._keys, self._ttl, node, self)
        kept = None
        if self._history is not None:
            history, here = self._history
            kept = KeptTopics(
                history,
                here=here,
                keys=self._keys,
                lease=lease,
                hand=local.deliver,
                gap=self._tell_gap,
                settled=local.settled,
            )
        channel = EventChannel(
            self._address,
            self._keys.prefix,
            on_event=local.deliver if kept is None else kept.take,
            on_drop=local.report_drop,
            on_gap=self._gap,
            on_note=self._hear,
            on_doubt=self._doubt,
        )
        marks = Marks(lease, self._keys, channel)
        if kept is not None:
            kept.listen(channel, marks)
        questions = Questions(channel, local, self._spawn)
        lists = Lists(lease, self._keys, questions)
        routing = Routing(lease, self._keys, kept, self._dedupe_seconds)
        self._parts = _Parts(local, lease, channel, marks, kept, questions, lists, routing)
        try:
            await lease.begin()
        except BaseException:
            await self.close()
            raise
        self._spawn(marks.run())

    async def attach(self, record: ConnectionRecord, topics: Sequence[str]) -> None:
        """Add topics to a connection, which may be new. On return this node hears them, and every look-up sees it."""
        self._lease.must_reach()
        holdings = self._holdings
        held = holdings.get(record.id)
        is_new = held is None
        if held is None:
            held = holdings.begin(record)
        new = [topic for topic in topics if topic not in held.topics]
        self._channel.renew(topic for topic in new if topic not in holdings.counts)
        holdings.give(held, new)
        try:
            for topic in new:
                await self._channel.join(topic)
            if holdings.get(record.id) is not held:
                return
            self._own.marks.want()
            await self._send_attach(held, [topic for topic in new if topic in held.topics])
            await self._own.marks.confirmed(new)
        except BaseException:
            taken = holdings.take(held, new)
            if is_new:
                holdings.end(record.id)
            self._send_detach(held, taken, gone=is_new)
            raise

    async def detach(self, connection_id: str, topics: Sequence[str], *, gone: bool) -> None:
        """Take topics from a connection. When Redis is away it is told afterwards."""
        _ = self._own
        held = self._holdings.get(connection_id)
        if held is None:
            return
        if gone:
            self._holdings.end(connection_id)
            topics = list(held.topics)
        taken = self._holdings.take(held, topics)
        with contextlib.suppress(PlacementUnavailable):
            await self._send_detach(held, taken, gone=gone)
        await self._leave_unneeded(taken)

    async def exist(self, topics: Sequence[str]) -> bool:
        """Tell whether any of the topics has a connection: on this node, else anywhere."""
        self._lease.must_answer()
        # A round trip less: it cost as much as all else that a publish does before it is routed.
        return any(topic in self._holdings.counts for topic in topics) or bool(await self.count(topics))

    async def count(self, topics: Iterable[str]) -> dict[str, int]:
        """Return the number of connections of each topic that exists."""
        return await self._own.routing.count(topics)

    async def route(self, event: Event, kept: Mapping[str, Limits] = NOTHING_KEPT) -> Routed:
        """Publish an event to its topics' groups, this node's own connections included, in one step."""
        return await self._own.routing.route(event, kept)

    async def answered(self, event_id: str, topics: Iterable[str]) -> dict[str, int]:
        """Return what was answered for an id before."""
        return await self._own.routing.answered(event_id, topics)

    async def ask(self, script: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Run a script that reads what all nodes have agreed on (`Routing.ask`)."""
        return await self._own.routing.ask(script, keys, arguments)

    async def report_drop(self, drop: Drop) -> None:
        """Tell every node's tails; nobody waits for it."""
        self._own.routing.report_drop(drop)

    async def watch(self, topic: str) -> None:
        """Join a topic's group without making the topic exist."""
        self._lease.must_reach()
        self._holdings.watch(topic)
        try:
            await self._channel.join(topic)
            self._own.marks.want()
            await self._own.marks.send([topic])
            await self._own.marks.confirmed([topic])
        except BaseException:
            self._holdings.unwatch(topic)
            raise

    async def unwatch(self, topic: str) -> None:
        """Undo one `watch`."""
        _ = self._own
        self._holdings.unwatch(topic)
        await self._leave_unneeded([topic])

    async def topics(self, *, limit: int, after: str | None = None, q: str = "") -> Page[TopicRecord]:
        """List topics by name."""
        return await self._own.lists.topics(limit=limit, after=after, q=q)

    async def connections(
        self,
        *,
        limit: int,
        after: str | None = None,
        topic: str | None = None,
        node: str | None = None,
        transport: Transport | None = None,
    ) -> Page[ConnectionRecord]:
        """List connections in the order of their coming, by the nodes' clocks."""
        return await self._own.lists.connections(limit=limit, after=after, topic=topic, node=node, transport=transport)

    async def connection(self, connection_id: str) -> ConnectionRecord | None:
        """Return one connection."""
        return await self._own.lists.connection(connection_id)

    async def close_connection(self, connection_id: str) -> bool:
        """Close a connection on whichever node."""
        holder = await self._own.lists.holder(connection_id)
        return holder is not None and await self._own.questions.close(holder.channel, connection_id)

    async def nodes(self) -> Sequence[NodeStatus]:
        """List the nodes that live, by name."""
        return await self._own.lists.nodes()

    async def stats(self) -> Stats:
        """Return totals over the nodes that live."""
        return await self._own.lists.stats()

    async def check(self) -> None:
        """Pass a message through the layer to this node itself.

        Raises:
            PlacementUnavailable: It did not arrive within a second, or not all nodes have registered yet.
        """
        self._lease.must_answer()
        age = await self._own.questions.echo()
        if age is None:
            raise PlacementUnavailable("A message to this node itself did not arrive.")

    async def close(self) -> None:
        """Leave: nothing of this node stays behind."""
        if self._parts is None:
            return
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._lease.end()
        await self._channel.close()
        if self._own.kept is not None:
            await self._own.kept.stop()
        self._parts = None
        self._holdings = Holdings()

    # -- what the lease asks (registrar.Registrar) -----------------------------------------------------------

    def describe(self) -> dict[str, Any]:
        """Return what the table of nodes says of this one besides its name."""
        return self._own.questions.describe()

    async def enroll(self, *, missed: bool) -> None:
        """Register everything under the present session, and hear from each topic, before anybody counts on it."""
        self._doubt()
        if missed:
            self._owe_gaps()
        for stream in self._channel.streams.values():
            stream.doubt()
        if self._own.kept is not None:
            await self._own.kept.report()
        sent = [self._send_attach(held, list(held.topics)) for held in self._holdings]
        await asyncio.gather(*sent)
        within = ANSWER_SECONDS + len(self._holdings.counts) * CONFIRM_TOPIC_SECONDS
        await self._own.marks.confirmed(list(self._holdings.counts), within)

    async def reopen(self, *, missed: bool) -> None:
        """Subscribe to everything again; what was missed is told before anything new comes."""
        self._doubt()
        await self._channel.close()
        if missed:
            self._channel.restart(self._holdings.counts)
            self._owe_gaps()
        await self._channel.open()

    def tell(self) -> None:
        """Tell the connections what they missed, unless an event that came since then has made it be told."""
        self._channel.pay_gaps()

    async def greet(self, channel: str) -> None:
        """Tell a node that this one has registered."""
        await self._channel.send(channel, {"kind": "hello"})

    # -- what Redis is told ----------------------------------------------------------------------------------

    def _send_attach(self, held: Held, topics: Sequence[str]) -> "asyncio.Future[Any]":
        streams = ((topic, self._channel.streams.get(topic)) for topic in topics)
        tokens = {topic: stream.token for topic, stream in streams if stream is not None and stream.epoch_wanted}
        command = registration.attach(self._keys, self._lease.session, held, topics, self._holdings.counts, tokens)
        return self._lease.commands.run(*command)

    def _send_detach(self, held: Held, topics: Sequence[str], *, gone: bool) -> "asyncio.Future[Any]":
        command = registration.detach(self._keys, self._lease.session, held, topics, self._holdings.counts, gone=gone)
        return self._lease.commands.run(*command)

    async def _leave_unneeded(self, topics: Iterable[str]) -> None:
        for topic in topics:
            if not self._holdings.need(topic):
                await self._channel.leave(topic)

    # -- what is heard, and what is missed -------------------------------------------------------------------

    def _hear(self, note: dict[str, Any]) -> None:
        match note["kind"]:
            case "canary":
                self._lease.hear()
            case "hello":
                self._lease.look()
            case _:
                self._own.questions.hear(note)

    def _gap(self, topic: str, missed: int | None) -> None:
        kept = self._own.kept
        if kept is not None and kept.keeps(topic):
            kept.fill(topic)
        else:
            self._tell_gap(topic, missed)

    def _tell_gap(self, topic: str, missed: int | None) -> None:
        if self._holdings.counts[topic]:
            self._own.local.gap(topic, missed, GAP_REASON)

    def _doubt(self) -> None:
        if self._own.kept is not None:
            self._own.kept.doubt()
        self._own.marks.want()

    def _owe_gaps(self) -> None:
        kept = self._own.kept
        self._channel.owe_gaps(topic for topic in self._holdings.counts if kept is None or not kept.keeps(topic))

    # -- state ---------------------------------------------------------------------------------------------

    @property
    def _own(self) -> _Parts:
        if self._parts is None:
            raise PlacementUnavailable("The placement has not been started.")
        return self._parts

    @property
    def _lease(self) -> Lease:
        return self._own.lease

    @property
    def _channel(self) -> EventChannel:
        return self._own.channel

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
