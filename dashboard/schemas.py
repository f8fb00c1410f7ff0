"""What the admin API answers, as OpenAPI describes it."""

from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, Field

from dashboard.topics import ListedTopic
from topics.events import DEFAULT_EVENT_TYPE, rfc3339
from topics.history.base import Kept
from topics.placement.base import ConnectionRecord, NodeStatus, Stats, Transport

Item = TypeVar("Item")

_TIME = "2026-01-02T03:04:05.678901Z"
_UNKNOWN = "null when the node that holds it does not answer"


class ListPage(BaseModel, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next: str | None = Field(description="The `cursor` of the next page; null at the end.")
    total: int = Field(description="Items that match, on all pages.")


class LastEvent(BaseModel):
    """The event that a topic got last."""

    id: str = Field(examples=["42"])
    time: str = Field(description="When the gateway accepted it, RFC 3339 in UTC.", examples=[_TIME])


class Topic(BaseModel):
    """One topic that exists."""

    name: str = Field(examples=["news"])
    mode: Literal["idle", "unicast", "multicast"] = Field(
        description="`unicast` with one connection, `multicast` with more, `idle` with none: it keeps events."
    )
    connections: int
    nodes: list[str] = Field(description="Names of the nodes that hold its connections.")
    events: int = Field(description="Events published to it since it exists.")
    kept: int | None = Field(description="Events of it that are kept; null for a topic that keeps none.")
    last_event: LastEvent | None = Field(description="Null before the first.")

    @classmethod
    def of(cls, listed: ListedTopic) -> "Topic":
        """Show a topic."""
        record = listed.record
        last = None
        if record.last_id is not None and record.last_time is not None:
            last = LastEvent(id=record.last_id, time=rfc3339(record.last_time))
        return cls(
            name=record.name,
            mode="multicast" if record.connections > 1 else "unicast" if record.connections else "idle",
            connections=record.connections,
            nodes=list(record.nodes),
            events=record.events,
            kept=listed.kept,
            last_event=last,
        )


class KeptEvent(BaseModel):
    """One event that a topic keeps."""

    number: int = Field(description="Its number in the topic: 1, 2, 3 … since the topic keeps events.", examples=[1])
    topics: list[str] = Field(description="All topics that it was published to.", examples=[["news"]])
    id: str = Field(examples=["42"])
    event: str = Field(description="The event type; `message` when the publisher gave none.", examples=["message"])
    data: str
    retry: int | None = Field(description="Reconnect time in milliseconds for those who get it; mostly null.")
    time: str = Field(description="When the gateway accepted it, RFC 3339 in UTC.", examples=[_TIME])

    @classmethod
    def of(cls, kept: Kept, topic: str) -> "KeptEvent":
        """Show an event that a topic keeps."""
        event = kept.event
        return cls(
            number=kept.number[topic],
            topics=list(event.topics),
            id=event.id,
            event=event.event or DEFAULT_EVENT_TYPE,
            data=event.data,
            retry=event.retry,
            time=rfc3339(event.time),
        )


class Connection(BaseModel):
    """One SSE response or one WebSocket."""

    id: str
    topics: list[str] = Field(examples=[["news"]])
    transport: Transport
    node: str = Field(description="Name of the node that holds it.")
    client: str = Field(description="The client's address as far as it is known, else empty.")
    user_agent: str = Field(description="What the client says it is.")
    since: str = Field(description="When it opened, RFC 3339 in UTC.", examples=[_TIME])
    sent: int | None = Field(description=f"Events written to it; {_UNKNOWN}.")
    pending: int | None = Field(description=f"Events not yet written; {_UNKNOWN}.")
    pending_bytes: int | None = Field(
        description=f"Bytes that wait for it in the gateway, what the server has buffered counted in; {_UNKNOWN}."
    )
    behind_since: str | None = Field(
        description="Since when something has waited for it without a break, RFC 3339 in UTC; null while nothing "
        "waits. A reader that is behind for seconds is slow.",
        examples=[_TIME],
    )

    @classmethod
    def of(cls, record: ConnectionRecord) -> "Connection":
        """Show a connection of the placement."""
        return cls(
            id=record.id,
            topics=list(record.topics),
            transport=record.transport,
            node=record.node,
            client=record.client,
            user_agent=record.user_agent,
            since=rfc3339(record.since),
            sent=record.sent,
            pending=record.pending,
            pending_bytes=record.pending_bytes,
            behind_since=None if record.behind_since is None else rfc3339(record.behind_since),
        )


class Node(BaseModel):
    """One gateway process that lives."""

    name: str = Field(description="Its name, as in `gateway.open`.")
    host: str = Field(description="Where it says that it can be reached.")
    port: int | None = Field(description="TCP port that it listens on; null when it does not know.", examples=[8080])
    since: str = Field(description="Its start, RFC 3339 in UTC.", examples=[_TIME])
    last_seen: str = Field(description="Its last sign of life, RFC 3339 in UTC.", examples=[_TIME])
    silent: bool = Field(description="Whether that is longer ago than a node that lives lets pass.")
    connections: int
    topics: int
    version: str = Field(description="The gateway's version that it runs.")
    draining: bool = Field(description="Whether it is shutting down.")

    @classmethod
    def of(cls, status: NodeStatus) -> "Node":
        """Show a node of the placement."""
        return cls(
            name=status.node.name,
            host=status.node.host,
            port=status.node.port,
            since=rfc3339(status.node.since),
            last_seen=rfc3339(status.last_seen),
            silent=status.silent,
            connections=status.connections,
            topics=status.topics,
            version=status.node.version,
            draining=status.draining,
        )


class TopicPage(ListPage[Topic]):
    """One page of the topics."""


class KeptEventPage(ListPage[KeptEvent]):
    """One page of a topic's kept events."""


class ConnectionPage(ListPage[Connection]):
    """One page of the connections."""


class NodePage(ListPage[Node]):
    """One page of the nodes."""


class Rates(BaseModel):
    """Rates over the last seconds."""

    published: float
    delivered: float
    dropped: float
    gaps: float


class Totals(BaseModel):
    """Totals over all nodes; the counters count since each node's start."""

    connections: int
    topics: int
    published: int = Field(description="Events accepted and routed.")
    delivered: int = Field(description="Events handed to connections.")
    dropped: int = Field(description="Publishes dropped, their topics having no connection.")
    gaps: int = Field(description="Events that connections were told they missed.")
    per_second: Rates

    @classmethod
    def of(cls, stats: Stats) -> "Totals":
        """Show the placement's totals and rates."""
        return cls(
            connections=stats.connections,
            topics=stats.topics,
            published=stats.published,
            delivered=stats.delivered,
            dropped=stats.dropped,
            gaps=stats.gaps,
            per_second=Rates(
                published=stats.rates["published"],
                delivered=stats.rates["delivered"],
                dropped=stats.rates["dropped"],
                gaps=stats.rates["gaps"],
            ),
        )
