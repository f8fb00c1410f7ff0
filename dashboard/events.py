"""The events that a topic keeps, read backwards in bounded memory."""

from topics.history.base import History, Kept
from topics.history.last import STEP
from topics.placement.base import Page

PAGE_CHARACTERS = 4 * 1_048_576
"""Where a page ends though more events were asked for, in characters of their data."""


async def newest_first(history: History, topic: str, *, limit: int, before: int | None) -> Page[Kept]:
    """Return one page of a topic's events.

    Args:
        history: Where they are kept.
        topic: One that keeps history.
        limit: Most events.
        before: Position of the last one of the page before, None to begin with the newest.
    """
    items: list[Kept] = []
    size = 0
    while True:
        step = await history.events(topic, limit=min(STEP, limit - len(items)), before=before)
        for kept in step.items:
            items.append(kept)
            size += len(kept.event.data)
        if step.next is None or len(items) >= limit or size >= PAGE_CHARACTERS:
            return Page(items, step.next, step.total)
        before = int(step.next)
