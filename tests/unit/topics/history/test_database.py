"""The store in a database, SQLite and a real PostgreSQL: the suite that every store passes, and what is its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.lost_placement import LosablePlacement
from tests.postgres_server import needs_postgres
from tests.unit.topics.history.contract import HistoryContract
from tests.unit.topics.history.databases import rows as rows_of
from tests.unit.topics.history.shelf import NODE, Ear, Shelf, Stores, aged, ids, last, position_of, rules
from topics.events import Event
from topics.exceptions import PlacementUnavailable
from topics.history.base import Gap, History
from topics.history.database import batches
from topics.history.database.store import DatabaseHistory
from topics.history.database.writing import STEP
from topics.history.rules import Rules
from topics.placement.base import Placement
from topics.placement.memory import MemoryPlacement


def stores_in(alias: str) -> Stores:
    def make(rules: Rules, dedupe_seconds: float) -> tuple[History, Placement]:
        return DatabaseHistory(rules, alias, dedupe_seconds=dedupe_seconds), MemoryPlacement(dedupe_seconds)

    return make


class TestOnSqlite(HistoryContract):
    @pytest.fixture
    def stores(self, sqlite: str) -> Stores:
        return stores_in(sqlite)


@needs_postgres
class TestOnPostgres(HistoryContract):
    @pytest.fixture
    def stores(self, postgres: str) -> Stores:
        return stores_in(postgres)


class Clock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Rack:
    """Histories in one database, each as a node has it."""

    def __init__(self, alias: str, stack: AsyncExitStack) -> None:
        self.alias = alias
        self.clock = Clock()
        self.stack = stack

    async def add(self, rules: Rules, placement: MemoryPlacement | None = None, *, dedupe_seconds: float = 0) -> Shelf:
        """Start one; nodes that share a placement are on one Redis, so to say."""
        node = Ear()
        if placement is None:
            placement = MemoryPlacement()
            await placement.start(NODE, node)
        history = DatabaseHistory(rules, self.alias, dedupe_seconds=dedupe_seconds, clock=self.clock)
        await history.start()
        self.stack.push_async_callback(history.close)
        return Shelf(history, placement, node)

    async def rows(self) -> tuple[int, int, int]:
        """Return how many topics, entries and events there are."""
        return await asyncio.to_thread(rows_of, self.alias)


@pytest.fixture
async def rack(alias: str) -> AsyncIterator[Rack]:
    async with AsyncExitStack() as stack:
        yield Rack(alias, stack)


async def eventually(condition: Callable[[], Any], within: float = 10) -> None:
    async with asyncio.timeout(within):
        while not await condition():
            await asyncio.sleep(0.02)


async def test_what_is_kept_outlives_the_process(rack: Rack) -> None:
    before = await rack.add(rules(a=last(3)))
    for number in range(5):
        await before.publish(str(number), "a")
    await before.history.close()
    after = await rack.add(rules(a=last(3)))
    assert await after.ids("a") == ["2", "3", "4"]
    await after.publish("5", "a")
    assert [kept.number["a"] for kept in await after.everything({"a": 0})] == [4, 5, 6]
    assert list((await after.history.locate(["a"], "1")).gaps) == [Gap("a", 1, "evicted")]


async def test_nodes_on_one_database_hand_on_in_one_order(rack: Rack) -> None:
    ear = Ear()
    placement = MemoryPlacement()
    await placement.start(NODE, ear)
    nodes = [await rack.add(rules(a=last(1000)), placement) for _ in range(3)]

    async def publish(node: int, publisher: int) -> None:
        for number in range(15):
            await nodes[node].publish(f"{node}-{publisher}-{number}", "a")

    await asyncio.gather(*(publish(node, publisher) for node in range(3) for publisher in range(4)))
    positions = [event.position or 0 for event in ear.handed]
    assert positions == sorted(set(positions))
    assert len(positions) == 180
    assert await nodes[0].ids("a") == [event.id for event in ear.handed]
    assert [kept.number["a"] for kept in await nodes[1].everything({"a": 0})] == list(range(1, 181))


async def test_a_placement_that_is_away_is_found_out_before_anything_is_stored(rack: Rack) -> None:
    placement = MemoryPlacement()
    shelf = await rack.add(rules(a=last(9)), placement)
    with pytest.raises(PlacementUnavailable):
        await shelf.publish("1", "a")
    await placement.start(NODE, shelf.node)
    assert await shelf.ids("a") == []


async def test_what_may_have_gone_out_stays_and_is_the_same_event_when_it_is_tried_again(
    rack: Rack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "ROUTE_SECONDS", 0.2)
    placement, ear = LosablePlacement(dedupe_seconds=60), Ear()
    await placement.start(NODE, ear)
    shelf = await rack.add(rules(a=last(9), b=last(9)), placement, dedupe_seconds=60)
    await shelf.publish("0", "a")
    placement.left = 3
    answers = await asyncio.gather(
        *(shelf.publish(f"n{number}", "a", *(["b"] if number % 2 else [])) for number in range(6)),
        return_exceptions=True,
    )
    assert [isinstance(answer, PlacementUnavailable) for answer in answers] == [False] * 3 + [True] * 3
    placement.left = None
    for number in range(6):
        routed = await shelf.publish(f"n{number}", "a", *(["b"] if number % 2 else []))
        assert dict(routed.topics) == ({"a": 0, "b": 0} if number % 2 else {"a": 0})
    assert [event.id for event in ear.handed] == ["0", "n0", "n1", "n2", "n3", "n4", "n5"]
    kept = await shelf.everything({"a": 0})
    assert [one.event.position for one in kept] == [event.position for event in ear.handed]
    # No hole, which every reader would take for a loss.
    assert [one.number["a"] for one in kept] == [1, 2, 3, 4, 5, 6, 7]
    assert [one.number["b"] for one in await shelf.everything({"b": 0})] == [1, 2, 3]


async def test_a_placement_that_fails_for_a_moment_delays_only(rack: Rack) -> None:
    placement, ear = LosablePlacement(), Ear()
    await placement.start(NODE, ear)
    shelf = await rack.add(rules(a=last(99)), placement)
    placement.left = 3
    publishing = [asyncio.create_task(shelf.publish(str(number), "a")) for number in range(10)]
    await shelf.until(lambda: _true(len(ear.handed) == 3))
    placement.left = None
    await asyncio.gather(*publishing)
    assert [event.id for event in ear.handed] == [str(number) for number in range(10)]
    assert await shelf.ids("a") == [str(number) for number in range(10)]


async def test_a_publisher_that_leaves_leaves_no_transaction_behind(rack: Rack) -> None:
    shelf = await rack.add(rules(a=last(99)))
    other = await rack.add(rules(a=last(99)), shelf.placement)  # type: ignore[arg-type]
    for number in range(20):
        publish = asyncio.create_task(shelf.publish(f"left-{number}", "a"))
        # Each time a little later, in another step of its way.
        await asyncio.sleep(number * 0.0005)
        publish.cancel()
        await asyncio.gather(publish, return_exceptions=True)
        await other.publish(f"stayed-{number}", "a")
    kept = await shelf.everything({"a": 0})
    assert [one.event.id for one in kept if one.event.id.startswith("stayed")] == [f"stayed-{n}" for n in range(20)]
    assert [one.number["a"] for one in kept] == list(range(1, len(kept) + 1))
    assert ids(kept) == [event.id for event in shelf.node.handed]


async def test_no_more_rows_stay_than_are_of_use(rack: Rack) -> None:
    shelf = await rack.add(rules(a=last(50)))
    for start in range(0, 2000, 100):
        await asyncio.gather(*(shelf.publish(str(start + number), "a") for number in range(100)))

    async def is_tidy() -> bool:
        topics, entries, events = await rack.rows()
        return topics == 1 and events < 50 + STEP and entries < 100 + 2 * STEP

    await eventually(is_tidy)
    assert await shelf.ids("a") == [str(number) for number in range(1950, 2000)]


async def test_what_is_too_old_is_let_go_of_without_a_reader(rack: Rack) -> None:
    shelf = await rack.add(rules(old=aged(60), long=last(5)))
    for number in range(10):
        await shelf.publish(str(number), f"old{number}", *(["long"] if number == 9 else []))
    assert len(await shelf.history.names()) == 11
    rack.clock.now += 61
    assert await shelf.history.names() == ["long"]
    rack.clock.now += 60
    await eventually(lambda: _is(rack, (1, 1, 1)))
    assert await shelf.ids("long") == ["9"]
    # Of the topic nothing is left, but that something was is.
    assert list((await shelf.history.locate(["old1", "long"], "9")).gaps) == []
    await shelf.publish("10", "old1")
    rack.clock.now += 121
    await eventually(lambda: _is(rack, (1, 1, 1)))
    assert list((await shelf.history.locate(["old1", "long"], "9")).gaps) == [Gap("old1", None, "evicted")]


async def test_an_id_that_repeats_a_forgotten_one_tells_so(rack: Rack) -> None:
    shelf = await rack.add(rules(a=last(5)))
    await shelf.publish("same", "a")
    for _ in range(5):
        await asyncio.gather(*(shelf.publish("other", "a") for _ in range(100)))
        await shelf.publish("same", "a")
    # The data, and then the ids, are let go of in steps; each passes on that there was one.
    await eventually(lambda: _is_below(rack, 300))
    standing = await shelf.history.locate(["a"], "same")
    assert list(standing.gaps) == [Gap("a", None, "repeated-id")]
    assert len(await shelf.everything(standing.after)) == 5


async def test_topics_that_no_rule_is_for_any_more_go(rack: Rack) -> None:
    before = await rack.add(rules(a=last(9), b=last(9)))
    await before.publish("1", "a", "b")
    await before.publish("2", "a")
    await before.history.close()
    after = await rack.add(rules(b=last(9)))
    await eventually(lambda: _is(rack, (1, 1, 1)))
    assert await after.ids("b") == ["1"]


async def test_a_database_that_was_lost_gives_no_position_twice(rack: Rack) -> None:
    shelf = await rack.add(rules(a=last(9)))
    await shelf.publish("1", "a")
    (kept,) = await shelf.everything({"a": 0})
    before = position_of(kept)
    await shelf.history.close()
    from tests.unit.topics.history.databases import empty

    await asyncio.to_thread(empty, rack.alias)
    rack.clock.now += 1
    after = await rack.add(rules(a=last(9)))
    await after.publish("2", "a")
    (kept,) = await after.everything({"a": 0})
    assert position_of(kept) > before
    assert [gap.reason for gap in (await after.history.locate(["a"], "1")).gaps] == ["unknown-id"]


async def test_close_answers_everybody_who_waits(rack: Rack) -> None:
    shelf = await rack.add(rules(a=last(500)))
    publishes = [asyncio.create_task(shelf.publish(str(number), "a")) for number in range(200)]
    await asyncio.sleep(0.01)
    await shelf.history.close()
    answers = await asyncio.gather(*publishes, return_exceptions=True)
    stored = [str(number) for number, answer in enumerate(answers) if not isinstance(answer, BaseException)]
    assert all(isinstance(answer, PlacementUnavailable) for answer in answers if isinstance(answer, BaseException))
    with pytest.raises(PlacementUnavailable):
        await shelf.history.publish(Event(("a",), "late", "x"), shelf.placement)
    again = await rack.add(rules(a=last(500)))
    assert await again.ids("a") == stored


async def _is(rack: Rack, wanted: tuple[int, int, int]) -> bool:
    return await rack.rows() == wanted


async def _true(value: bool) -> bool:
    return value


async def _is_below(rack: Rack, entries: int) -> bool:
    return (await rack.rows())[1] < entries
