"""What a source publishes with: the rules for events, patience with the placement store, and an end to patience."""

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable

from publishing import service
from publishing.sources import metrics
from publishing.sources.backoff import Backoff
from publishing.sources.base import Outcome
from topics.conf import GatewaySettings
from topics.events import Event, check_event_type, check_id, check_retry, parse_topics
from topics.exceptions import GatewayError, InvalidData, InvalidInput, InvalidTopic, PlacementUnavailable
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
            accepted = _event(topics, data, id, event, retry, self._runtime.settings)
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


def _event(
    topics: Iterable[str],
    data: object,
    id: object,
    event: object,
    retry: object,
    settings: GatewaySettings,
) -> Event:
    """Check what a source was told, of whatever types it is, and make it an event.

    Raises:
        InvalidInput: It breaks a rule.
    """
    names = [topics] if isinstance(topics, str) else list(topics)
    if not names:
        raise InvalidTopic("The message names no topic.")
    if not isinstance(data, str):
        raise InvalidData("data must be text.")
    limit = settings.max_event_bytes
    # A character takes one byte at least: what is too long needs no encoding to say so.
    if len(data) > limit or (not data.isascii() and len(data.encode("utf-8", "surrogatepass")) > limit):
        raise InvalidData(f"data is over {limit} bytes of UTF-8.")
    return Event(
        topics=parse_topics([str(name) for name in names], limit=settings.max_topics, where="The message"),
        id=new_id() if id is None else check_id(str(id), where="id"),
        data=data,
        event=None if event is None else check_event_type(str(event), where="The event type"),
        retry=None if retry is None else check_retry(str(retry), where="retry"),
    )


def new_id() -> str:
    """Return an id for a message that has none: unique, and sortable by time."""
    return f"{time.time_ns() // 1_000_000:x}-{secrets.token_hex(6)}"
