"""A history and its placement in a node of the test's, for the suite that every store passes."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from tests.unit.topics.scripted import Client
from topics.events import Event
from topics.history.base import History, Kept
from topics.history.rules import Rules
from topics.hub import Hub
from topics.placement.base import MAX_PAGE, Limits, Node, Placement, Routed

NODE = Node("node-1", "host-1", 1_700_000_000.0, "1.2.3")


class Ear(Hub):
    """A hub that remembers what it was handed, in order."""

    def __init__(self) -> None:
        super().__init__(NODE.name, retry_ms=3000)
        self.handed: list[Event] = []

    def deliver(self, event: Event) -> None:
        self.handed.append(event)
        super().deliver(event)


class Stores(Protocol):
    """Makes a history and its placement, neither of them started, with nothing in them."""

    def __call__(self, rules: Rules, dedupe_seconds: float) -> tuple[History, Placement]: ...


class Shelf:
    """A started history."""

    def __init__(self, history: History, placement: Placement, node: Ear) -> None:
        self.history = history
        self.placement = placement
        self.node = node

    async def publish(self, event_id: str, *topics: str, data: str = "x") -> Routed:
        """Publish one event."""
        return await self.history.publish(Event(topics, event_id, data), self.placement)

    async def join(self, *topics: str) -> Client:
        """Attach a connection the way the runtime does."""
        client = Client(topics)
        self.node.add(client.connection, topics)
        await self.placement.attach(client.connection.record(NODE.name), topics)
        return client.open()

    async def everything(self, after: Mapping[str, int], limit: int = 7) -> list[Kept]:
        """Read to the end, page by page."""
        after = dict(after)
        found: list[Kept] = []
        while page := await self.history.read(after, limit=limit):
            assert len(page) <= limit
            found.extend(page)
            after = dict.fromkeys(after, position_of(page[-1]))
        return found

    async def ids(self, *topics: str) -> list[str]:
        """Return the ids of all that these topics keep."""
        return [kept.event.id for kept in await self.everything(dict.fromkeys(topics, 0))]

    async def listed(self, topic: str, limit: int = MAX_PAGE) -> list[Kept]:
        """Return the administrator's list, page by page."""
        before: int | None = None
        found: list[Kept] = []
        while True:
            page = await self.history.events(topic, limit=limit, before=before)
            found.extend(page.items)
            if page.next is None:
                assert page.total == len(found)
                return found
            before = int(page.next)

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait for what time or a network brings."""
        async with asyncio.timeout(10):
            while not await condition():
                await asyncio.sleep(0.005)


def position_of(kept: Kept) -> int:
    assert kept.event.position is not None
    return kept.event.position


def ids(page: Sequence[Kept]) -> list[str]:
    return [kept.event.id for kept in page]


def rules(**limits: Limits) -> Rules:
    """Return rules: the topics that begin with each name."""
    return Rules(tuple((f"{name}*", amount) for name, amount in limits.items()))


def last(events: int) -> Limits:
    """Keep so many events."""
    return Limits(events, None)


def aged(seconds: float) -> Limits:
    """Keep events so long."""
    return Limits(None, seconds)
