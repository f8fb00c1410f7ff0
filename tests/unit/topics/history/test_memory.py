"""The store in memory under the suite that every store passes, and what only it promises: bytes."""

import asyncio
import tracemalloc

import pytest

from tests.unit.topics.history.contract import Build, HistoryContract
from tests.unit.topics.history.shelf import NODE, Ear, Shelf, Stores, aged, last, rules
from topics.history.base import Gap, History
from topics.history.memory import MemoryHistory
from topics.history.rules import Rules
from topics.placement.base import Placement
from topics.placement.memory import MemoryPlacement

MANY = 64 * 1_048_576


class TestMemoryHistory(HistoryContract):
    @pytest.fixture
    def stores(self) -> Stores:
        def make(rules: Rules, dedupe_seconds: float) -> tuple[History, Placement]:
            return MemoryHistory(rules, MANY), MemoryPlacement(dedupe_seconds)

        return make

    async def test_positions_do_not_fall_back_over_a_restart(self, build: Build) -> None:
        positions = []
        for _ in range(2):
            shelf = await build(rules(a=last(3)))
            await shelf.publish("1", "a")
            (kept,) = await shelf.everything({"a": 0})
            positions.append(kept.event.position or 0)
            await asyncio.sleep(0.001)
        assert positions[0] < positions[1]


class Clock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def shelf_of(history: MemoryHistory) -> Shelf:
    placement, node = MemoryPlacement(), Ear()
    await placement.start(NODE, node)
    return Shelf(history, placement, node)


async def test_all_topics_together_stay_within_the_bytes_and_the_oldest_go_first(clock: Clock) -> None:
    history = MemoryHistory(rules(a=last(1000), b=last(1000)), 100_000, clock)
    shelf = await shelf_of(history)
    for number in range(100):
        await shelf.publish(f"a{number}", "a", data="x" * 900)
        await shelf.publish(f"b{number}", "b", data="y" * 900)
        assert history.size <= 100_000
    kept = await shelf.ids("a", "b")
    assert 20 < len(kept) < 100
    assert kept == [f"{topic}{number}" for number in range(100) for topic in "ab"][-len(kept) :]
    # One that is larger than everything may be: it goes out, and nothing of it stays.
    await shelf.publish("huge", "a", data="x" * 200_000)
    assert await shelf.ids("a", "b") == []
    assert history.size <= 100_000


async def test_ids_of_evicted_events_are_within_the_bytes_too(clock: Clock) -> None:
    history = MemoryHistory(rules(t=last(1)), 100_000, clock)
    shelf = await shelf_of(history)
    for number in range(2000):
        await shelf.publish(f"{number}-1", f"t{number}")
        await shelf.publish(f"{number}-2", f"t{number}")
        assert history.size <= 100_000
    # Topics of which nothing is left are not remembered one by one.
    assert len(await history.names()) < 200
    assert list((await history.locate(["t0", "t1999"], "1999-2")).gaps) == []


async def test_what_is_too_old_is_let_go_of_without_a_reader(clock: Clock) -> None:
    history = MemoryHistory(rules(old=aged(60)), 100_000, clock)
    shelf = await shelf_of(history)
    await history.start()
    for number in range(10):
        await shelf.publish(str(number), f"old{number}")
    clock.now += 121
    async with asyncio.timeout(10):
        while history.size:
            await asyncio.sleep(0.05)
    await history.close()


async def test_a_clock_that_is_set_back_does_not_turn_the_order(clock: Clock) -> None:
    history = MemoryHistory(rules(a=last(9)), 100_000, clock)
    shelf = await shelf_of(history)
    for number in range(5):
        await shelf.publish(str(number), "a")
        clock.now -= 3600
    assert await shelf.ids("a") == ["0", "1", "2", "3", "4"]


async def test_numbers_go_on_through_the_lists_being_shortened(clock: Clock) -> None:
    history = MemoryHistory(rules(a=last(10)), MANY, clock)
    shelf = await shelf_of(history)
    for number in range(5000):
        await shelf.publish(str(number), "a")
    kept = await shelf.everything({"a": 0})
    assert [(one.event.id, one.number["a"]) for one in kept] == [(str(n), n + 1) for n in range(4990, 5000)]
    assert list((await history.locate(["a"], "4985")).gaps) == [Gap("a", 4, "evicted")]


@pytest.mark.parametrize("topics", [["t"], ["t", "t2", "t3"], ["t{}"]])
async def test_what_it_takes_is_what_it_says(clock: Clock, topics: list[str]) -> None:
    history = MemoryHistory(rules(t=last(1000)), MANY, clock)
    shelf = await shelf_of(history)
    tracemalloc.start()
    for number in range(3000):
        await shelf.publish(f"{number:032}", *[topic.format(number) for topic in topics], data=f"{number:0200}")
        shelf.node.handed.clear()
        await shelf.node.settled()
        if number % 100 == 0:
            await asyncio.sleep(0)
    await asyncio.sleep(0)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0.7 * taken < history.size < 1.4 * taken
