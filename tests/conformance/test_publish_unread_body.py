"""Contract §3: the decision is taken on the headers alone, and the connection is never left out of step."""

from __future__ import annotations

import asyncio
import http.client
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest

from tests.conformance.subject import MAX_EVENT_BYTES, Gateway, assert_problem
from tests.raw.http import Ended, HttpConnection, Response, chunked

pytestmark = pytest.mark.http1

BOUND_SECONDS = 0.5
"""Generous, for a busy machine: what matters is that no body and no timer is waited for."""
EXPECT = ("expect", "100-continue")
ONE_MIB = ("content-length", str(MAX_EVENT_BYTES))
HUNDRED_MIB = ("content-length", str(100 * MAX_EVENT_BYTES))

expecting = pytest.mark.parametrize("more", [[], [EXPECT], [("Expect", "100-Continue")]], ids=["", "expect", "Expect"])


async def answer_without_body(connection: HttpConnection, head: bytes) -> Response:
    """Send only *head*; the answer must come by itself, and no 100 before it."""
    await connection.send(head)
    start = time.monotonic()
    answer = await connection.read_response("POST")
    assert time.monotonic() - start < BOUND_SECONDS
    assert answer.status != 100, "a body that nobody will read was asked for"
    return answer


async def assert_in_step(gateway: Gateway, connection: HttpConnection, answer: Response) -> None:
    """The answer to a request sent meanwhile is the next thing on the connection, or the connection is closed."""
    if answer.closes:
        assert await connection.read_to_end(within=15) == b""
        return
    following = await connection.read_response()
    assert (following.status, following.body) == (200, b"OK"), following
    again = await connection.exchange(gateway.publish_request("nobody/is/here", body=b"x"), "POST")
    assert again.status == 204


@expecting
async def test_dropped_at_once_though_the_body_never_comes(
    gateway: Gateway, topic: str, more: list[tuple[str, str]]
) -> None:
    async with await gateway.connect() as connection:
        answer = await answer_without_body(connection, gateway.publish_request(topic, [ONE_MIB, *more]))
        assert answer.status == 204
        assert answer.headers.get("x-sse-dropped") == "no-subscribers"


@expecting
async def test_too_large_at_once(gateway: Gateway, topic: str, more: list[tuple[str, str]]) -> None:
    async with await gateway.connect() as connection:
        answer = await answer_without_body(connection, gateway.publish_request(topic, [HUNDRED_MIB, *more]))
        assert_problem(answer, 413)
    async with gateway.sse(topic), await gateway.connect() as connection:
        answer = await answer_without_body(connection, gateway.publish_request(topic, [HUNDRED_MIB, *more]))
        assert_problem(answer, 413)


@expecting
@pytest.mark.parametrize("size", [ONE_MIB, HUNDRED_MIB], ids=["1 MiB", "100 MiB"])
async def test_a_wrong_key_at_once(
    gateway: Gateway, topic: str, size: tuple[str, str], more: list[tuple[str, str]]
) -> None:
    async with gateway.sse(topic), await gateway.connect() as connection:
        answer = await answer_without_body(connection, gateway.publish_request(topic, [size, *more], key="wrong"))
        assert_problem(answer, 401)


@expecting
async def test_a_bad_header_at_once(gateway: Gateway, topic: str, more: list[tuple[str, str]]) -> None:
    async with gateway.sse(topic), await gateway.connect() as connection:
        answer = await answer_without_body(connection, gateway.publish_request(topic, [ONE_MIB, *more], id="a b"))
        assert_problem(answer, 400, "x-sse-id")


@expecting
async def test_a_wrong_method_at_once(gateway: Gateway, more: list[tuple[str, str]]) -> None:
    async with await gateway.connect() as connection:
        answer = await answer_without_body(connection, gateway.request("PUT", "/publish", [ONE_MIB, *more]))
        assert_problem(answer, 405)


@expecting
async def test_a_chunked_body_that_never_comes(gateway: Gateway, topic: str, more: list[tuple[str, str]]) -> None:
    async with await gateway.connect() as connection:
        head = gateway.publish_request(topic, [("transfer-encoding", "chunked"), *more])
        assert (await answer_without_body(connection, head)).status == 204


async def test_100_continue_comes_when_the_body_will_be_read(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic) as stream, await gateway.connect() as connection:
        await connection.send(gateway.publish_request(topic, [("content-length", "5"), EXPECT]))
        assert (await connection.read_head()).status == 100
        answer = await connection.exchange(b"hello", "POST")
        assert answer.status == 200
        assert (await stream.next_event()).data == "hello"


async def test_no_100_continue_goes_to_an_http_1_0_client(gateway: Gateway, topic: str) -> None:
    # RFC 9110, 10.1.1: a server must ignore the expectation in an HTTP/1.0 request.
    fields = [("authorization", f"Bearer {gateway.key}"), ("x-sse-topic", topic), ("x-sse-id", "1"), EXPECT]
    async with gateway.sse(topic) as stream:
        answer = await gateway.exchange("POST", "/publish", fields, b"old", version="1.0")
        assert answer.status == 200
        assert (await stream.next_event()).data == "old"


async def test_a_body_that_is_to_be_read_is_waited_for(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic) as stream, await gateway.connect() as connection:
        await connection.send(gateway.publish_request(topic, [("content-length", "4")]) + b"ab")
        with pytest.raises(TimeoutError):
            raise AssertionError(await connection.read_response("POST", within=0.3))
        assert (await connection.exchange(b"cd", "POST")).status == 200
        assert (await stream.next_event()).data == "abcd"


@pytest.mark.parametrize("size", [1, 1000, 70_000, MAX_EVENT_BYTES], ids=["1", "1000", "70 kB", "1 MiB"])
@pytest.mark.parametrize("key", [None, "wrong"], ids=["dropped", "wrong key"])
async def test_the_request_after_an_unread_body_is_answered_right(
    gateway: Gateway, topic: str, size: int, key: str | None
) -> None:
    forged = gateway.request("GET", "/not-a-request-but-a-body")
    body = (forged * (size // len(forged) + 1))[:size]
    async with await gateway.connect() as connection:
        head = gateway.publish_request(topic, [("content-length", str(size))], key=key)
        answer = await answer_without_body(connection, head)
        assert answer.status == (401 if key else 204)
        await connection.send(body + gateway.request("GET", "/health"))
        await assert_in_step(gateway, connection, answer)


async def test_a_request_pipelined_behind_an_unread_body_is_answered_right(gateway: Gateway, topic: str) -> None:
    async with await gateway.connect() as connection:
        publish = gateway.publish_request(topic, body=b"x" * 100_000)
        await connection.send(publish + gateway.request("GET", "/health"))
        answer = await connection.read_response("POST")
        assert answer.status == 204
        await assert_in_step(gateway, connection, answer)


async def test_many_dropped_publishes_pipelined_are_each_answered(gateway: Gateway, topic: str) -> None:
    async with await gateway.connect() as connection:
        await connection.send(gateway.publish_request(topic, body=b"GET / HTTP/1.1\r\n\r\n") * 50)
        for _ in range(50):
            answer = await connection.read_response("POST")
            assert answer.status == 204
            if answer.closes:
                assert await connection.read_to_end() == b""
                break


async def test_an_unread_body_in_small_pieces_does_not_bring_the_connection_out_of_step(
    gateway: Gateway, topic: str
) -> None:
    async with await gateway.connect() as connection:
        answer = await answer_without_body(connection, gateway.publish_request(topic, [("content-length", "20")]))
        for _ in range(20):
            await connection.send(b"\n")
            await asyncio.sleep(0)
        await connection.send(gateway.request("GET", "/health"))
        await assert_in_step(gateway, connection, answer)


@expecting
@pytest.mark.parametrize("path", ["/sse", "/ws"])
async def test_a_wrong_method_on_a_subscription_at_once(
    gateway: Gateway, path: str, more: list[tuple[str, str]]
) -> None:
    async with await gateway.connect() as connection:
        answer = await answer_without_body(connection, gateway.request("POST", path, [ONE_MIB, *more]))
        assert_problem(answer, 405)


@pytest.mark.parametrize("path", ["/nothing", "/health", "/sse", "/ws", "/api/v1/topics", "/api/v1/nothing"])
async def test_a_body_where_none_is_wanted_does_not_bring_the_connection_out_of_step(
    gateway: Gateway, path: str
) -> None:
    async with await gateway.connect() as connection:
        credentials = [("authorization", f"Bearer {gateway.key}")]
        await connection.send(gateway.request("POST", path, credentials, b"x" * MAX_EVENT_BYTES))
        await connection.send(gateway.request("GET", "/health"))
        answer = await connection.read_response("POST")
        assert answer.status in {404, 405}
        await assert_in_step(gateway, connection, answer)


async def test_a_client_that_asks_for_the_end_gets_it_after_the_answer(gateway: Gateway, topic: str) -> None:
    async with await gateway.connect() as connection:
        head = gateway.publish_request(topic, [("connection", "close"), ("content-length", "1000")])
        assert (await answer_without_body(connection, head)).status == 204
        await connection.send(b"x" * 1000)
        assert await connection.read_to_end() == b""


async def test_a_client_that_gives_up_its_body_is_let_go(gateway: Gateway, topic: str) -> None:
    async with await gateway.connect() as connection:
        await answer_without_body(connection, gateway.publish_request(topic, [ONE_MIB]))
        connection.half_close()
        assert await connection.read_to_end(within=5) == b""


@pytest.mark.parametrize(
    "headers",
    [[HUNDRED_MIB], [("content-length", str(MAX_EVENT_BYTES + 1))], [("transfer-encoding", "chunked")]],
    ids=["100 MiB", "1 MiB and 1", "chunked"],
)
async def test_after_a_body_too_large_to_discard_the_connection_is_closed(
    gateway: Gateway, topic: str, headers: list[tuple[str, str]]
) -> None:
    async with await gateway.connect() as connection:
        answer = await answer_without_body(connection, gateway.publish_request(topic, headers))
        assert answer.status in {204, 413}
        await connection.send(gateway.request("GET", "/health"))
        if answer.closes:
            assert await connection.read_to_end(within=15) == b""
        else:
            # Kept: then what follows is still the body, and no answer may come for it.
            with pytest.raises((TimeoutError, Ended)):
                raise AssertionError(await connection.read_head(within=1))


@expecting
async def test_expect_and_the_body_all_the_same(gateway: Gateway, topic: str, more: list[tuple[str, str]]) -> None:
    async with await gateway.connect() as connection:
        answer = await answer_without_body(
            connection, gateway.publish_request(topic, [("content-length", "1000"), *more])
        )
        await connection.send(b"x" * 1000 + gateway.request("GET", "/health"))
        await assert_in_step(gateway, connection, answer)


async def test_a_chunked_body_sent_to_the_end_all_the_same(gateway: Gateway, topic: str) -> None:
    async with await gateway.connect() as connection:
        head = gateway.publish_request(topic, [("transfer-encoding", "chunked")])
        await connection.send(head + chunked(*[b"x" * 10_000] * 10) + gateway.request("GET", "/health"))
        answer = await connection.read_response("POST")
        assert answer.status == 204
        await assert_in_step(gateway, connection, answer)


@pytest.mark.parametrize(
    ("size", "status"),
    [(MAX_EVENT_BYTES, 204), (8 * MAX_EVENT_BYTES, 413)],
    ids=["dropped", "too large"],
)
async def test_clients_that_send_the_whole_body_first_see_the_answer(
    gateway: Gateway, topic: str, size: int, status: int
) -> None:
    fields = {"authorization": f"Bearer {gateway.key}", "x-sse-topic": topic, "x-sse-id": "1"}
    body = b"x" * size

    def by_http_client() -> int:
        parts = urlsplit(gateway.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.netloc, timeout=10)
        try:
            connection.request("POST", f"{gateway.prefix}/publish", body, fields)
            return connection.getresponse().status
        finally:
            connection.close()

    assert await asyncio.to_thread(by_http_client) == status
    response = await gateway.publish(topic, body)
    assert response.status_code == status
    assert (await gateway.publish(topic, b"after")).status_code == 204


async def test_a_generated_body_sees_the_answer(gateway: Gateway, topic: str) -> None:
    async def generated() -> AsyncIterator[bytes]:
        for _ in range(32):
            yield b"x" * 65_536

    response = await gateway.http.post("/publish", headers={"x-sse-topic": topic, "x-sse-id": "1"}, content=generated())
    assert response.status_code == 204
    async with httpx.AsyncClient(trust_env=False) as stranger:
        response = await stranger.post(f"{gateway.url}/publish", content=generated())
        assert response.status_code == 401
