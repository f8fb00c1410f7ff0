"""The gate by itself, on a history in memory: what it holds, and what it says when the store cannot give all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from topics.events import Event
from topics.exceptions import PlacementUnavailable
from topics.history.base import Kept
from topics.history.catchup import HELD_BYTES, HELD_EVENTS, Gate, Place


class Shelf:
    """A store of single events, and a gate before a hub that writes down what it is handed."""

    def __init__(self, *, numbered: bool) -> None:
        self.stored: list[Kept] = []
        self.handed: list[str] = []
        self.topics: list[tuple[str, ...]] = []
        self.ready = asyncio.Event()
        self.failures = 0
        self.lost = 0
        self.pages = 0
        self.newest = 0
        self.numbered = numbered
        self.place = {"a": Place(0, 0, 1 if numbered else None)}
        self.gate = Gate(
            self,
            hand=self._hand,
            gap=lambda topic, missed: self.handed.append(f"{topic} {missed}"),
            settled=lambda: asyncio.sleep(0),
            ready=self._ready,
            places=lambda: self.place,
        )

    def keeps(self, topic: str) -> bool:
        return topic == "a"

    async def read(self, after: Mapping[str, int], *, limit: int) -> Sequence[Kept]:
        await asyncio.sleep(0)
        self.pages += 1
        return [kept for kept in self.stored if (kept.event.position or 0) > after["a"]][:limit]

    def publish(self, number: int, *topics: str, heard: bool = True, data: str = "") -> None:
        """Publish an event whose position is ten times its number."""
        event = Event(topics or ("a",), str(number), data, position=10 * number)
        self.stored.append(Kept(event, {"a": number}))
        self.newest = number
        if heard:
            self.hear(event)

    def hear(self, event: Event) -> None:
        """Do as the layer does."""
        if event.position is not None:
            place = self.place["a"]
            number = event.position // 10
            if self.numbered and place.number is not None and number > place.number:
                self.gate.close_at("a", place.number)
            self.place["a"] = Place(0, event.position, number + 1 if self.numbered else None)
        self.gate.take(event)

    async def opened(self) -> None:
        async with asyncio.timeout(5):
            while not self.gate.is_open:
                await asyncio.sleep(0)

    async def _ready(self) -> int:
        await self.ready.wait()
        if self.failures:
            self.failures -= 1
            raise PlacementUnavailable("Redis cannot be reached.")
        if self.numbered:
            # The mark has come.
            self.place["a"] = Place(self.place["a"].since, self.place["a"].last, self.newest + 1)
        return self.lost

    def _hand(self, event: Event) -> None:
        self.handed.append(event.id)
        self.topics.append(event.topics)


@pytest.fixture(params=["numbered", "unnumbered"])
def shelf(request: pytest.FixtureRequest) -> Shelf:
    """A shelf whose numbers are the layer's, as in Redis, or its own, as in a database."""
    return Shelf(numbered=request.param == "numbered")


def numbers(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last + 1)]


async def test_what_was_missed_stands_before_what_came_meanwhile(shelf: Shelf) -> None:
    shelf.publish(1)
    shelf.gate.close()
    shelf.publish(2, heard=False)
    shelf.publish(3)
    assert shelf.handed == ["1"]
    shelf.ready.set()
    await shelf.opened()
    shelf.publish(4)
    assert shelf.handed == ["1", "2", "3", "4"]


async def test_what_comes_after_its_turn_is_told(shelf: Shelf) -> None:
    for number in (1, 3):
        shelf.gate.take(Event(("a",), str(number), "", position=10 * number))
    late = Event(("a", "other"), "2", "", position=20)
    shelf.gate.take(late)
    assert shelf.handed == ["1", "3", "a 1"]
    # A topic that this node has joined since then has missed nothing.
    shelf.place = {"a": Place(25, 30, None)}
    shelf.gate.take(late)
    assert shelf.handed == ["1", "3", "a 1"]


async def test_what_is_read_and_comes_later_is_handed_once(shelf: Shelf) -> None:
    shelf.publish(1)
    shelf.gate.close()
    shelf.publish(2, heard=False)
    shelf.ready.set()
    await shelf.opened()
    shelf.hear(shelf.stored[-1].event)
    assert shelf.handed == ["1", "2"]


async def test_what_is_held_is_bounded_and_the_rest_is_read(shelf: Shelf) -> None:
    shelf.publish(1)
    shelf.gate.close()
    for number in range(2, 5001):
        shelf.publish(number)
        assert len(shelf.gate._held) <= HELD_EVENTS
    for number in range(5001, 5021):
        shelf.publish(number, data="x" * (HELD_BYTES // 8))
        assert shelf.gate._held_bytes <= HELD_BYTES
    shelf.ready.set()
    while not shelf.gate.is_open:
        # Publishing goes on while it reads.
        if len(shelf.stored) < 5100:
            shelf.publish(len(shelf.stored) + 1)
        await asyncio.sleep(0)
    assert shelf.handed == numbers(1, len(shelf.stored))
    assert shelf.gate._held_bytes == 0


async def test_a_store_that_cannot_be_read_is_tried_again(shelf: Shelf) -> None:
    shelf.publish(1)
    shelf.gate.close()
    shelf.publish(2, heard=False)
    shelf.failures = 2
    shelf.ready.set()
    await shelf.opened()
    assert shelf.handed == ["1", "2"]


async def test_a_second_loss_waits_for_the_marks_again(shelf: Shelf) -> None:
    shelf.publish(1)
    shelf.gate.close()
    shelf.ready.set()
    await asyncio.sleep(0)
    shelf.ready.clear()
    shelf.gate.close()
    shelf.publish(2, heard=False)
    for _ in range(20):
        await asyncio.sleep(0)
    assert not shelf.gate.is_open
    shelf.ready.set()
    await shelf.opened()
    assert shelf.handed == ["1", "2"]


async def test_what_is_evicted_is_told_in_its_place(shelf: Shelf) -> None:
    shelf.publish(1)
    shelf.gate.close_at("a", None)
    for number in range(2, 8):
        shelf.publish(number, heard=False)
    del shelf.stored[:4]
    shelf.ready.set()
    await shelf.opened()
    assert shelf.handed == ["1", f"a {3 if shelf.numbered else None}", "5", "6", "7"]


async def test_all_that_was_missed_may_be_evicted() -> None:
    shelf = Shelf(numbered=True)
    shelf.publish(1)
    shelf.gate.close()
    for number in (2, 3):
        shelf.publish(number, heard=False)
    shelf.stored.clear()
    shelf.ready.set()
    await shelf.opened()
    assert shelf.handed == ["1", "a 2"]


async def test_a_hole_that_a_later_event_shows_is_filled() -> None:
    shelf = Shelf(numbered=True)
    shelf.ready.set()
    shelf.publish(1)
    shelf.publish(2, heard=False)
    shelf.publish(3)
    await shelf.opened()
    assert shelf.handed == ["1", "2", "3"]


async def test_a_store_that_lost_events_is_told_once(shelf: Shelf) -> None:
    shelf.publish(1)
    shelf.lost = 30
    shelf.ready.set()
    for number in (4, 5):
        shelf.gate.close()
        shelf.publish(number, heard=False)
        await shelf.opened()
        shelf.place["a"] = Place(0, 10 * number, number + 1 if shelf.numbered else None)
    assert shelf.handed == ["1", "a None", "4", "5"]


async def test_nothing_is_read_of_a_topic_that_had_no_event() -> None:
    shelf = Shelf(numbered=True)
    shelf.publish(1)
    shelf.gate.close()
    shelf.ready.set()
    await shelf.opened()
    assert shelf.pages == 0


async def test_who_has_had_all_that_the_store_lost_is_told_nothing(shelf: Shelf) -> None:
    shelf.publish(1)
    shelf.lost = 10
    shelf.gate.close()
    shelf.ready.set()
    await shelf.opened()
    assert shelf.handed == ["1"]


async def test_topics_that_keep_nothing_keep_their_order_beside_those_that_do(shelf: Shelf) -> None:
    shelf.publish(1)
    shelf.gate.close()
    shelf.publish(2, "a", "live", heard=False)
    shelf.publish(3, "a", "live")
    shelf.gate.take(Event(("live",), "behind it", ""))
    shelf.gate.take(Event(("other",), "free", ""))
    shelf.publish(4)
    shelf.ready.set()
    await shelf.opened()
    assert shelf.handed == ["1", "free", "2", "3", "behind it", "4"]
    # The second was missed by the topic that keeps nothing, which is told as a gap by the layer.
    assert shelf.topics[2:4] == [("a",), ("a", "live")]


async def test_what_cannot_be_held_of_a_topic_that_keeps_nothing_is_told(shelf: Shelf) -> None:
    shelf.publish(1, "a", "live")
    shelf.gate.close()
    for number in range(2, HELD_EVENTS + 1):
        shelf.publish(number, "a", "live")
    shelf.gate.take(Event(("live",), "behind it", ""))
    shelf.publish(HELD_EVENTS + 1)
    assert shelf.handed == ["1", f"live {HELD_EVENTS}"]
    shelf.ready.set()
    await shelf.opened()
    assert shelf.handed[2:] == numbers(2, HELD_EVENTS + 1)
    assert set(shelf.topics[1:]) == {("a",)}


async def test_it_ends_when_it_is_stopped(shelf: Shelf) -> None:
    shelf.publish(1)
    shelf.gate.close()
    await asyncio.sleep(0)
    await shelf.gate.stop()
    assert shelf.gate.is_open


async def test_a_topic_that_is_joined_again_while_the_gate_is_closed_has_missed_nothing(shelf: Shelf) -> None:
    shelf.publish(1)
    shelf.gate.close()
    # Its last connection leaves; the next one comes, and hears the topic from 30 on.
    for number in (2, 3):
        shelf.publish(number, heard=False)
    shelf.place = {"a": Place(30, 0, None)}
    shelf.publish(4, heard=False)
    shelf.ready.set()
    await shelf.opened()
    assert shelf.handed == ["1", "4"]


async def test_an_event_that_came_for_one_of_its_topics_is_missed_by_none_of_them() -> None:
    shelf = Shelf(numbered=True)
    shelf.publish(1)
    # It came for another topic, and was handed on; what it is in this one was lost with the connection.
    shelf.publish(2, "b", "a", heard=False)
    shelf.gate.take(shelf.stored[-1].event)
    shelf.gate.close()
    shelf.publish(3, heard=False)
    shelf.ready.set()
    await shelf.opened()
    assert shelf.handed == ["1", "2", "3"]


async def test_an_event_that_is_read_for_one_of_its_topics_is_missed_by_none_of_them() -> None:
    places = {"a": Place(0, 10, 2), "b": Place(0, 0, 1)}
    handed: list[str] = []
    missed = Event(("a",), "2", "", position=20)
    meanwhile = Event(("b", "a"), "3", "", position=30)

    class Busy:
        """A store to which an event comes while it is read, for a topic that had none when it was asked."""

        def keeps(self, _topic: str) -> bool:
            return True

        async def read(self, after: Mapping[str, int], *, limit: int) -> Sequence[Kept]:
            await asyncio.sleep(0)
            if places["b"].number == 1:
                assert set(after) == {"a"}
                places.update(a=Place(0, 30, 4), b=Place(0, 30, 2))
                gate.take(meanwhile)
            found = [
                (
                    event,
                    {topic: number for topic, number in of.items() if after.get(topic, 100) < (event.position or 0)},
                )
                for event, of in ((missed, {"a": 2}), (meanwhile, {"a": 3, "b": 1}))
            ]
            return [Kept(event, numbers) for event, numbers in found if numbers][:limit]

    async def ready() -> int:
        # The marks have come.
        places["a"] = Place(0, 10, 3)
        return 0

    gate = Gate(
        Busy(),
        hand=lambda event: handed.append(event.id),
        gap=lambda topic, number: handed.append(f"{topic} {number}"),
        settled=lambda: asyncio.sleep(0),
        ready=ready,
        places=lambda: places,
    )
    gate.close()
    async with asyncio.timeout(5):
        while not gate.is_open:
            await asyncio.sleep(0)
    assert handed == ["2", "3"]
