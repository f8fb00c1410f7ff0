"""What every placement must do with `GATEWAY_DEDUPE_SECONDS`: a publish that is tried again is not delivered again.

An adapter's test module has one class that inherits `DedupeContract` and gives the fixture `remembering`: it makes a
fresh placement, not started, that remembers ids for so many seconds.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.unit.topics.placement.contract import NODE, Place, event, ids, until
from topics.hub import Hub
from topics.placement.base import Limits, Placement

Started = Callable[[float], Awaitable[Place]]

WINDOW = 0.5
"""Seconds, where the test waits for its end."""


class DedupeContract:
    """The suite."""

    @pytest.fixture
    def remembering(self) -> Callable[[float], Placement]:
        raise NotImplementedError("An adapter's test class gives this fixture.")

    @pytest.fixture
    async def started(self, remembering: Callable[[float], Placement]) -> AsyncIterator[Started]:
        places: list[Place] = []

        async def start(seconds: float) -> Place:
            hub = Hub(NODE.name, retry_ms=3000)
            places.append(Place(remembering(seconds), hub))
            await places[-1].placement.start(NODE, hub)
            return places[-1]

        yield start
        for place in places:
            await place.placement.close()

    @pytest.fixture
    async def place(self, started: Started) -> Place:
        return await started(60)

    async def test_a_second_try_is_answered_as_the_first_and_delivered_once(self, place: Place) -> None:
        client, other = await place.join("a", "b"), await place.join("b")
        first = await place.placement.route(event(1, "a", "b", "nobody"))
        assert (dict(first.topics), first.repeated) == ({"a": 1, "b": 2}, frozenset())
        # Who has come or gone since then changes nothing.
        await place.leave(other)
        await place.join("a")
        again = await place.placement.route(event(1, "a", "b", "nobody"))
        assert (dict(again.topics), again.repeated) == ({"a": 1, "b": 2}, frozenset({"a", "b"}))
        await place.placement.route(event(2, "a"))
        await until(lambda: "2" in ids(client))
        assert ids(client) == ["1", "2"]

    async def test_topics_that_did_not_have_it_get_it(self, place: Place) -> None:
        in_a, in_b, in_both = await place.join("a"), await place.join("b"), await place.join("a", "b")
        await place.placement.route(event(1, "a"))
        routed = await place.placement.route(event(1, "a", "b"))
        assert (dict(routed.topics), routed.repeated) == ({"a": 2, "b": 2}, frozenset("a"))
        await place.placement.route(event(2, "a", "b"))
        await until(lambda: all("2" in ids(client) for client in (in_a, in_b, in_both)))
        assert (ids(in_a), ids(in_b), ids(in_both)) == (["1", "2"], ["1", "2"], ["1", "1", "2"])

    async def test_another_topic_or_another_id_is_no_repeat(self, place: Place) -> None:
        client = await place.join("a", "b")
        for number, topic in ((1, "a"), (1, "b"), (2, "a")):
            assert not (await place.placement.route(event(number, topic))).repeated
        await until(lambda: len(ids(client)) == 3)

    async def test_tries_at_the_same_moment_are_delivered_once(self, place: Place) -> None:
        client = await place.join("a")
        answers = await asyncio.gather(*(place.placement.route(event(1, "a")) for _ in range(5)))
        assert [dict(answer.topics) for answer in answers] == [{"a": 1}] * 5
        assert sorted(len(answer.repeated) for answer in answers) == [0, 1, 1, 1, 1]
        await place.placement.route(event(2, "a"))
        await until(lambda: "2" in ids(client))
        assert ids(client) == ["1", "2"]

    async def test_a_dropped_publish_is_not_remembered(self, place: Place) -> None:
        assert not (await place.placement.route(event(1, "a"))).topics
        client = await place.join("a")
        assert dict((await place.placement.route(event(1, "a"))).topics) == {"a": 1}
        await until(lambda: ids(client) == ["1"])

    async def test_a_topic_that_keeps_history_remembers_without_a_connection(self, place: Place) -> None:
        kept = {"a": Limits(9, None)}
        assert dict((await place.placement.route(event(1, "a", "x"), kept)).topics) == {"a": 0}
        await place.join("a")
        again = await place.placement.route(event(1, "a"), kept)
        assert (dict(again.topics), again.repeated) == ({"a": 0}, frozenset("a"))

    async def test_what_was_answered_can_be_asked_after_the_last_connection_left(self, place: Place) -> None:
        assert await place.placement.answered("1", ["a", "b"]) == {}
        client = await place.join("a")
        await place.placement.route(event(1, "a", "b"))
        await place.leave(client)
        assert await place.placement.answered("1", ["a", "b"]) == {"a": 1}
        assert await place.placement.answered("2", ["a", "b"]) == {}
        again = await place.placement.route(event(1, "a", "b"))
        assert (dict(again.topics), again.repeated) == ({"a": 1}, frozenset("a"))

    async def test_after_its_time_an_id_may_come_again(self, started: Started) -> None:
        place = await started(WINDOW)
        client = await place.join("a")
        await place.placement.route(event(1, "a"))
        async with asyncio.timeout(10):
            while (await place.placement.route(event(1, "a"))).repeated:
                await asyncio.sleep(WINDOW / 20)
        await until(lambda: len(ids(client)) == 2)
        # The second time has been remembered too.
        assert (await place.placement.route(event(1, "a"))).repeated

    async def test_nothing_is_remembered_unless_asked_for(self, started: Started) -> None:
        place = await started(0)
        client = await place.join("a")
        for _ in range(3):
            assert not (await place.placement.route(event(1, "a"))).repeated
        await until(lambda: ids(client) == ["1", "1", "1"])
