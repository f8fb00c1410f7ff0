"""The History protocol: what a store of past events promises (docs/explanation/history.md says why).

Every kept event has a position: a whole number, the same in all its topics, growing in the one order in which all nodes
see the events of all topics that keep history. So one id tells where a client stands in every topic that it holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from topics.events import Event
from topics.placement.base import Limits, Page, Placement, Routed

__all__ = ["Gap", "GapReason", "History", "Kept", "Limits", "Standing"]

GapReason = Literal["evicted", "unknown-id", "repeated-id", "interrupted"]
"""Why a replay begins with, or holds, a gap: see `Gap`."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One event in a store.

    Attributes:
        event: As it was published, with its `position`.
        number: Its number in each of the topics that were asked about: 1, 2, 3 … without holes while the topic's epoch
            lasts. A number that is not the next one is a hole.
    """

    event: Event
    number: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Gap:
    """What a topic's replay cannot give, told as `gateway.gap`.

    Attributes:
        topic: Whose events.
        missed: How many, None when that cannot be known.
        reason: `evicted`: they are no longer kept. `unknown-id`: nothing tells where the client stands (an id never
            seen, or of another topic, or forgotten with the store): all that is kept follows. `repeated-id`: the id
            stands for several events: what comes behind the oldest of them follows. `interrupted`: the store lost
            events.
    """

    topic: str
    missed: int | None
    reason: GapReason


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a client stands that comes back.

    Attributes:
        after: For each of its topics that keep history, the position after which it goes on; 0 is the beginning.
        gaps: What it is told first.
        numbers: For each of these topics, the number of the first event that it is given: the first that is kept
            behind the position, or else the one that the topic's next event will have. What is evicted before it could
            be read is seen by that.
    """

    after: Mapping[str, int]
    gaps: Sequence[Gap]
    numbers: Mapping[str, int]


PAGE_BYTES = 65_536
"""Where a page of `read` ends though more events were asked for, in characters of their data."""

INDEXED_EVENTS = 10_000
"""Most evicted events of a topic whose ids and positions are still known; never more than the topic may keep."""


class History(Protocol):
    """A store of past events. Every method may raise `PlacementUnavailable` when it cannot be reached."""

    @property
    def available(self) -> bool:
        """Whether the store answers, as far as is known, beside what `Placement.check` tells."""

    def keeps(self, topic: str) -> bool:
        """Tell whether a topic keeps history: by its name alone, so it always exists, and costs no look-up."""

    async def start(self) -> None:
        """Open the store.

        Raises:
            PlacementUnavailable: It cannot be reached; the caller tries again.
        """

    async def publish(self, event: Event, placement: Placement) -> Routed:
        """Store and route an event that has a topic which keeps history, in one order for all nodes.

        Sets the event's `position`. What the placement answers as repeated (`Routed.repeated`) is not stored in those
        topics again. On return the event is stored in each of its topics that keep history and routed to
        each that exists; when it raises, the publisher may publish it again.
        """

    async def locate(self, topics: Sequence[str], last_id: str) -> Standing:
        """Find where a client stands.

        Args:
            topics: The client's topics that keep history.
            last_id: Of the last event that it got, of any of them.
        """

    async def read(self, after: Mapping[str, int], *, limit: int) -> Sequence[Kept]:
        """Return the events behind a position in each of some topics: once each, in the order of their positions.

        Whatever any node was handed before this call is seen by it. That is the seam between replay and live.

        Args:
            after: Topic to position.
            limit: Most events. Fewer come only at the end; the store may return fewer than `limit` for their size, but
                an empty answer always means the end.
        """

    async def events(self, topic: str, *, limit: int, before: int | None = None) -> Page[Kept]:
        """List a topic's events for an administrator, newest first.

        Args:
            topic: Which.
            limit: Most events, at most `MAX_PAGE`.
            before: Position of the last item of the page before (`Page.next`).
        """

    async def names(self, q: str = "") -> Sequence[str]:
        """Return the names of all topics of which events are kept, in any order; `q` is a part of the name."""

    async def close(self) -> None:
        """Let go of the store; what it holds stays, where it outlives the process."""
