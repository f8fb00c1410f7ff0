"""uvicorn as a process: signals, its log, unknown versions."""

import asyncio
import signal
import time

import pytest

from tests.raw.http import HttpConnection, request
from tests.raw.websocket import CLOSE, TEXT, RawWebSocket, upgrade
from tests.unit.gateway_project.servers.uvicorn_child import Child
from tests.unit.gateway_project.servers.uvicorn_steering import (
    HELLO,
    MIB,
    open_stream,
    until,
    write,
)


def stopped(child: Child, within: float = 10) -> int:
    return child.process.wait(timeout=within)


class TestProcess:
    async def test_the_first_signal_drains_while_connections_are_accepted(self) -> None:
        child = Child({"DRAIN_SECONDS": "0.5"})
        try:
            stream, body = await open_stream(child, "a")
            websocket = await RawWebSocket.open(child.url, "/ws/b")
            await until(child, "b", "known")
            idle = await HttpConnection.open(child.url)
            child.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(5):
                assert child.process.stderr is not None
                while "draining" not in await asyncio.to_thread(child.process.stderr.readline):
                    pass
            async with await HttpConnection.open(child.url) as late:
                assert (await late.exchange(HELLO)).status == 200
            assert await body.read() == b""
            assert (await websocket.read_until(CLOSE)).code == 1012
            await idle.read_to_end()
            assert await asyncio.to_thread(stopped, child, 5) == 0
            with pytest.raises(ConnectionError):
                await HttpConnection.open(child.url)
            for connection in (stream, websocket.connection, idle):
                await connection.close()
        finally:
            child.stop()

    async def test_peers_that_do_nothing_do_not_delay_the_end(self) -> None:
        child = Child()
        try:
            stuck, _ = await open_stream(child, "a", receive_buffer=4096)
            await write(child, "a", b"x" * (8 * MIB))
            held = await HttpConnection.open(child.url)
            await held.send(request("GET", "/hold"))
            started = time.monotonic()
            child.process.send_signal(signal.SIGINT)
            assert await asyncio.to_thread(stopped, child, 5) == 0
            assert time.monotonic() - started < 4
            await stuck.close()
            await held.close()
        finally:
            child.stop()

    async def test_the_second_signal_ends_at_once(self) -> None:
        child = Child({"DRAIN_SECONDS": "60"})
        try:
            child.process.send_signal(signal.SIGTERM)
            assert child.process.stderr is not None
            while "draining" not in await asyncio.to_thread(child.process.stderr.readline):
                pass
            child.process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(stopped, child, 2) == -signal.SIGTERM
        finally:
            child.stop()

    async def test_the_log_has_neither_queries_nor_accesses(self) -> None:
        child = Child()
        async with await HttpConnection.open(child.url) as connection:
            await connection.exchange(request("GET", "/hello?token=secret"))
        async with await RawWebSocket.open(child.url, "/ws/a?token=secret") as websocket:
            await websocket.send_frame(TEXT, b"\xff")
            await websocket.read_until(CLOSE)
        async with await HttpConnection.open(child.url) as connection:
            await connection.exchange(upgrade("/deny/it?token=secret"))
        log = child.stop()
        assert "secret" not in log
        assert log.split() == ["draining"]

    def test_an_address_in_use_is_told(self) -> None:
        first = Child()
        second = Child({"PORT": str(first.port)}, listens=False)
        log = second.stop()
        first.stop()
        assert second.process.returncode == 1
        assert log.strip() == f"Cannot listen on 127.0.0.1:{first.port}: Address already in use"

    async def test_an_unknown_version_runs_as_it_is_and_says_so(self) -> None:
        child = Child({"PRETENDED_UVICORN_VERSION": "9.9.1"})
        async with await HttpConnection.open(child.url) as connection:
            assert (await connection.exchange(HELLO)).json()["path"] == "/hello"
        log = child.stop()
        assert child.process.returncode == 0
        assert log.count("uvicorn 9.9.1 is not among the versions tested") == 1
        assert "frames written straight to the socket" in log
