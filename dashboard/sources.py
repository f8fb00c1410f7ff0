"""The admin API of message sources: what each node says of its own."""

from typing import Annotated

from django.http import HttpRequest
from ninja import Router
from pydantic import BaseModel, Field

from dashboard import query
from dashboard.cursor import Cursor
from dashboard.query import CursorParameter, Limit
from dashboard.schemas import ListPage
from publishing.authentication import API_KEY
from publishing.schemas import ProblemDetails
from publishing.sources.base import Guarantee, RunsOn
from publishing.sources.running import status_everywhere
from publishing.sources.status import SourceStatus, State
from topics.events import rfc3339

router = Router(auth=API_KEY, tags=["admin"])

_SOURCES = Cursor("sources")

Count = Annotated[int, Field(ge=0)]


class SourceOnNode(BaseModel):
    """A message source on one node; the counters count since the node's start."""

    name: str = Field(examples=["redis-pubsub"])
    node: str = Field(description="Name of the node that says this.")
    guarantee: Guarantee = Field(description="What is promised between the source's server and the gateway.")
    runs_on: RunsOn = Field(description="Whether one node at a time runs it, or every node.")
    state: State = Field(
        description="`starting`: not connected yet; `running`; `standby`: another node runs it; `failing`: waits for "
        "its next try; `ended`: no more comes."
    )
    since: str = Field(description="When it came into this state, RFC 3339 in UTC.")
    detail: str | None = Field(description="Why it fails; null while it does not.")
    published: Count = Field(description="Messages that became events.")
    dropped: Count = Field(description="Messages whose topics had no connection.")
    dead: Count = Field(description="Messages that are no events, or failed each time.")
    restarts: Count = Field(description="How often it was run again after a failure.")

    @classmethod
    def of(cls, status: SourceStatus) -> "SourceOnNode":
        """Show a status."""
        return cls(
            name=status.name,
            node=status.node,
            guarantee=status.guarantee,
            runs_on=status.runs_on,
            state=status.state,
            since=rfc3339(status.since),
            detail=status.detail,
            published=status.published,
            dropped=status.dropped,
            dead=status.dead,
            restarts=status.restarts,
        )


class SourcePage(ListPage[SourceOnNode]):
    """One page of the sources."""


@router.get(
    "/sources",
    operation_id="listSources",
    summary="List message sources",
    response={200: SourcePage, (400, 401, 503): ProblemDetails},
)
async def list_sources(request: HttpRequest, limit: Limit, cursor: CursorParameter) -> SourcePage:
    """List the message sources of all nodes, by name and node."""
    query.check(request, ("limit", "cursor"))
    after = None if cursor is None else _SOURCES.read(cursor)
    everything = await status_everywhere()
    rest = [status for status in everything if after is None or _position(status) > after]
    page = rest[:limit]
    return SourcePage(
        items=[SourceOnNode.of(status) for status in page],
        next=_SOURCES.sign(_position(page[-1])) if len(rest) > limit else None,
        total=len(everything),
    )


def _position(status: SourceStatus) -> str:
    # A space sorts before whatever a name holds, so this order is the list's.
    return f"{status.name} {status.node}"
