"""Sources whose reader does not survive some messages, as a fault in a library would have it. They run in a gateway."""

from __future__ import annotations

import os
from collections.abc import Iterable

from publishing.sources.base import Outcome, Publish
from publishing.sources.postgres import Postgres
from publishing.sources.redis_streams import RedisStreams


class DeadlyPublish:
    """A `Publish` that ends the process when the data is `poison`."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self.dead = publish.dead
        self.connected = publish.connected

    async def __call__(
        self,
        topics: Iterable[str],
        data: str,
        *,
        id: str | None = None,
        event: str | None = None,
        retry: int | None = None,
    ) -> Outcome:
        """See `Publish`."""
        if data == "poison":
            os._exit(70)
        return await self._publish(topics, data, id=id, event=event, retry=retry)


class DeadlyStreams(RedisStreams):
    """`redis-streams`."""

    async def run(self, publish: Publish) -> None:
        """See `Source`."""
        await super().run(DeadlyPublish(publish))


class DeadlyPostgres(Postgres):
    """`postgres`."""

    async def run(self, publish: Publish) -> None:
        """See `Source`."""
        await super().run(DeadlyPublish(publish))
