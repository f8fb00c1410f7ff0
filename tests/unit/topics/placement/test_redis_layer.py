"""When a node tells its connections of a gap: from the messages alone, without a Redis."""

from __future__ import annotations

import pytest

from topics.events import Event
from topics.placement.redis.address import parse_address
from topics.placement.redis.envelope import pack_event
from topics.placement.redis.layer import EventChannel
from topics.placement.redis.streams import Stream

TOPIC = "x"


class Heard:
    """A channel that has joined one topic, and what it hands on: ids of events, and gaps as their number."""

    def __init__(self) -> None:
        self.seen: list[str | int | None] = []
        self.channel = EventChannel(
            parse_address("redis://127.0.0.1:1"),
            "",
            on_event=lambda event: self.seen.append(event.id),
            on_drop=lambda drop: None,
            on_gap=lambda topic, missed: self.seen.append(missed),
            on_note=lambda note: None,
            on_doubt=lambda: None,
        )
        self.stream = self.channel.streams[TOPIC] = Stream()

    def event(self, seq: int, epoch: str = "e") -> None:
        payload = pack_event(f"s-{epoch}-{seq}", Event((TOPIC,), str(seq), "", None, None, 0.0))
        self.channel._take(f"E {epoch} {seq} {TOPIC} ".encode() + payload)

    def mark(self, seq: int, epoch: str = "e", token: str | None = None) -> None:
        self.channel._take(f"M {epoch} {seq} {TOPIC} {token or self.stream.token} 0".encode())


@pytest.fixture
def heard() -> Heard:
    """One that has heard its mark and the first event."""
    made = Heard()
    made.mark(0)
    made.event(1)
    return made


def test_a_hole_is_told_before_the_event_behind_it(heard: Heard) -> None:
    heard.event(2)
    heard.event(5)
    assert heard.seen == ["1", "2", 2, "5"]


def test_a_mark_tells_a_hole_that_no_event_has_shown(heard: Heard) -> None:
    heard.mark(3)
    heard.event(4)
    assert heard.seen == ["1", 2, "4"]


def test_another_life_of_the_topic_is_a_gap(heard: Heard) -> None:
    heard.event(1, "f")
    assert heard.seen == ["1", None, "1"]


@pytest.mark.parametrize("lower", [0, 1])
def test_a_number_that_goes_back_is_a_gap(heard: Heard, lower: int) -> None:
    heard.event(2)
    heard.event(lower)
    heard.event(lower + 1)
    assert heard.seen == ["1", "2", None, str(lower), str(lower + 1)]


def test_a_gap_that_is_owed_waits_for_the_mark_and_comes_before_the_next_event(heard: Heard) -> None:
    heard.channel.owe_gaps([TOPIC])
    heard.stream.doubt()
    # Published before what was missed.
    heard.event(2)
    heard.mark(0, "f")
    assert heard.seen == ["1", "2"]
    heard.event(1, "f")
    heard.channel.pay_gaps()
    assert heard.seen == ["1", "2", None, "1"]


def test_a_gap_that_is_owed_comes_before_the_next_event_though_another_mark_is_waited_for(heard: Heard) -> None:
    heard.channel.owe_gaps([TOPIC])
    heard.stream.doubt()
    heard.mark(0, "f")
    heard.stream.doubt()
    heard.event(1, "f")
    assert heard.seen == ["1", None, "1"]


def test_a_gap_that_is_owed_is_told_without_an_event_too_and_once(heard: Heard) -> None:
    heard.channel.owe_gaps([TOPIC])
    heard.stream.doubt()
    heard.mark(7)
    heard.channel.pay_gaps()
    heard.channel.pay_gaps()
    heard.event(8)
    assert heard.seen == ["1", None, "8"]


def test_a_hole_among_the_events_before_the_mark_is_told_in_its_place(heard: Heard) -> None:
    heard.channel.owe_gaps([TOPIC])
    heard.stream.doubt()
    heard.event(3)
    heard.mark(3)
    heard.channel.pay_gaps()
    assert heard.seen == ["1", 1, "3", None]


def test_the_first_event_of_another_redis_comes_behind_the_gap(heard: Heard) -> None:
    heard.channel.restart([TOPIC])
    heard.channel.owe_gaps([TOPIC])
    heard.event(2)
    heard.event(3)
    heard.mark(3)
    heard.channel.pay_gaps()
    assert heard.seen == ["1", None, "2", "3"]


def test_what_came_while_nobody_held_the_topic_was_missed_by_nobody(heard: Heard) -> None:
    heard.channel.restart([TOPIC])
    heard.mark(9, token="another's")
    heard.mark(9)
    heard.event(10)
    assert heard.seen == ["1", "10"]


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xff\xfe",
        b"E ",
        b"E e 2 x",
        b"E e two x i []",
        b"E \xff 2 x i []",
        b"E e 2 y i {",
        b'E e 2 y i ["too", "few"]',
        b"K e 2 x nowhere i []",
        b"M e 2 x",
        b"D i [",
        b"N {",
        b"what is this?",
        b"Q" * 70_000,
    ],
    ids=lambda message: repr(message[:24]),
)
def test_what_no_node_has_said_is_logged_and_harms_no_message_behind_it(
    heard: Heard, message: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    heard.channel._receive(message)
    assert "message failed" in caplog.text
    heard.event(2)
    assert heard.seen[0] == "1"
    assert heard.seen[-1] == "2"
