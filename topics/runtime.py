"""One node of the gateway: builds, starts, drains and closes hub, placement and history."""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable

from topics import broadcast, metrics
from topics.conf import GatewaySettings
from topics.connection import Connection
from topics.encoding import Format
from topics.exceptions import Draining, Refused, TooManyConnections, TooManyFromClient
from topics.history.base import History
from topics.history.resumption import Resumption
from topics.history.stores import build_history
from topics.hub import SHORT_SLICE, Hub
from topics.outbox import OutboxLimits
from topics.placement.base import Node, Placement
from topics.placement.memory import MemoryPlacement
from topics.placement.redis.placement import RedisPlacement
from topics.version import VERSION
from topics.wire import websocket
from topics.writer import Writer

logger = logging.getLogger(__name__)

KEEP_ALIVE_TICKS = 3
"""Ticks of a quarter heartbeat without a write before a keep-alive: silence is never longer than a heartbeat."""

_POLL_SECONDS = 0.02


class Runtime:
    """Hub, placement, history, limits and clock of one node.

    Args:
        settings: The gateway's.
        placement: Where connections are reported; what the settings ask for when not given.
        history: Where events are kept; what the settings ask for when not given.
        port: TCP port that this node listens on, as far as it is known.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        placement: Placement | None = None,
        *,
        history: History | None = None,
        port: int | None = None,
    ) -> None:
        self.settings = settings
        self.node = Node(settings.node_name, settings.node_host, time.time(), VERSION, port)
        self.placement: Placement = placement or _placement(settings)
        self.history = history or build_history(settings, self.placement)
        self.hub = Hub(self.node.name, settings.retry_ms)
        self.limits = OutboxLimits(settings.outbox_events, settings.outbox_bytes, settings.slow_reader)
        self._resumption = Resumption(self.history, self.hub, self._come_back)
        self._clients: Counter[str] = Counter()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Report this node and start its clock."""
        await self.placement.start(self.node, self.hub)
        if self.history is not None:
            try:
                await self.history.start()
            except BaseException:
                await self.placement.close()
                raise
        metrics.NODE.labels(self.node.name, self.node.version).set(1)
        metrics.TOTALS.source = self.hub.counters
        metrics.TOPICS.set_function(lambda: self.hub.topic_count)
        metrics.OUTBOX_BYTES.set_function(lambda: sum(each.pending_bytes for each in self.hub.everything()))
        self.hub.meter.sample()
        self._tasks = [
            asyncio.create_task(_every(1.0, self.hub.meter.sample)),
            asyncio.create_task(_every(self.settings.heartbeat_seconds / (KEEP_ALIVE_TICKS + 1), self._tick)),
        ]

    def check_room(self, client: str) -> None:
        """Refuse a connection that this node cannot take.

        Args:
            client: The client's address; unknown ones share one count.

        Raises:
            Refused: It cannot.
        """
        try:
            if self.hub.draining:
                raise Draining("This node is shutting down; connect again.", retry_after=1)
            if 0 < self.settings.max_connections <= len(self.hub.connections):
                raise TooManyConnections("This node is full; connect again later.", retry_after=5)
            if 0 < self.settings.max_connections_per_client <= self._clients[client]:
                raise TooManyFromClient(
                    "Your address holds as many connections as it may; close one first.", retry_after=5
                )
        except Refused as refusal:
            metrics.REFUSED.labels(refusal.slug).inc()
            raise

    def connection(
        self, writer: Writer, form: Format, topics: Iterable[str], *, client: str = "", user_agent: str = ""
    ) -> Connection:
        """Make a connection, or a tail, under this node's limits; `attach` or `attach_tail` is what takes it.

        Args:
            writer: The way out.
            form: What its client sees of an event.
            topics: What it asks for at first.
            client: The client's address, empty when unknown.
            user_agent: What it says it is.
        """
        return Connection(
            writer,
            form,
            topics=topics,
            limits=self.limits,
            client=client,
            user_agent=user_agent,
            on_gap=self.hub.count_gap,
            on_slow=self.slow_reader_closed,
        )

    async def attach(self, connection: Connection, last_id: str | None = None) -> None:
        """Take a connection: on return every node sees it, and events for it wait until it is opened.

        Args:
            connection: Which.
            last_id: Of the last event that its client has: what came since then of the topics that keep history is
                written to it first, once it is opened.

        Raises:
            Refused: There is no room.
            PlacementUnavailable: Nobody would see it.
        """
        self.check_room(connection.client)
        if self.settings.broadcasts:
            connection.topics[broadcast.TOPIC] = None
        topics = tuple(connection.topics)
        self._clients[connection.client] += 1
        metrics.CONNECTIONS.labels(connection.transport).inc()
        replayed = self._resumption.hold(connection, topics, last_id)
        self.hub.add(connection, topics)
        try:
            await self.placement.attach(connection.record(self.node.name), topics)
        except BaseException:
            await self.detach(connection)
            raise
        self._resumption.begin(connection, replayed, last_id)

    async def subscribe(self, connection: Connection, topics: Iterable[str], last_id: str | None = None) -> None:
        """Add topics to an attached connection.

        Args:
            connection: Which.
            topics: Those that it holds already stay as they are.
            last_id: Of the last event that its client has of the new ones.
        """
        new = [topic for topic in topics if topic not in connection.topics]
        replayed = self._resumption.hold(connection, new, last_id)
        self.hub.add(connection, new)
        try:
            await self.placement.attach(connection.record(self.node.name), new)
        except BaseException:
            self.hub.remove(connection, new)
            self._resumption.release(connection, new)
            raise
        self._resumption.begin(connection, replayed, last_id)

    async def unsubscribe(self, connection: Connection, topics: Iterable[str]) -> None:
        """Take topics from an attached connection."""
        held = [topic for topic in topics if topic in connection.topics]
        # Placement first: if it cannot be reached, both still say the same.
        await self.placement.detach(connection.id, held, gone=False)
        self.hub.remove(connection, held)
        self._resumption.release(connection, held)

    async def detach(self, connection: Connection) -> None:
        """Forget a connection that has ended; does nothing the second time."""
        if connection.id not in self.hub.connections:
            return
        topics = tuple(connection.topics)
        self.hub.forget(connection)
        metrics.CONNECTIONS.labels(connection.transport).dec()
        self._clients[connection.client] -= 1
        if not self._clients[connection.client]:
            del self._clients[connection.client]
        await self.placement.detach(connection.id, topics, gone=True)

    async def attach_tail(self, topic: str, tail: Connection, last: int = 0) -> int:
        """Let an administrator see a topic.

        Args:
            topic: Which.
            tail: What shows it.
            last: How many of the events that the topic keeps come first.

        Returns:
            How many kept events come first.

        Raises:
            Draining: The node is shutting down.
            PlacementUnavailable: The store of the history cannot be reached.
        """
        if self.hub.draining:
            raise Draining("This node is shutting down; connect again.", retry_after=1)
        self._resumption.hold_tail(tail, topic, last)
        await self.placement.watch(topic)
        metrics.TAILS.inc()
        self.hub.add_tail(topic, tail)
        try:
            return await self._resumption.begin_tail(tail, topic, last)
        except BaseException:
            await self.detach_tail(topic, tail)
            raise

    async def detach_tail(self, topic: str, tail: Connection) -> None:
        """Undo `attach_tail`."""
        self.hub.remove_tail(topic, tail)
        metrics.TAILS.dec()
        await self.placement.unwatch(topic)

    def slow_reader_closed(self, connection: Connection) -> None:
        """Record that a connection was closed for its slowness."""
        metrics.SLOW_DISCONNECTS.inc()
        logger.warning("slow reader closed", extra={"connection": connection.id, "client": connection.client})

    async def drain(self) -> None:
        """Refuse new connections, tell each one to come back elsewhere, and wait until they are gone.

        Returns after `GATEWAY_DRAIN_SECONDS` at the latest; what is left then is cut.
        """
        self.hub.draining = True
        connections = self.hub.everything()
        logger.info("draining", extra={"connections": len(connections)})
        for position, connection in enumerate(connections):
            connection.close("shutdown", code=websocket.CLOSE_RESTART, retry_ms=self._come_back())
            if position % SHORT_SLICE == SHORT_SLICE - 1:
                await asyncio.sleep(0)
        deadline = time.monotonic() + self.settings.drain_seconds
        while self.hub.everything() and time.monotonic() < deadline:  # noqa: ASYNC110 - a shutdown may poll
            await asyncio.sleep(_POLL_SECONDS)
        left = self.hub.everything()
        for connection in left:
            connection.abort()
        logger.info("drained", extra={"cut": len(left)})

    async def close(self) -> None:
        """Stop the clock and leave placement."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        if self.history is not None:
            await self.history.close()
        await self.placement.close()

    def _come_back(self) -> int:
        # All clients of a node lose it at once: spread their return over the reconnect time, half to one and a half.
        return round(self.settings.retry_ms * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load, guards nothing

    def _tick(self) -> None:
        for connection in self.hub.everything():
            connection.tick(KEEP_ALIVE_TICKS)


def _placement(settings: GatewaySettings) -> Placement:
    if settings.redis_url is None:
        return MemoryPlacement(settings.dedupe_seconds)
    return RedisPlacement(settings.redis_url, settings.node_ttl_seconds, settings.dedupe_seconds)


async def _every(seconds: float, action: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + seconds
        await asyncio.sleep(seconds)
        metrics.LOOP_LAG_SECONDS.set(max(0.0, loop.time() - due))
        try:
            action()
        except Exception:
            logger.exception("clock tick failed")
