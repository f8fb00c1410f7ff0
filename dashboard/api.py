"""The admin API: what exists, who is connected where, and closing a connection."""

from collections.abc import Sequence
from typing import Annotated

from django.http import Http404, HttpRequest
from ninja import Query, Router
from ninja.responses import Status

from dashboard import events, query, topics
from dashboard.cursor import Cursor
from dashboard.query import CursorParameter, Limit
from dashboard.schemas import (
    Connection,
    ConnectionPage,
    KeptEvent,
    KeptEventPage,
    Node,
    NodePage,
    Topic,
    TopicPage,
    Totals,
)
from publishing.authentication import API_KEY
from publishing.schemas import ProblemDetails
from topics.events import parse_topics
from topics.placement.base import NodeStatus, Transport
from topics.process import running

router = Router(auth=API_KEY, tags=["admin"])

_TOPICS = Cursor("topics")
_CONNECTIONS = Cursor("connections")
_NODES = Cursor("nodes")


@router.get(
    "/topics",
    operation_id="listTopics",
    summary="List topics",
    response={200: TopicPage, (400, 401, 503): ProblemDetails},
)
async def list_topics(
    request: HttpRequest,
    limit: Limit,
    cursor: CursorParameter,
    q: Annotated[str, Query("", description="Part of the name; case matters.", example="news")],
) -> TopicPage:
    """List the topics that exist on any node, by name: those with connections, and those that keep events."""
    query.check(request, ("limit", "cursor", "q"))
    runtime = await running()
    page = await topics.list_topics(runtime.placement, runtime.history, limit=limit, after=_after(_TOPICS, cursor), q=q)
    return TopicPage(
        items=[Topic.of(listed) for listed in page.items], next=_next(_TOPICS, page.next), total=page.total
    )


@router.get(
    "/topics/{path:topic}/events",
    operation_id="listKeptEvents",
    summary="List a topic's kept events",
    response={200: KeptEventPage, (400, 401, 404, 503): ProblemDetails},
)
async def list_events(request: HttpRequest, topic: str, limit: Limit, cursor: CursorParameter) -> KeptEventPage:
    """List the events that a topic keeps, newest first. A page of large events ends before `limit`, at 4 MiB."""
    query.check(request, ("limit", "cursor"))
    parse_topics([topic], limit=1, where="The path")
    runtime = await running()
    if runtime.history is None or not runtime.history.keeps(topic):
        raise Http404("This topic keeps no events; GATEWAY_HISTORY says which do.")
    cursors = Cursor(f"events of {topic}")
    before = _after(cursors, cursor)
    page = await events.newest_first(
        runtime.history, topic, limit=limit, before=None if before is None else int(before)
    )
    return KeptEventPage(
        items=[KeptEvent.of(kept, topic) for kept in page.items], next=_next(cursors, page.next), total=page.total
    )


@router.get(
    "/connections",
    operation_id="listConnections",
    summary="List connections",
    response={200: ConnectionPage, (400, 401, 503): ProblemDetails},
)
async def list_connections(
    request: HttpRequest,
    limit: Limit,
    cursor: CursorParameter,
    topic: Annotated[str | None, Query(None, description="Only those subscribed to this topic.")],
    node: Annotated[str | None, Query(None, description="Only those that this node holds.")],
    transport: Annotated[Transport | None, Query(None, description="Only those of this transport.")],
) -> ConnectionPage:
    """List the connections of all nodes, in the order of their coming."""
    query.check(request, ("limit", "cursor", "topic", "node", "transport"))
    if topic is not None:
        parse_topics([topic], limit=1, where="topic")
    runtime = await running()
    page = await runtime.placement.connections(
        limit=limit, after=_after(_CONNECTIONS, cursor), topic=topic, node=node, transport=transport
    )
    return ConnectionPage(
        items=[Connection.of(record) for record in page.items],
        next=_next(_CONNECTIONS, page.next),
        total=page.total,
    )


@router.get(
    "/connections/{connection_id}",
    operation_id="getConnection",
    summary="Show a connection",
    response={200: Connection, (401, 404, 503): ProblemDetails},
)
async def get_connection(request: HttpRequest, connection_id: str) -> Connection:
    """Show one connection, whichever node holds it."""
    runtime = await running()
    record = await runtime.placement.connection(connection_id)
    if record is None:
        raise Http404("There is no connection of this id.")
    return Connection.of(record)


@router.delete(
    "/connections/{connection_id}",
    operation_id="closeConnection",
    summary="Close a connection",
    response={204: None, (401, 404, 503): ProblemDetails},
)
async def close_connection(request: HttpRequest, connection_id: str) -> Status[None]:
    """Close a connection, whichever node holds it. It gets `gateway.close` first, and may come back."""
    runtime = await running()
    if not await runtime.placement.close_connection(connection_id):
        raise Http404("There is no connection of this id.")
    return Status(204, None)


@router.get(
    "/nodes",
    operation_id="listNodes",
    summary="List nodes",
    response={200: NodePage, (400, 401, 503): ProblemDetails},
)
async def list_nodes(request: HttpRequest, limit: Limit, cursor: CursorParameter) -> NodePage:
    """List the gateway processes that live, by name."""
    query.check(request, ("limit", "cursor"))
    runtime = await running()
    after = _after(_NODES, cursor)
    nodes: Sequence[NodeStatus] = sorted(await runtime.placement.nodes(), key=lambda status: status.node.name)
    rest = [status for status in nodes if after is None or status.node.name > after]
    page = rest[:limit]
    return NodePage(
        items=[Node.of(status) for status in page],
        next=_next(_NODES, page[-1].node.name if len(rest) > limit else None),
        total=len(nodes),
    )


@router.get(
    "/stats",
    operation_id="getStats",
    summary="Show totals and rates",
    response={200: Totals, (401, 503): ProblemDetails},
)
async def get_stats(request: HttpRequest) -> Totals:
    """Show totals over all nodes, and rates over the last seconds."""
    query.check(request, ())
    runtime = await running()
    return Totals.of(await runtime.placement.stats())


def _after(cursors: Cursor, cursor: str | None) -> str | None:
    return None if cursor is None else cursors.read(cursor)


def _next(cursors: Cursor, position: str | None) -> str | None:
    return None if position is None else cursors.sign(position)
