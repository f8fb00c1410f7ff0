"""SIGTERM: every client is told when to come back, and the process is gone in time (contract §4.6)."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from typing import Any

import pytest

from tests.conformance.subject import assert_problem, eventually, unique
from tests.faults.conftest import Start
from tests.faults.crowd import allow_descriptors
from tests.faults.stuck import StuckSubscriber
from tests.faults.subject import Subject
from tests.raw.http import Ended, HttpConnection
from tests.raw.sse import SseStream
from tests.raw.websocket import CLOSE, TEXT, RawWebSocket, upgrade

GRACE_SECONDS = 10.0
CLIENTS = 1_000
RETRY_MS = 3_000


async def sse_farewell(stream: SseStream) -> dict[str, Any]:
    """What an SSE client reads from now to the stream's orderly end."""
    block = await stream.next_event(within=GRACE_SECONDS)
    assert block.event == "gateway.close", block
    assert block.id is None
    close: dict[str, Any] = block.json()
    assert block.retry == str(close["retry"])
    with pytest.raises(Ended):
        raise AssertionError(await stream.next_block(within=GRACE_SECONDS))
    assert stream.body.complete, "the stream broke off"
    return close


async def websocket_farewell(ws: RawWebSocket) -> dict[str, Any]:
    """What a WebSocket client reads from now to the end."""
    frame = await ws.read_until(TEXT, within=GRACE_SECONDS)
    close: dict[str, Any] = json.loads(frame.payload)
    assert close.pop("type") == "close", close
    frame = await ws.read_frame(within=GRACE_SECONDS)
    assert frame.opcode == CLOSE, frame
    assert frame.code == 1012
    await ws.send_frame(CLOSE, frame.payload)
    assert await ws.connection.read_to_end(within=GRACE_SECONDS) == b""
    return close


async def open_sse(gateway: Subject, number: int) -> SseStream:
    stream = await SseStream.open(gateway.url, f"/sse?topic=drain/{number % 10}")
    await stream.read_open()
    return stream


async def open_websocket(gateway: Subject, number: int) -> RawWebSocket:
    ws = await RawWebSocket.open(gateway.url, f"/ws?topic=drain/{number % 10}")
    assert (await ws.read_json())["type"] == "open"
    return ws


async def test_every_client_is_told_and_the_process_ends(start: Start) -> None:
    allow_descriptors(CLIENTS)
    gateway = await start(retry_ms=RETRY_MS)
    streams: list[SseStream] = []
    sockets: list[RawWebSocket] = []
    for number in range(0, CLIENTS, 100):
        half = range(number, number + 50)
        streams += await asyncio.gather(*(open_sse(gateway, each) for each in half))
        sockets += await asyncio.gather(*(open_websocket(gateway, each) for each in half))
    await gateway.has_connections(CLIENTS)
    # None of these may hold the process up.
    others = [await gateway.connect() for _ in range(4)]
    await others[1].exchange(gateway.request("GET", "/health"))
    await others[2].send(b"GET /health HTTP/1.1\r\nhost: a\r\nx-part")
    await others[3].send(gateway.publish_request("drain/1", [("content-length", "100")]) + b"half")

    begun = time.monotonic()
    gateway.running.terminate()
    told = await asyncio.gather(*map(sse_farewell, streams), *map(websocket_farewell, sockets))
    code = await asyncio.to_thread(gateway.running.wait, GRACE_SECONDS)
    took = time.monotonic() - begun
    print(f"ended after {took:.2f} s")

    assert code == 0
    assert took < GRACE_SECONDS
    assert {close["reason"] for close in told} == {"shutdown"}
    returns = [close["retry"] for close in told]
    assert all(0.3 * RETRY_MS <= retry <= 2 * RETRY_MS for retry in returns), (min(returns), max(returns))
    # Spread, so that the clients do not come back in one moment.
    assert max(returns) - min(returns) > RETRY_MS / 2
    assert len(set(returns)) > CLIENTS / 4
    for client in [*(each.connection for each in streams), *(each.connection for each in sockets), *others]:
        await client.close()


async def test_a_draining_node_says_so(start: Start) -> None:
    gateway = await start(slow_reader="drop-oldest")
    topic = unique("held")
    async with (
        await StuckSubscriber.open(gateway, topic, "sse", receive_buffer=4096),
        await gateway.connect() as keeps_open,
        await gateway.connect() as subscribes,
        await gateway.connect() as publisher,
    ):
        await gateway.has_connections(1, topic)
        for connection in (keeps_open, subscribes):
            assert (await connection.exchange(gateway.request("GET", "/ready"))).status == 200

        async def waits() -> bool:
            request = gateway.publish_request(topic, body=b"x" * 200_000)
            assert (await publisher.exchange(request, "POST")).status == 200
            return bool((await gateway.get("/connections", topic=topic))["items"][0]["pending"])

        # What it does not read holds the drain up, so that the node can be asked meanwhile.
        await eventually(waits, within=20)
        begun = time.monotonic()
        gateway.running.terminate()

        async def draining() -> bool:
            answer = await keeps_open.exchange(gateway.request("GET", "/ready"))
            if answer.status == 200:
                return False
            assert answer.status == 503
            assert answer.body.startswith(b"draining: ")
            return True

        await eventually(draining, within=2)
        answer = await subscribes.exchange(gateway.request("GET", "/sse?topic=late"))
        assert_problem(answer, 503)
        assert int(answer.headers.get("retry-after")) >= 1
        async with await gateway.connect() as late:
            answer = await late.exchange(upgrade("/ws?topic=late"))
            assert_problem(answer, 503)
            assert int(answer.headers.get("retry-after")) >= 1
        nodes = await gateway.get("/nodes")
        assert nodes["items"][0]["draining"] is True
        assert (await keeps_open.exchange(gateway.request("GET", "/health"))).status == 200
        # A reader that takes nothing cannot keep the process.
        assert await asyncio.to_thread(gateway.running.wait, GRACE_SECONDS) == 0
        print(f"ended after {time.monotonic() - begun:.2f} s")


async def test_what_was_accepted_before_is_delivered_before_the_end(start: Start) -> None:
    gateway = await start()
    topic = unique("last")
    async with gateway.sse(topic) as stream, gateway.websocket(topic) as socket, await gateway.connect() as publisher:
        await publisher.send(b"".join(gateway.publish_request(topic, body=b"x" * 1000, id=str(n)) for n in range(20)))
        for _ in range(20):
            assert (await publisher.read_response("POST")).status == 200
        gateway.running.terminate()
        for number in range(20):
            assert (await stream.next_event()).id == str(number)
            assert (await socket.receive())["id"] == str(number)
        assert (await stream.next_event()).event == "gateway.close"
        assert (await socket.receive())["type"] == "close"
    assert await asyncio.to_thread(gateway.running.wait, GRACE_SECONDS) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
async def test_a_node_without_clients_ends_at_once(start: Start, number: signal.Signals) -> None:
    gateway = await start()
    async with await HttpConnection.open(gateway.url) as idle:
        await idle.exchange(gateway.request("GET", "/health"))
        begun = time.monotonic()
        gateway.process.send_signal(number)
        assert await asyncio.to_thread(gateway.running.wait, GRACE_SECONDS) == 0
        assert time.monotonic() - begun < 5


async def test_a_drain_under_load(start: Start) -> None:
    gateway = await start()
    statuses: set[int] = set()
    accepted = 0

    async def publish_on() -> None:
        nonlocal accepted
        try:
            async with await gateway.connect() as connection:
                while True:
                    request = gateway.publish_request("load", body=b"x" * 500, id=f"event-{accepted}")
                    answer = await connection.exchange(request, "POST")
                    statuses.add(answer.status)
                    accepted += answer.status == 200
        except (Ended, OSError):
            # The node is gone, as it was told.
            return

    async with gateway.sse("load") as stream:
        publisher = asyncio.create_task(publish_on())
        events = await stream.events(50)
        gateway.running.terminate()
        while (event := await stream.next_event(within=GRACE_SECONDS)).event != "gateway.close":
            events.append(event)
        assert await asyncio.to_thread(gateway.running.wait, GRACE_SECONDS) == 0
        await publisher
    # A prefix of what was published, without a hole; then the client was told to come back.
    assert [event.id for event in events] == [f"event-{number}" for number in range(len(events))]
    assert 200 in statuses
    assert statuses <= {200, 204, 503}, statuses
