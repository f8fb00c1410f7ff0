"""Messages of older services, and what is none."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publishing.sources.formats import Message, NotAnEvent, channel_message, text_of, user_message
from publishing.sources.names import BROADCAST, channel_topic, escape, user_topic
from topics.events import check_id, parse_topics


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"event_type":"n","data":{"msg":"Hi"}}', Message("channel:a", '{"msg":"Hi"}', None, "n")),
        ('{"event_type":"n","data":"Hi","id":"7"}', Message("channel:a", "Hi", "7", "n")),
        ('{"event_type":"n","data":"Hi","id":7}', Message("channel:a", "Hi", "7", "n")),
        ('{"data":"Hi","channel_id":"b"}', Message("channel:b", "Hi")),
        ('{"data":"Hi","channel_id":null,"id":null,"event_type":null}', Message("channel:a", "Hi")),
        ('{"data":["é",1.5,null,true]}', Message("channel:a", '["é",1.5,null,true]')),
        ('{"data":""}', Message("channel:a", "")),
        ("plain", Message("channel:a", "plain")),
        ("", Message("channel:a", "")),
        ("42", Message("channel:a", "42")),
        ('{"some":"object"}', Message("channel:a", '{"some":"object"}')),
        ("[" * 100_000, Message("channel:a", "[" * 100_000)),
    ],
)
def test_a_channels_message(text: str, message: Message) -> None:
    assert channel_message(text, "a") == message


@pytest.mark.parametrize(
    "text",
    [
        '{"event_type":"n"}',
        '{"event_type":"n","data":null}',
        '{"event_type":1,"data":"a"}',
        '{"data":"a","channel_id":[]}',
        '{"data":"a","channel_id":""}',
        '{"data":"a","channel_id":true}',
        '{"data":"a","id":{}}',
        '{"data":"a","id":1.5}',
    ],
)
def test_wrong_types_are_no_event(text: str) -> None:
    with pytest.raises(NotAnEvent):
        channel_message(text, "a")


def test_without_a_channel_it_is_a_broadcast_unless_the_payload_names_one() -> None:
    assert channel_message('{"event_type":"alert","data":"x"}', None) == Message(BROADCAST, "x", None, "alert")
    assert channel_message('{"data":"x","channel_id":"b"}', None) == Message("channel:b", "x")


def test_a_users_message_is_handed_on_whole() -> None:
    text = '{"user_id": 1, "message": "a", "created_at": "2024-01-01T12:00:00Z"}'
    assert user_message(text) == Message("user:1", text)
    assert user_message('{"user_id":"x y"}').topic == "user:x%20y"


@pytest.mark.parametrize("text", ["", "text", "[]", "{}", '{"user_id":null}', '{"user_id":1.5}', '{"user_id":{}}'])
def test_no_user_no_event(text: str) -> None:
    with pytest.raises(NotAnEvent):
        user_message(text)


def test_bytes_that_are_not_utf8_are_no_event() -> None:
    with pytest.raises(NotAnEvent, match="byte 1"):
        text_of(b"a\xff")


@given(st.text(max_size=40), st.text(max_size=40))
def test_every_name_becomes_a_topic_of_its_own(one: str, other: str) -> None:
    topic = channel_topic(one)
    assert parse_topics([topic], limit=1, where="") == (topic,)
    assert (topic == channel_topic(other)) == (one == other)
    assert topic != user_topic(one)
    if one:
        check_id(escape(one), where="")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_any_json_is_read_or_refused(value: object) -> None:
    for text in (json.dumps(value), json.dumps({"data": value, "event_type": value, "channel_id": value, "id": value})):
        for read in (lambda text: channel_message(text, "a"), user_message):
            with suppress(NotAnEvent):
                assert isinstance(read(text).data, str)
