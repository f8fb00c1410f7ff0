"""Starting: what stops it and what it then says, and Daphne without our command."""

from __future__ import annotations

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx
import pytest

from tests.conformance.subject import assert_problem
from tests.faults.subject import MIB, client_of, wait_for_port
from tests.gateway import ROOT, RunningGateway, inherited_environment
from tests.raw.http import Ended
from tests.raw.sse import SseStream
from tests.raw.websocket import CLOSE, RawWebSocket

DAPHNE = [str(Path(sys.executable).with_name("daphne")), "-b", "127.0.0.1"]
UVICORN = [sys.executable, "-m", "uvicorn", "--host", "127.0.0.1"]
APPLICATION = "gateway_project.asgi:application"
KEY = "a-key-for-this-test"


def commands(server: str) -> list[list[str]]:
    """Every way to start the gateway under *server*."""
    serve = [sys.executable, "manage.py", "serve", "--bind", "127.0.0.1", "--port", "0", "--server", server]
    plain = [*DAPHNE, "-p", "0", APPLICATION] if server == "daphne" else [*UVICORN, "--port", "0", APPLICATION]
    return [serve, plain]


def refusal(command: list[str], **settings: str) -> str:
    """Start with *settings*: it must end by itself, with a failure; returns what it wrote."""
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env=inherited_environment() | settings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode not in {0, -signal.SIGKILL}, ended.stdout
    assert "Traceback" not in ended.stdout, "a sentence is wanted"
    return ended.stdout


@pytest.mark.parametrize("way", ["serve", "plain"])
def test_no_key(server: str, way: str) -> None:
    # Empty, not missing: then a `.env` that somebody uses for development says nothing either.
    said = refusal(commands(server)[way == "plain"], GATEWAY_API_KEYS="")
    assert "GATEWAY_API_KEYS is not set; set it to" in said


def test_settings_that_are_none(server: str) -> None:
    serve, _ = commands(server)
    settings = {
        "GATEWAY_API_KEYS": KEY,
        "GATEWAY_MAX_CONECTIONS": "5",
        "GATEWAY_OUTBOX_EVENTS": "many",
        "GATEWAY_SLOW_READER": "wait",
    }
    said = refusal(serve, **settings)
    assert "GATEWAY_MAX_CONECTIONS is not a setting of the gateway; did you mean GATEWAY_MAX_CONNECTIONS?" in said
    for name in ("GATEWAY_OUTBOX_EVENTS", "GATEWAY_SLOW_READER"):
        assert f"{name} has a wrong value" in said
    assert KEY not in said


def test_a_port_that_is_taken(server: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [port if part == "0" else part for part in commands(server)[0]]
        said = refusal(command, GATEWAY_API_KEYS=KEY)
        assert port in said
        assert "in use" in said


@contextmanager
def plain_daphne(log: IO[str]) -> Iterator[RunningGateway]:
    """Daphne as its own documentation starts it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = inherited_environment() | {
        "GATEWAY_API_KEYS": KEY,
        "GATEWAY_LOG_FORMAT": "json",
        "GATEWAY_HEARTBEAT_SECONDS": "1",
    }
    process = subprocess.Popen(
        [*DAPHNE, "-p", str(port), APPLICATION], cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
    )
    try:
        wait_for_port("127.0.0.1", port, alive=lambda: process.poll() is None)
        yield Attached(f"http://127.0.0.1:{port}", KEY, process)
    finally:
        process.kill()
        process.wait()


class Attached(RunningGateway):
    """A gateway that another command has started."""

    def __init__(self, url: str, key: str, process: subprocess.Popen[bytes]) -> None:
        super().__init__()
        self.url, self.key, self._other = url, key, process

    @property
    def pid(self) -> int:
        return self._other.pid


async def test_plain_daphne_keeps_the_promises(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("w") as file, plain_daphne(file) as running:
        async with client_of(running) as gateway:
            stream = await SseStream.open(gateway.url, "/sse?topic=plain")
            await stream.read_open()
            ws = await RawWebSocket.open(gateway.url, "/ws?topic=plain")
            assert (await ws.read_json())["type"] == "open"
            assert (await gateway.delivered("plain", "hello"))["subscribers"] == 2
            assert (await stream.next_event()).data == "hello"
            assert (await ws.read_json())["data"] == "hello"

            for size, key, status in ((MIB, KEY, 204), (100 * MIB, KEY, 413), (MIB, "wrong", 401)):
                took = []
                for _ in range(6):
                    async with await gateway.connect() as connection:
                        fields = [("content-length", str(size)), ("expect", "100-continue")]
                        begun = time.perf_counter()
                        await connection.send(gateway.publish_request("nobody", fields, key=key))
                        answer = await connection.read_response("POST")
                        took.append(time.perf_counter() - begun)
                        assert answer.status == status
                assert statistics.median(took) < 0.05, took
            async with await gateway.connect() as connection:
                answer = await connection.exchange(b"GET /health HTTP/1.1\r\nhost: a\r\nx-a: " + b"a" * 200_000)
                assert_problem(answer, 431)

            os.kill(running.pid, signal.SIGTERM)
            block = await stream.next_event(within=10)
            assert block.event == "gateway.close"
            assert block.retry
            with pytest.raises(Ended):
                raise AssertionError(await stream.next_block(within=10))
            assert (await ws.read_json(within=10))["type"] == "close"
            assert (await ws.read_until(CLOSE, within=10)).code == 1012
            await stream.close()
            await ws.connection.close()
            assert gateway.process.wait(timeout=10) == 0
    said = log.read_text()
    assert "Traceback" not in said, said
    assert KEY not in said
    assert '"publish dropped"' in said


@contextmanager
def serving(server: str, **settings: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``manage.py serve`` once it says that it listens: the process, whose log is not read on, and that line."""
    process = subprocess.Popen(
        commands(server)[0],
        cwd=ROOT,
        env=inherited_environment() | {"GATEWAY_API_KEYS": KEY} | settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        yield process, next(line for line in process.stderr if "listening" in line)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_console_log(server: str) -> None:
    with serving(server, GATEWAY_LOG_FORMAT="console") as (process, line):
        assert "http://127.0.0.1:" in line
        assert not line.startswith("{")
        # At once: whoever has read the line may take it at its word.
        process.terminate()
        assert process.wait(timeout=10) == 0


def test_a_log_that_nobody_reads_any_more(server: str) -> None:
    with serving(server, GATEWAY_LOG_FORMAT="json") as (process, line):
        assert process.stderr is not None
        process.stderr.close()
        headers = {"authorization": f"Bearer {KEY}", "x-sse-topic": "nobody", "x-sse-id": "1"}
        with httpx.Client(base_url=json.loads(line)["url"], headers=headers, trust_env=False) as http:
            for _ in range(3):
                # Each writes a line.
                assert http.post("/publish", content=b"x").status_code == 204
        process.terminate()
        assert process.wait(timeout=10) == 0
