"""The memory adapter under the suite that every placement passes."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.topics.placement.contract import PlacementContract
from topics.placement.base import Placement
from topics.placement.memory import MemoryPlacement


class TestMemoryPlacement(PlacementContract):
    @pytest.fixture
    async def placement(self) -> AsyncIterator[Placement]:
        yield MemoryPlacement()
