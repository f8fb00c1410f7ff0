"""Sources whose reader does not survive some messages, as a fault in a library would have it. They run in a gateway.

And one kind of publishing that does not end, for sources that are run by hand.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable

from publishing.sources.base import Outcome, Publish, Source
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


class EndlessPublish:
    """A `Publish` that never has done, as while the placement store is away."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def __call__(self, topics: Iterable[str], data: str, **more: object) -> Outcome:
        """See `Publish`."""
        self.begun.set()
        await asyncio.Event().wait()
        return Outcome.DROPPED

    def dead(self, reason: str, *, id: str | None = None) -> Outcome:
        """See `Publish`."""
        raise AssertionError(reason)

    def connected(self) -> None:
        """See `Publish`."""


async def break_off(source: Source) -> None:
    """Run a source until it publishes, and end it then."""
    publish = EndlessPublish()
    running = asyncio.create_task(source.run(publish))
    await asyncio.wait_for(publish.begun.wait(), 20)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
