"""Contract §3: ``POST /publish`` and its table of answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conformance.subject import MAX_EVENT_BYTES, MAX_TOPICS, VISIBLE, Gateway, assert_problem, unique
from tests.raw.http import chunked

NewTopic = Callable[[str], str]


async def test_a_delivered_event_is_counted_for_each_topic(gateway: Gateway, new_topic: NewTopic) -> None:
    a, b, nobody = (new_topic(name) for name in ("a", "b", "nobody"))
    async with gateway.sse(a, b), gateway.websocket(a):
        response = await gateway.publish([a, b, nobody], id="7")
        assert response.status_code == 200
        assert response.headers["content-type"].split(";")[0] == "application/json"
        answer = response.json()
        assert answer.keys() == {"id", "subscribers", "topics"}
        assert (answer["id"], answer["subscribers"]) == ("7", 3)
        assert answer["topics"].get(nobody, 0) == 0
        assert (answer["topics"][a], answer["topics"][b]) == (2, 1)


async def test_an_event_for_nobody_is_dropped(gateway: Gateway, topic: str) -> None:
    async with await gateway.connect() as connection:
        answer = await connection.exchange(gateway.publish_request(topic, body=b"data"), "POST")
        assert answer.status == 204
        assert answer.headers.get("x-sse-dropped") == "no-subscribers"
        assert answer.headers.get("content-length", "0") == "0"
        assert "transfer-encoding" not in answer.headers


async def test_a_dropped_event_is_never_delivered_later(gateway: Gateway, topic: str) -> None:
    assert (await gateway.publish(topic, "lost")).status_code == 204
    async with gateway.sse(topic) as stream:
        await gateway.delivered(topic, "first")
        assert (await stream.next_event()).data == "first"


async def test_the_key_may_be_in_x_api_key(gateway: Gateway, topic: str) -> None:
    fields = [("x-sse-topic", topic), ("x-sse-id", "1")]
    assert (await gateway.exchange("POST", "/publish", [*fields, ("x-api-key", gateway.key)], b"")).status == 204
    assert_problem(await gateway.exchange("POST", "/publish", [*fields, ("x-api-key", "wrong")], b""), 401)


@pytest.mark.parametrize(
    "credentials",
    [
        [],
        [("authorization", "")],
        [("authorization", "Bearer")],
        [("authorization", "Bearer ")],
        [("authorization", "Bearer wrong")],
        [("authorization", "Basic d3Jvbmc6d3Jvbmc=")],
        [("authorization", b"Bearer \xff\xfe")],
        [("x-api-key", "")],
        [("x-api-key", b"\xe9")],
    ],
    ids=repr,
)
async def test_a_missing_or_wrong_key_is_401_whatever_else_is_wrong(
    gateway: Gateway, topic: str, credentials: list[tuple[str, str | bytes]]
) -> None:
    good: list[tuple[str, str | bytes]] = [("x-sse-topic", topic), ("x-sse-id", "1")]
    bad: list[tuple[str, str | bytes]] = [("x-sse-event", "gateway.open"), ("x-sse-retry", "soon")]
    async with gateway.sse(topic):
        answers = [
            await gateway.exchange("POST", "/publish", [*credentials, *fields], b"\xff")
            for fields in (good, [("x-sse-topic", unique()), ("x-sse-id", "1")], [], bad)
        ]
        for answer in answers:
            assert_problem(answer, 401)
            assert answer.headers.get("www-authenticate").startswith("Bearer")
        assert len({answer.body for answer in answers}) == 1, "a 401 tells which topics exist or what else is wrong"


async def test_the_bearer_scheme_has_no_case(gateway: Gateway, topic: str) -> None:
    fields = [("x-sse-topic", topic), ("x-sse-id", "1"), ("authorization", f"bearer {gateway.key}")]
    assert (await gateway.exchange("POST", "/publish", fields, b"")).status == 204


async def test_part_of_the_key_is_a_wrong_key(gateway: Gateway, topic: str) -> None:
    for wrong in (gateway.key[:-1], gateway.key + "x", gateway.key.swapcase()):
        answer = await gateway.exchange("POST", "/publish", [("x-sse-topic", topic), ("x-api-key", wrong)], b"")
        assert_problem(answer, 401)


@pytest.mark.parametrize("missing", ["x-sse-topic", "x-sse-id"])
async def test_a_missing_header_is_named(gateway: Gateway, topic: str, missing: str) -> None:
    fields = {"x-sse-topic": topic, "x-sse-id": "1", "authorization": f"Bearer {gateway.key}"}
    del fields[missing]
    answer = await gateway.exchange("POST", "/publish", fields.items(), b"data")
    assert_problem(answer, 400, missing)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-sse-topic", ""),
        ("x-sse-topic", ","),
        ("x-sse-topic", "a,,b"),
        ("x-sse-topic", "a b"),
        ("x-sse-topic", "x" * 256),
        ("x-sse-topic", b"\xe9"),
        ("x-sse-topic", ",".join(f"t{number}" for number in range(MAX_TOPICS + 1))),
        ("x-sse-id", ""),
        ("x-sse-id", "a,b"),
        ("x-sse-id", "a b"),
        ("x-sse-id", "x" * 256),
        ("x-sse-id", "é".encode()),
        ("x-sse-event", "a b"),
        ("x-sse-event", "a,b"),
        ("x-sse-event", "x" * 256),
        ("x-sse-event", b"\xff"),
        ("x-sse-event", "gateway.open"),
        ("x-sse-event", "gateway."),
        ("x-sse-event", "gateway.anything"),
        ("x-sse-retry", "-1"),
        ("x-sse-retry", "86400001"),
        ("x-sse-retry", "1.5"),
        ("x-sse-retry", "1e3"),
        ("x-sse-retry", "soon"),
        ("x-sse-retry", "0x10"),
        ("x-sse-retry", "1_000"),
        ("x-sse-retry", "9" * 5000),
        ("x-sse-retry", b"\xb2"),
    ],
    ids=lambda value: repr(value)[:24],
)
@pytest.mark.parametrize("exists", [True, False], ids=["topic exists", "no such topic"])
async def test_a_malformed_header_is_named(
    gateway: Gateway, topic: str, header: str, value: str | bytes, *, exists: bool
) -> None:
    fields: dict[str, str | bytes] = {"x-sse-topic": topic, "x-sse-id": "1", header: value}
    fields["authorization"] = f"Bearer {gateway.key}"
    if not exists:
        assert_problem(await gateway.exchange("POST", "/publish", fields.items(), b"data"), 400, header)
        return
    async with gateway.sse(topic) as stream:
        assert_problem(await gateway.exchange("POST", "/publish", fields.items(), b"data"), 400, header)
        await gateway.delivered(topic, "after")
        assert (await stream.next_event()).data == "after", "a refused event was delivered"


@pytest.mark.http1
@pytest.mark.parametrize("header", ["x-sse-topic", "x-sse-id", "x-sse-event"])
@pytest.mark.parametrize("other", [b"\x00", b"\r", b"\n", b"\x01", b"\x7f"], ids=repr)
async def test_control_characters_in_a_header_are_refused(
    gateway: Gateway, topic: str, header: str, other: bytes
) -> None:
    fields: dict[str, str | bytes] = {"x-sse-topic": topic, "x-sse-id": "1", header: b"a" + other + b"b"}
    fields["authorization"] = f"Bearer {gateway.key}"
    async with gateway.sse(topic) as stream:
        assert (await gateway.exchange("POST", "/publish", fields.items(), b"data")).status == 400
        await gateway.delivered(topic, "after")
        assert (await stream.next_event()).data == "after"


async def test_an_id_has_at_most_255_characters_and_any_that_a_topic_may_have(gateway: Gateway, topic: str) -> None:
    longest = (VISIBLE * 3)[:255]
    async with gateway.sse(topic) as stream:
        await gateway.delivered(topic, id=longest, event=longest)
        event = await stream.next_event()
        assert (event.id, event.event) == (longest, longest)


async def test_an_event_type_that_only_looks_like_a_reserved_one_is_fine(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic) as stream:
        for kind in ("gateway", "gateways.open", "Gateway.open", "my.gateway.open"):
            await gateway.delivered(topic, event=kind)
            assert (await stream.next_event()).event == kind


async def test_topics_in_two_header_lines_are_one_list(gateway: Gateway, new_topic: NewTopic) -> None:
    a, b = new_topic("a"), new_topic("b")
    async with gateway.sse(a) as first, gateway.sse(b) as second:
        answer = await gateway.exchange("POST", "/publish", [*two_topics(gateway, a, b)], b"both")
        assert answer.status == 200
        assert answer.json()["topics"] == {a: 1, b: 1}
        assert (await first.next_event()).data == (await second.next_event()).data == "both"


def two_topics(gateway: Gateway, a: str, b: str) -> list[tuple[str, str]]:
    return [("x-sse-topic", a), ("authorization", f"Bearer {gateway.key}"), ("x-sse-topic", b), ("x-sse-id", "1")]


async def test_two_ids_are_refused(gateway: Gateway, topic: str) -> None:
    answer = await gateway.exchange("POST", "/publish", [*two_topics(gateway, topic, topic), ("x-sse-id", "2")], b"")
    assert_problem(answer, 400, "x-sse-id")


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "PURGE"])
async def test_the_method_is_decided_before_the_key(gateway: Gateway, topic: str, method: str) -> None:
    for fields in ([], [("authorization", f"Bearer {gateway.key}"), ("x-sse-topic", topic), ("x-sse-id", "1")]):
        answer = await gateway.exchange(method, "/publish", fields, b"data")
        assert_problem(answer, 405)
        assert "POST" in answer.headers.get("allow")


async def test_head_is_not_allowed_and_has_no_body(gateway: Gateway) -> None:
    answer = await gateway.exchange("HEAD", "/publish")
    assert (answer.status, answer.body) == (405, b"")
    assert "POST" in answer.headers.get("allow")


async def test_headers_are_decided_before_size_and_size_before_placement(gateway: Gateway, topic: str) -> None:
    size = ("content-length", str(MAX_EVENT_BYTES + 1))
    async with await gateway.connect() as connection:
        bad_id = gateway.publish_request(topic, [size], id="a b")
        assert_problem(await connection.exchange(bad_id, "POST"), 400, "x-sse-id")
    async with await gateway.connect() as connection:
        assert_problem(await connection.exchange(gateway.publish_request(topic, [size]), "POST"), 413)
    async with gateway.sse(topic), await gateway.connect() as connection:
        assert_problem(await connection.exchange(gateway.publish_request(topic, [size]), "POST"), 413)


async def test_an_event_may_have_one_mib_and_no_byte_more(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic) as stream:
        assert (await gateway.publish(topic, b"x" * MAX_EVENT_BYTES)).status_code == 200
        assert len((await stream.next_event()).data or "") == MAX_EVENT_BYTES
        assert_problem(await gateway.publish(topic, b"x" * (MAX_EVENT_BYTES + 1)), 413)
        await gateway.delivered(topic, "after")
        assert (await stream.next_event()).data == "after"


async def test_a_chunked_body_is_read_and_limited(gateway: Gateway, topic: str) -> None:
    coding = [("transfer-encoding", "chunked")]
    async with gateway.sse(topic) as stream, await gateway.connect() as connection:
        head = gateway.publish_request(topic, coding)
        answer = await connection.exchange(head + chunked(b"in ", b"pieces"), "POST")
        assert answer.status == 200
        assert (await stream.next_event()).data == "in pieces"
        answer = await connection.exchange(head + chunked(*[b"x" * (MAX_EVENT_BYTES // 16)] * 16), "POST")
        assert answer.status == 200
        assert len((await stream.next_event()).data or "") == MAX_EVENT_BYTES
        answer = await connection.exchange(head + chunked(b"x" * MAX_EVENT_BYTES, b"x"), "POST")
        assert_problem(answer, 413)
        await gateway.delivered(topic, "after")
        assert (await stream.next_event()).data == "after"


async def test_a_chunked_body_over_the_limit_is_refused_before_it_ends(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic), await gateway.connect() as connection:
        await connection.send(gateway.publish_request(topic, [("transfer-encoding", "chunked")]))
        size = MAX_EVENT_BYTES + 1
        await connection.send(b"%x\r\n" % size + b"x" * size + b"\r\n")
        assert_problem(await connection.read_response("POST"), 413)


async def test_an_empty_body_and_no_body_are_empty_data(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic) as stream:
        for headers in ([("content-length", "0")], [("transfer-encoding", "chunked")], []):
            async with await gateway.connect() as connection:
                ending = b"0\r\n\r\n" if headers and headers[0][0] == "transfer-encoding" else b""
                answer = await connection.exchange(gateway.publish_request(topic, headers) + ending, "POST")
                assert answer.status == 200, (headers, answer)
                assert (await stream.next_event()).data == ""


@pytest.mark.parametrize("body", [b"\xff", b"ok \xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80"], ids=repr)
async def test_a_body_that_is_not_utf8_is_refused(gateway: Gateway, topic: str, body: bytes) -> None:
    async with gateway.sse(topic) as stream:
        assert_problem(await gateway.publish(topic, body), 400, "UTF-8")
        await gateway.delivered(topic, "after")
        assert (await stream.next_event()).data == "after"


async def test_nobody_looks_at_the_body_of_an_event_for_nobody(gateway: Gateway, topic: str) -> None:
    assert (await gateway.publish(topic, b"\xff")).status_code == 204


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain; charset=iso-8859-1",
        "image/png",
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\x80",
        "multipart/form-data; boundary=right",
        "not a content type at all",
    ],
)
async def test_any_content_type_is_delivered_as_it_is(gateway: Gateway, topic: str, content_type: str | None) -> None:
    body = '--wrong\r\nContent-Disposition: form-data; name="é\r\n\r\n%zz&a=b+c'.encode()
    headers = [] if content_type is None else [("content-type", content_type)]
    async with gateway.websocket(topic) as socket, await gateway.connect() as connection:
        answer = await connection.exchange(gateway.publish_request(topic, headers, body), "POST")
        assert answer.status == 200, answer
        assert (await socket.receive())["data"] == body.decode()


@pytest.mark.http1
async def test_an_http_1_0_client_can_publish(gateway: Gateway, topic: str) -> None:
    fields = [("authorization", f"Bearer {gateway.key}"), ("x-sse-topic", topic), ("x-sse-id", "1")]
    async with gateway.sse(topic) as stream:
        answer = await gateway.exchange("POST", "/publish", fields, b"old", version="1.0")
        assert answer.status == 200
        assert "transfer-encoding" not in answer.headers
        assert answer.json()["subscribers"] == 1
        assert (await stream.next_event()).data == "old"
    dropped = await gateway.exchange("POST", "/publish", [("x-sse-topic", unique()), *fields[::2]], b"", version="1.0")
    assert dropped.status == 204


async def test_an_answer_may_be_followed_by_the_next_request(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic) as stream, await gateway.connect() as connection:
        for number in range(20):
            answer = await connection.exchange(gateway.publish_request(topic, body=str(number).encode()), "POST")
            assert answer.status == 200
        assert [event.data for event in await stream.events(20)] == [str(number) for number in range(20)]


@pytest.mark.http1
async def test_pipelined_publishes_are_answered_and_delivered_in_order(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic) as stream, await gateway.connect() as connection:
        await connection.send(
            b"".join(gateway.publish_request(topic, body=b"%d" % number, id=f"{number}") for number in range(20))
        )
        answers = [await connection.read_response("POST") for _ in range(20)]
        assert [answer.json()["id"] for answer in answers] == [str(number) for number in range(20)]
        assert [event.data for event in await stream.events(20)] == [str(number) for number in range(20)]
