"""Which store keeps the history: what the settings ask for."""

from topics.conf import GatewaySettings
from topics.history.base import History
from topics.history.memory import MemoryHistory
from topics.history.redis.store import RedisHistory
from topics.placement.base import Placement
from topics.placement.redis.placement import RedisPlacement


def build_history(settings: GatewaySettings, placement: Placement) -> History | None:
    """Return the store, not started; None when no topic keeps anything.

    Args:
        settings: The gateway's.
        placement: The gateway's, which may share its connections with the store.
    """
    if not settings.history:
        return None
    match settings.history_store:
        case "memory":
            return MemoryHistory(settings.history, settings.history_bytes)
        case "redis":
            if not isinstance(placement, RedisPlacement):
                raise TypeError("The history can only be kept in the Redis of the placement.")
            return RedisHistory(placement, settings.history)
        case "database":
            # Its models can only be loaded once Django is set up, and no other store needs them.
            from topics.history.database.store import DatabaseHistory  # noqa: PLC0415

            history = DatabaseHistory(settings.history, dedupe_seconds=settings.dedupe_seconds)
            if isinstance(placement, RedisPlacement):
                placement.use_history(history, here=False)
            return history
        case store:
            raise ValueError(f"There is no store {store}.")
