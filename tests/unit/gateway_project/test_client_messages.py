import json

import pytest

from gateway_project.client.exceptions import Unavailable
from gateway_project.client.messages import (
    Close,
    Complaint,
    Dropped,
    Event,
    Gap,
    Message,
    Open,
    from_sse,
    from_websocket,
)

EVENT = {"type": "event", "topics": ["a"], "id": "1", "event": "message", "data": "x", "time": "t"}


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (EVENT, Event(topics=["a"], id="1", event="message", data="x", time="t")),
        (
            {"type": "open", "connection": "c", "topics": ["a"], "node": "n"},
            Open(connection="c", topics=["a"], node="n"),
        ),
        (
            {"type": "gap", "topic": "a", "missed": 3, "reason": "slow-reader"},
            Gap(topic="a", missed=3, reason="slow-reader"),
        ),
        (
            {"type": "gap", "topic": "a", "missed": None, "reason": "r"},
            Gap(topic="a", missed=None, reason="r"),
        ),
        ({"type": "close", "reason": "shutdown", "retry": 3100}, Close(reason="shutdown", retry=3100)),
        ({"type": "error", "detail": "what?"}, Complaint(detail="what?")),
    ],
)
def test_both_transports_say_the_same(frame: dict[str, object], message: Message) -> None:
    assert from_websocket(json.dumps(frame)) == message
    own = {name: value for name, value in frame.items() if name != "type"}
    if frame["type"] == "event":
        assert from_sse("message", json.dumps(frame)) == message
    else:
        assert from_sse(f"gateway.{frame['type']}", json.dumps(own)) == message


@pytest.mark.parametrize("name", ["dropped", "open", "published", "gap"])
def test_a_publisher_cannot_pass_an_event_off_as_something_else(name: str) -> None:
    text = json.dumps({**EVENT, "event": name, "data": '{"type":"gap"}'})
    assert isinstance(from_sse(name, text), Event)


def test_a_tail_has_published_and_dropped_events() -> None:
    dropped = json.dumps({"topics": ["a"], "id": "1", "time": "t", "reason": "no-subscribers"})
    assert from_sse("published", json.dumps(EVENT)) == Event.model_validate(EVENT)
    assert from_sse("dropped", dropped) == Dropped(topics=["a"], id="1", time="t", reason="no-subscribers")


def test_an_open_of_a_tail_has_one_topic() -> None:
    assert from_sse("gateway.open", '{"topic":"a","node":"n"}') == Open(topic="a", node="n")


def test_what_a_newer_gateway_adds_is_kept() -> None:
    message = from_websocket(json.dumps({**EVENT, "priority": 3}))
    assert isinstance(message, Event)
    assert message.model_dump()["priority"] == 3


@pytest.mark.parametrize("kind", ["pong", "subscribed", "unsubscribed", "something-new"])
def test_unknown_messages_are_left_out(kind: str) -> None:
    assert from_websocket(json.dumps({"type": kind})) is None
    assert from_sse(f"gateway.{kind}", "{}") is None


def test_a_block_without_data_is_no_message() -> None:
    assert from_sse("message", "") is None


@pytest.mark.parametrize(
    "text",
    ["hello", "[]", "7", '{"type":"event"}', '{"type":"event","topics":"a","id":"1","data":"x"}', '{"type":']
    + [json.dumps({**EVENT, "id": event_id}) for event_id in ("", "a b", "a\r\nb", "a\n", "é", 7)],
)
def test_what_is_not_a_message_ends_the_connection(text: str) -> None:
    with pytest.raises(Unavailable, match="not a gateway's message"):
        from_websocket(text)


def test_a_negative_wait_is_not_a_message() -> None:
    with pytest.raises(Unavailable):
        from_websocket('{"type":"close","reason":"shutdown","retry":-1}')
