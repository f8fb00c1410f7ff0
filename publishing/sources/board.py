"""What every node says of its sources, in the placement's Redis, so that each gives the same answer."""

import dataclasses
import json
import time

from redis.asyncio import Redis

from publishing.sources.leadership import AWAY
from publishing.sources.status import SourceStatus
from topics.exceptions import PlacementUnavailable

WRITE_SECONDS = 1.0

STALE_SECONDS = 10.0
"""After which a node that says nothing more is left out; its words go away when somebody writes."""


class Board:
    """One hash for all nodes and sources.

    Args:
        redis: The placement's.
        key: Name of the hash.
    """

    def __init__(self, redis: Redis, key: str) -> None:
        self._redis = redis
        self._key = key

    async def write(self, own: list[SourceStatus]) -> None:
        """Say how this node's sources are; without Redis nobody is told."""
        now = time.time()
        words = [word for each in own for word in (_field(each), json.dumps([now, dataclasses.asdict(each)]))]
        try:
            await self._redis.hset(self._key, items=words)
            stale = [field for field, (seen, _) in (await self._all()).items() if now - seen > STALE_SECONDS]
            if stale:
                await self._redis.hdel(self._key, *stale)
        except AWAY:
            return

    async def read(self) -> list[SourceStatus]:
        """Return what all nodes said, by source and node.

        Raises:
            PlacementUnavailable: Redis cannot be reached.
        """
        try:
            entries = await self._all()
        except AWAY as error:
            raise PlacementUnavailable("Redis cannot be reached.") from error
        now = time.time()
        fresh = [status for seen, status in entries.values() if now - seen <= STALE_SECONDS]
        return sorted(fresh, key=lambda status: (status.name, status.node))

    async def wipe(self, own: list[SourceStatus]) -> None:
        """Leave nothing behind."""
        try:
            await self._redis.hdel(self._key, *[_field(each) for each in own])
        except AWAY:
            return

    async def _all(self) -> dict[str | bytes, tuple[float, SourceStatus]]:
        entries = await self._redis.hgetall(self._key)
        words = {field: json.loads(entry) for field, entry in entries.items()}
        return {field: (seen, SourceStatus(**status)) for field, (seen, status) in words.items()}


def _field(status: SourceStatus) -> str:
    return f"{status.name} {status.node}"
