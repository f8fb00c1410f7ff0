"""A peer that vanished without a word is found by keep-alive, and leaves the lists (contract §4.5)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import psutil
import pytest

from tests.conformance.subject import eventually
from tests.faults.network import Host, NotAllowed, two_hosts
from tests.faults.subject import assert_clean_end
from tests.gateway import RunningGateway
from tests.raw.http import HttpConnection, request
from tests.raw.sse import SseStream
from tests.raw.websocket import PING, PONG, RawWebSocket, upgrade

HEARTBEAT_SECONDS = 1.0
BOUND_SECONDS = 3 * HEARTBEAT_SECONDS + 1
"""One heartbeat until something is sent, two that it may go unacknowledged, and what a busy machine adds."""


@pytest.fixture
def hosts() -> Iterator[tuple[Host, Host]]:
    """The gateway's host and its clients'."""
    with ExitStack() as stack:
        try:
            pair = stack.enter_context(two_hosts())
        except NotAllowed as reason:
            pytest.skip(f"not run: no network namespaces here: {reason}")
        yield pair


@pytest.fixture
async def gateway(server: str, hosts: tuple[Host, Host]) -> AsyncIterator[RunningGateway]:
    host, _ = hosts
    running = RunningGateway(server, bind=host.address, inside=host.inside, heartbeat_seconds=HEARTBEAT_SECONDS)
    await asyncio.to_thread(running.start)
    yield running
    await asyncio.to_thread(running.stop)
    assert_clean_end(running)


async def connect(host: Host, gateway: RunningGateway) -> HttpConnection:
    """A connection to the gateway from *host*."""
    parts = urlsplit(gateway.url)
    sock = await asyncio.to_thread(host.connect, (str(parts.hostname), int(parts.port or 0)))
    return HttpConnection(*await asyncio.open_connection(sock=sock))


async def sample(host: Host, gateway: RunningGateway) -> tuple[float, float]:
    """Connections and topics in the metrics, asked for from *host*."""
    async with await connect(host, gateway) as connection:
        answer = await connection.exchange(
            request("GET", "/metrics", [("authorization", f"Bearer {gateway.key}"), ("connection", "close")])
        )
        assert answer.status == 200
        samples = [line.rpartition(" ") for line in answer.body.decode().splitlines()]
        return tuple(  # type: ignore[return-value]
            sum(float(value) for name, _, value in samples if name.partition("{")[0] == wanted)
            for wanted in ("gateway_connections", "gateway_topics")
        )


@pytest.mark.parametrize(
    "vanish",
    [
        pytest.param(Host.fall_silent, id="fall_silent"),
        pytest.param(Host.pull_cable, id="pull_cable", marks=pytest.mark.slow),
    ],
)
async def test_a_peer_that_vanished_is_found(
    gateway: RunningGateway, hosts: tuple[Host, Host], vanish: Callable[[Host], None]
) -> None:
    here, there = hosts
    process = psutil.Process(gateway.pid)
    async with await connect(here, gateway) as stays:
        await stays.send(request("GET", "/sse?topic=stays"))
        near = SseStream(stays, await stays.read_head())
        await near.read_open()
        fds = process.num_fds()

        async with await connect(there, gateway) as first, await connect(there, gateway) as second:
            await first.send(request("GET", "/sse?topic=vanishes"))
            far = SseStream(first, await first.read_head())
            await far.read_open()
            await second.send(upgrade("/ws?topic=vanishes"))
            assert (await second.read_head()).status == 101
            ws = RawWebSocket(second)
            assert (await ws.read_json())["type"] == "open"
            assert await sample(here, gateway) == (3, 2)
            # Both live: what follows is no start that went wrong.
            assert (await far.next_block(within=3)).raw.startswith(b":")
            await ws.send_frame(PONG, (await ws.read_until(PING, within=3)).payload)

            await asyncio.to_thread(vanish, there)
            begun = time.monotonic()

            async def gone() -> bool:
                return await sample(here, gateway) == (1, 1)

            await eventually(gone, within=4 * BOUND_SECONDS, pause=0.05)
            took = time.monotonic() - begun
            print(f"found after {took:.2f} s")
            assert took < BOUND_SECONDS

        async def closed() -> bool:
            return process.num_fds() <= fds

        await eventually(closed)
        # The one that is there is still there.
        assert (await near.next_block(within=3)).raw.startswith(b":")
