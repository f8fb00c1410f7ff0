"""Slow readers: what waits, what is dropped and told, and when a connection is cut (contract §4.3 and §4.4)."""

from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.topics.scripted import Client
from topics.encoding import Batch, EncodedEvent
from topics.events import Event
from topics.outbox import JOIN_BYTES, OutboxLimits
from topics.writer import Framing

DISCONNECT = OutboxLimits(events=3, bytes=4096, policy="disconnect")
DROP_OLDEST = OutboxLimits(events=3, bytes=4096, policy="drop-oldest")


def event(number: int | str, *topics: str, data: str = "x") -> Event:
    return Event(topics or ("a",), str(number), data)


def hand_over(client: Client, *events: Event) -> None:
    """Deliver each event in a turn of its own."""
    for each in events:
        client.connection.deliver(Batch([EncodedEvent(each)]))


def ids(client: Client) -> list[str | None]:
    return [seen.id for seen in client.seen()]


def account(client: Client, published: list[Event]) -> int:
    """Hold what a client saw against what was published: every topic's events in order, each seen or told as missed."""
    held = client.connection.topics
    left = {topic: [each.id for each in published if topic in each.topics] for topic in held}
    by_id = {each.id: each for each in published}
    seen = 0
    for one in client.seen():
        if one.type == "gateway.gap":
            payload = one.payload
            assert payload["reason"] == "slow-reader"
            assert payload["missed"] > 0
            assert len(left[payload["topic"]]) >= payload["missed"]
            del left[payload["topic"]][: payload["missed"]]
            continue
        assert one.id is not None
        seen += 1
        for topic in by_id[one.id].topics:
            if topic in held:
                # Anything else here is out of order, a repeat, or a loss that no gap told of at this place.
                assert left[topic].pop(0) == one.id
    assert not any(left.values()), f"lost in silence: {left}"
    return seen


@dataclass(frozen=True)
class Publish:
    topics: tuple[str, ...]
    size: int


@dataclass(frozen=True)
class Drain:
    take: int | None


steps = st.lists(
    st.one_of(
        st.builds(
            Publish,
            st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True).map(tuple),
            st.sampled_from([0, 1, 10, 100, 900, 3000, 9000]),
        ),
        st.builds(Drain, st.sampled_from([0, 1, 30, 200, 1500]) | st.none()),
    ),
    max_size=60,
)


@given(
    steps=steps,
    limits=st.builds(OutboxLimits, st.integers(1, 5), st.sampled_from([1024, 2000, 4096]), st.just("drop-oldest")),
    framing=st.sampled_from([("sse", Framing.IDENTITY), ("websocket", Framing.WEBSOCKET)]),
    opened=st.booleans(),
)
@example(
    # A gap that waits in the queue when the next overflow comes.
    steps=[Drain(0), *[Publish(("a",), 900)] * 6, Drain(1), Drain(1500), *[Publish(("a", "b"), 900)] * 6],
    limits=OutboxLimits(2, 4096, "drop-oldest"),
    framing=("sse", Framing.IDENTITY),
    opened=True,
)
def test_drop_oldest_tells_exactly_what_was_missed_where_it_was_missed(
    steps: list[Publish | Drain],
    limits: OutboxLimits,
    framing: tuple[str, Framing],
    opened: bool,
) -> None:
    # Of three topics the connection holds two: a gap names only its own.
    client = Client(["a", "b"], transport=framing[0], framing=framing[1], limits=limits)  # type: ignore[arg-type]
    if opened:
        client.open()
    published: list[Event] = []
    largest = 0
    for step in steps:
        if isinstance(step, Drain):
            client.writer.drain(step.take)
            continue
        if not {"a", "b"} & set(step.topics):
            continue
        published.append(event(len(published), *step.topics, data="x" * step.size))
        largest = max(largest, step.size + 300)
        hand_over(client, published[-1])
        record = client.connection.record("node-1")
        assert record.pending is not None
        assert record.pending_bytes is not None
        assert record.pending <= limits.events
        # One frame may be larger than all that may wait: it is what the server holds the rest of.
        assert record.pending_bytes <= limits.bytes + largest
    if not opened:
        client.open()
    client.writer.drain()
    record = client.connection.record("node-1")
    assert (record.pending, record.pending_bytes, record.behind_since) == (0, 0, None)
    seen = account(client, published)
    assert seen + sum(client.gaps) == len(published)
    assert record.sent == seen
    assert not client.writer.aborted


def test_a_gap_stands_where_the_dropped_events_stood() -> None:
    client = Client(["a", "b"], limits=DROP_OLDEST).open()
    hand_over(client, event(0))
    client.writer.block()
    hand_over(client, event(1), event(2), event(3, "a", "b"), event(4), event(5), event(6))
    client.writer.drain()
    shown = [one.id or (one.payload["topic"], one.payload["missed"]) for one in client.seen()]
    # 1 was in the server's hands already; of 2 to 6 three may wait.
    assert shown == ["0", "1", ("a", 2), ("b", 1), "4", "5", "6"]
    assert sum(client.gaps) == 2


def test_the_gateways_own_answers_are_never_dropped() -> None:
    client = Client(["a"], transport="websocket", limits=DROP_OLDEST).open()
    client.writer.block()
    published = [event(number) for number in range(8)]
    hand_over(client, *published[:2])
    client.connection.tell(b'{"type":"pong"}')
    hand_over(client, *published[2:])
    client.writer.drain()
    assert [one.type for one in client.seen()].count("gateway.pong") == 1
    assert client.seen()[-1].id == "7"
    assert sum(client.gaps) > 0


@pytest.mark.parametrize("limits", [DROP_OLDEST, OutboxLimits(events=10_000, bytes=4096, policy="drop-oldest")])
def test_answers_that_nobody_reads_do_not_fill_the_memory(limits: OutboxLimits) -> None:
    # A client that asks and asks, and reads nothing: no event could be dropped to make room.
    client = Client(["a"], transport="websocket", limits=limits).open()
    client.writer.block()
    hand_over(client, event(0, data="x" * 10_000))
    for _ in range(1000):
        assert client.connection.pending_bytes < 20_000
        client.connection.tell(b'{"type":"pong"}' * 10)
    assert client.writer.aborted
    assert client.slow == 1
    assert client.connection.pending_bytes == 0


@pytest.mark.parametrize("limits", [DISCONNECT, DROP_OLDEST], ids=lambda limits: limits.policy)
def test_an_event_over_the_limit_reaches_an_idle_connection(limits: OutboxLimits) -> None:
    client = Client(["a"], limits=limits).open()
    client.writer.drain(10)
    hand_over(client, event(0, data="x" * 1_000_000))
    assert client.connection.pending_bytes > 900_000
    assert not client.writer.aborted
    client.writer.drain()
    assert [len(one.data) for one in client.seen()] == [1_000_000]
    assert (client.slow, client.gaps) == (0, [])


def test_disconnect_takes_as_many_events_as_the_limit_and_cuts_at_the_next() -> None:
    client = Client(["a"], limits=DISCONNECT).open()
    client.writer.block()
    hand_over(client, *(event(number) for number in range(1 + DISCONNECT.events)))
    assert client.connection.record("node-1").pending == DISCONNECT.events
    assert client.slow == 0
    hand_over(client, event("one too many"))
    assert client.writer.aborted
    assert client.slow == 1
    assert client.connection.pending_bytes == 0
    # Whatever comes until the server reports the loss is left alone.
    writes = len(client.writer.writes)
    hand_over(client, event("after"))
    client.connection.tell(b"{}")
    client.connection.close("shutdown", code=1012, retry_ms=1)
    assert (len(client.writer.writes), client.slow, client.writer.closed_with) == (writes, 1, [])


def test_a_reader_is_behind_from_the_first_byte_that_waits_to_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 100.0
    monkeypatch.setattr("topics.outbox.time.time", lambda: clock)
    client = Client(["a"]).open()

    def behind_since() -> float | None:
        return client.connection.record("node-1").behind_since

    hand_over(client, event(0))
    assert behind_since() is None
    client.writer.block()
    hand_over(client, event(1))
    assert behind_since() == 100.0
    clock = 101.0
    hand_over(client, event(2), event(3))
    # It reads a little, and what follows waits at once: that is no break.
    client.writer.drain(len(client.writer.writes[-1]) + 1)
    assert client.connection.record("node-1").pending == 0
    assert behind_since() == 100.0
    client.writer.drain()
    assert behind_since() is None
    clock = 102.0
    client.writer.block()
    client.connection.tell(b": busy\n\n")
    assert behind_since() == 102.0
    client.connection.gone()
    assert behind_since() is None


def test_what_the_server_holds_counts_towards_the_bytes() -> None:
    client = Client(["a"], limits=OutboxLimits(100, 4096, "disconnect")).open()
    client.writer.block()
    hand_over(client, event(0, data="x" * 3000))
    assert client.connection.record("node-1").pending == 0
    hand_over(client, event(1, data="x" * 500))
    assert client.slow == 0
    hand_over(client, event(2, data="x" * 1000))
    assert client.writer.aborted


@given(steps, st.sampled_from([DISCONNECT, OutboxLimits(100, 2000, "disconnect")]))
def test_disconnect_loses_nothing_before_it_cuts(steps: list[Publish | Drain], limits: OutboxLimits) -> None:
    client = Client(["a", "b", "c"], limits=limits).open()
    published: list[Event] = []
    for step in steps:
        if isinstance(step, Drain):
            client.writer.drain(step.take)
        elif not client.writer.aborted:
            published.append(event(len(published), *step.topics, data="x" * step.size))
            hand_over(client, published[-1])
    if client.writer.aborted:
        assert client.slow == 1
        whole = bytes(client.writer.received).rpartition(b"\n\n")[0] + b"\n\n"
        client.writer.received[:] = whole
        assert ids(client) == [each.id for each in published][: len(ids(client))]
        return
    client.writer.drain()
    assert account(client, published) == len(published)


def test_what_has_waited_is_joined_up_to_the_size_that_a_socket_takes() -> None:
    client = Client(["a"], limits=OutboxLimits(1000, 1 << 24, "disconnect")).open()
    client.writer.block()
    hand_over(client, *(event(number, data="x" * 20_000) for number in range(13)))
    client.writer.drain()
    waited = client.writer.writes[2:]
    assert len(waited) == 4
    assert all(len(write) <= JOIN_BYTES for write in waited)
    assert ids(client) == [str(number) for number in range(13)]


def test_frames_of_messages_are_written_one_by_one() -> None:
    client = Client(["a"], transport="websocket", framing=Framing.MESSAGE).open()
    client.writer.block()
    client.connection.deliver(Batch([EncodedEvent(event(number)) for number in range(4)]))
    client.writer.drain()
    assert len(client.writer.writes) == 1 + 4
