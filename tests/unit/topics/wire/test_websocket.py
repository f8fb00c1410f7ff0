"""Frames against the websockets package's parser, and commands against any text."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.topics.scripted import parse_texts
from tests.unit.topics.strategies import events, names, texts
from topics.events import Event
from topics.exceptions import InvalidInput
from topics.wire.websocket import Command, event_object, parse_command, text_frame


@given(st.lists(texts, min_size=1, max_size=5))
@example([""])
@example(["x" * 125, "x" * 126, "x" * 127])
@example(["x" * 65_535, "x" * 65_536, "x" * 65_537])
def test_frames_joined_into_one_write_are_read_apart(payloads: list[str]) -> None:
    written = b"".join(text_frame(payload.encode()) for payload in payloads)
    assert list(parse_texts(written)) == payloads


@pytest.mark.parametrize(("size", "header"), [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)])
def test_the_length_is_in_its_shortest_form(size: int, header: int) -> None:
    assert len(text_frame(b"x" * size)) == header + size


@given(events)
@example(Event(("a",), "1", "\u2028\ud7ff\x00\r\n"))
def test_an_event_object_is_one_line_of_json_that_carries_everything(event: Event) -> None:
    text = event_object(event)
    assert not any(ord(character) < 0x20 for character in text)
    value = json.loads(text)
    assert value["data"] == event.data
    assert value["topics"] == list(event.topics)
    assert value["id"] == event.id
    assert list(value) == ["type", "topics", "id", "event", "data", "time"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
commands = st.fixed_dictionaries(
    {"type": st.sampled_from(["subscribe", "unsubscribe", "ping", "Subscribe", "publish", ""]) | json_values},
    optional={"topics": st.lists(names | texts, max_size=4) | json_values, "more": json_values},
)


@given(st.none() | st.text(st.characters()) | commands.map(json.dumps) | json_values.map(json.dumps))
@example("")
@example("[" * 100_000)
@example("1" * 5000)
@example('{"type":' + "9" * 5000 + "}")
@example('{"type":"subscribe","topics":["a\\ud800"]}')
@example('{"type":"subscribe","topics":"ab"}')
@example('{"type":"subscribe","topics":{"a":1}}')
@example('{"type":"subscribe","topics":["a,b"]}')
@example('{"type":["ping"]}')
@example("\ufeff{}")
@example("NaN")
def test_any_message_is_a_command_or_refused_with_advice(message: str | None) -> None:
    command, refused = None, None
    try:
        command = parse_command(message, limit=3)
    except InvalidInput as error:
        refused = error
    if refused is not None:
        assert refused.detail.endswith(".")
        assert len(refused.detail) < 300
        refused.detail.encode()
        return
    assert message is not None
    assert command is not None
    value = json.loads(message)
    assert command.type == value["type"]
    if command.type == "ping":
        assert command.topics == ()
    else:
        assert command.topics == tuple(dict.fromkeys(topic.strip(" ") for topic in value["topics"]))
        assert 1 <= len(command.topics) <= 3


@given(st.lists(names, min_size=1, max_size=5, unique=True), st.sampled_from(["subscribe", "unsubscribe"]))
def test_every_list_of_topics_makes_a_command(topics: list[str], kind: str) -> None:
    command = parse_command(json.dumps({"type": kind, "topics": topics}), limit=5)
    assert (command.type, command.topics) == (kind, tuple(topics))


@pytest.mark.parametrize(
    ("given", "last_id"), [({}, None), ({"last_event_id": ""}, None), ({"last_event_id": "7"}, "7")]
)
def test_a_subscription_may_say_where_its_client_stands(given: dict[str, str], last_id: str | None) -> None:
    text = json.dumps({"type": "subscribe", "topics": ["a"], **given})
    assert parse_command(text, limit=1) == Command("subscribe", ("a",), last_id)


@pytest.mark.parametrize("last_id", [7, ["7"], True, "a b", "a,b", "x" * 256])
def test_a_place_to_stand_that_is_no_id_is_refused(last_id: object) -> None:
    with pytest.raises(InvalidInput, match="last_event_id"):
        parse_command(json.dumps({"type": "subscribe", "topics": ["a"], "last_event_id": last_id}), limit=1)


def test_a_ping_needs_nothing() -> None:
    assert parse_command('{"type":"ping","extra":1}', limit=1) == Command("ping")


def test_more_topics_than_the_limit_are_refused() -> None:
    with pytest.raises(InvalidInput, match="at most 2"):
        parse_command('{"type":"subscribe","topics":["a","b","c"]}', limit=2)
