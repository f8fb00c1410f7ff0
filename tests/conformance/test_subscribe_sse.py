"""Contract §1 and §2: ``GET /sse``."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.conformance.subject import MAX_TOPICS, TIME, VISIBLE, Gateway, assert_problem, unique
from tests.raw.http import Ended
from tests.raw.sse import SseStream

NewTopic = Callable[[str], str]


async def test_the_first_bytes_are_retry_and_the_open_event(gateway: Gateway, topic: str) -> None:
    stream = await SseStream.open(gateway.url, f"{gateway.prefix}/sse?topic={quote(topic, safe='')}")
    async with stream:
        block = await stream.next_block(within=2)
    assert re.fullmatch(rb"retry: ?\d+\nevent: ?gateway\.open\ndata: ?\{[^\n]*\}\n\n", block.raw), block.raw
    assert block.id is None
    opened = block.json()
    assert opened.keys() == {"connection", "topics", "node"}
    assert opened["topics"] == [topic]
    assert isinstance(opened["node"], str)
    assert opened["node"]


async def test_connection_ids_are_long_and_all_different(gateway: Gateway, topic: str) -> None:
    ids = set()
    for _ in range(5):
        async with gateway.sse(topic) as stream:
            ids.add(stream.opened["connection"])
    assert len(ids) == 5
    assert all(len(id) >= 20 for id in ids), ids


async def test_response_headers(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic) as stream:
        headers = stream.head.headers
        assert headers.get("content-type").split(";")[0] == "text/event-stream"
        assert headers.get("cache-control") == "no-store"
        assert headers.get("x-accel-buffering") == "no"
        assert "content-length" not in headers


async def test_no_key_is_needed_to_subscribe(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic, headers=[("authorization", "Bearer not-a-key")]) as stream:
        assert stream.head.status == 200


async def test_topics_of_header_and_query_are_united(gateway: Gateway, new_topic: NewTopic) -> None:
    a, b, c, d = (new_topic(name) for name in "abcd")
    async with gateway.sse(a, query=f"topic={b},{c}&topic={d}") as stream:
        assert sorted(stream.opened["topics"]) == sorted([a, b, c, d])
        for topic in (a, b, c, d):
            await gateway.delivered(topic, topic)
            assert (await stream.next_event()).data == topic


async def test_repeats_count_once_and_spaces_around_are_dropped(gateway: Gateway, new_topic: NewTopic) -> None:
    a, b = new_topic("a"), new_topic("b")
    async with gateway.sse(headers=[("x-sse-topic", f" {a} ,{b},  {a}")], query=f"topic={a}") as stream:
        assert sorted(stream.opened["topics"]) == sorted([a, b])
        assert (await gateway.delivered(a))["topics"][a] == 1


async def test_topics_differ_by_case(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic):
        assert not await gateway.exists(topic.upper())


async def test_a_uri_and_a_percent_encoded_name_are_topics_and_are_not_decoded(gateway: Gateway) -> None:
    uri = f"https://example.com/orders/{unique()}?a=b%2Fc#d"
    async with gateway.sse(uri) as by_header, gateway.sse(query=f"topic={quote(uri, safe='')}") as by_query:
        assert by_header.opened["topics"] == by_query.opened["topics"] == [uri]
        assert not await gateway.exists(uri.replace("%2F", "/"))
        assert (await gateway.delivered(uri))["subscribers"] == 2


async def test_a_comma_in_the_query_divides_topics_also_when_it_is_percent_encoded(
    gateway: Gateway, new_topic: NewTopic
) -> None:
    a, b = new_topic("a"), new_topic("b")
    async with gateway.sse(query=f"topic={quote(f'{a},{b}', safe='')}") as stream:
        assert sorted(stream.opened["topics"]) == sorted([a, b])


async def test_every_visible_character_but_the_comma_is_allowed(gateway: Gateway) -> None:
    topic = VISIBLE + unique()
    async with gateway.sse(topic) as by_header, gateway.sse(query=f"topic={quote(topic, safe='')}") as by_query:
        assert by_header.opened["topics"] == by_query.opened["topics"] == [topic]
        assert (await gateway.delivered(topic, "x", id=VISIBLE))["id"] == VISIBLE
        for stream in (by_header, by_query):
            event = await stream.next_event()
            assert (event.id, event.data) == (VISIBLE, "x")


async def test_a_topic_has_at_most_255_characters(gateway: Gateway) -> None:
    longest = unique().ljust(255, "x")
    async with gateway.sse(longest):
        await gateway.delivered(longest)
    assert_problem(await gateway.exchange("GET", "/sse", [("x-sse-topic", longest + "x")]), 400, "topic")


async def test_every_other_character_in_the_query_is_refused(gateway: Gateway) -> None:
    others = [bytes([code]) for code in (*range(0x21), 0x7F)] + ["é".encode(), "日".encode(), b"\xe9", b"\xff"]
    async with await gateway.connect() as connection:
        for other in others:
            target = f"/sse?topic=a{quote(other)}b"
            answer = await connection.exchange(gateway.request("GET", target))
            assert answer.status == 400, (target, answer)
            assert_problem(answer, 400)


@pytest.mark.http1
@pytest.mark.parametrize("other", [b"\x01", b"\x1f", b"\x7f", b"\xe9", "é".encode(), b" ", b"\t"], ids=repr)
async def test_every_other_character_in_the_header_is_refused(gateway: Gateway, other: bytes) -> None:
    answer = await gateway.exchange("GET", "/sse", [("x-sse-topic", b"a" + other + b"b")])
    assert answer.status == 400, answer


@pytest.mark.parametrize("query", ["", "topic=", "topic=,", "topic=a,,b", "topic=a,", "topic=,a", "topic=a&topic="])
async def test_an_empty_list_or_item_is_refused(gateway: Gateway, query: str) -> None:
    assert_problem(await gateway.exchange("GET", f"/sse?{query}"), 400, "topic")


async def test_an_empty_header_item_is_refused(gateway: Gateway) -> None:
    for value in ("", ",", "a,,b", "a, ,b"):
        assert_problem(await gateway.exchange("GET", "/sse", [("x-sse-topic", value)]), 400)


async def test_a_list_has_at_most_100_topics(gateway: Gateway, topic: str) -> None:
    names = [f"{topic}/{number}" for number in range(MAX_TOPICS + 1)]
    async with gateway.sse(*names[:MAX_TOPICS]) as stream:
        assert len(stream.opened["topics"]) == MAX_TOPICS
    assert_problem(await gateway.exchange("GET", "/sse", [("x-sse-topic", ",".join(names))]), 400, str(MAX_TOPICS))
    both = await gateway.exchange("GET", f"/sse?topic={','.join(names[:60])}", [("x-sse-topic", ",".join(names[60:]))])
    assert_problem(both, 400, str(MAX_TOPICS))


async def test_the_longest_list_of_the_longest_topics_is_taken(gateway: Gateway, topic: str) -> None:
    names = [f"{topic}/{number}".ljust(255, "x") for number in range(MAX_TOPICS)]
    async with gateway.sse(*names) as by_header, gateway.sse(query=f"topic={','.join(names)}") as by_query:
        assert by_header.opened["topics"] == by_query.opened["topics"] == names
        assert (await gateway.delivered(names))["topics"] == dict.fromkeys(names, 2)
        for stream in (by_header, by_query):
            assert (await stream.next_event()).data == "data"


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        ("one", b"data: one\n"),
        ("a\nb", b"data: a\ndata: b\n"),
        ("a\rb", b"data: a\ndata: b\n"),
        ("a\r\nb", b"data: a\ndata: b\n"),
        ("a\n\nb\n", b"data: a\ndata: \ndata: b\ndata: \n"),
        ("a\n\r\n\rb", b"data: a\ndata: \ndata: \ndata: b\n"),
        (" leading", b"data:  leading\n"),
        ("data: x\n\nid: forged\n: no", b"data: data: x\ndata: \ndata: id: forged\ndata: : no\n"),
        ("\ufeffÄ \u2028 日本 🎈 \x00 \x0b", "data: \ufeffÄ \u2028 日本 🎈 \x00 \x0b\n".encode()),
    ],
)
async def test_an_event_is_written_as_id_event_and_a_data_line_for_each_line(
    gateway: Gateway, topic: str, data: str, lines: bytes
) -> None:
    async with gateway.sse(topic) as stream:
        await gateway.delivered(topic, data, id="42", event="order")
        block = await stream.next_block()
        expected = b"id: 42\nevent: order\n" + lines + b"\n"
        # The space after a field's colon is optional (WHATWG HTML, 9.2.6) but where data begins with one.
        assert block.raw.replace(b"data:\n", b"data: \n") == expected


async def test_an_empty_event_is_an_event(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic) as stream:
        await gateway.delivered(topic, "")
        block = await stream.next_block()
        assert block.data == ""
        assert block.id == "1"


async def test_the_event_type_message_is_left_out(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic) as stream:
        await gateway.delivered(topic, "a")
        await gateway.delivered(topic, "b", event="message")
        for expected in ("a", "b"):
            block = await stream.next_block()
            assert block.data == expected
            assert [name for name, _ in block.fields if name] == ["id", "data"]


async def test_a_retry_is_passed_on(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic) as stream:
        for retry in (0, 86_400_000):
            await gateway.delivered(topic, "a", retry=retry)
            assert (await stream.next_block()).retry == str(retry)
        await gateway.delivered(topic, "a")
        assert (await stream.next_block()).retry is None


async def test_format_json_tells_which_topics_an_event_is_for(gateway: Gateway, new_topic: NewTopic) -> None:
    a, b = new_topic("a"), new_topic("b")
    async with gateway.sse(a, b, query="format=json") as stream:
        assert sorted(stream.opened["topics"]) == sorted([a, b])
        await gateway.delivered(a, "one\r\ntwo", id="1", event="order")
        block = await stream.next_block()
        assert block.raw.count(b"data:") == 1
        value = block.json()
        assert TIME.fullmatch(value.pop("time"))
        assert value == {"type": "event", "topics": [a], "id": "1", "event": "order", "data": "one\r\ntwo"}
        assert (block.id, block.event) == ("1", "order")
        await gateway.delivered([b, a], "", id="2")
        value = (await stream.next_event()).json()
        assert (value["topics"], value["event"], value["data"]) == ([b, a], "message", "")


@pytest.mark.parametrize("name", ["xml", "", "JSON"])
async def test_an_unknown_format_is_refused(gateway: Gateway, topic: str, name: str) -> None:
    answer = await gateway.exchange("GET", f"/sse?topic={topic}&format={name}")
    assert_problem(answer, 400, "format")


async def test_a_client_that_comes_back_begins_anew_where_there_is_no_history(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic, headers=[("last-event-id", "41")], query="last_event_id=41") as stream:
        await gateway.delivered(topic, "new")
        assert (await stream.next_event()).data == "new"


async def test_head_answers_the_headers_and_opens_nothing(gateway: Gateway, topic: str) -> None:
    async with await gateway.connect() as connection:
        answer = await connection.exchange(gateway.request("HEAD", f"/sse?topic={topic}"), "HEAD")
        assert answer.status == 200
        assert answer.headers.get("content-type").split(";")[0] == "text/event-stream"
        assert not await gateway.exists(topic)
        if not answer.closes:
            health = await connection.exchange(gateway.request("GET", "/health"))
            assert health.status == 200, "HEAD must not send a body"
    refused = await gateway.exchange("HEAD", "/sse?topic=a,,b")
    assert (refused.status, refused.body) == (400, b"")


@pytest.mark.parametrize(("path", "methods"), [("/sse", {"GET", "HEAD", "OPTIONS"}), ("/ws", {"GET", "OPTIONS"})])
async def test_options_answers_with_what_is_allowed(gateway: Gateway, path: str, methods: set[str]) -> None:
    answer = await gateway.exchange("OPTIONS", path)
    assert answer.status in {200, 204}
    assert methods <= {method.strip() for method in answer.headers.get("allow").split(",")}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PURGE"])
async def test_other_methods_are_not_allowed(gateway: Gateway, topic: str, method: str) -> None:
    answer = await gateway.exchange(method, f"/sse?topic={topic}", body=b"x")
    assert_problem(answer, 405)
    assert "GET" in answer.headers.get("allow")


@pytest.mark.http1
async def test_an_http_1_0_client_gets_the_stream_without_chunks(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic, version="1.0") as stream:
        assert "transfer-encoding" not in stream.head.headers
        await gateway.delivered(topic, "old")
        assert (await stream.next_block()).raw == b"id: 1\ndata: old\n\n"


@pytest.mark.http1
async def test_an_http_1_0_client_that_asks_to_keep_the_connection_gets_no_chunks(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic, version="1.0", headers=[("connection", "keep-alive")]) as stream:
        assert "transfer-encoding" not in stream.head.headers
        await gateway.delivered(topic, "old")
        assert (await stream.next_block()).raw == b"id: 1\ndata: old\n\n"


async def test_a_body_sent_with_the_request_does_no_harm(gateway: Gateway, topic: str) -> None:
    async with await gateway.connect() as connection:
        await connection.send(gateway.request("GET", f"/sse?topic={topic}", [], b"x" * 1000))
        head = await connection.read_head()
        assert head.status in {200, 400}
        if head.status == 200:
            stream = SseStream(connection, head)
            await stream.read_open()
            await gateway.delivered(topic)
            assert (await stream.next_event()).data == "data"


async def test_a_stream_has_no_end_of_its_own(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic) as stream:
        await gateway.delivered(topic)
        await stream.next_event()
        with pytest.raises(TimeoutError):
            raise AssertionError(await stream.next_block(within=0.3))


async def test_every_event_from_open_on_reaches_the_connection(gateway: Gateway) -> None:
    async def subscribe_and_publish(topic: str) -> None:
        async with gateway.sse(topic) as stream:
            answer = await gateway.publish(topic, topic)
            assert answer.status_code == 200, "gateway.open came before placement was visible"
            assert (await stream.next_event()).data == topic

    await asyncio.gather(*(subscribe_and_publish(unique()) for _ in range(25)))


async def test_the_stream_is_utf8_json_as_everybody_reads_it(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic, query="format=json") as stream:
        await gateway.delivered(topic, '"\\ \x1f / é 🎈 \u2028')
        block = await stream.next_block()
        assert json.loads(block.data or "")["data"] == '"\\ \x1f / é 🎈 \u2028'


async def test_the_connection_ends_with_the_client(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic) as stream:
        stream.connection.half_close()
        with pytest.raises(Ended):
            await stream.next_event(within=5)
