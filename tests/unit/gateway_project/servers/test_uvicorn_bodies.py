"""Request bodies under uvicorn: not read, read, and broken off."""

import asyncio
import hashlib
import http.client
import io
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.raw.http import HttpConnection, chunked, request
from tests.unit.gateway_project.servers.uvicorn_child import Child
from tests.unit.gateway_project.servers.uvicorn_steering import (
    HELLO,
    MIB,
    control,
    ended,
    pour,
    problem,
)


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    running = Child()
    yield running
    running.stop()


class TestUnreadBody:
    async def test_answered_at_once_and_kept_in_step(self, child: Child) -> None:
        async with await HttpConnection.open(child.url) as connection:
            head = request("POST", "/unread/204", [("content-length", str(MIB))])
            answer = await connection.exchange(head, "POST", within=0.5)
            assert answer.status == 204
            assert not answer.closes
            await connection.send(b"x" * MIB + HELLO)
            assert (await connection.read_response()).json()["path"] == "/hello"

    async def test_stalling_behind_the_answer_closes(self, child: Child) -> None:
        async with await HttpConnection.open(child.url) as connection:
            await connection.exchange(request("POST", "/unread/204", [("content-length", "1000")]), "POST")
            await connection.send(b"x" * 10)
            assert await connection.read_to_end(within=3) == b""

    @pytest.mark.parametrize(
        "headers",
        [
            [("content-length", str(MIB + 1))],
            [("content-length", str(100 * MIB))],
            [("content-length", "5"), ("expect", "100-continue")],
            [("transfer-encoding", "chunked")],
        ],
    )
    async def test_too_long_unknown_or_awaited_closes(self, child: Child, headers: list[tuple[str, str]]) -> None:
        async with await HttpConnection.open(child.url) as connection:
            answer = await connection.exchange(request("POST", "/unread/413", headers), "POST", within=0.5)
            assert answer.status == 413
            assert answer.closes
            assert await connection.read_to_end(within=0.2) == b""  # the writing side is shut at once

    async def test_a_body_that_was_too_slow_closes(self, child: Child) -> None:
        async with await HttpConnection.open(child.url) as connection:
            answer = await connection.exchange(
                request("POST", "/unread/408", [("content-length", "10")]), "POST", within=0.5
            )
            assert answer.closes

    async def test_a_sender_without_end_is_cut_off(self, child: Child) -> None:
        async with await HttpConnection.open(child.url) as connection:
            await connection.exchange(request("POST", "/unread/413", [("content-length", str(1 << 40))]), "POST")
            with pytest.raises(ConnectionError):
                await pour(connection, b"x" * 1000)

    @pytest.mark.parametrize("status", [204, 413])
    def test_http_client_sees_the_answer(self, child: Child, status: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", child.port, timeout=10)
        connection.request("POST", f"/unread/{status}", body=b"x" * (100 * MIB))
        assert connection.getresponse().status == status
        connection.close()

    @pytest.mark.parametrize("status", [204, 413])
    def test_requests_sees_the_answer(self, child: Child, status: int) -> None:
        requests = pytest.importorskip("requests")
        assert requests.post(f"{child.url}/unread/{status}", data=b"x" * (100 * MIB)).status_code == status

    @pytest.mark.parametrize("status", [204, 413])
    def test_httpx_sees_the_answer(self, child: Child, status: int) -> None:
        httpx = pytest.importorskip("httpx")
        assert httpx.post(f"{child.url}/unread/{status}", content=b"x" * (100 * MIB)).status_code == status

    @pytest.mark.parametrize("status", [204, 413])
    async def test_aiohttp_sees_the_answer(self, child: Child, status: int) -> None:
        aiohttp = pytest.importorskip("aiohttp")
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{child.url}/unread/{status}", data=io.BytesIO(b"x" * (100 * MIB))) as answer,
        ):
            assert answer.status == status

    @pytest.mark.parametrize("status", [204, 413])
    @pytest.mark.parametrize("expect", ["expect: 100-continue", "expect:"])
    def test_curl_sees_the_answer(self, child: Child, status: int, expect: str) -> None:
        curl = shutil.which("curl")
        if curl is None:
            pytest.skip("curl is not installed")
        command = [curl, "-sS", "-o", "-", "-w", "%{http_code}", "-H", expect, "--data-binary", "@-"]
        done = subprocess.run(
            [*command, f"{child.url}/unread/{status}"], input=b"x" * (100 * MIB), capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith(str(status).encode())


def chunked_request(target: str, body: bytes) -> bytes:
    return request("POST", target, [("transfer-encoding", "chunked")]) + chunked(body)


class TestReadBody:
    @pytest.mark.parametrize("size", [0, 1, 65_536, 3 * MIB])
    async def test_whole(self, child: Child, size: int) -> None:
        body = bytes(range(256)) * (size // 256 + 1)
        body = body[:size]
        async with await HttpConnection.open(child.url) as connection:
            for data in (request("POST", "/read/a", body=body), chunked_request("/read/a", body)):
                answer = await connection.exchange(data, "POST", within=10)
                assert answer.json() == [size, hashlib.sha256(body).hexdigest()]

    async def test_continue_is_sent_when_the_application_reads(self, child: Child) -> None:
        async with await HttpConnection.open(child.url) as connection:
            headers = [("content-length", "3"), ("expect", "100-continue")]
            await connection.send(request("POST", "/read/a", headers))
            assert (await connection.read_head()).status == 100
            assert (await connection.exchange(b"abc", "POST")).json()[0] == 3
            assert (await connection.exchange(HELLO)).status == 200

    async def test_http_1_0_gets_no_continue(self, child: Child) -> None:
        async with await HttpConnection.open(child.url) as connection:
            headers = [("content-length", "3"), ("expect", "100-continue")]
            await connection.send(request("POST", "/read/a", headers, version="1.0"))
            with pytest.raises(TimeoutError):
                await connection.read_head(within=0.3)
            assert (await connection.exchange(b"abc", "POST")).json()[0] == 3

    async def test_an_application_that_never_reads_stops_the_sender(self, child: Child) -> None:
        before = (await control(child, "-"))["memory"]
        async with await HttpConnection.open(child.url) as connection:
            connection.writer.write(request("POST", "/hold", [("content-length", str(100 * MIB))]))
            connection.writer.write(b"x" * (99 * MIB))
            sent = connection.writer.transport
            assert isinstance(sent, asyncio.Transport)
            left = -1
            async with asyncio.timeout(10):
                while left != (now := sent.get_write_buffer_size()):
                    left = now
                    await asyncio.sleep(0.3)
            assert left > 80 * MIB
            assert (await control(child, "-"))["memory"] - before < 8 * MIB
            await control(child, "-", "release")
            answer = await connection.read_response("POST")
            assert answer.closes

    @pytest.mark.parametrize("end", ["close", "half-close", "reset", "bad-chunk"])
    async def test_the_reader_learns_that_the_sender_is_gone(self, child: Child, end: str) -> None:
        async with await HttpConnection.open(child.url) as connection:
            await connection.send(request("POST", f"/read/{end}", [("transfer-encoding", "chunked")]) + b"3\r\nabc\r\n")
            if end == "bad-chunk":
                problem(await connection.exchange(b"zz\r\n", "POST"), 400, "invalid-request")
            elif end == "close":
                await connection.close()
            elif end == "reset":
                connection.reset()
            else:
                connection.half_close()
            await ended(child, f"read/{end}")
