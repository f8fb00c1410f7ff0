"""A client that asks and asks, and never reads an answer."""

from __future__ import annotations

import asyncio
import time

from tests.faults.conftest import Start
from tests.faults.subject import MIB
from tests.raw.http import HttpConnection

FLOOD_BYTES = 32 * MIB
STUCK_SECONDS = 1.0


async def test_requests_without_end_cost_neither_memory_nor_time_of_others(start: Start) -> None:
    gateway = await start()
    assert (await gateway.http.get("/health")).status_code == 200
    before = gateway.rss
    request = gateway.publish_request("nobody-listens", body=b"x", key="wrong") * 500
    async with await HttpConnection.open(gateway.url, receive_buffer=4096) as connection:
        sent = 0
        try:
            while sent < FLOOD_BYTES:
                connection.writer.write(request)
                async with asyncio.timeout(STUCK_SECONDS):
                    await connection.writer.drain()
                sent += len(request)
        except (TimeoutError, ConnectionError):
            # It stopped reading, or closed. It may also take all and throw it away.
            pass
        begun = time.monotonic()
        assert (await gateway.http.get("/health")).status_code == 200
        assert time.monotonic() - begun < 1
        assert gateway.rss - before < 8 * MIB
        connection.writer.transport.abort()
