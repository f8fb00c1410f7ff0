"""The list of topics: those that somebody is connected to, and those of which events are kept."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from topics.history.base import History
from topics.placement.base import Page, Placement, TopicRecord

COUNTED_AT_ONCE = 1_000
"""Names in one question to placement, which answers nobody else meanwhile."""


@dataclass(frozen=True, slots=True)
class ListedTopic:
    """A topic with what is kept of it.

    Attributes:
        record: Its connections, and its events since it exists: a topic that keeps history exists ever since its first.
        kept: Events that are kept; None for a topic that keeps none.
    """

    record: TopicRecord
    kept: int | None


async def list_topics(
    placement: Placement, history: History | None, *, limit: int, after: str | None, q: str
) -> Page[ListedTopic]:
    """List topics by name; what is there throughout is listed exactly once, whether or not somebody is connected.

    Args:
        placement: Knows the topics with connections.
        history: Knows those with kept events; None when nothing is kept.
        limit: Most topics.
        after: Name of the last topic of the page before.
        q: A part of the name.
    """
    kept = sorted(await history.names(q)) if history is not None else []
    page = await placement.topics(limit=limit, after=after, q=q)
    # Placement's page says who is connected in its range of names; nothing is asked twice, so nothing comes between.
    connected = {record.name: record for record in page.items}
    idle = (
        _idle(name)
        for name in kept
        if name not in connected and (after is None or name > after) and (page.next is None or name <= page.next)
    )
    merged: Iterator[TopicRecord] = heapq.merge(page.items, idle, key=lambda record: record.name)
    records = list(islice(merged, limit + 1))
    more = len(records) > limit
    items = [await _with_history(record, history) for record in records[:limit]]
    return Page(
        items=items,
        next=records[limit - 1].name if more else page.next,
        total=page.total + len(kept) - await _connected(placement, kept),
    )


def _idle(name: str) -> TopicRecord:
    return TopicRecord(name, 0, (), 0, None, None)


async def _with_history(record: TopicRecord, history: History | None) -> ListedTopic:
    if history is None or not history.keeps(record.name):
        return ListedTopic(record, None)
    newest = await history.events(record.name, limit=1)
    if not newest.items:
        return ListedTopic(record, 0)
    last = newest.items[0]
    shown = TopicRecord(
        name=record.name,
        connections=record.connections,
        nodes=record.nodes,
        # The placement's count begins anew whenever the last connection has gone.
        events=max(record.events, last.number[record.name]),
        last_id=last.event.id,
        last_time=last.event.time,
    )
    return ListedTopic(shown, newest.total)


async def _connected(placement: Placement, names: Sequence[str]) -> int:
    connected = 0
    for start in range(0, len(names), COUNTED_AT_ONCE):
        counts = await placement.count(names[start : start + COUNTED_AT_ONCE])
        connected += sum(count > 0 for count in counts.values())
    return connected
