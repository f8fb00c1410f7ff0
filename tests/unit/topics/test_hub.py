"""The fan-out: real connections, whose clients are played by the test."""

import asyncio
import gc
import json
import weakref
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.topics.scripted import Client, ScriptedWriter, parse_sse
from topics import hub as hub_module
from topics.encoding import Format
from topics.events import Event
from topics.hub import BACKLOG_EVENTS, BATCH_EVENTS, SLICE, Hub
from topics.placement.base import Drop, Transport
from topics.writer import Framing


@pytest.fixture
def hub() -> Hub:
    return Hub("node-1", retry_ms=3000)


def event(number: int | str, *topics: str, data: str = "x") -> Event:
    return Event(topics or ("news",), str(number), data)


def join(hub: Hub, client: Client, *, opened: bool = True) -> Client:
    hub.add(client.connection, tuple(client.connection.topics))
    return client.open() if opened else client


async def turns(count: int = 2) -> None:
    """Let the loop run: a fan-out takes one turn, and one more for every slice."""
    for _ in range(count):
        await asyncio.sleep(0)


def ids(client: Client) -> list[str | None]:
    return [seen.id for seen in client.seen()]


async def test_connections_of_one_encoding_share_one_frame(hub: Hub) -> None:
    first, second = join(hub, Client(["news"])), join(hub, Client(["news"]))
    as_json = join(hub, Client(["news"], form=Format.SSE_JSON))
    chunked = join(hub, Client(["news"], framing=Framing.CHUNKED))
    sockets = [join(hub, Client(["news"], transport="websocket")) for _ in range(2)]
    hub.deliver(event(1))
    await turns()
    # The same object, not only equal bytes: it was made once.
    assert first.writer.writes[-1] is second.writer.writes[-1]
    assert sockets[0].writer.writes[-1] is sockets[1].writer.writes[-1]
    different = {client.writer.writes[-1] for client in (first, as_json, chunked, sockets[0])}
    assert len(different) == 4


async def test_events_of_one_turn_go_out_in_one_write(hub: Hub) -> None:
    stream, socket = join(hub, Client(["news"])), join(hub, Client(["news"], transport="websocket"))
    for number in range(BATCH_EVENTS):
        hub.deliver(event(number))
    await turns()
    for client in (stream, socket):
        assert len(client.writer.writes) == 2
        assert ids(client) == [str(number) for number in range(BATCH_EVENTS)]


async def test_one_write_is_bounded_in_events_and_bytes(hub: Hub) -> None:
    client = join(hub, Client(["news"]))
    for number in range(BATCH_EVENTS + 1):
        hub.deliver(event(number))
    await turns()
    assert len(client.writer.writes) == 1 + 2
    for number in range(4):
        hub.deliver(event(number, data="x" * 40_000))
    await turns()
    assert len(client.writer.writes) == 3 + 4
    assert len(client.seen()) == BATCH_EVENTS + 5


async def test_messages_for_asgi_send_are_never_joined(hub: Hub) -> None:
    client = join(hub, Client(["news"], transport="websocket", framing=Framing.MESSAGE))
    for number in range(3):
        hub.deliver(event(number))
    await turns()
    assert [json.loads(message).get("id") for message in client.writer.writes] == [None, "0", "1", "2"]


TOPICS = ("a", "b", "c", "d")
subsets = st.lists(st.sampled_from(TOPICS), min_size=1, max_size=4, unique=True)


@given(
    published=st.lists(st.one_of(subsets, st.just([])), max_size=30),
    subscriptions=st.lists(st.tuples(subsets, st.sampled_from(["sse", "websocket", "message"])), max_size=5),
    blocked=st.lists(st.booleans(), min_size=5, max_size=5),
    slice_size=st.sampled_from([1, 2, 3, SLICE]),
)
async def test_every_topic_has_one_order_and_every_connection_sees_an_event_once(
    published: list[list[str]],
    subscriptions: list[tuple[list[str], str]],
    blocked: list[bool],
    slice_size: int,
) -> None:
    hub = Hub("node-1", retry_ms=3000)
    clients = [
        join(
            hub,
            Client(topics, transport="sse" if kind == "sse" else "websocket", form=None)
            if kind != "message"
            # Messages of WEBSOCKET framing are what the parser reads; MESSAGE goes the way without joining.
            else Client(topics, framing=Framing.IDENTITY),
        )
        for topics, kind in subscriptions
    ]
    for client, block in zip(clients, blocked, strict=False):
        if block:
            client.writer.block()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub_module, "SLICE", slice_size)
        log: list[Event] = []
        for topics in published:
            if topics:
                log.append(event(len(log), *topics))
                hub.deliver(log[-1])
            else:
                # An empty list stands for a turn of the loop between two publishes.
                await turns(1)
        await turns(len(log) * len(clients) + 2)
    expected = 0
    for client in clients:
        client.writer.drain()
        held = set(client.connection.topics)
        mine = [each for each in log if held.intersection(each.topics)]
        expected += len(mine)
        seen = ids(client)
        assert Counter(seen) == Counter(each.id for each in mine)
        for topic in held:
            order = [each.id for each in mine if topic in each.topics]
            assert [one for one in seen if one in set(order)] == order
    assert hub.delivered == expected


@given(published=st.lists(st.tuples(subsets, st.booleans()), max_size=40), slice_size=st.sampled_from([1, 2, SLICE]))
async def test_events_that_are_kept_reach_each_connection_in_the_order_of_their_positions(
    published: list[tuple[list[str], bool]], slice_size: int
) -> None:
    hub = Hub("node-1", retry_ms=3000)
    clients = [join(hub, Client(topics)) for topics in (TOPICS, ("a", "b"), ("c",))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub_module, "SLICE", slice_size)
        log: list[Event] = []
        for topics, kept in published:
            log.append(event(len(log), *topics))
            log[-1].position = len(log) if kept else None
            hub.deliver(log[-1])
        await turns(len(log) * len(clients) + 2)
    for client in clients:
        held = set(client.connection.topics)
        seen = ids(client)
        assert len(seen) == len([each for each in log if held.intersection(each.topics)])
        kept_ids = [each.id for each in log if each.position is not None and held.intersection(each.topics)]
        assert [one for one in seen if one in set(kept_ids)] == kept_ids
        for topic in held:
            order = [each.id for each in log if topic in each.topics]
            assert [one for one in seen if one in set(order)] == order


async def test_events_of_topics_without_history_are_joined_also_beside_others(hub: Hub) -> None:
    first, second = join(hub, Client(["a"])), join(hub, Client(["b"]))
    for number in range(10):
        hub.deliver(event(number, "ab"[number % 2]))
    await turns()
    # The opening, and one write for all.
    assert [len(client.writer.writes) for client in (first, second)] == [2, 2]


async def test_a_large_fan_out_lets_others_in_between(hub: Hub) -> None:
    clients = [join(hub, Client(["news"])) for _ in range(2 * SLICE + 1)]
    hub.deliver(event(1))
    reached: list[int] = []

    def look() -> None:
        reached.append(sum(len(client.writer.writes) > 1 for client in clients))
        if reached[-1] < len(clients):
            asyncio.get_running_loop().call_soon(look)

    asyncio.get_running_loop().call_soon(look)
    await turns(6)
    assert reached == [SLICE, 2 * SLICE, 2 * SLICE + 1]


async def test_who_unsubscribes_between_two_slices_gets_no_more(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "SLICE", 1)
    first, second, third, both = (
        join(hub, Client(topics)) for topics in (["news"], ["news"], ["news"], ["news", "more"])
    )
    hub.deliver(event(1, "news", "more"))
    await turns(1)
    assert ids(first) == ["1"]
    assert ids(third) == []
    hub.forget(second.connection)
    hub.remove(third.connection, ["news"])
    hub.remove(both.connection, ["news"])
    await turns(8)
    assert (ids(second), ids(third)) == ([], [])
    # It still holds the other topic of the event.
    assert ids(both) == ["1"]
    assert hub.delivered == 2


async def test_events_wait_until_the_connection_is_opened(hub: Hub) -> None:
    client = join(hub, Client(["news"]), opened=False)
    for number in range(3):
        hub.deliver(event(number))
        await turns()
    assert client.writer.writes == []
    client.open()
    assert client.writer.writes[0] == b": open\n\n"
    assert ids(client) == ["0", "1", "2"]


class BrokenWriter(ScriptedWriter):
    direct = None

    def write(self, data: bytes) -> bool:
        if self.writes:
            raise OSError("a fault of the server's")
        return super().write(data)

    def abort(self) -> None:
        super().abort()
        raise OSError("and another")


async def test_one_connection_that_fails_does_not_stop_the_others(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    before, broken, after = (join(hub, Client(["news"], writer=writer)) for writer in (None, BrokenWriter(), None))
    for number in range(3):
        hub.deliver(event(number))
        await turns()
    assert ids(before) == ids(after) == ["0", "1", "2"]
    assert broken.writer.aborted
    assert "delivery failed" in caplog.text


async def test_nothing_is_kept_of_a_connection_that_was_forgotten(hub: Hub) -> None:
    writers = []
    transports: tuple[Transport, ...] = ("sse", "websocket")
    for transport in transports:
        gone = join(hub, Client(["news", "more"], transport=transport))
        gone.writer.block()
        hub.deliver(event(1))
        hub.deliver(event(2, "news", "more"))
        await turns()
        assert gone.connection.pending_bytes
        hub.forget(gone.connection)
        writers.append(weakref.ref(gone.writer))
        assert gone.writer.on_drain is None
        del gone
    gc.collect()
    assert [writer() for writer in writers] == [None, None]
    assert hub.connections == {}
    assert hub.topic_count == 0
    assert hub.everything() == []


async def test_a_topic_is_there_while_it_has_a_connection(hub: Hub) -> None:
    first, second = join(hub, Client(["news", "more"])), join(hub, Client(["news"]))
    assert (hub.topic_count, hub.member_count("news"), hub.member_count("nothing")) == (2, 2, 0)
    hub.remove(first.connection, ["news", "never held"])
    assert (hub.topic_count, hub.member_count("news")) == (2, 1)
    hub.forget(second.connection)
    assert (hub.topic_count, hub.member_count("news")) == (1, 0)


async def test_publishers_wait_only_while_the_fan_out_is_behind(hub: Hub) -> None:
    client = join(hub, Client(["news"]))
    await asyncio.wait_for(hub.settled(), 1)
    for number in range(BACKLOG_EVENTS):
        hub.deliver(event(number))
    waiting = asyncio.create_task(hub.settled())
    hub.deliver(event("big", data="x" * hub_module.BACKLOG_BYTES))
    assert not waiting.done()
    await asyncio.wait_for(waiting, 5)
    await turns()
    assert len(client.seen()) == BACKLOG_EVENTS + 1


async def test_a_blocked_reader_keeps_no_publisher_waiting(hub: Hub) -> None:
    join(hub, Client(["news"])).writer.block()
    for number in range(3 * BACKLOG_EVENTS):
        await asyncio.wait_for(hub.settled(), 1)
        hub.deliver(event(number))


def tail_of(hub: Hub, topic: str) -> Client:
    tail = Client([topic], form=Format.SSE_TAIL)
    hub.add_tail(topic, tail.connection)
    return tail.open()


async def test_a_tail_sees_events_and_drops_but_is_no_connection(hub: Hub) -> None:
    tail = tail_of(hub, "news")
    assert (hub.topic_count, hub.connections) == (0, {})
    reader = join(hub, Client(["news"]))
    hub.deliver(event(1, "other", "news"))
    hub.deliver(event(2, "other"))
    await turns()
    hub.report_drop(Drop(("quiet", "news"), "3", 0.0))
    hub.report_drop(Drop(("quiet",), "4", 0.0))
    first, second = parse_sse(bytes(tail.writer.received))
    assert (first.event, json.loads(first.data)["id"]) == ("published", "1")
    assert (second.event, json.loads(second.data)) == (
        "dropped",
        {"topics": ["quiet", "news"], "id": "3", "time": "1970-01-01T00:00:00.000000Z", "reason": "no-subscribers"},
    )
    assert ids(reader) == ["1"]
    # `delivered` counts what connections got.
    assert hub.delivered == 1
    hub.remove_tail("news", tail.connection)
    assert hub.tails == {}


async def test_a_tail_of_several_watchers_goes_one_by_one(hub: Hub) -> None:
    first, second = tail_of(hub, "news"), tail_of(hub, "news")
    assert hub.everything() == [first.connection, second.connection]
    hub.remove_tail("news", first.connection)
    hub.remove_tail("news", first.connection)
    hub.deliver(event(1))
    await turns()
    assert first.writer.writes == [b": open\n\n"]
    assert len(second.writer.writes) == 2


async def test_an_administrator_closes_what_is_there_and_nothing_else(hub: Hub) -> None:
    client = join(hub, Client(["news"]))
    assert not hub.close_connection("nobody")
    assert hub.connection("nobody") is None
    assert hub.close_connection(client.connection.id)
    (closing,) = client.seen()
    assert (closing.type, closing.payload) == ("gateway.close", {"reason": "closed-by-administrator", "retry": 3000})
    assert client.writer.closed_with == [None]


async def test_a_gap_stands_between_what_came_before_and_after_it(hub: Hub) -> None:
    clients = [join(hub, Client(["news"])) for _ in range(2 * SLICE)]
    hub.deliver(event(1))
    hub.deliver(event(2))
    hub.gap("news", 1, "interrupted")
    hub.deliver(event(4))
    await turns(8)
    assert [ids(client) for client in clients] == [["1", "2", None, "4"]] * len(clients)


async def test_what_did_not_reach_the_node_is_told_to_all_of_the_topic(hub: Hub) -> None:
    sse, socket, other = Client(["news"]), Client(["news"], transport="websocket"), Client(["weather"])
    tail = Client(["news"], form=Format.SSE_TAIL)
    for client in (sse, socket, other):
        join(hub, client)
    hub.add_tail("news", tail.open().connection)
    hub.gap("news", 3, "interrupted")
    hub.gap("news", None, "interrupted")
    for client in (sse, socket, tail):
        told = [seen.payload for seen in client.seen() if seen.type == "gateway.gap"]
        assert [(gap["topic"], gap["missed"], gap["reason"]) for gap in told] == [
            ("news", 3, "interrupted"),
            ("news", None, "interrupted"),
        ]
    assert not [seen for seen in other.seen() if seen.type == "gateway.gap"]
    # Two connections missed three each, and an unknown number counts as one.
    assert hub.counters()["gaps"] == 8
