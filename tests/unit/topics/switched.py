"""A placement whose store can go away and come back, as no store of one process can."""

import asyncio
from collections.abc import Sequence

from topics.exceptions import PlacementUnavailable
from topics.placement.base import ConnectionRecord, LocalNode, Node
from topics.placement.memory import MemoryPlacement


class Switched(MemoryPlacement):
    """A memory placement whose store can go away."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False

    async def start(self, node: Node, local: LocalNode) -> None:
        self._look()
        await super().start(node, local)

    async def attach(self, record: ConnectionRecord, topics: Sequence[str]) -> None:
        await asyncio.sleep(0)
        self._look()
        await super().attach(record, topics)

    async def detach(self, connection_id: str, topics: Sequence[str], *, gone: bool) -> None:
        self._look()
        await super().detach(connection_id, topics, gone=gone)

    def _look(self) -> None:
        if self.away:
            raise PlacementUnavailable("away")
