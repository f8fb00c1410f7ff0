"""Where the last events of a topic begin, for a tail that shows them first."""

from topics.history.base import History, Standing

STEP = 32
"""Events asked for at once: of the largest that are allowed by default, 32 MiB."""


async def before_last(history: History, topic: str, count: int) -> tuple[Standing, int]:
    """Find where the last events of a topic begin.

    Args:
        history: Where they are kept.
        topic: One that keeps history.
        count: How many, at least one.

    Returns:
        Where to go on to be given them and what follows, and how many there are.
    """
    found = 0
    before: int | None = None
    numbers: dict[str, int] = {}
    after = 0
    while True:
        page = await history.events(topic, limit=min(STEP, count - found), before=before)
        found += len(page.items)
        if page.items:
            oldest = page.items[-1]
            # Positions are whole numbers: nothing lies between this one and the event.
            after = (oldest.event.position or 1) - 1
            numbers = {topic: oldest.number[topic]}
        if page.next is None or found >= count:
            return Standing({topic: after}, [], numbers), found
        before = int(page.next)
