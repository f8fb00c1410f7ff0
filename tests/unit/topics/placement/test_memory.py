"""The memory adapter under the suites that every placement passes."""

from collections.abc import Callable

import pytest

from tests.unit.topics.placement.contract import PlacementContract
from tests.unit.topics.placement.dedupe_contract import DedupeContract
from topics.placement import memory_answers
from topics.placement.base import Placement
from topics.placement.memory import MemoryPlacement
from topics.placement.memory_answers import Answers


class TestMemoryPlacement(PlacementContract):
    @pytest.fixture
    def placement(self) -> Placement:
        return MemoryPlacement()


class TestMemoryDedupe(DedupeContract):
    @pytest.fixture
    def remembering(self) -> Callable[[float], Placement]:
        return MemoryPlacement


def test_answers_are_forgotten_when_their_time_is_over_or_they_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_answers, "REMEMBERED", 10)
    now = 0.0
    answers = Answers(60, clock=lambda: now)
    for number in range(20):
        answers.remember(str(number), {"a": number})
        assert answers.of(str(number), ["a"]) == {"a": number}
    assert [number for number in range(20) if answers.of(str(number), ["a"])] == list(range(10, 20))
    now = 60.0
    assert answers.of("19", ["a"]) == {}
    assert not answers._counts
