"""What every store of past events must do (contract §6; topics/history/base.py).

A store's test module has one class that inherits `HistoryContract` and gives the fixture `stores`.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.unit.topics.history.shelf import NODE, Ear, Shelf, Stores, aged, ids, last, position_of, rules
from topics.events import Event
from topics.history.base import PAGE_BYTES, Gap
from topics.history.rules import Rules
from topics.placement.base import MAX_PAGE

Build = Callable[..., Awaitable[Shelf]]

AGE = 0.5
"""Seconds, for the tests in which events grow too old."""

# A fixture that Hypothesis shares between examples: each of them takes topics of its own.
shared = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)
fresh = itertools.count()


class HistoryContract:
    """The suite."""

    @pytest.fixture
    def stores(self) -> Stores:
        raise NotImplementedError("A store's test class gives this fixture.")

    @pytest.fixture
    async def build(self, stores: Stores) -> AsyncIterator[Build]:
        shelves: list[Shelf] = []

        async def build(rules: Rules, dedupe_seconds: float = 0) -> Shelf:
            history, placement = stores(rules, dedupe_seconds)
            shelf = Shelf(history, placement, Ear())
            await placement.start(NODE, shelf.node)
            await history.start()
            shelves.append(shelf)
            return shelf

        yield build
        for shelf in shelves:
            await shelf.history.close()
            await shelf.placement.close()

    @pytest.fixture
    async def shelf(self, build: Build) -> Shelf:
        """Topics a… keep three events, b… five, c… a hundred; others none."""
        return await build(rules(a=last(3), b=last(5), c=last(100)))

    # -- what is kept --------------------------------------------------------------------------------------

    async def test_the_name_alone_says_what_keeps_history(self, shelf: Shelf) -> None:
        assert [shelf.history.keeps(topic) for topic in ("a", "abc", "x", "xa")] == [True, True, False, False]

    async def test_a_topic_that_keeps_history_exists_without_a_connection(self, shelf: Shelf) -> None:
        routed = await shelf.publish("1", "a", "x")
        assert (dict(routed.topics), routed.subscribers) == ({"a": 0}, 0)
        client = await shelf.join("a", "x")
        routed = await shelf.publish("2", "a", "x", "b")
        assert dict(routed.topics) == {"a": 1, "x": 1, "b": 0}
        await shelf.until(lambda: _true("2" in [seen.id for seen in client.seen()]))
        assert await shelf.ids("a") == ["1", "2"]
        assert await shelf.ids("b") == ["2"]

    async def test_an_event_comes_back_as_it_was_published(self, shelf: Shelf) -> None:
        event = Event(("a", "x"), "id-1", 'two\nlines "é" \U0001f600\u2028\x00', "type", 250, 1_700_000_000.123456)
        await shelf.history.publish(event, shelf.placement)
        (kept,) = await shelf.history.read({"a": 0}, limit=9)
        assert kept.event == event
        assert kept.event.position is not None
        assert dict(kept.number) == {"a": 1}

    async def test_positions_grow_over_all_topics_and_are_one_for_an_event(self, shelf: Shelf) -> None:
        for number, topics in enumerate([("a",), ("b",), ("a", "b"), ("c",), ("b", "a")]):
            await shelf.publish(str(number), *topics)
        in_a, in_b = await shelf.everything({"a": 0}), await shelf.everything({"b": 0})
        assert ids(in_a) == ["0", "2", "4"]
        assert ids(in_b) == ["1", "2", "4"]
        assert [position_of(kept) for kept in in_a[1:]] == [position_of(kept) for kept in in_b[1:]]
        both = await shelf.everything({"a": 0, "b": 0, "c": 0, "never": 0})
        assert ids(both) == ["0", "1", "2", "3", "4"]
        assert [position_of(kept) for kept in both] == sorted({position_of(kept) for kept in both})
        assert [dict(kept.number) for kept in both] == [
            {"a": 1},
            {"b": 1},
            {"a": 2, "b": 2},
            {"c": 1},
            {"a": 3, "b": 3},
        ]

    async def test_the_number_of_events_is_bounded(self, shelf: Shelf) -> None:
        for number in range(20):
            await shelf.publish(str(number), "a", "b")
        assert await shelf.ids("a") == ["17", "18", "19"]
        assert await shelf.ids("b") == ["15", "16", "17", "18", "19"]
        assert [len(await shelf.listed(topic)) for topic in ("a", "b", "c")] == [3, 5, 0]
        assert [kept.number["a"] for kept in await shelf.everything({"a": 0})] == [18, 19, 20]

    async def test_the_age_of_events_is_bounded(self, build: Build) -> None:
        shelf = await build(rules(old=aged(AGE), long=last(9)))
        await shelf.publish("1", "old", "long")
        assert await shelf.ids("old") == ["1"]
        await shelf.until(lambda: _none_left(shelf, "old"))
        assert await shelf.listed("old") == []
        assert await shelf.ids("old", "long") == ["1"]

    # -- order ---------------------------------------------------------------------------------------------

    async def test_every_node_is_handed_events_in_the_order_of_their_positions(self, shelf: Shelf) -> None:
        await shelf.join("c1", "c2", "c3")

        async def publish(topics: tuple[str, ...], publisher: int) -> None:
            for number in range(10):
                await shelf.publish(f"{publisher}-{number}", *topics)

        await asyncio.gather(
            *(publish(topics, publisher) for publisher, topics in enumerate([("c1",), ("c2",), ("c1", "c2"), ("c3",)]))
        )
        await shelf.until(lambda: _true(len(shelf.node.handed) == 40))
        positions = [event.position or 0 for event in shelf.node.handed]
        assert 0 not in positions
        assert positions == sorted(set(positions))
        kept = await shelf.everything({"c1": 0, "c2": 0, "c3": 0})
        assert ids(kept) == [event.id for event in shelf.node.handed]

    async def test_what_a_node_was_handed_is_seen_by_the_next_read(self, shelf: Shelf) -> None:
        await shelf.join("c")
        done = False

        async def publish() -> None:
            for number in range(30):
                await shelf.publish(str(number), "c")

        async def watch() -> None:
            while not done:
                handed = [event.id for event in shelf.node.handed]
                stored = await shelf.ids("c")
                assert stored[: len(handed)] == handed
                await asyncio.sleep(0)

        watching = asyncio.create_task(watch())
        await asyncio.gather(publish(), publish())
        await shelf.until(lambda: _true(len(shelf.node.handed) == 60))
        done = True
        await watching

    # -- read ----------------------------------------------------------------------------------------------

    async def test_pages_hold_at_most_the_limit_and_go_on_where_the_last_ended(self, shelf: Shelf) -> None:
        for number in range(11):
            await shelf.publish(str(number), "c", *(["b"] if number % 2 else []))
        for limit in (1, 3, 11, 50):
            found = await shelf.everything({"b": 0, "c": 0}, limit)
            assert ids(found) == [str(number) for number in range(11)]
        first, second = await shelf.history.read({"c": 0}, limit=2)
        assert ids([first, second]) == ["0", "1"]
        assert ids(await shelf.history.read({"c": position_of(first)}, limit=1)) == ["1"]

    async def test_of_no_topic_there_is_nothing_to_read(self, shelf: Shelf) -> None:
        await shelf.publish("1", "a")
        assert list(await shelf.history.read({}, limit=9)) == []

    async def test_topics_may_stand_at_different_positions(self, shelf: Shelf) -> None:
        for number in range(4):
            await shelf.publish(f"b{number}", "b")
            await shelf.publish(f"c{number}", "c")
        everything = await shelf.everything({"b": 0, "c": 0})
        found = await shelf.everything({"b": position_of(everything[5]), "c": position_of(everything[1])}, 50)
        assert ids(found) == ["c1", "c2", "b3", "c3"]

    async def test_a_page_of_large_events_is_short_and_never_empty(self, shelf: Shelf) -> None:
        for number in range(6):
            await shelf.publish(str(number), "c", data="x" * (PAGE_BYTES // 2))
        await shelf.publish("large", "c", data="x" * (3 * PAGE_BYTES))
        page = await shelf.history.read({"c": 0}, limit=50)
        assert 1 <= len(page) <= 3
        assert ids(await shelf.everything({"c": 0}, 50)) == ["0", "1", "2", "3", "4", "5", "large"]

    # -- locate --------------------------------------------------------------------------------------------

    async def test_an_id_that_is_kept_tells_where_to_go_on_in_all_topics(self, shelf: Shelf) -> None:
        for number, topic in enumerate("abcab"):
            await shelf.publish(str(number), topic)
        standing = await shelf.history.locate(["a", "b", "c"], "1")
        assert standing.gaps == []
        assert ids(await shelf.everything(standing.after)) == ["2", "3", "4"]
        assert dict(standing.numbers) == {"a": 2, "b": 2, "c": 1}
        # The last one: nothing is missed, nothing follows.
        standing = await shelf.history.locate(["a", "b"], "4")
        assert standing.gaps == []
        assert await shelf.everything(standing.after) == []
        assert dict(standing.numbers) == {"a": 3, "b": 3}

    async def test_an_evicted_id_that_is_known_tells_how_many_are_missing(self, shelf: Shelf) -> None:
        for number in range(5):
            await shelf.publish(str(number), "a")
        standing = await shelf.history.locate(["a"], "0")
        assert list(standing.gaps) == [Gap("a", 1, "evicted")]
        assert ids(await shelf.everything(standing.after)) == ["2", "3", "4"]
        assert dict(standing.numbers) == {"a": 3}
        # The one before the first that is kept: nothing is missed.
        assert list((await shelf.history.locate(["a"], "1")).gaps) == []

    async def test_each_topic_tells_what_it_misses_behind_an_id_of_another(self, shelf: Shelf) -> None:
        await shelf.publish("start", "c")
        for number in range(5):
            await shelf.publish(f"a{number}", "a")
            await shelf.publish(f"b{number}", "b")
        standing = await shelf.history.locate(["a", "b", "c"], "start")
        assert list(standing.gaps) == [Gap("a", 2, "evicted")]
        assert ids(await shelf.everything(standing.after)) == ["b0", "b1", "a2", "b2", "a3", "b3", "a4", "b4"]

    async def test_a_number_that_cannot_be_known_is_not_told(self, shelf: Shelf) -> None:
        await shelf.publish("start", "c")
        for number in range(20):
            await shelf.publish(str(number), "a")
        standing = await shelf.history.locate(["a", "c"], "start")
        assert list(standing.gaps) == [Gap("a", None, "evicted")]
        assert ids(await shelf.everything(standing.after)) == ["17", "18", "19"]

    @pytest.mark.parametrize("last_id", ["never", "elsewhere", "live", "forgotten"])
    async def test_an_id_that_is_not_known_is_told_and_all_that_is_kept_follows(
        self, shelf: Shelf, last_id: str
    ) -> None:
        await shelf.publish("forgotten", "a")
        await shelf.publish("elsewhere", "c")
        await shelf.publish("live", "x")
        for number in range(20):
            await shelf.publish(str(number), "a", *(["b"] if number == 0 else []))
        standing = await shelf.history.locate(["a", "b", "bare"], last_id)
        assert sorted(standing.gaps, key=lambda gap: gap.topic) == [
            Gap(topic, None, "unknown-id") for topic in ("a", "b", "bare")
        ]
        assert ids(await shelf.everything(standing.after)) == ["0", "17", "18", "19"]
        assert dict(standing.numbers) == {"a": 19, "b": 1, "bare": 1}

    async def test_an_id_that_repeats_goes_on_behind_the_oldest(self, shelf: Shelf) -> None:
        for event_id in ("1", "2", "1", "3"):
            await shelf.publish(event_id, "b")
        standing = await shelf.history.locate(["b", "c"], "1")
        assert sorted(standing.gaps, key=lambda gap: gap.topic) == [
            Gap("b", None, "repeated-id"),
            Gap("c", None, "repeated-id"),
        ]
        assert ids(await shelf.everything(standing.after)) == ["2", "1", "3"]
        assert list((await shelf.history.locate(["b"], "2")).gaps) == []

    async def test_an_id_of_different_events_in_two_topics_repeats_only_for_who_holds_both(self, shelf: Shelf) -> None:
        await shelf.publish("1", "a")
        await shelf.publish("2", "b")
        await shelf.publish("1", "b")
        assert {gap.reason for gap in (await shelf.history.locate(["a", "b"], "1")).gaps} == {"repeated-id"}
        assert list((await shelf.history.locate(["a"], "1")).gaps) == []
        assert list((await shelf.history.locate(["b"], "1")).gaps) == []

    async def test_an_event_of_two_topics_is_no_repeat(self, shelf: Shelf) -> None:
        await shelf.publish("1", "a", "b")
        await shelf.publish("2", "b")
        standing = await shelf.history.locate(["a", "b"], "1")
        assert standing.gaps == []
        assert ids(await shelf.everything(standing.after)) == ["2"]

    async def test_a_topic_that_aged_away_is_told(self, build: Build) -> None:
        shelf = await build(rules(old=aged(AGE), long=last(9)))
        await shelf.publish("1", "long")
        await shelf.publish("2", "old")
        await shelf.until(lambda: _none_left(shelf, "old"))
        # Soon its ids are gone too, and later all of the topic.
        for _ in range(3):
            (gap,) = (await shelf.history.locate(["long", "old"], "1")).gaps
            assert (gap.topic, gap.reason) == ("old", "evicted")
            assert gap.missed in (1, None)
            await asyncio.sleep(AGE)

    async def test_an_id_that_aged_away_is_not_found(self, build: Build) -> None:
        shelf = await build(rules(old=aged(AGE)))
        await shelf.publish("1", "old")

        async def is_unknown() -> bool:
            return [gap.reason for gap in (await shelf.history.locate(["old"], "1")).gaps] == ["unknown-id"]

        assert not await is_unknown()
        await shelf.until(is_unknown)

    @shared
    # Used again when it is forgotten, and while it is known.
    @example(published=[("1", ["a"]), *[("2", ["a"])] * 6, ("1", ["a"])], asked=["a"], last_id="1")
    @example(published=[("1", ["a"]), *[("2", ["a"])] * 5, ("1", ["a"])], asked=["a"], last_id="1")
    @given(
        published=st.lists(
            st.tuples(
                st.sampled_from("123456"), st.lists(st.sampled_from("abcx"), min_size=1, max_size=3, unique=True)
            ),
            max_size=25,
        ),
        asked=st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True),
        last_id=st.sampled_from("123456"),
    )
    async def test_whatever_was_published_no_loss_is_silent(
        self, shelf: Shelf, published: list[tuple[str, list[str]]], asked: list[str], last_id: str
    ) -> None:
        suffix = next(fresh)
        topics = [f"{topic}{suffix}" for topic in asked]
        # What each topic was given: place in the order, and id.
        given: dict[str, list[tuple[int, str]]] = {topic: [] for topic in topics}
        for place, (event_id, names) in enumerate(published):
            named = [f"{name}{suffix}" for name in names]
            await shelf.history.publish(Event(tuple(named), event_id, str(place)), shelf.placement)
            for topic in set(named) & set(topics):
                given[topic].append((place, event_id))
        standing = await shelf.history.locate(topics, last_id)
        assert set(standing.after) == set(standing.numbers) == set(topics)
        found = [(int(kept.event.data), kept) for kept in await shelf.everything(standing.after)]
        assert [place for place, _ in found] == sorted({place for place, _ in found})
        gaps = {gap.topic: gap for gap in standing.gaps}
        assert len(gaps) == len(standing.gaps)
        came_from = {place for topic in topics for place, event_id in given[topic] if event_id == last_id}
        if not came_from:
            assert {gap.reason for gap in gaps.values()} == {"unknown-id"}
        # An id that is used again after it was forgotten cannot be told from a new one.
        came_from = {place for place in came_from if any(_is_known(place, given[topic], topic) for topic in topics)}
        for topic in topics:
            read = [place for place, kept in found if topic in kept.number]
            numbers = [kept.number[topic] for _, kept in found if topic in kept.number]
            assert numbers == list(range(standing.numbers[topic], standing.numbers[topic] + len(numbers)))
            for stood in came_from:
                missing = [place for place, _ in given[topic] if place > stood and place not in read]
                gap = gaps.get(topic)
                assert not missing or gap is not None
                if gap is not None and gap.missed is not None:
                    assert (gap.reason, gap.missed, len(came_from)) == ("evicted", len(missing), 1)
                if gap is None:
                    # And nothing comes twice.
                    assert not [place for place in read if place <= stood]

    # -- the administrator's list --------------------------------------------------------------------------

    async def test_events_are_listed_newest_first_in_pages(self, shelf: Shelf) -> None:
        for number in range(10):
            await shelf.publish(str(number), "c", "b")
        assert ids(await shelf.listed("c", 3)) == ids(await shelf.listed("c")) == list("9876543210")
        assert [kept.number for kept in await shelf.listed("b")] == [{"b": number} for number in (10, 9, 8, 7, 6)]
        page = await shelf.history.events("c", limit=4)
        assert (ids(page.items), page.total) == (list("9876"), 10)
        await shelf.publish("new", "c")
        assert page.next is not None
        assert ids((await shelf.history.events("c", limit=4, before=int(page.next))).items) == list("5432")

    @pytest.mark.parametrize("topic", ["a", "x"])
    async def test_a_topic_without_events_has_an_empty_list(self, shelf: Shelf, topic: str) -> None:
        page = await shelf.history.events(topic, limit=MAX_PAGE)
        assert (list(page.items), page.next, page.total) == ([], None, 0)

    async def test_the_names_of_topics_that_keep_something_are_listed(self, shelf: Shelf) -> None:
        for topic in ("c2", "a", "x", "c1"):
            await shelf.publish("1", topic)
        assert sorted(await shelf.history.names()) == ["a", "c1", "c2"]
        assert list(await shelf.history.names("1")) == ["c1"]

    # -- dedupe --------------------------------------------------------------------------------------------

    async def test_a_publish_that_is_tried_again_is_kept_once(self, build: Build) -> None:
        shelf = await build(rules(a=last(9), b=last(9)), dedupe_seconds=60)
        first = await shelf.publish("1", "a")
        again = await shelf.publish("1", "a")
        assert dict(again.topics) == dict(first.topics) == {"a": 0}
        assert (first.repeated, again.repeated) == (frozenset(), frozenset("a"))
        other = await shelf.publish("1", "a", "b")
        assert (dict(other.topics), other.repeated) == ({"a": 0, "b": 0}, frozenset("a"))
        await shelf.publish("2", "a", "b")
        assert await shelf.ids("a") == ["1", "2"]
        assert [(kept.event.id, kept.event.topics) for kept in await shelf.everything({"b": 0})] == [
            ("1", ("b",)),
            ("2", ("a", "b")),
        ]

    async def test_two_tries_at_the_same_moment_are_kept_once(self, build: Build) -> None:
        shelf = await build(rules(a=last(9)), dedupe_seconds=60)
        answers = await asyncio.gather(*(shelf.publish("1", "a") for _ in range(5)))
        assert [dict(answer.topics) for answer in answers] == [{"a": 0}] * 5
        assert await shelf.ids("a") == ["1"]


def _is_known(place: int, given: list[tuple[int, str]], topic: str) -> bool:
    """Tell whether a topic's event is kept, or one of as many again that are known by their ids."""
    places = [each for each, _ in given]
    return place in places[-2 * {"a": 3, "b": 5, "c": 100}[topic[0]] :]


async def _none_left(shelf: Shelf, topic: str) -> bool:
    return not await shelf.ids(topic)


async def _true(value: bool) -> bool:
    return value
