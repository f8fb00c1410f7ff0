"""Clients that take their time or send too much: a clear 4xx or the end of the connection, and nothing kept."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.conformance.subject import assert_problem, unique
from tests.faults.conftest import Start
from tests.faults.subject import MIB, Subject
from tests.raw.http import Ended, HttpConnection, parse_head
from tests.raw.websocket import CLOSE, CONTINUATION, PING, TEXT, RawWebSocket, encode, upgrade

TIMEOUT_SECONDS = 0.6
MARGIN_SECONDS = 2.0
"""How late a timer may be on a busy machine."""


async def trickle(connection: HttpConnection, data: bytes) -> tuple[float, bytes]:
    """Send *data* a byte every 50 ms, again and again: when the gateway ended it, and what it said."""
    begun = time.monotonic()
    reading = asyncio.ensure_future(connection.read_to_end(within=20))
    position = 0
    while not reading.done():
        await connection.send(data[position % len(data) :][:1])
        position += 1
        await asyncio.wait([reading], timeout=0.05)
    return time.monotonic() - begun, await reading


def assert_told(received: bytes, *statuses: int) -> None:
    """An answer is allowed to be missing, but not to be another one."""
    if received:
        assert parse_head(received.partition(b"\r\n\r\n")[0] + b"\r\n\r\n").status in statuses, received


async def test_slow_requests_are_cut_off_at_their_time(start: Start) -> None:
    gateway = await start(header_timeout_seconds=TIMEOUT_SECONDS, body_timeout_seconds=TIMEOUT_SECONDS)
    topic = unique("slow")

    async def slow_headers() -> None:
        async with await gateway.connect() as connection:
            await connection.send(b"GET /health HTTP/1.1\r\nhost: a\r\nx-slow: ")
            seconds, received = await trickle(connection, b"a")
            assert_told(received, 408)
            assert TIMEOUT_SECONDS - 0.1 < seconds < TIMEOUT_SECONDS + MARGIN_SECONDS, seconds

    async def slow_headers_of_a_second_request() -> None:
        async with await gateway.connect() as connection:
            assert (await connection.exchange(gateway.request("GET", "/health"))).status == 200
            seconds, received = await trickle(connection, b"GET /health HTTP/1.1\r\nx-a: " + b"a" * 1000)
            assert_told(received, 408)
            assert TIMEOUT_SECONDS - 0.1 < seconds < TIMEOUT_SECONDS + MARGIN_SECONDS, seconds

    async def slow_body(path: str, headers: list[tuple[str, str]]) -> None:
        async with await gateway.connect() as connection:
            begun = time.monotonic()
            fields = [("authorization", f"Bearer {gateway.key}"), *headers]
            await connection.send(gateway.request("POST", path, fields) + b"4")
            answer = await connection.read_response("POST", within=20)
            seconds = time.monotonic() - begun
            assert_problem(answer, 408)
            assert answer.closes, "what comes late could be taken for the next request"
            assert TIMEOUT_SECONDS - 0.1 < seconds < TIMEOUT_SECONDS + MARGIN_SECONDS, seconds
            # What is still missing of the body must not be taken for a request.
            await connection.send(b"x" * 49 + gateway.request("GET", "/health"))
            assert await connection.read_to_end(within=15) == b""

    event = [("x-sse-topic", topic), ("x-sse-id", "1")]
    json = [("content-type", "application/json"), ("content-length", "50")]
    async with gateway.sse(topic) as stream:
        async with asyncio.TaskGroup() as group:
            group.create_task(slow_headers())
            group.create_task(slow_headers_of_a_second_request())
            group.create_task(slow_body("/publish", [*event, ("content-length", "50")]))
            group.create_task(slow_body("/publish", [*event, ("transfer-encoding", "chunked")]))
            group.create_task(slow_body("/api/v1/publish", json))
        await gateway.delivered(topic, "unharmed")
        assert (await stream.next_event()).data == "unharmed"


async def test_large_headers_and_bad_chunks_are_refused_and_forgotten(start: Start) -> None:
    gateway = await start()
    topic = unique("held")
    requests = {
        b"GET /health HTTP/1.1\r\nhost: a\r\nx-a: " + b"a" * 1_000_000 + b"\r\n\r\n": {400, 431},
        b"GET /health HTTP/1.1\r\nhost: a\r\n" + b"x-a: aaaaaaaaaaaa\r\n" * 50_000 + b"\r\n": {400, 431},
        b"GET /health?" + b"a" * 1_000_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n": {400, 414, 431},
        gateway.publish_request(topic, [("transfer-encoding", "chunked")]) + b"zz\r\nhello\r\n0\r\n\r\n": {400},
        gateway.publish_request(topic, [("transfer-encoding", "chunked")]) + b"f" * 20 + b"\r\n": {400, 413},
    }

    async def send_all() -> None:
        for request, statuses in requests.items():
            async with await gateway.connect() as connection:
                await connection.send(request, within=15)
                try:
                    answer = await connection.read_response(within=15)
                except Ended:
                    continue
                assert_problem(answer, answer.status)
                assert answer.status in statuses, (request[:60], answer)

    async with gateway.sse(topic) as stream:
        await send_all()
        fds, rss = gateway.fds, gateway.rss
        for _ in range(20):
            await send_all()
        assert await gateway.settles(lambda: gateway.fds, fds) <= fds
        assert gateway.rss - rss < 16 * MIB, (rss / MIB, gateway.rss / MIB)
        await gateway.delivered(topic, "unharmed")
        assert (await stream.next_event()).data == "unharmed"


async def code_of_end(ws: RawWebSocket) -> int:
    """The code that the gateway closes with."""
    return (await ws.read_until(CLOSE, within=10)).code


async def test_websocket_messages_over_the_limit_close_with_1009(start: Start) -> None:
    gateway = await start()

    async def websocket() -> RawWebSocket:
        ws = await RawWebSocket.open(gateway.url, "/ws?topic=frames")
        assert (await ws.read_json())["type"] == "open"
        return ws

    async with await websocket() as ws:
        await ws.send_frame(TEXT, b"x" * 65_537)
        assert await code_of_end(ws) == 1009
    async with await websocket() as ws:
        for number in range(3):
            await ws.send_frame(CONTINUATION if number else TEXT, b"x" * 30_000, final=False)
        assert await code_of_end(ws) == 1009
    async with await websocket() as ws:
        # A header alone that announces 2^62 bytes: nothing may be set aside for them.
        rss = gateway.rss
        await ws.connection.send(b"\x81\xff\x40\x00\x00\x00\x00\x00\x00\x00abcd")
        assert await code_of_end(ws) == 1009
        assert gateway.rss - rss < 8 * MIB
    async with await websocket() as ws:
        # The largest that is allowed: no command, but no offence against the protocol either.
        await ws.send_frame(TEXT, b"x" * 65_536)
        assert (await ws.read_json())["type"] == "error"
        await ws.send_json({"type": "ping"})
        assert await ws.read_json() == {"type": "pong"}
    await gateway.is_idle()


@pytest.mark.slow
@pytest.mark.parametrize("flood", ["pings", "commands", "requests"])
async def test_a_client_that_sends_and_never_reads_does_not_grow_the_gateway(start: Start, flood: str) -> None:
    gateway = await start()
    async with gateway.sse("bystander") as bystander:
        await gateway.delivered("bystander", "warm")
        await bystander.next_event()
        rss = gateway.rss
        async with await HttpConnection.open(gateway.url, receive_buffer=4096) as connection:
            piece = await flood_of(gateway, connection, flood)
            sent = 0
            # Until the gateway stops reading, or 16 MiB of it have been taken and thrown away.
            while sent < 16 * MIB and not connection.reader.at_eof() and connection.reader.exception() is None:
                try:
                    await connection.send(piece, within=1)
                except TimeoutError:
                    break
                sent += len(piece)
            assert gateway.rss - rss < 24 * MIB, (sent, (gateway.rss - rss) / MIB)
            await gateway.delivered("bystander", "unharmed")
            assert (await bystander.next_event()).data == "unharmed"


async def flood_of(gateway: Subject, connection: HttpConnection, kind: str) -> bytes:
    """Open what *kind* needs, and return 64 kB or so that ask for answers."""
    if kind == "requests":
        return gateway.request("GET", "/health") * 1500
    await connection.send(upgrade("/ws?topic=flood"))
    assert (await connection.read_head()).status == 101
    if kind == "pings":
        return encode(PING, b"p" * 100) * 600
    return encode(TEXT, b'{"type":"ping"}') * 3000
