"""What every placement must do, whatever store it stands on (contract §1, §4.5 and §5).

An adapter's test module has one class that inherits `PlacementContract` and gives the fixture `placement`: a fresh one,
not started. Everything else here is real: the hub, and connections whose clients are played by the test.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.topics.scripted import Client
from topics.encoding import Format
from topics.events import Event
from topics.exceptions import PlacementUnavailable
from topics.hub import Hub
from topics.placement.base import ConnectionRecord, Drop, Node, Page, Placement, Transport

NODE = Node("node-1", "host-1", 1_700_000_000.0, "1.2.3")


class Place:
    """A started placement and the node that it lives in."""

    def __init__(self, placement: Placement, hub: Hub) -> None:
        self.placement = placement
        self.hub = hub

    async def join(self, *topics: str, transport: Transport = "sse") -> Client:
        """Attach a connection the way the runtime does: hub first, so that no event is missed."""
        client = Client(topics, transport=transport)
        self.hub.add(client.connection, topics)
        await self.placement.attach(client.connection.record(self.hub.node), topics)
        return client.open()

    async def leave(self, client: Client) -> None:
        """Detach a connection that has ended."""
        topics = tuple(client.connection.topics)
        self.hub.forget(client.connection)
        await self.placement.detach(client.connection.id, topics, gone=True)

    async def subscribe(self, client: Client, *topics: str) -> None:
        """Add topics to a connection."""
        self.hub.add(client.connection, topics)
        await self.placement.attach(client.connection.record(self.hub.node), topics)

    async def unsubscribe(self, client: Client, *topics: str) -> None:
        """Take topics from a connection that stays."""
        self.hub.remove(client.connection, topics)
        await self.placement.detach(client.connection.id, topics, gone=False)

    async def names(self, q: str = "") -> list[str]:
        """Return the names of the topics that exist."""
        return [topic.name for topic in (await self.placement.topics(limit=500, q=q)).items]

    async def connection_ids(self, **filters: Any) -> list[str]:
        """Return the ids of the connections that match."""
        page = await self.placement.connections(limit=500, **filters)
        assert page.next is None
        assert page.total == len(page.items)
        return [connection.id for connection in page.items]

    async def is_empty(self) -> bool:
        """Tell whether nothing of any connection is left, in the placement or in the hub."""
        stats = await self.placement.stats()
        return (
            (stats.connections, stats.topics) == (0, 0)
            and await self.names() == []
            and await self.connection_ids() == []
            and not self.hub.connections
            and not self.hub.topic_count
        )


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what an adapter may do through a network."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


def event(number: int | str, *topics: str) -> Event:
    return Event(topics, str(number), "x", time=1_700_000_000.0 + len(str(number)))


def ids(client: Client) -> list[str | None]:
    return [seen.id for seen in client.seen()]


# A fixture that Hypothesis shares between examples is emptied by each of them; adapters share the test's code.
shared = settings(
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)


class PlacementContract:
    """The suite."""

    @pytest.fixture
    def placement(self) -> Placement:
        raise NotImplementedError("An adapter's test class gives this fixture.")

    @pytest.fixture
    async def place(self, placement: Placement) -> AsyncIterator[Place]:
        hub = Hub(NODE.name, retry_ms=3000)
        await placement.start(NODE, hub)
        yield Place(placement, hub)
        await placement.close()

    # -- attach, detach, count -----------------------------------------------------------------------------

    async def test_a_topic_exists_from_its_first_connection_to_its_last(self, place: Place) -> None:
        assert await place.placement.count(["a", "b"]) == {}
        first = await place.join("a", "b")
        second = await place.join("a")
        assert await place.placement.count(["a", "b", "c"]) == {"a": 2, "b": 1}
        assert await place.placement.exist(["c", "b"])
        await place.leave(first)
        assert await place.placement.count(["a", "b"]) == {"a": 1}
        assert not await place.placement.exist(["b", "c"])
        await place.leave(second)
        assert await place.placement.count(["a", "b"]) == {}
        assert not await place.placement.exist(["a", "b"])
        assert await place.is_empty()

    async def test_topics_come_and_go_while_a_connection_stays(self, place: Place) -> None:
        client = await place.join("a")
        await place.subscribe(client, "b", "c")
        await place.unsubscribe(client, "a", "never held")
        assert await place.placement.count(["a", "b", "c", "never held"]) == {"b": 1, "c": 1}
        await place.unsubscribe(client, "b", "c")
        assert await place.names() == []
        # Without a topic it is still a connection.
        assert await place.connection_ids() == [client.connection.id]
        await place.leave(client)
        assert await place.is_empty()

    async def test_attaching_and_detaching_twice_is_as_once(self, place: Place) -> None:
        client = await place.join("a")
        await place.subscribe(client, "a")
        assert await place.placement.count(["a"]) == {"a": 1}
        assert len(await place.connection_ids()) == 1
        for _ in range(2):
            await place.placement.detach(client.connection.id, ["a"], gone=True)
        await place.placement.detach("nobody", ["a", "b"], gone=True)
        assert await place.placement.count(["a"]) == {}
        assert await place.placement.connection(client.connection.id) is None

    @shared
    @given(
        moves=st.lists(
            st.tuples(st.integers(0, 3), st.sampled_from(["join", "leave", "add", "take"]), st.sampled_from("abc")),
            max_size=30,
        )
    )
    async def test_counts_are_right_after_any_history_and_nothing_is_left(
        self, place: Place, moves: list[tuple[int, str, str]]
    ) -> None:
        clients: dict[int, Client] = {}
        for number, move, topic in moves:
            client = clients.get(number)
            if client is None:
                clients[number] = await place.join(topic)
            elif move == "leave":
                await place.leave(clients.pop(number))
            elif move == "add":
                await place.subscribe(client, topic)
            else:
                await place.unsubscribe(client, topic)
            held = [topic for each in clients.values() for topic in each.connection.topics]
            expected = {topic: held.count(topic) for topic in sorted(set(held))}
            assert await place.placement.count("abcd") == expected
            assert [(one.name, one.connections) for one in (await place.placement.topics(limit=9)).items] == list(
                expected.items()
            )
        for client in clients.values():
            await place.leave(client)
        assert await place.is_empty()

    # -- route ---------------------------------------------------------------------------------------------

    async def test_route_counts_each_topic_and_delivers_once(self, place: Place) -> None:
        both, one = await place.join("a", "b"), await place.join("a")
        routed = await place.placement.route(event(1, "a", "b", "nobody"))
        assert dict(routed.topics) == {"a": 2, "b": 1}
        # A connection counts for each of the topics that it holds, and gets the event once.
        assert routed.subscribers == 3
        await until(lambda: bool(ids(both) and ids(one)))
        await place.placement.route(event(2, "a"))
        await until(lambda: len(ids(one)) == 2)
        assert ids(both) == ids(one) == ["1", "2"]

    async def test_an_event_without_a_topic_that_exists_goes_nowhere(self, place: Place) -> None:
        client = await place.join("a")
        routed = await place.placement.route(event(1, "b", "c"))
        assert (routed.subscribers, dict(routed.topics)) == (0, {})
        await place.placement.route(event(2, "a"))
        await until(lambda: bool(ids(client)))
        assert ids(client) == ["2"]
        assert (await place.placement.topics(limit=9)).items[0].events == 1

    async def test_all_subscribers_of_a_topic_see_one_order(self, place: Place) -> None:
        clients = [await place.join("a"), await place.join("b", "a"), await place.join("a", transport="websocket")]

        async def publish(publisher: int) -> None:
            for number in range(20):
                topics = ("a",) if number % 3 else ("a", "b")
                await place.placement.route(event(f"{publisher}-{number}", *topics))
                await asyncio.sleep(0)

        await asyncio.gather(*map(publish, range(4)))
        await until(lambda: all(len(ids(client)) == 80 for client in clients))
        orders = [ids(client) for client in clients]
        assert orders[0] == orders[1] == orders[2]
        for publisher in range(4):
            mine = [one for one in orders[0] if str(one).startswith(f"{publisher}-")]
            assert mine == [f"{publisher}-{number}" for number in range(20)]

    # -- lists ---------------------------------------------------------------------------------------------

    async def test_a_topic_shows_its_events_and_forgets_them_with_its_last_connection(self, place: Place) -> None:
        client = await place.join("a")
        for number in range(3):
            await place.placement.route(event(number, "a"))
        (topic,) = (await place.placement.topics(limit=9)).items
        assert (topic.name, topic.connections, list(topic.nodes)) == ("a", 1, ["node-1"])
        assert (topic.events, topic.last_id, topic.last_time) == (3, "2", 1_700_000_001.0)
        await place.leave(client)
        await place.join("a")
        (topic,) = (await place.placement.topics(limit=9)).items
        assert (topic.events, topic.last_id, topic.last_time) == (0, None, None)

    async def test_topics_are_listed_by_name_and_found_by_a_part_of_it(self, place: Place) -> None:
        await place.join("orders.1", "orders.2", "Orders", "news", "*[a-z]*", "per%cent_")
        assert await place.names() == sorted(["orders.1", "orders.2", "Orders", "news", "*[a-z]*", "per%cent_"])
        assert await place.names("orders") == ["orders.1", "orders.2"]
        assert await place.names("rder") == ["Orders", "orders.1", "orders.2"]
        # A part of the name is text, not a pattern.
        assert await place.names("*") == ["*[a-z]*"]
        assert await place.names("[a-z]") == ["*[a-z]*"]
        assert await place.names("%cent_") == ["per%cent_"]
        assert await place.names("nothing") == []

    async def test_connections_are_found_by_topic_node_and_transport(self, place: Place) -> None:
        first = (await place.join("a", "b")).connection.id
        second = (await place.join("a", transport="websocket")).connection.id
        third = (await place.join("b", transport="websocket")).connection.id
        assert await place.connection_ids() == [first, second, third]
        assert await place.connection_ids(topic="a") == [first, second]
        assert await place.connection_ids(topic="nobody") == []
        assert await place.connection_ids(transport="websocket") == [second, third]
        assert await place.connection_ids(transport="websocket", topic="b") == [third]
        assert await place.connection_ids(node="node-1", topic="b") == [first, third]
        assert await place.connection_ids(node="node-2") == []

    async def test_a_filter_sees_the_topics_that_are_held_now(self, place: Place) -> None:
        client = await place.join("a")
        await place.subscribe(client, "b")
        await place.unsubscribe(client, "a")
        assert await place.connection_ids(topic="a") == []
        (record,) = (await place.placement.connections(limit=9, topic="b")).items
        assert list(record.topics) == ["b"]

    async def test_one_connection_is_shown_as_it_is_now(self, place: Place) -> None:
        client = await place.join("a", transport="websocket")
        await place.placement.route(event(1, "a"))
        await until(lambda: bool(ids(client)))
        client.writer.block()
        for number in (2, 3):
            await place.placement.route(event(number, "a"))
            await until(lambda: client.connection.sent == int(number))  # noqa: B023 - waited for at once
        record = await place.placement.connection(client.connection.id)
        assert record is not None
        assert (record.id, record.node, record.transport) == (client.connection.id, "node-1", "websocket")
        assert (record.client, record.user_agent) == ("192.0.2.1", "unit test")
        assert (record.sent, record.pending) == (2, 1)
        assert record.pending_bytes
        assert record.behind_since
        assert record.since == client.connection.since
        assert await place.placement.connection("nobody") is None

    @shared
    @given(
        limit=st.integers(1, 4),
        start=st.integers(0, 8),
        changes=st.lists(st.lists(st.integers(-9, 9), max_size=4), max_size=12),
        topic=st.none() | st.just("shared"),
    )
    async def test_pages_of_connections_hold_what_was_there_throughout_exactly_once(
        self, place: Place, limit: int, start: int, changes: list[list[int]], topic: str | None
    ) -> None:
        here = [await place.join("shared") for _ in range(start)]
        stayed = {client.connection.id for client in here}
        came = set(stayed)
        seen: list[str] = []
        after: str | None = None
        for turn in range(100):
            page: Page[ConnectionRecord] = await place.placement.connections(limit=limit, after=after, topic=topic)
            assert len(page.items) <= limit
            assert page.total == len(here)
            seen += [record.id for record in page.items]
            after = page.next
            if after is None:
                break
            for change in changes[turn] if turn < len(changes) else []:
                if change < 0 and here:
                    gone = here.pop(change % len(here))
                    stayed.discard(gone.connection.id)
                    await place.leave(gone)
                elif change >= 0:
                    here.append(await place.join("shared"))
                    came.add(here[-1].connection.id)
        assert after is None
        assert len(seen) == len(set(seen))
        assert stayed <= set(seen) <= came
        for client in here:
            await place.leave(client)
        assert await place.is_empty()

    @shared
    @given(
        limit=st.integers(1, 4),
        start=st.sets(st.integers(0, 20), max_size=8),
        changes=st.lists(st.sets(st.integers(0, 20), max_size=4), max_size=12),
    )
    async def test_pages_of_topics_hold_what_was_there_throughout_exactly_once(
        self, place: Place, limit: int, start: set[int], changes: list[set[int]]
    ) -> None:
        here = {number: await place.join(f"topic-{number}") for number in start}
        stayed, came = set(start), set(start)
        seen: list[str] = []
        after: str | None = None
        for turn in range(100):
            page = await place.placement.topics(limit=limit, after=after, q="topic")
            assert len(page.items) <= limit
            assert page.total == len(here)
            seen += [topic.name for topic in page.items]
            after = page.next
            if after is None:
                break
            # Each number comes when it is not there, and goes when it is.
            for number in changes[turn] if turn < len(changes) else ():
                if number in here:
                    stayed.discard(number)
                    await place.leave(here.pop(number))
                else:
                    came.add(number)
                    here[number] = await place.join(f"topic-{number}")
        assert after is None
        assert seen == sorted(set(seen))
        assert {f"topic-{number}" for number in stayed} <= set(seen) <= {f"topic-{number}" for number in came}
        for client in here.values():
            await place.leave(client)
        assert await place.is_empty()

    async def test_a_page_that_holds_all_has_no_next(self, place: Place) -> None:
        for name in "abc":
            await place.join(name)
        assert (await place.placement.topics(limit=3)).next is None
        assert (await place.placement.connections(limit=3)).next is None
        first = await place.placement.topics(limit=2)
        assert [topic.name for topic in first.items] == ["a", "b"]
        assert first.next is not None
        assert (await place.placement.connections(limit=2)).next is not None

    # -- close, tails, totals ------------------------------------------------------------------------------

    async def test_a_connection_is_closed_by_its_id(self, place: Place) -> None:
        client, other = await place.join("a"), await place.join("a")
        assert await place.placement.close_connection(client.connection.id)
        await until(lambda: bool(client.writer.closed_with))
        assert client.seen()[-1].payload["reason"] == "closed-by-administrator"
        assert other.writer.closed_with == []
        await place.leave(client)
        assert not await place.placement.close_connection(client.connection.id)
        assert not await place.placement.close_connection("nobody")

    async def test_a_tail_sees_events_and_drops_and_makes_no_topic(self, place: Place) -> None:
        tail = Client(["a"], form=Format.SSE_TAIL)
        await place.placement.watch("a")
        await place.placement.watch("a")
        place.hub.add_tail("a", tail.connection)
        tail.open()
        assert await place.placement.count(["a"]) == {}
        assert await place.is_empty()
        await place.placement.report_drop(Drop(("b", "a"), "1", 1.0))
        await until(lambda: b'"id":"1"' in tail.writer.received)
        await place.join("a")
        # One of two watchers leaves: the other still sees.
        await place.placement.unwatch("a")
        await place.placement.route(event(2, "a"))
        await until(lambda: b'"id":"2"' in tail.writer.received)
        assert (await place.placement.stats()).connections == 1
        place.hub.remove_tail("a", tail.connection)
        await place.placement.unwatch("a")

    async def test_the_node_is_listed_with_what_it_holds(self, place: Place) -> None:
        await place.join("a", "b")
        await place.join("a")
        (status,) = await place.placement.nodes()
        assert status.node == NODE
        assert (status.connections, status.topics, status.draining) == (2, 2, False)
        place.hub.draining = True
        assert (await place.placement.nodes())[0].draining

    async def test_totals_are_those_of_the_nodes(self, place: Place) -> None:
        client = await place.join("a")
        place.hub.meter.sample()
        place.hub.published, place.hub.dropped = 5, 7
        place.hub.count_gap(11)
        await place.placement.route(event(1, "a"))
        await until(lambda: bool(ids(client)))
        stats = await place.placement.stats()
        assert (stats.connections, stats.topics) == (1, 1)
        assert (stats.published, stats.delivered, stats.dropped, stats.gaps) == (5, 1, 7, 11)
        assert set(stats.rates) == {"published", "delivered", "dropped", "gaps"}
        # All of it happened since the one sample.
        assert stats.rates["dropped"] / stats.rates["published"] == pytest.approx(7 / 5)

    async def test_a_message_passes_through_the_layer(self, place: Place) -> None:
        await place.placement.check()

    # -- beginning and end ---------------------------------------------------------------------------------

    CALLS: Sequence[tuple[str, Callable[[Placement], Awaitable[object]]]] = (
        ("attach", lambda placement: placement.attach(Client(["a"]).connection.record("node-1"), ["a"])),
        ("detach", lambda placement: placement.detach("x", ["a"], gone=True)),
        ("exist", lambda placement: placement.exist(["a"])),
        ("count", lambda placement: placement.count(["a"])),
        ("route", lambda placement: placement.route(event(1, "a"))),
        ("report_drop", lambda placement: placement.report_drop(Drop(("a",), "1", 1.0))),
        ("watch", lambda placement: placement.watch("a")),
        ("unwatch", lambda placement: placement.unwatch("a")),
        ("topics", lambda placement: placement.topics(limit=1)),
        ("connections", lambda placement: placement.connections(limit=1)),
        ("connection", lambda placement: placement.connection("x")),
        ("close_connection", lambda placement: placement.close_connection("x")),
        ("nodes", lambda placement: placement.nodes()),
        ("stats", lambda placement: placement.stats()),
        ("check", lambda placement: placement.check()),
    )

    @pytest.mark.parametrize("call", [call for _, call in CALLS], ids=[name for name, _ in CALLS])
    async def test_a_placement_that_was_not_started_says_nothing(
        self, placement: Placement, call: Callable[[Placement], Awaitable[object]]
    ) -> None:
        with pytest.raises(PlacementUnavailable):
            await call(placement)

    async def test_it_may_be_closed_without_having_been_started(self, placement: Placement) -> None:
        await placement.close()

    async def test_nothing_stays_behind_when_it_closes(self, placement: Placement) -> None:
        hub = Hub(NODE.name, retry_ms=3000)
        await placement.start(NODE, hub)
        await Place(placement, hub).join("a", "b")
        await placement.close()
        await placement.close()
        again = Hub(NODE.name, retry_ms=3000)
        await placement.start(NODE, again)
        assert await Place(placement, again).is_empty()
        await placement.close()
