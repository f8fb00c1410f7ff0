"""Bad input: a clear 4xx or the end of the connection, never a 5xx, and nobody else is hurt."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from tests.conformance.subject import MAX_EVENT_BYTES, Gateway, unique
from tests.raw.http import Ended, HttpConnection, Response, parse_head, request
from tests.raw.sse import SseStream

pytestmark = pytest.mark.http1


@pytest.fixture(autouse=True)
async def bystander(gateway: Gateway) -> AsyncIterator[None]:
    """A subscriber to whom nothing of it may happen, and a gateway that answers afterwards."""
    topic = unique("bystander")
    async with gateway.sse(topic) as stream:
        yield
        await gateway.delivered(topic, "unharmed")
        assert (await stream.next_event()).data == "unharmed"
        assert (await gateway.exchange("GET", "/health")).status == 200


async def refused(connection: HttpConnection, data: bytes, *, within: float = 5) -> Response | None:
    """Send *data*: the answer, which must be a 4xx, or None when the connection was ended without one."""
    await connection.send(data)
    try:
        answer = await connection.read_response(within=within)
    except Ended:
        return None
    assert 400 <= answer.status < 500, answer
    assert b"Traceback" not in answer.body
    return answer


REQUESTS: dict[str, bytes] = {
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n",
    "random bytes": os.urandom(64) + b"\r\n\r\n",
    "no version": b"GET /health\r\n\r\n",
    "no target": b"GET HTTP/1.1\r\nhost: a\r\n\r\n",
    "version 3.0": b"GET /health HTTP/3.0\r\nhost: a\r\n\r\n",
    "version no number": b"GET /health HTTP/x.y\r\nhost: a\r\n\r\n",
    "header without colon": b"GET /health HTTP/1.1\r\nhost: a\r\nnonsense\r\n\r\n",
    "space before the colon": b"GET /health HTTP/1.1\r\nhost: a\r\nx-a : b\r\n\r\n",
    "header without a name": b"GET /health HTTP/1.1\r\nhost: a\r\n: b\r\n\r\n",
    "NUL in a header": b"GET /health HTTP/1.1\r\nhost: a\r\nx-a: b\x00c\r\n\r\n",
    "content-length no number": b"POST /publish HTTP/1.1\r\nhost: a\r\ncontent-length: abc\r\n\r\n",
    "content-length negative": b"POST /publish HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
    "content-length with a sign": b"POST /publish HTTP/1.1\r\nhost: a\r\ncontent-length: +5\r\n\r\nhello",
    "content-length with an underscore": b"POST /publish HTTP/1.1\r\nhost: a\r\ncontent-length: 1_0\r\n\r\n0123456789",
    "content-length enormous": b"POST /publish HTTP/1.1\r\nhost: a\r\ncontent-length: " + b"9" * 60 + b"\r\n\r\n",
    "two content-lengths": b"POST /publish HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
    "length and chunked": b"POST /publish HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n"
    b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "unknown transfer coding": b"POST /publish HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\nhello",
    "chunked twice": b"POST /publish HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n"
    b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_what_is_no_request_is_refused(gateway: Gateway, name: str) -> None:
    if name in {"version 3.0", "space before the colon"}:
        # Answered or refused; a server may read these kindly (RFC 9112, 2.2 and 2.3), but not fail.
        async with await gateway.connect() as connection:
            await connection.send(REQUESTS[name])
            connection.half_close()
            assert not (await connection.read_to_end()).startswith(b"HTTP/1.1 5")
        return
    async with await gateway.connect() as connection:
        await refused(connection, REQUESTS[name])


@pytest.mark.parametrize("lengths", [(b"5", b"6"), (b"5, 6",), (b"5", b"abc")], ids=repr)
async def test_two_lengths_that_differ_never_reach_a_subscriber(
    gateway: Gateway, topic: str, lengths: tuple[bytes, ...]
) -> None:
    async with gateway.sse(topic) as stream, await gateway.connect() as connection:
        fields = [("content-length", length) for length in lengths]
        answer = await refused(connection, gateway.publish_request(topic, fields) + b"hello!")
        assert answer is None or answer.closes
        await gateway.delivered(topic, "after")
        assert (await stream.next_event()).data == "after"


async def test_a_length_and_chunks_together_never_smuggle_a_request(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic) as stream, await gateway.connect() as connection:
        smuggled = gateway.publish_request(topic, body=b"smuggled")
        fields = [("content-length", str(5 + len(smuggled))), ("transfer-encoding", "chunked")]
        await connection.send(gateway.publish_request(topic, fields) + b"0\r\n\r\n" + smuggled)
        received = await until_quiet(connection)
        assert not received.startswith(b"HTTP/1.1 5")
        await gateway.delivered(topic, "after")
        datas = []
        while (event := await stream.next_event()).data != "after":
            datas.append(event.data)
        assert "smuggled" not in datas or received.count(b"HTTP/1.1 2") == 1


async def until_quiet(connection: HttpConnection) -> bytes:
    """All that comes until the connection ends or half a second brings nothing more."""
    received = bytearray()
    while True:
        try:
            async with asyncio.timeout(0.5):
                data = await connection.reader.read(65_536)
        except (TimeoutError, ConnectionError):
            return bytes(received)
        if not data:
            return bytes(received)
        received += data


@pytest.mark.parametrize(
    "chunk",
    [
        b"zz\r\nhello\r\n",
        b"-5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b"5\r\nhello!!\r\n",
        b"\r\n\r\n",
    ],
    ids=repr,
)
async def test_a_bad_chunk_ends_the_publish(gateway: Gateway, topic: str, chunk: bytes) -> None:
    async with gateway.sse(topic) as stream, await gateway.connect() as connection:
        head = gateway.publish_request(topic, [("transfer-encoding", "chunked")])
        await refused(connection, head + chunk + b"0\r\n\r\n")
        await gateway.delivered(topic, "after")
        assert (await stream.next_event()).data == "after", "half a body was delivered"


async def test_an_enormous_chunk_is_read_no_further_than_the_limit(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic) as stream, await gateway.connect() as connection:
        head = gateway.publish_request(topic, [("transfer-encoding", "chunked")])
        await refused(connection, head + b"f" * 15 + b"\r\n" + b"x" * (MAX_EVENT_BYTES + 1))
        await gateway.delivered(topic, "after")
        assert (await stream.next_event()).data == "after"


async def test_a_body_that_breaks_off_is_not_delivered(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic) as stream:
        for headers, part in (
            ([("content-length", "100")], b"half"),
            ([("transfer-encoding", "chunked")], b"4\r\nhalf\r\n"),
            ([("transfer-encoding", "chunked")], b"64\r\nhalf"),
        ):
            async with await gateway.connect() as connection:
                await connection.send(gateway.publish_request(topic, headers) + part)
            async with await gateway.connect() as connection:
                await connection.send(gateway.publish_request(topic, headers) + part)
                connection.half_close()
                assert not (await connection.read_to_end(within=15)).startswith(b"HTTP/1.1 5")
        await gateway.delivered(topic, "after")
        assert (await stream.next_event()).data == "after"


@pytest.mark.parametrize("shape", ["one value", "many fields", "one name", "the target"])
async def test_a_megabyte_of_headers_is_refused(gateway: Gateway, shape: str) -> None:
    million = b"a" * 1_000_000
    data = {
        "one value": b"GET /health HTTP/1.1\r\nhost: a\r\nx-a: " + million + b"\r\n\r\n",
        "many fields": b"GET /health HTTP/1.1\r\nhost: a\r\n" + b"x-a: aaaaaaaaaaaa\r\n" * 50_000 + b"\r\n",
        "one name": b"GET /health HTTP/1.1\r\nhost: a\r\n" + million + b": a\r\n\r\n",
        "the target": b"GET /health?" + million + b" HTTP/1.1\r\nhost: a\r\n\r\n",
    }[shape]
    async with await gateway.connect() as connection:
        await refused(connection, data)


async def test_a_header_section_without_end_is_cut_off(gateway: Gateway) -> None:
    async with await gateway.connect() as connection:
        await connection.send(b"GET /health HTTP/1.1\r\nhost: a\r\nx-a: ")
        reading = asyncio.ensure_future(connection.read_to_end(within=15))
        for _ in range(64):
            if reading.done():
                break
            await connection.send(b"a" * 65_536, within=15)
        answer = await reading
        assert not answer or 400 <= parse_head(answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n").status < 500


@pytest.mark.parametrize("path", ["/sse", "/ws", "/publish", "/api/v1/topics", "/health", "/nothing"])
@pytest.mark.parametrize(
    "query", [b"\xff\xfe", b"topic=%FF", b"topic=%", b"topic=%zz", b"%00=%00", b"&&=&;="], ids=repr
)
async def test_a_query_that_is_not_utf8_is_never_a_5xx(gateway: Gateway, path: str, query: bytes) -> None:
    async with await gateway.connect() as connection:
        target = f"{path}?{query.decode('latin-1')}"
        try:
            await connection.send(gateway.request("GET", target))
            head = await connection.read_head()
        except Ended:
            return
        assert head.status < 500, head


@pytest.mark.parametrize(
    "target",
    ["/%00", "/%FF", "/%2e%2e/%2e%2e/etc/passwd", "/../../etc/passwd", "//sse", "/sse/../publish", "*", "sse", "/\xe9"],
)
async def test_a_strange_target_is_never_a_5xx(gateway: Gateway, target: str) -> None:
    async with await gateway.connect() as connection:
        await refused(connection, gateway.request("GET", target))


@pytest.mark.parametrize("host", [b"", b"a b", b"\xff", b"a" * 5000, b"evil.example:99999999", b"[::1"], ids=repr)
async def test_a_strange_host_is_never_a_5xx(gateway: Gateway, host: bytes) -> None:
    for path in ("/health", "/api/v1/topics", "/nothing"):
        async with await gateway.connect() as connection:
            await connection.send(request("GET", path, [("host", host), ("authorization", f"Bearer {gateway.key}")]))
            try:
                assert (await connection.read_response()).status < 500
            except Ended:
                continue


async def test_a_target_in_absolute_form_is_read(gateway: Gateway) -> None:
    # RFC 9112, 3.2.2: "a server MUST accept the absolute-form in requests".
    async with await gateway.connect() as connection:
        target = f"http://{gateway.host}{gateway.prefix}/health"
        answer = await connection.exchange(request("GET", target, [("host", gateway.host)]))
        assert answer.status == 200


@pytest.mark.parametrize("path", ["/publish", "/sse", "/ws", "/health", "/api/v1/topics", "/nothing", "*"])
@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PRI", "X" * 300, "G\x7fT", "É"])
async def test_a_strange_method_is_a_4xx(gateway: Gateway, method: str, path: str) -> None:
    async with await gateway.connect() as connection:
        await refused(connection, gateway.request(method, path))


async def test_a_request_without_a_host_is_never_a_5xx(gateway: Gateway) -> None:
    async with await gateway.connect() as connection:
        answer = await connection.exchange(b"GET /health HTTP/1.1\r\n\r\n")
        assert answer.status in {200, 400}


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-99", "text/xml", "multipart/form-data; boundary=x", "\xff"]
)
async def test_a_strange_content_type_at_the_json_api_is_a_4xx_or_read_as_json(
    gateway: Gateway, topic: str, content_type: str
) -> None:
    fields = [("authorization", f"Bearer {gateway.key}"), ("content-type", content_type)]
    for body in (b'{"topics":["%s"],"id":"1","data":"x"}' % topic.encode(), b"--x\r\n\r\n", b"\xff"):
        answer = await gateway.exchange("POST", "/api/v1/publish", fields, body)
        assert answer.status == 204 or 400 <= answer.status < 500, answer


async def test_bytes_pipelined_behind_a_subscription_do_no_harm(gateway: Gateway, topic: str) -> None:
    async with await gateway.connect() as connection:
        await connection.send(
            gateway.request("GET", f"/sse?topic={topic}") + gateway.request("GET", "/health") + os.urandom(1000)
        )
        head = await connection.read_head()
        assert head.status in {200, 400}
        if head.status == 200:
            stream = SseStream(connection, head)
            try:
                await stream.read_open()
                await gateway.publish(topic, "still")
                assert (await stream.next_event()).data == "still"
            except Ended:
                pass


async def test_half_a_request_and_then_nothing_leaves_others_alone(gateway: Gateway, topic: str) -> None:
    held = [await gateway.connect() for _ in range(50)]
    try:
        for connection in held:
            await connection.send(gateway.publish_request(topic, [("content-length", "10")])[:-30])
        async with gateway.sse(topic) as stream:
            await gateway.delivered(topic, "in time")
            assert (await stream.next_event(within=2)).data == "in time"
    finally:
        for connection in held:
            connection.reset()
            await connection.close()
