"""Malformed, endless and slow requests under uvicorn."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from tests.raw.http import HttpConnection, chunked, request
from tests.raw.websocket import upgrade
from tests.unit.gateway_project.servers.uvicorn_child import Child
from tests.unit.gateway_project.servers.uvicorn_steering import (
    HELLO,
    MIB,
    pour,
    problem,
    until,
)


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    running = Child()
    yield running
    running.stop()


class TestHostileInput:
    @pytest.mark.parametrize(
        "data",
        [
            b"nonsense\r\n\r\n",
            b"GET / HTTP/3.7\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET /\xff\xfe HTTP/1.1\r\nhost: a\r\n\r\n",
            b"GET /?\xe9 HTTP/1.1\r\nhost: a\r\n\r\n",
            b"CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n",
            b"GET http://[ HTTP/1.1\r\nhost: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nbad header: 1\r\n\r\n",
            b"GET / HTTP/1.1\r\nhost: a\r\nx: a\x00b\r\n\r\n",
            b"GET / HTTP/1.1\r\nhost: a\r\n folded\r\n\r\n",
            b"POST /read/x HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\na",
            b"POST /read/x HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
            b"POST /read/x HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
            b"POST /read/x HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999999\r\n\r\n",
            b"POST /read/x HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            b"POST /read/x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n0\r\n\r\n",
            b"POST /read/x HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            b"POST /read/x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n",
            b"POST /read/x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
            b"POST /read/x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        ],
    )
    async def test_malformed_is_400(self, child: Child, data: bytes) -> None:
        async with await HttpConnection.open(child.url) as connection:
            answer = await connection.exchange(data)
            problem(answer, 400, "invalid-request")
            assert answer.closes
            assert await connection.read_to_end(within=1) == b""

    @pytest.mark.parametrize(
        "data",
        [
            b"nonsense\r\n\r\n",
            b"GET /\xff HTTP/1.1\r\nhost: a\r\n\r\n",
            b"GET http://[ HTTP/1.1\r\nhost: a\r\n\r\n",
        ],
    )
    async def test_behind_a_good_request(self, child: Child, data: bytes) -> None:
        async with await HttpConnection.open(child.url) as connection:
            await connection.send(request("GET", "/parts") + data)
            assert (await connection.read_response()).body == b"one two three"
            problem(await connection.read_response(), 400, "invalid-request")
            assert await connection.read_to_end(within=1) == b""

    @pytest.mark.parametrize(
        "data",
        [
            request("GET", "/hello", [("x", "a" * 65_536)]),
            request("GET", "/hello", [(f"x-{number}", "a" * 50) for number in range(1200)]),
            request("GET", "/hello?" + "a" * 65_600),
            request("GET", "/hello", [("x", "a" * MIB)]),
            b"GET /hello HTTP/1.1\r\nx: " + b"a" * 70_000,
            b"GET /" + b"a" * 70_000,
        ],
    )
    async def test_headers_over_the_limit_are_431(self, child: Child, data: bytes) -> None:
        async with await HttpConnection.open(child.url) as connection:
            answer = await connection.exchange(data, within=0.4)  # sooner than the header timeout
            problem(answer, 431, "header-too-large")

    async def test_headers_within_the_limit(self, child: Child) -> None:
        async with await HttpConnection.open(child.url) as connection:
            for data in (request("GET", "/hello", [("x", "a" * 65_400)]), request("GET", "/hello?" + "a" * 65_400)):
                assert (await connection.exchange(data)).status == 200

    async def test_headers_within_the_limit_behind_a_long_body(self, child: Child) -> None:
        async with await HttpConnection.open(child.url) as connection:
            tail = request("GET", "/hello", [("x", "a" * 60_000)])
            await connection.send(request("POST", "/read/a", body=b"x" * 200_000) + tail[:30_000])
            assert (await connection.read_response("POST")).json()[0] == 200_000
            assert (await connection.exchange(tail[30_000:])).status == 200

    @pytest.mark.parametrize(
        ("data", "answered"),
        [(b"", False), (b"GET /hello HTTP/1.1\r\nx: ", True), (HELLO + b"GET /hello HTTP/1.1\r\nx: ", True)],
    )
    async def test_slow_headers_are_408(self, child: Child, data: bytes, answered: bool) -> None:
        async with await HttpConnection.open(child.url) as connection:
            await connection.send(data)
            if data.startswith(HELLO):
                assert (await connection.read_response()).status == 200

            async def trickle() -> None:
                while True:
                    await asyncio.sleep(0.05)
                    await connection.send(b"a" if answered else b"")

            feeder = asyncio.create_task(trickle())
            started = time.monotonic()
            if answered:
                problem(await connection.read_response(within=2), 408, "timeout")
            assert await connection.read_to_end(within=3) == b""
            assert 0.3 < time.monotonic() - started < 2
            feeder.cancel()

    @pytest.mark.parametrize("endless", [b"0\r\nx: ", b"5;x=", b"0\r\n" + b"a: b\r\n" * 20_000])
    async def test_endless_trailers_and_extensions_are_cut(self, child: Child, endless: bytes) -> None:
        async with await HttpConnection.open(child.url) as connection:
            await connection.send(request("POST", "/read/endless", [("transfer-encoding", "chunked")]) + endless)
            with pytest.raises(ConnectionError):
                await pour(connection, b"a" * 10_000)

    @pytest.mark.parametrize("target", ["/hello%00", "/hello%ff%fe", "/hello/../x", "//hello", "/hello?%ff"])
    async def test_odd_targets_reach_the_application(self, child: Child, target: str) -> None:
        async with await HttpConnection.open(child.url) as connection:
            assert (await connection.exchange(request("GET", target))).status == 200

    async def test_options_star_and_absolute_form(self, child: Child) -> None:
        async with await HttpConnection.open(child.url) as connection:
            assert (await connection.exchange(request("OPTIONS", "*"))).json()["path"] == "*"
            assert (await connection.exchange(request("GET", "http://a/b?c"))).json()["path"] == "/b"
            assert (await connection.exchange(request("GET", "http://a"))).json()["path"] == "/"

    async def test_trailers_are_no_headers(self, child: Child) -> None:
        async with await HttpConnection.open(child.url) as connection:
            body = chunked(b"abc")[:-2] + b"x-sse-topic: a\r\n\r\n"
            data = request("POST", "/hello", [("transfer-encoding", "chunked")]) + body
            seen = (await connection.exchange(data, "POST")).json()
            assert seen["headers"] == ["host", "transfer-encoding"]

    @pytest.mark.parametrize("offered", ["h2c", "foo", "h2c, websocket"])
    async def test_an_upgrade_to_something_else_is_ignored(self, child: Child, offered: str) -> None:
        async with await HttpConnection.open(child.url) as connection:
            headers = [("connection", "Upgrade, HTTP2-Settings"), ("upgrade", offered), ("http2-settings", "")]
            answer = await connection.exchange(request("POST", "/read/a", headers, b"abc") + HELLO, "POST")
            assert answer.json()[0] == 3
            assert (await connection.read_response()).json()["path"] == "/hello"

    async def test_noise_leaves_nothing(self, child: Child) -> None:
        settled = (await until(child, "-", "tasks", 2))["tasks"]
        for number in range(200):
            connection = await HttpConnection.open(child.url)
            await connection.send(
                [b"GET /stream/n", HELLO, request("GET", f"/stream/n{number}"), upgrade("/ws/n")][number % 4]
            )
            if number % 3:
                connection.reset()
            await connection.close()
        await until(child, "-", "tasks", settled)
