"""Heartbeats that come until they are stopped."""

import asyncio

from gateway_project.older.heartbeat import Heartbeat
from tests.unit.topics.scripted import Client

BEAT = b"event: heartbeat\ndata: {}\n\n"


async def test_heartbeats_come_until_they_are_stopped() -> None:
    client = Client(["a"]).open()
    heartbeat = Heartbeat(client.connection, 0.001, lambda: BEAT)
    async with asyncio.timeout(5):
        while bytes(client.writer.received).count(BEAT) < 3:
            await asyncio.sleep(0.001)
    heartbeat.stop()
    count = bytes(client.writer.received).count(BEAT)
    await asyncio.sleep(0.02)
    assert bytes(client.writer.received).count(BEAT) == count


async def test_a_connection_that_has_ended_is_told_nothing_more() -> None:
    client = Client(["a"]).open()
    heartbeat = Heartbeat(client.connection, 0.001, lambda: BEAT)
    client.connection.gone()
    await asyncio.sleep(0.01)
    heartbeat.stop()
    assert BEAT not in bytes(client.writer.received)
