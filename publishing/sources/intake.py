"""What a source publishes with: the rules for events, patience with the placement store, and an end to patience."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable

from publishing import service
from publishing.sources import metrics
from publishing.sources.backoff import Backoff
from publishing.sources.base import Outcome
from publishing.sources.events import make_event
from topics.exceptions import GatewayError, InvalidInput, PlacementUnavailable
from topics.runtime import Runtime

logger = logging.getLogger(__name__)


class NotTheOne(GatewayError):
    """Another node runs this source now."""


class Intake:
    """The `Publish` of one source.

    Args:
        runtime: This process's.
        source: The source's name.
        may_publish: Whether this node still is the one that runs the source.
        on_connected: Called when the source says that messages can come.
    """

    def __init__(
        self,
        runtime: Runtime,
        source: str,
        *,
        may_publish: Callable[[], bool],
        on_connected: Callable[[], None],
    ) -> None:
        self._runtime = runtime
        self._source = source
        self._may_publish = may_publish
        self._on_connected = on_connected
        self.counts: Counter[Outcome] = Counter()

    def connected(self) -> None:
        """See `Publish`."""
        self._on_connected()

    async def __call__(
        self,
        topics: Iterable[str],
        data: str,
        *,
        id: str | None = None,
        event: str | None = None,
        retry: int | None = None,
    ) -> Outcome:
        """See `Publish`.

        Raises:
            NotTheOne: Another node runs this source; the message is not dealt with.
        """
        try:
            accepted = make_event(topics, data, id, event, retry, settings=self._runtime.settings)
        except InvalidInput as error:
            return self.dead(error.detail, id=id)
        patience = Backoff(first=0.1, longest=2.0)
        failures = 0
        while True:
            if not self._may_publish():
                raise NotTheOne(self._source)
            try:
                routed = await service.publish(self._runtime, accepted)
            except PlacementUnavailable:
                # Not the message's fault: nothing else could be published either.
                await asyncio.sleep(patience.next())
            except InvalidInput as error:
                return self.dead(error.detail, id=accepted.id)
            except Exception:
                failures += 1
                if failures >= self._runtime.settings.source_attempts:
                    logger.exception("source message failed", extra={"source": self._source, "id": accepted.id})
                    return self.dead(f"It could not be published in {failures} tries.", id=accepted.id)
                await asyncio.sleep(patience.next())
            else:
                return self._count(Outcome.PUBLISHED if routed.topics else Outcome.DROPPED)

    def dead(self, reason: str, *, id: str | None = None) -> Outcome:
        """See `Publish`."""
        shown = None if id is None else id[:255]
        logger.warning("source message dead", extra={"source": self._source, "id": shown, "detail": reason})
        return self._count(Outcome.DEAD)

    def _count(self, outcome: Outcome) -> Outcome:
        self.counts[outcome] += 1
        metrics.MESSAGES.labels(self._source, outcome.value).inc()
        return outcome
