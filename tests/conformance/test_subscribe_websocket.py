"""Contract §1 and §2: ``GET /ws``."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
from websockets.exceptions import ConnectionClosed

from tests.conformance.subject import (
    MAX_COMMAND_BYTES,
    MAX_EVENT_BYTES,
    MAX_TOPICS,
    TIME,
    VISIBLE,
    Gateway,
    assert_problem,
    eventually,
    unique,
)
from tests.raw.http import Ended
from tests.raw.websocket import CLOSE, CONTINUATION, PING, PONG, TEXT, RawWebSocket, encode, upgrade

NewTopic = Callable[[str], str]


async def raw_websocket(gateway: Gateway, topic: str) -> RawWebSocket:
    """A bare WebSocket whose ``open`` message has been read."""
    target = f"{gateway.prefix}/ws?topic={quote(topic, safe='')}"
    socket = await RawWebSocket.open(gateway.url, target, [("host", gateway.host)])
    assert (await socket.read_json())["type"] == "open"
    return socket


async def test_the_first_message_is_open(gateway: Gateway, topic: str) -> None:
    async with gateway.websocket(topic) as socket:
        assert socket.opened.keys() == {"type", "connection", "topics", "node"}
        assert socket.opened["topics"] == [topic]
        assert len(socket.opened["connection"]) >= 20
        assert socket.opened["node"]


async def test_topics_of_header_and_query_are_united(gateway: Gateway, new_topic: NewTopic) -> None:
    a, b, c, d = (new_topic(name) for name in "abcd")
    async with gateway.websocket(a, query=f"topic={b},{c}&topic={d}&topic={a}") as socket:
        assert sorted(socket.opened["topics"]) == sorted([a, b, c, d])


async def test_every_visible_character_but_the_comma_is_allowed(gateway: Gateway) -> None:
    topic = VISIBLE + unique()
    async with gateway.websocket(query=f"topic={quote(topic, safe='')}") as socket:
        assert socket.opened["topics"] == [topic]
        await gateway.delivered(topic, "x", id=VISIBLE)
        assert (await socket.receive())["id"] == VISIBLE


async def test_an_event_is_one_json_object(gateway: Gateway, new_topic: NewTopic) -> None:
    a, b = new_topic("a"), new_topic("b")
    async with gateway.websocket(a) as socket:
        await gateway.delivered([b, a], "one\r\ntwo\x00é🎈", id="42", event="order", retry=1)
        event = await socket.receive()
        assert TIME.fullmatch(event.pop("time"))
        assert event == {"type": "event", "topics": [b, a], "id": "42", "event": "order", "data": "one\r\ntwo\x00é🎈"}


async def test_an_event_without_a_type_is_a_message(gateway: Gateway, topic: str) -> None:
    async with gateway.websocket(topic) as socket:
        await gateway.delivered(topic, "")
        event = await socket.receive()
        assert (event["event"], event["data"]) == ("message", "")


async def test_format_raw_sends_the_data_alone(gateway: Gateway, topic: str) -> None:
    async with gateway.websocket(topic, query="format=raw") as socket:
        for data in ("plain", "two\r\nlines", '{"a":1}'):
            await gateway.delivered(topic, data)
            assert await socket.connection.recv(decode=True) == data


async def test_an_event_of_one_mib_comes_in_one_frame(gateway: Gateway, topic: str) -> None:
    async with await raw_websocket(gateway, topic) as socket:
        await gateway.delivered(topic, "x" * MAX_EVENT_BYTES)
        event = await socket.read_json()
        assert len(event["data"]) == MAX_EVENT_BYTES


async def test_subscribe_is_answered_with_the_topics_now_held(gateway: Gateway, new_topic: NewTopic) -> None:
    a, b, c = (new_topic(name) for name in "abc")
    async with gateway.websocket(a) as socket:
        answer = await socket.ask({"type": "subscribe", "topics": [b, c, a]})
        assert answer["type"] == "subscribed"
        assert sorted(answer["topics"]) == sorted([a, b, c])
        for topic in (a, b, c):
            await gateway.delivered(topic, topic)
            assert (await socket.receive())["data"] == topic


async def test_unsubscribe_takes_the_topic_away_at_once(gateway: Gateway, new_topic: NewTopic) -> None:
    a, b = new_topic("a"), new_topic("b")
    async with gateway.websocket(a, b) as socket:
        answer = await socket.ask({"type": "unsubscribe", "topics": [b]})
        assert answer == {"type": "unsubscribed", "topics": [a]}
        assert not await gateway.exists(b)
        await gateway.delivered([a, b], "still")
        assert (await socket.receive())["data"] == "still"


async def test_unsubscribe_from_a_topic_that_is_not_held_changes_nothing(gateway: Gateway, topic: str) -> None:
    async with gateway.websocket(topic) as socket:
        answer = await socket.ask({"type": "unsubscribe", "topics": [unique()]})
        assert answer == {"type": "unsubscribed", "topics": [topic]}


async def test_ping_is_answered_with_pong(gateway: Gateway, topic: str) -> None:
    async with gateway.websocket(topic) as socket:
        assert await socket.ask({"type": "ping"}) == {"type": "pong"}


@pytest.mark.parametrize(
    "command",
    [
        "",
        "no json",
        "[]",
        "null",
        "1",
        '"ping"',
        "{}",
        '{"type":"publish"}',
        '{"type":1}',
        '{"type":["ping"]}',
        '{"type":"subscribe"}',
        '{"type":"subscribe","topics":[]}',
        '{"type":"subscribe","topics":"a"}',
        '{"type":"subscribe","topics":[1]}',
        '{"type":"subscribe","topics":["a","b c"]}',
        '{"type":"subscribe","topics":["a,b"]}',
        '{"type":"subscribe","topics":[""]}',
        '{"type":"subscribe","topics":["é"]}',
        '{"type":"unsubscribe"}',
        '{"type":"unsubscribe","topics":["\\u0000"]}',
        "[" * 30_000,
        '{"type":"subscribe","topics":["\\ud800"]}',
        b"\x00\xff",
        b'{"type":"ping"}',
    ],
    ids=lambda command: repr(command)[:40],
)
async def test_anything_else_gets_an_error_and_the_connection_lives_on(
    gateway: Gateway, topic: str, command: str | bytes
) -> None:
    async with gateway.websocket(topic) as socket:
        answer = await socket.ask(command)
        assert answer["type"] == "error", answer
        assert isinstance(answer["detail"], str)
        assert answer["detail"]
        assert await socket.ask({"type": "ping"}) == {"type": "pong"}
        await gateway.delivered(topic, "still there")
        assert (await socket.receive())["data"] == "still there"


async def test_a_refused_subscribe_takes_none_of_its_topics(gateway: Gateway, new_topic: NewTopic) -> None:
    a, b = new_topic("a"), new_topic("b")
    async with gateway.websocket(a) as socket:
        assert (await socket.ask({"type": "subscribe", "topics": [b, "not a topic"]}))["type"] == "error"
        assert not await gateway.exists(b)


async def test_commands_cannot_go_past_100_topics(gateway: Gateway, topic: str) -> None:
    names = [f"{topic}/{number}" for number in range(MAX_TOPICS)]
    async with gateway.websocket(topic) as socket:
        answer = await socket.ask({"type": "subscribe", "topics": names})
        assert answer["type"] == "error", answer
        answer = await socket.ask({"type": "subscribe", "topics": names[1:]})
        assert len(answer["topics"]) == MAX_TOPICS
        assert (await socket.ask({"type": "subscribe", "topics": [names[0]]}))["type"] == "error"
        assert not await gateway.exists(names[0])


async def test_bad_messages_one_after_another_are_closed_with_1008(gateway: Gateway, topic: str) -> None:
    async with gateway.websocket(topic) as socket:
        closed = None
        while closed is None:
            try:
                assert (await socket.ask("nonsense"))["type"] == "error"
            except ConnectionClosed as error:
                closed = error.rcvd
        assert closed.code == 1008
        await eventually(lambda: gone(gateway, topic), within=1)


async def test_a_good_command_between_two_bad_ones_starts_the_count_again(gateway: Gateway, topic: str) -> None:
    async with gateway.websocket(topic) as socket:
        for _ in range(5):
            assert (await socket.ask("nonsense"))["type"] == "error"
            assert await socket.ask({"type": "ping"}) == {"type": "pong"}


async def test_a_message_of_65536_bytes_is_read(gateway: Gateway, topic: str) -> None:
    async with gateway.websocket(topic) as socket:
        assert await socket.ask('{"type":"ping"}'.ljust(MAX_COMMAND_BYTES)) == {"type": "pong"}


async def test_a_frame_over_the_limit_is_closed_with_1009(gateway: Gateway, topic: str) -> None:
    async with await raw_websocket(gateway, topic) as socket:
        await socket.send_frame(TEXT, b'{"type":"ping"}'.ljust(MAX_COMMAND_BYTES + 1))
        assert (await socket.read_until(CLOSE)).code == 1009
        await eventually(lambda: gone(gateway, topic), within=1)


async def test_a_frame_that_only_declares_too_much_is_closed_with_1009(gateway: Gateway, topic: str) -> None:
    async with await raw_websocket(gateway, topic) as socket:
        await socket.connection.send(b"\x81\xff" + (1 << 40).to_bytes(8, "big") + b"mask")
        assert (await socket.read_until(CLOSE)).code == 1009


async def test_fragments_together_over_the_limit_are_closed_with_1009(gateway: Gateway, topic: str) -> None:
    async with await raw_websocket(gateway, topic) as socket:
        await socket.send_frame(TEXT, b" " * 40_000, final=False)
        await socket.send_frame(CONTINUATION, b" " * 40_000, final=True)
        assert (await socket.read_until(CLOSE)).code == 1009


async def test_a_command_in_fragments_is_read(gateway: Gateway, topic: str) -> None:
    async with await raw_websocket(gateway, topic) as socket:
        await socket.send_frame(TEXT, b'{"type":', final=False)
        await socket.send_frame(PING, b"between")
        await socket.send_frame(CONTINUATION, b'"ping"}')
        assert (await socket.read_until(PONG)).payload == b"between"
        assert await socket.read_json() == {"type": "pong"}


async def test_a_protocol_ping_is_answered_with_its_payload(gateway: Gateway, topic: str) -> None:
    async with await raw_websocket(gateway, topic) as socket:
        for payload in (b"", b"abc", b"\x00" * 125):
            await socket.send_frame(PING, payload)
            frame = await socket.read_frame()
            assert (frame.opcode, frame.payload) == (PONG, payload)


async def test_a_close_is_answered_and_the_topic_is_gone(gateway: Gateway, topic: str) -> None:
    async with await raw_websocket(gateway, topic) as socket:
        await socket.send_frame(CLOSE, (1000).to_bytes(2, "big"))
        assert (await socket.read_until(CLOSE)).code == 1000
        with pytest.raises(Ended):
            await socket.read_frame()
        await eventually(lambda: gone(gateway, topic), within=1)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (encode(TEXT, b'{"type":"ping"}', masked=False), 1002),
        (encode(3, b"reserved opcode"), 1002),
        (encode(TEXT, b"reserved bit", reserved=1), 1002),
        (encode(CONTINUATION, b"of nothing"), 1002),
        (encode(PING, b"x" * 126), 1002),
        (encode(PING, b"", final=False), 1002),
        (encode(TEXT, b"\xff\xfe"), 1007),
    ],
    ids=["unmasked", "opcode", "reserved bit", "continuation", "long ping", "ping in fragments", "not UTF-8"],
)
async def test_a_violation_of_the_protocol_ends_the_connection(
    gateway: Gateway, topic: str, frame: bytes, code: int
) -> None:
    async with await raw_websocket(gateway, topic) as socket:
        await socket.connection.send(frame)
        assert (await socket.read_until(CLOSE)).code == code
        await eventually(lambda: gone(gateway, topic), within=1)


@pytest.mark.parametrize("query", ["", "topic=", "topic=a,,b", "topic=a%20b", "topic=%C3%A9", "topic=%FF"])
async def test_a_bad_topic_list_is_refused_in_the_handshake(gateway: Gateway, query: str) -> None:
    async with await gateway.connect() as connection:
        answer = await connection.exchange(upgrade(f"{gateway.prefix}/ws?{query}", [("host", gateway.host)]))
        assert_problem(answer, 400)


async def test_more_than_100_topics_are_refused_in_the_handshake(gateway: Gateway, topic: str) -> None:
    names = ",".join(f"{topic}/{number}" for number in range(MAX_TOPICS + 1))
    async with await gateway.connect() as connection:
        target = f"{gateway.prefix}/ws"
        answer = await connection.exchange(upgrade(target, [("host", gateway.host), ("x-sse-topic", names)]))
        assert_problem(answer, 400, str(MAX_TOPICS))


async def test_a_request_that_is_no_handshake_is_refused(gateway: Gateway, topic: str) -> None:
    answer = await gateway.exchange("GET", f"/ws?topic={topic}")
    assert answer.status in {400, 426}, answer
    answer = await gateway.exchange("POST", f"/ws?topic={topic}", body=b"x")
    assert_problem(answer, 405)
    assert "GET" in answer.headers.get("allow")


@pytest.mark.http1
@pytest.mark.parametrize(
    "headers",
    [
        [("sec-websocket-version", "12")],
        [("sec-websocket-key", "short"), ("sec-websocket-version", "13")],
        [],
    ],
    ids=["version", "key", "no key"],
)
async def test_a_wrong_handshake_is_refused(gateway: Gateway, topic: str, headers: list[tuple[str, str]]) -> None:
    both = [("upgrade", "websocket"), ("connection", "Upgrade"), *headers]
    answer = await gateway.exchange("GET", f"/ws?topic={topic}", both)
    assert 400 <= answer.status < 500, answer
    assert not await gateway.exists(topic)


async def test_messages_are_json_that_everybody_reads(gateway: Gateway, topic: str) -> None:
    async with await raw_websocket(gateway, topic) as socket:
        await gateway.delivered(topic, '"\\ \x1f / é 🎈 \u2028')
        frame = await socket.read_until(TEXT)
        assert json.loads(frame.payload.decode("utf-8"))["data"] == '"\\ \x1f / é 🎈 \u2028'


async def gone(gateway: Gateway, topic: str) -> bool:
    return not await gateway.exists(topic)
