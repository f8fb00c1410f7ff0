"""Clients that come and go, most of them badly, leave nothing behind (contract §4.5)."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable

import pytest

from tests.conformance.subject import Gateway, unique
from tests.faults.conftest import Start
from tests.faults.subject import MIB
from tests.raw.http import Ended, HttpConnection
from tests.raw.sse import SseStream
from tests.raw.websocket import CLOSE, TEXT, RawWebSocket, upgrade

AT_ONCE = 50
RSS_SHARE = 1.10
SECONDS = 60.0
"""For one client; only a gateway that hangs needs so long."""

Visit = Callable[[Gateway, HttpConnection], Awaitable[None]]


async def subscribes(gateway: Gateway, connection: HttpConnection) -> None:
    await _sse(gateway, connection, unique("churn"))


async def subscribes_to_a_shared_topic(gateway: Gateway, connection: HttpConnection) -> None:
    await _sse(gateway, connection, "churn/shared")


async def subscribes_and_sends_more(gateway: Gateway, connection: HttpConnection) -> None:
    await _sse(gateway, connection, unique("churn"))
    await connection.send(gateway.request("GET", "/health") * 3)


async def opens_a_websocket(gateway: Gateway, connection: HttpConnection) -> None:
    await _websocket(gateway, connection)


async def changes_its_topics(gateway: Gateway, connection: HttpConnection) -> None:
    socket = await _websocket(gateway, connection)
    await socket.send_json({"type": "subscribe", "topics": ["churn/shared", unique("churn")]})
    assert (await socket.read_json(within=SECONDS))["type"] == "subscribed"


async def closes_its_websocket(gateway: Gateway, connection: HttpConnection) -> None:
    socket = await _websocket(gateway, connection)
    await socket.send_frame(CLOSE, b"\x03\xe8")
    await socket.read_until(CLOSE, within=SECONDS)


async def leaves_in_the_middle_of_a_frame(gateway: Gateway, connection: HttpConnection) -> None:
    socket = await _websocket(gateway, connection)
    await socket.connection.send(b"\x81\xfe\x10\x00abcd" + b"x" * 100)


async def sends_a_frame_too_large(gateway: Gateway, connection: HttpConnection) -> None:
    socket = await _websocket(gateway, connection)
    await socket.send_frame(TEXT, b"x" * 70_000)


async def leaves_in_the_middle_of_a_handshake(gateway: Gateway, connection: HttpConnection) -> None:
    await connection.send(upgrade(f"/ws?topic={unique('churn')}")[:-2])


async def does_not_wait_for_its_handshake(gateway: Gateway, connection: HttpConnection) -> None:
    await connection.send(upgrade(f"/ws?topic={unique('churn')}"))


async def does_not_wait_for_its_stream(gateway: Gateway, connection: HttpConnection) -> None:
    await connection.send(gateway.request("GET", f"/sse?topic={unique('churn')}"))


async def leaves_in_the_middle_of_its_headers(gateway: Gateway, connection: HttpConnection) -> None:
    await connection.send(b"GET /sse?topic=churn HTTP/1.1\r\nhost: a\r\nx-part")


async def says_nothing(gateway: Gateway, connection: HttpConnection) -> None:
    pass


async def leaves_in_the_middle_of_its_body(gateway: Gateway, connection: HttpConnection) -> None:
    await connection.send(gateway.publish_request("churn/held", [("content-length", "100")]) + b"half")


async def never_sends_its_body(gateway: Gateway, connection: HttpConnection) -> None:
    answer = await connection.exchange(gateway.publish_request(unique(), [("content-length", "1000")]), "POST")
    assert answer.status == 204


async def sends_a_bad_chunk(gateway: Gateway, connection: HttpConnection) -> None:
    await connection.send(gateway.publish_request("churn/held", [("transfer-encoding", "chunked")]) + b"zz\r\n")


async def sends_headers_without_end(gateway: Gateway, connection: HttpConnection) -> None:
    await connection.send(b"GET / HTTP/1.1\r\nhost: a\r\nx-a: " + b"a" * 200_000)


VISITS: tuple[Visit, ...] = (
    subscribes,
    opens_a_websocket,
    subscribes_to_a_shared_topic,
    changes_its_topics,
    does_not_wait_for_its_stream,
    does_not_wait_for_its_handshake,
    subscribes_and_sends_more,
    leaves_in_the_middle_of_a_handshake,
    closes_its_websocket,
    leaves_in_the_middle_of_its_headers,
    leaves_in_the_middle_of_a_frame,
    sends_a_frame_too_large,
    says_nothing,
    leaves_in_the_middle_of_its_body,
    never_sends_its_body,
    sends_a_bad_chunk,
    sends_headers_without_end,
)


async def _sse(gateway: Gateway, connection: HttpConnection, topic: str) -> None:
    await connection.send(gateway.request("GET", f"/sse?topic={topic}"))
    head = await connection.read_head(within=SECONDS)
    assert head.status == 200, head
    block = await SseStream(connection, head).next_block(within=SECONDS)
    assert block.event == "gateway.open"


async def _websocket(gateway: Gateway, connection: HttpConnection) -> RawWebSocket:
    await connection.send(upgrade(f"/ws?topic={unique('churn')}"))
    head = await connection.read_head(within=SECONDS)
    assert head.status == 101, head
    socket = RawWebSocket(connection)
    assert (await socket.read_json(within=SECONDS))["type"] == "open"
    return socket


async def churn(gateway: Gateway, count: int) -> None:
    """Let *count* clients come, each kind in turn, and leave: every other one resets its connection."""
    leaving = itertools.cycle((True, False))
    # 17 kinds and 2 ways to leave share no factor: each kind leaves in both ways.
    assert len(VISITS) % 2
    clients = iter(zip(range(count), itertools.cycle(VISITS), leaving, strict=False))

    async def come_and_go() -> None:
        for _, visit, reset in clients:
            async with asyncio.timeout(SECONDS), await HttpConnection.open(gateway.url) as connection:
                # Only a connection that is there can be lost in the middle of something.
                with contextlib.suppress(Ended):
                    await visit(gateway, connection)
                if reset:
                    connection.reset()

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(come_and_go())


@pytest.mark.parametrize(
    "count", [pytest.param(1_000, id="1,000"), pytest.param(10_000, id="10,000", marks=pytest.mark.slow)]
)
async def test_nothing_is_left_behind(start: Start, count: int) -> None:
    gateway = await start(heartbeat_seconds=1, header_timeout_seconds=1, body_timeout_seconds=1)
    async with gateway.sse("churn/held") as bystander:
        # What the first clients of each kind bring into being may stay: modules, buffers, threads.
        await churn(gateway, max(510, count // 10))
        await gateway.has_connections(1, within=20)
        fds, threads = gateway.fds, gateway.process.num_threads()
        rss = gateway.rss

        await churn(gateway, count)

        await gateway.has_connections(1, within=20)
        topics = await gateway.get("/topics")
        assert [topic["name"] for topic in topics["items"]] == ["churn/held"]
        metrics = await gateway.metrics()
        assert (metrics["gateway_connections"], metrics["gateway_topics"]) == (1, 1)
        assert await gateway.settles(lambda: gateway.fds, fds) <= fds
        # A bounded pool may still grow to its bound.
        assert gateway.process.num_threads() < threads + 10
        await gateway.settles(lambda: gateway.rss, rss * RSS_SHARE)
        print(f"rss {rss / MIB:.1f} MiB, then {gateway.rss / MIB:.1f} MiB; {fds} descriptors, {threads} threads")
        assert gateway.rss <= rss * RSS_SHARE, (rss / MIB, gateway.rss / MIB)

        await gateway.delivered("churn/held", "still there")
        assert (await bystander.next_event()).data == "still there"
    await gateway.is_idle()
    # The lists are the placement's; this is the node's own count.
    gateway.running.terminate()
    assert await asyncio.to_thread(gateway.running.wait) == 0
    assert gateway.running.wait_for_log("draining")["connections"] == 0
