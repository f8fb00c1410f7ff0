"""Whether every node that lives has registered: before that, nothing that Redis counts is true. Pure but for time."""

import time
from collections.abc import Sequence

from topics.placement.redis.peers import Peer

RETURN_SECONDS = 2.0
"""How long beyond its TTL a node is waited for after Redis was away: to find out, and to find its way back, through
sentinels too, takes a few waits of `SOCKET_SECONDS`, and no node does so at the same moment as another."""


class Census:
    """Whom one node knows, and still waits for.

    Args:
        ttl: Seconds after which a silent node counts as dead.
    """

    def __init__(self, ttl: float) -> None:
        self._ttl = ttl
        # The processes that were there when all had registered; empty until then, as this node is one of them.
        self._known: set[str] = set()
        self._waited_for: dict[str, float] = {}

    @property
    def is_first(self) -> bool:
        """Whether this node has only just started, and knows no others."""
        return not self._known

    def begin(self) -> None:
        """Wait for all who were there; who is waited for already gets no more time."""
        deadline = time.monotonic() + self._ttl + RETURN_SECONDS
        for instance in self._known:
            self._waited_for.setdefault(instance, deadline)

    def is_complete(self, peers: Sequence[Peer], run: str) -> bool:
        """Tell whether all who were there, and live, have registered.

        Args:
            peers: All that Redis knows of.
            run: Of the Redis server.
        """
        # What a node left behind on a former master, which did not die, is older than what others have known since.
        newest = max(peer.generation for peer in peers)
        if any(peer.run != run or peer.generation < newest for peer in peers):
            return False
        here, now = {peer.instance for peer in peers}, time.monotonic()
        return all(instance in here or deadline < now for instance, deadline in self._waited_for.items())

    def end(self, peers: Sequence[Peer]) -> None:
        """Remember who is there: all have registered."""
        self._known = {peer.instance for peer in peers}
        self._waited_for.clear()
