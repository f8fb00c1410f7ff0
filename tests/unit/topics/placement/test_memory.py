"""The memory adapter under the suite that every placement passes."""

import pytest

from tests.unit.topics.placement.contract import PlacementContract
from topics.placement.base import Placement
from topics.placement.memory import MemoryPlacement


class TestMemoryPlacement(PlacementContract):
    @pytest.fixture
    def placement(self) -> Placement:
        return MemoryPlacement()
