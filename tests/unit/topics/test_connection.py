"""Closing, keep-alive and what the lists show of one connection."""

import asyncio
import string
import time
from collections.abc import Callable

import pytest

from tests.unit.topics.scripted import Client
from topics import connection as connection_module
from topics.connection import gap_payload
from topics.encoding import Batch, EncodedEvent
from topics.events import Event
from topics.outbox import OutboxLimits
from topics.placement.base import Transport
from topics.wire.sse import KEEP_ALIVE

TRANSPORTS: tuple[Transport, ...] = ("sse", "websocket")
QUIET = 3


def batch(*numbers: int) -> Batch:
    return Batch([EncodedEvent(Event(("a",), str(number), "x")) for number in numbers])


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_close_tells_why_and_ends(transport: Transport) -> None:
    client = Client(["a"], transport=transport).open()
    client.connection.deliver(batch(1))
    client.connection.close("shutdown", code=1012, retry_ms=4321)
    first, last = client.seen()
    assert (first.id, last.type) == ("1", "gateway.close")
    assert last.payload["reason"] == "shutdown"
    assert last.payload["retry"] == 4321
    assert client.writer.closed_with == ([None] if transport == "sse" else [1012])


def test_a_stream_sets_the_reconnect_time_when_it_closes() -> None:
    async def close() -> bytes:
        client = Client(["a"]).open()
        client.connection.close("shutdown", code=1012, retry_ms=4321)
        return bytes(client.writer.received)

    assert b"\nretry: 4321\nevent: gateway.close\n" in asyncio.run(close())


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_blocked_client_gets_what_waits_before_the_end(transport: Transport) -> None:
    client = Client(["a"], transport=transport).open()
    client.writer.block()
    client.connection.deliver(batch(1, 2))
    client.connection.deliver(batch(3))
    client.connection.close("shutdown", code=1012, retry_ms=1)
    client.connection.close("shutdown", code=1012, retry_ms=1)
    client.connection.deliver(batch(4))
    assert client.writer.closed_with == []
    client.writer.drain(5)
    assert client.writer.closed_with == []
    client.writer.drain()
    assert len(client.writer.closed_with) == 1
    assert [one.id or one.type for one in client.seen()] == ["1", "2", "3", "gateway.close"]


@pytest.mark.parametrize("blocked", [False, True])
async def test_nothing_follows_the_end(blocked: bool) -> None:
    client = Client(["a"]).open()
    if blocked:
        client.writer.block()
        client.connection.deliver(batch(1))
    client.connection.close("shutdown", code=1012, retry_ms=1)
    client.writer.drain()
    writes = len(client.writer.writes)
    # The server takes a moment to report the end; meanwhile the hub still knows the connection.
    client.connection.deliver(batch(2))
    client.connection.deliver(batch(3, 4))
    client.connection.tell(b"{}")
    for _ in range(2 * QUIET):
        client.connection.tick(QUIET)
    client.connection.close("closed-by-administrator", code=1000, retry_ms=1)
    assert client.writer.misused == []
    assert len(client.writer.writes) == writes
    assert len(client.writer.closed_with) == 1


async def test_a_connection_closed_before_it_was_opened_says_so_when_it_opens() -> None:
    client = Client(["a"])
    client.connection.deliver(batch(1))
    client.connection.close("shutdown", code=1012, retry_ms=1)
    assert (client.writer.writes, client.writer.closed_with) == ([], [])
    client.open()
    assert [one.id or one.type for one in client.seen()] == ["1", "gateway.close"]
    assert client.writer.closed_with == [None]


async def test_a_client_that_does_not_take_the_end_is_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "CLOSE_SECONDS", 0.02)
    client = Client(["a"]).open()
    client.writer.block()
    client.connection.deliver(batch(1))
    client.connection.close("shutdown", code=1012, retry_ms=1)
    await until(lambda: client.writer.aborted)
    assert client.writer.closed_with == []


def test_silence_brings_a_keep_alive_and_any_write_puts_it_off() -> None:
    client = Client(["a"]).open()

    def keep_alives() -> int:
        return client.writer.writes.count(KEEP_ALIVE)

    for _ in range(QUIET - 1):
        client.connection.tick(QUIET)
    assert keep_alives() == 0
    client.connection.tick(QUIET)
    assert keep_alives() == 1
    client.connection.tick(QUIET)
    client.connection.deliver(batch(1))
    for _ in range(QUIET - 1):
        client.connection.tick(QUIET)
    assert keep_alives() == 1
    client.connection.tick(QUIET)
    assert keep_alives() == 2
    for _ in range(2 * QUIET):
        client.connection.tick(QUIET)
    assert keep_alives() == 4


def test_who_is_blocked_or_not_open_or_a_websocket_gets_no_keep_alive() -> None:
    blocked, waiting, socket = Client(["a"]).open(), Client(["a"]), Client(["a"], transport="websocket").open()
    blocked.writer.block()
    blocked.connection.deliver(batch(1))
    for client in (blocked, waiting, socket):
        for _ in range(5 * QUIET):
            client.connection.tick(QUIET)
        assert KEEP_ALIVE not in client.writer.writes
    blocked.writer.drain()
    assert [one.id for one in blocked.seen()] == ["1"]


def test_the_lists_show_what_was_sent_and_what_waits() -> None:
    client = Client(["a"], limits=OutboxLimits(2, 1 << 20, "drop-oldest")).open()
    client.connection.deliver(batch(1, 2))
    client.writer.block()
    for number in range(3, 8):
        client.connection.deliver(batch(number))
    record = client.connection.record("node-1")
    # 3 is with the server, 4 and 5 were dropped, 6 and 7 wait.
    assert (record.sent, record.pending, record.node) == (3, 2, "node-1")
    assert record.pending_bytes == client.connection.pending_bytes > 0
    assert record.behind_since is not None
    assert record.since <= record.behind_since <= time.time()
    assert (record.client, record.user_agent, record.transport) == ("192.0.2.1", "unit test", "sse")
    assert record.topics == ("a",)


def test_ids_are_unguessable_and_safe_in_a_path() -> None:
    made = {Client(["a"]).connection.id for _ in range(100)}
    assert len(made) == 100
    assert all(len(one) >= 22 and set(one) <= set(string.ascii_letters + string.digits + "-_") for one in made)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_gap_of_unknown_size_says_null(transport: Transport) -> None:
    assert b'"missed":null' in gap_payload(transport, "a", None, "history-gone")
