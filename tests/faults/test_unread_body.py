"""A publish whose body nobody will read is answered from its headers, at once (contract §3)."""

from __future__ import annotations

import asyncio
import http.client
import io
import socket
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import httpx
import pytest
import requests

from tests.conformance.subject import assert_problem, unique
from tests.faults.subject import MIB, Subject, assert_clean_end, client_of
from tests.gateway import RunningGateway
from tests.raw.http import Response

BOUND_SECONDS = 0.05
ROUNDS = 9
EXPECT = ("expect", "100-continue")


@pytest.fixture(scope="module")
def running(server: str) -> Iterator[RunningGateway]:
    gateway = RunningGateway(server).start()
    yield gateway
    assert_clean_end(gateway)


@pytest.fixture
async def gateway(running: RunningGateway) -> AsyncIterator[Subject]:
    async with client_of(running) as subject:
        yield subject


async def answer(gateway: Subject, head: bytes) -> tuple[float, Response]:
    """Send only *head* on a connection of its own: the seconds until the answer was there, and the answer."""
    async with await gateway.connect() as connection:
        begun = time.perf_counter()
        await connection.send(head)
        response = await connection.read_response("POST")
        return time.perf_counter() - begun, response


CASES = {
    "dropped": (MIB, True, 204),
    "too large": (100 * MIB, True, 413),
    "wrong key": (MIB, False, 401),
    "wrong key, too large": (100 * MIB, False, 401),
}


@pytest.mark.parametrize("more", [[], [EXPECT]], ids=["", "expect"])
@pytest.mark.parametrize("case", CASES)
async def test_the_answer_does_not_wait_for_the_body(gateway: Subject, case: str, more: list[tuple[str, str]]) -> None:
    size, right, status = CASES[case]
    topic = unique()
    took = []
    for number in range(ROUNDS + 1):
        head = gateway.publish_request(
            topic, [("content-length", str(size)), *more], key=None if right else "wrong", id=f"id-{number}"
        )
        seconds, response = await answer(gateway, head)
        # A 100 would be read here: the body must not be asked for.
        assert response.status == status, response
        if status == 204:
            assert response.headers.get("x-sse-dropped") == "no-subscribers"
        else:
            assert_problem(response, status)
        took.append(seconds)
    if status == 204:
        last = {"topics": [topic], "id": f"id-{ROUNDS}"}
        gateway.running.wait_for_log("publish dropped", matching=lambda entry: last.items() <= entry.items())
        logged = [entry["id"] for entry in gateway.running.logs if entry.get("topics") == [topic]]
        assert logged == [f"id-{number}" for number in range(ROUNDS + 1)]
    assert statistics.median(took[1:]) < BOUND_SECONDS, took


def read(body: Path) -> bytes:
    return body.read_bytes()


Send = Callable[[str, dict[str, str], Path], Awaitable[int]]


async def by_http_client(url: str, headers: dict[str, str], body: Path) -> int:
    def send() -> int:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
        try:
            connection.request("POST", "/publish", body.read_bytes(), headers)
            return connection.getresponse().status
        finally:
            connection.close()

    return await asyncio.to_thread(send)


async def by_requests(url: str, headers: dict[str, str], body: Path) -> int:
    def send() -> int:
        with requests.Session() as session:
            session.trust_env = False
            return session.post(f"{url}/publish", data=body.read_bytes(), headers=headers, timeout=20).status_code

    return await asyncio.to_thread(send)


async def by_httpx(url: str, headers: dict[str, str], body: Path) -> int:
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        return (await client.post(f"{url}/publish", content=read(body), headers=headers)).status_code


async def by_aiohttp(url: str, headers: dict[str, str], body: Path) -> int:
    opened: list[socket.socket] = []

    def connect(address: tuple[int, int, int, str, Any]) -> socket.socket:
        opened.append(socket.socket(*address[:3]))
        return opened[-1]

    async with (
        aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(20), connector=aiohttp.TCPConnector(socket_factory=connect)
        ) as session,
        session.post(f"{url}/publish", data=io.BytesIO(read(body)), headers=headers) as response,
    ):
        await response.read()
    # It does not wait for what it had written of the body: the loop would end before the connection has.
    async with asyncio.timeout(20):
        while any(sock.fileno() >= 0 for sock in opened):
            await asyncio.sleep(0.01)
    return response.status


async def by_curl(url: str, headers: dict[str, str], body: Path) -> int:
    command = ["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "20", "--output", "/dev/null"]
    command += ["--write-out", "%{http_code}", "--data-binary", f"@{body}", f"{url}/publish"]
    for name, value in headers.items():
        command += ["--header", f"{name}: {value}"]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, error = await process.communicate()
    assert process.returncode == 0, (process.returncode, out, error)
    return int(out)


async def by_curl_at_once(url: str, headers: dict[str, str], body: Path) -> int:
    """Without curl's ``expect: 100-continue``, for which it waits a second with a large body."""
    return await by_curl(url, {**headers, "expect": ""}, body)


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("bodies")
    files = {}
    for size in (MIB, 100 * MIB):
        files[size] = folder / str(size)
        with files[size].open("wb") as file:
            file.truncate(size)
    return files


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    "send",
    [by_http_client, by_requests, by_httpx, by_aiohttp, by_curl, by_curl_at_once],
    ids=lambda send: send.__name__,
)
async def test_a_client_that_sends_its_body_sees_the_answer(
    gateway: Subject, bodies: dict[int, Path], send: Send, case: str
) -> None:
    size, right, status = CASES[case]
    headers = {
        "authorization": f"Bearer {gateway.key if right else 'wrong'}",
        "x-sse-topic": unique(),
        "x-sse-id": "1",
        "content-type": "text/plain",
    }
    assert await send(gateway.url, headers, bodies[size]) == status


async def test_bodies_that_nobody_reads_take_no_memory(gateway: Subject, bodies: dict[int, Path]) -> None:
    headers = {"authorization": f"Bearer {gateway.key}", "x-sse-topic": unique(), "x-sse-id": "1"}
    await by_http_client(gateway.url, headers, bodies[100 * MIB])
    fds, rss = gateway.fds, gateway.rss
    for _ in range(3):
        assert await by_http_client(gateway.url, headers, bodies[100 * MIB]) == 413
        assert await by_http_client(gateway.url, headers, bodies[MIB]) == 204
    assert gateway.rss - rss < 8 * MIB
    assert await gateway.settles(lambda: gateway.fds, fds) <= fds
