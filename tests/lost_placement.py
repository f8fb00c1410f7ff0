"""A placement whose store can be cut off, as no store of one process can be."""

from collections.abc import Mapping

from topics.events import Event
from topics.exceptions import PlacementUnavailable
from topics.placement.base import NOTHING_KEPT, Limits, NodeStatus, Routed
from topics.placement.memory import MemoryPlacement
from topics.runtime import Runtime


class LosablePlacement(MemoryPlacement):
    """Memory placement that answers only so many more calls.

    Attributes:
        left: Calls until the store is lost; None while it is not going to be.
    """

    left: int | None = None

    def _count(self) -> None:
        if self.left is not None:
            if self.left == 0:
                raise PlacementUnavailable("The store is cut off.")
            self.left -= 1

    async def route(self, event: Event, kept: Mapping[str, Limits] = NOTHING_KEPT) -> Routed:
        self._count()
        return await super().route(event, kept)

    async def nodes(self) -> list[NodeStatus]:
        self._count()
        return list(await super().nodes())

    async def check(self) -> None:
        self._count()
        await super().check()


async def make_losable(runtime: Runtime) -> LosablePlacement:
    """Give a runtime that holds no connection yet a placement that can be lost."""
    placement = LosablePlacement()
    await placement.start(runtime.node, runtime.hub)
    runtime.placement = placement
    return placement
