"""The Placement protocol: the one place that knows who is connected where.

It is the Durable Object's API as Python sees it. An adapter stands alone: no Django, no consumers. Every method may
raise `PlacementUnavailable` when its store cannot be reached, and then has said nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic, Literal, Protocol, TypeVar

from topics.events import Event

Transport = Literal["sse", "websocket"]
Item = TypeVar("Item")

MAX_PAGE = 500
"""Most items in one page of any list."""


@dataclass(frozen=True, slots=True)
class Node:
    """One gateway process as it reports itself.

    Attributes:
        name: Unique name, as in `gateway.open`.
        host: Where it says that it can be reached.
        since: Start, in seconds since the epoch.
        version: The gateway's version.
        port: TCP port that it listens on; None when the server was not started by one of the gateway's commands.
    """

    name: str
    host: str
    since: float
    version: str
    port: int | None = None


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """A node as the list shows it: itself, and what it holds now.

    Attributes:
        node: Itself.
        last_seen: Its last sign of life, in seconds since the epoch.
        silent: Whether that is longer ago than a node that lives lets pass.
        connections: How many it holds.
        topics: How many of them have a connection there.
        draining: Whether it is shutting down.
    """

    node: Node
    last_seen: float
    silent: bool
    connections: int
    topics: int
    draining: bool


@dataclass(frozen=True, slots=True)
class ConnectionRecord:
    """One connection as the list shows it.

    Attributes:
        id: Unguessable.
        topics: What it is subscribed to.
        node: Name of the node that holds it.
        client: The client's address as far as it is known, else empty.
        user_agent: What the client says it is, at most 256 characters.
        since: When it opened, in seconds since the epoch.
        sent: Events written to it.
        pending: Events not yet written.
        pending_bytes: Bytes held in the server process for it.
        behind_since: Since when something has waited for it without a break, in seconds since the epoch; None while
            nothing waits.

    The last four change with each event. `sent`, `pending` and `pending_bytes` are None when the node that holds the
    connection does not answer: then nobody knows them.
    """

    id: str
    topics: tuple[str, ...]
    transport: Transport
    node: str
    client: str
    user_agent: str
    since: float
    sent: int | None
    pending: int | None
    pending_bytes: int | None
    behind_since: float | None


@dataclass(frozen=True, slots=True)
class TopicRecord:
    """One topic as the list shows it.

    Attributes:
        nodes: Names of the nodes that hold its connections, sorted.
        events: Events published since it exists.
        last_id: The last event's id, None before the first.
        last_time: When that was accepted, in seconds since the epoch.
    """

    name: str
    connections: int
    nodes: tuple[str, ...]
    events: int
    last_id: str | None
    last_time: float | None


@dataclass(frozen=True, slots=True)
class Stats:
    """Totals over all nodes; the counters count since each node's start.

    Attributes:
        rates: The four counters' growth per second, over the last seconds.
    """

    connections: int
    topics: int
    published: int
    delivered: int
    dropped: int
    gaps: int
    rates: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page of a list.

    Attributes:
        next: Position after the last item, to be given as `after`; None at the end.
        total: Items that match, on all pages.
    """

    items: Sequence[Item]
    next: str | None
    total: int


@dataclass(slots=True)
class Drop:
    """A publish that was dropped, as tails see it: its headers, never its body. Nobody changes it (as `Event`)."""

    topics: tuple[str, ...]
    id: str
    time: float
    reason: str = "no-subscribers"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a topic is kept; None is no limit.

    Attributes:
        events: Most events.
        seconds: Longest age.
    """

    events: int | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Routed:
    """Whom an event was handed to.

    Attributes:
        topics: Connections of each topic that exists, 0 for one that exists only because it keeps history; empty when
            nothing was routed.
        repeated: Those of `topics` that had an event of this id within `GATEWAY_DEDUPE_SECONDS`: nothing went to them
            now, and their numbers are the first answer's.
    """

    topics: Mapping[str, int]
    repeated: frozenset[str] = frozenset()

    @property
    def subscribers(self) -> int:
        """The sum: a connection that holds several of the topics counts for each, though it gets the event once.

        Counting it once would take a list of every topic's connections for each publish, which neither Redis nor
        a Durable Object a topic can give at a fair price.
        """
        return sum(self.topics.values())


NOTHING_KEPT: Mapping[str, Limits] = MappingProxyType({})
"""None of an event's topics keeps history."""


class LocalNode(Protocol):
    """What a placement asks of the node it lives in; the hub is one."""

    def deliver(self, event: Event) -> None:
        """Hand an event to this node's connections and tails of its topics."""

    async def settled(self) -> None:
        """Wait while more events wait for this node's processor than it should be given."""

    def report_drop(self, drop: Drop) -> None:
        """Hand a drop to this node's tails of its topics."""

    def gap(self, topic: str, missed: int | None, reason: str) -> None:
        """Tell this node's connections and tails of a topic that events did not reach this node.

        Args:
            topic: Whose events.
            missed: How many, None when that cannot be known.
            reason: For `gateway.gap`.
        """

    def connection(self, connection_id: str) -> ConnectionRecord | None:
        """Return a connection that this node holds, as it is now."""

    def close_connection(self, connection_id: str) -> bool:
        """Close a connection that this node holds; False when it holds none of that id."""

    def counters(self) -> Mapping[str, int]:
        """Return `published`, `delivered`, `dropped`, `gaps` since start."""

    def rates(self) -> Mapping[str, float]:
        """Return how much each of the counters grows in a second."""

    @property
    def draining(self) -> bool:
        """Whether this node is shutting down."""


class Placement(Protocol):
    """Who is connected where, and the way from a publish to every node that must know."""

    async def start(self, node: Node, local: LocalNode) -> None:
        """Report this node, and begin to take what other nodes send."""

    async def attach(self, record: ConnectionRecord, topics: Sequence[str]) -> None:
        """Add topics to a connection (which may be new). On return every node's look-up sees them."""

    async def detach(self, connection_id: str, topics: Sequence[str], *, gone: bool) -> None:
        """Take topics from a connection; its last one leaves no trace.

        Args:
            connection_id: Which one.
            topics: Topics that it held.
            gone: The connection itself has ended.
        """

    async def exist(self, topics: Sequence[str]) -> bool:
        """Tell whether any of the topics has a connection; nobody is asked about what this node holds itself."""

    async def count(self, topics: Iterable[str]) -> dict[str, int]:
        """Return the number of connections of each of `topics` that exists; what does not exist is left out."""

    async def route(self, event: Event, kept: Mapping[str, Limits] = NOTHING_KEPT) -> Routed:
        """Hand an event to every node that holds a connection of its topics, in one order for each topic.

        With `GATEWAY_DEDUPE_SECONDS`, a topic that had an event of this id within that time is not handed it again:
        the event then goes out with its other topics alone. An event that was dropped had no answer to remember.

        Args:
            event: What was published.
            kept: Those of its topics that keep history, which exist though nobody may be connected, and how much each
                keeps. A placement whose store also is the history's stores the event in the same step.
        """

    async def answered(self, event_id: str, topics: Iterable[str]) -> dict[str, int]:
        """Return the first answer's counts for those topics that had an event of this id within the time of dedupe.

        Asked before a publish is dropped: its first try may have been delivered though nobody is connected any more.
        """

    async def report_drop(self, drop: Drop) -> None:
        """Tell every node's tails of a dropped publish."""

    async def watch(self, topic: str) -> None:
        """Have this node see a topic's events for a tail, without making the topic exist."""

    async def unwatch(self, topic: str) -> None:
        """Undo one `watch`."""

    async def topics(self, *, limit: int, after: str | None = None, q: str = "") -> Page[TopicRecord]:
        """List topics by name; `q` is a part of the name."""

    async def connections(
        self,
        *,
        limit: int,
        after: str | None = None,
        topic: str | None = None,
        node: str | None = None,
        transport: Transport | None = None,
    ) -> Page[ConnectionRecord]:
        """List connections in the order of their coming; what is there throughout is listed exactly once."""

    async def connection(self, connection_id: str) -> ConnectionRecord | None:
        """Return one connection."""

    async def close_connection(self, connection_id: str) -> bool:
        """Close a connection on whichever node; False when there is none."""

    async def nodes(self) -> Sequence[NodeStatus]:
        """List the nodes that live, by name."""

    async def stats(self) -> Stats:
        """Return totals over all nodes."""

    async def check(self) -> None:
        """Pass a message through the layer to this node itself.

        Raises:
            PlacementUnavailable: It did not arrive.
        """

    async def close(self) -> None:
        """Leave: nothing of this node stays behind."""
