"""The events that a topic keeps, read backwards in bounded memory."""

from topics.history.base import History, Kept
from topics.placement.base import Page

STEP = 32
"""Events asked for at once: of the largest that are allowed by default, 32 MiB."""

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


async def begin_of_last(history: History, topic: str, count: int) -> tuple[int, int]:
    """Find where the last events of a topic begin.

    Args:
        history: Where they are kept.
        topic: One that keeps history.
        count: How many.

    Returns:
        The position after which they begin, and how many there are.
    """
    found = 0
    before: int | None = None
    after = 0
    while True:
        step = await history.events(topic, limit=min(STEP, count - found), before=before)
        found += len(step.items)
        if step.items:
            # Positions are whole numbers: nothing lies between this one and the event.
            after = (step.items[-1].event.position or 1) - 1
        if step.next is None or found >= count:
            return after, found
        before = int(step.next)
