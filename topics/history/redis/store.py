"""History in the Redis that also is the nodes' placement: keep.lua stores, numbers and publishes in one step."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from topics.events import Event
from topics.exceptions import PlacementUnavailable
from topics.history.base import PAGE_BYTES, Gap, GapReason, Kept, Standing
from topics.history.rules import Rules
from topics.placement.base import Page, Placement, Routed
from topics.placement.redis.commands import Argument, add_scripts
from topics.placement.redis.envelope import unpack_event
from topics.placement.redis.keeping import milliseconds
from topics.placement.redis.placement import RedisPlacement

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 1.0
"""How often each node looks for topics of which nothing can be told any more."""

SWEEP_TOPICS = 100
"""Topics that are removed in one step."""

LIST_BYTES = 1_048_576
"""Where a page of an administrator's list ends though more events were asked for."""

add_scripts(Path(__file__).parent / "lua")


class RedisHistory:
    """The `History` of a gateway of several nodes.

    Args:
        placement: Of this node, not started. Its `route` is what stores.
        rules: What is kept.
    """

    def __init__(self, placement: RedisPlacement, rules: Rules) -> None:
        placement.use_history(self, here=True)
        self._placement = placement
        self._rules = rules
        self._keys = placement.keys
        self._sweeping: asyncio.Task[None] | None = None

    @property
    def available(self) -> bool:
        """Return True: its Redis is the placement's."""
        return True

    def keeps(self, topic: str) -> bool:
        """Tell whether a topic keeps history."""
        return self._rules.of(topic) is not None

    async def start(self) -> None:
        """Begin to remove what is too old."""
        self._sweeping = asyncio.create_task(self._sweep())

    async def publish(self, event: Event, placement: Placement) -> Routed:
        """Store and route an event: one step of Redis."""
        kept = self._rules.kept(event.topics)
        return await placement.route(event, kept)

    async def locate(self, topics: Sequence[str], last_id: str) -> Standing:
        """Find where a client stands."""
        keys = [self._keys.vanished, self._keys.lost]
        for topic in topics:
            keys += [self._keys.topic(topic), *self._log(topic)]
        status, after, *told = await self._placement.ask("locate", keys, [last_id, *map(self._age, topics)])
        gaps: list[Gap] = []
        for topic, missed in zip(topics, told[::2], strict=True):
            reason: GapReason = _REASONS.get(status, "evicted")
            if reason == "evicted" and missed == _LOST:
                gaps.append(Gap(topic, None, "interrupted"))
            elif reason != "evicted" or missed:
                gaps.append(Gap(topic, missed if reason == "evicted" and missed > 0 else None, reason))
        return Standing(dict.fromkeys(topics, after), gaps, dict(zip(topics, told[1::2], strict=True)))

    async def read(self, after: Mapping[str, int], *, limit: int) -> Sequence[Kept]:
        """Return the events behind a position in each of some topics, in the order of their positions."""
        topics = list(after)
        arguments: list[Argument] = [limit, PAGE_BYTES]
        for topic in topics:
            arguments += [after[topic], self._age(topic)]
        rows = await self._placement.ask("read", list(map(self._keys.stream, topics)), arguments)
        return [Kept(unpack_event(event, position), _numbers(topics, numbers)) for position, event, numbers in rows]

    async def events(self, topic: str, *, limit: int, before: int | None = None) -> Page[Kept]:
        """List a topic's events, newest first; a page of large ones is short."""
        keys = [self._keys.topic(topic), self._keys.stream(topic), self._keys.index(topic)]
        position: Argument = "" if before is None else before
        total, more, *rows = await self._placement.ask("events", keys, [position, limit, LIST_BYTES, self._age(topic)])
        found = zip(rows[::3], rows[1::3], rows[2::3], strict=True)
        items = [Kept(unpack_event(event, position), {topic: number}) for position, number, event in found]
        return Page(items, str(items[-1].event.position) if more else None, total)

    async def names(self, q: str = "") -> Sequence[str]:
        """Return the names of all topics of which events are kept."""
        names = (name.decode() for name in await self._placement.ask("names", [self._keys.kept], []))
        return [name for name in names if q in name]

    async def close(self) -> None:
        """Stop removing what is too old: other nodes do."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait([self._sweeping])
            self._sweeping = None

    def _log(self, topic: str) -> tuple[str, str, str]:
        return self._keys.stream(topic), self._keys.index(topic), self._keys.ids(topic)

    def _age(self, topic: str) -> Argument:
        return milliseconds(self._rules.of(topic))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await self._remove_expired()
            except PlacementUnavailable:
                continue
            except Exception:
                logger.exception("history sweep failed")

    async def _remove_expired(self) -> None:
        own = self._keys
        while True:
            found: Any = await self._placement.ask("expired", [own.expiring], [SWEEP_TOPICS])
            if not found:
                return
            topics = [name.decode() for name in found]
            keys = [own.kept, own.expiring, own.vanished]
            for topic in topics:
                keys += [own.topic(topic), *self._log(topic)]
            await self._placement.ask("sweep", keys, topics)


_LOST = -2
"""What locate.lua says of topics whose events the store may have lost."""

_REASONS: dict[bytes, GapReason] = {b"unknown": "unknown-id", b"repeated": "repeated-id"}


def _numbers(topics: Sequence[str], told: Sequence[int]) -> dict[str, int]:
    return {topics[place - 1]: number for place, number in zip(told[::2], told[1::2], strict=True)}
