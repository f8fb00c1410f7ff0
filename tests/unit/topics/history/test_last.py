"""Where the last events of a topic begin."""

import pytest

from topics.events import Event
from topics.history import last
from topics.history.last import before_last
from topics.history.memory import MemoryHistory
from topics.history.rules import parse_rules
from topics.hub import Hub
from topics.placement.base import Node
from topics.placement.memory import MemoryPlacement


@pytest.fixture
async def history(monkeypatch: pytest.MonkeyPatch) -> MemoryHistory:
    """Nine events of the topic t, of which it keeps seven; between them are those of another."""
    monkeypatch.setattr(last, "STEP", 2)
    history = MemoryHistory(parse_rules("t=7, other=100"), 1_000_000)
    placement = MemoryPlacement()
    await placement.start(Node("n", "h", 0, "1"), Hub("n", 1000))
    for number in range(1, 10):
        await history.publish(Event(("t",), f"t-{number}", "x"), placement)
        await history.publish(Event(("other",), f"other-{number}", "x"), placement)
    return history


@pytest.mark.parametrize(("count", "first"), [(1, 9), (2, 8), (3, 7), (4, 6), (7, 3), (8, 3), (500, 3)])
async def test_what_is_read_from_there_are_the_last_events(history: MemoryHistory, count: int, first: int) -> None:
    standing, found = await before_last(history, "t", count)
    assert found == 10 - first
    assert (standing.numbers, standing.gaps) == ({"t": first}, [])
    given = await history.read(standing.after, limit=100)
    assert [kept.event.id for kept in given] == [f"t-{number}" for number in range(first, 10)]


async def test_a_topic_that_has_kept_nothing_yet_begins_at_its_beginning(history: MemoryHistory) -> None:
    standing, found = await before_last(history, "new", 5)
    assert (standing.after, standing.numbers, found) == ({"new": 0}, {}, 0)
