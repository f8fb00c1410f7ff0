"""uvicorn as the gateway runs it, over real sockets to a child process."""

import asyncio
import hashlib
import http.client
import io
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.raw.http import Body, Ended, HttpConnection, Response, chunked, request
from tests.raw.websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, RawWebSocket, encode, upgrade
from tests.unit.gateway_project.servers.uvicorn_child import Child
from topics.wire.websocket import text_frame

MIB = 1 << 20
HELLO = request("GET", "/hello")


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    running = Child()
    yield running
    running.stop()


async def control(
    child: Child, name: str, do: str = "", *, data: bytes = b"", code: int | None = None
) -> dict[str, Any]:
    target = f"/control/{name}?do={do}" + ("" if code is None else f"&code={code}")
    async with await HttpConnection.open(child.url) as connection:
        state: dict[str, Any] = (await connection.exchange(request("POST", target, body=data), "POST")).json()
        return state


async def write(child: Child, name: str, data: bytes) -> bool:
    state = await control(child, name, "write", data=data)
    return bool(state["written"][-1])


async def until(child: Child, name: str, wanted: str, value: object = True, within: float = 5.0) -> dict[str, Any]:
    async with asyncio.timeout(within):
        while (state := await control(child, name)).get(wanted) != value:
            await asyncio.sleep(0.02)
        return state


async def ended(child: Child, what: str, within: float = 5.0) -> None:
    async with asyncio.timeout(within):
        while what not in (await control(child, "-"))["ended"]:
            await asyncio.sleep(0.02)


async def open_stream(child: Child, name: str, **options: Any) -> tuple[HttpConnection, Body]:
    connection = await HttpConnection.open(child.url, **options)
    await connection.send(request("GET", f"/stream/{name}"))
    body = Body(connection, await connection.read_head())
    assert await body.read() == b": open\n\n"
    await until(child, name, "known")
    return connection, body


def problem(response: Response, status: int, slug: str) -> None:
    assert response.status == status
    assert response.headers.get("content-type") == "application/problem+json"
    assert response.json()["type"] == f"/problems/{slug}"
    assert response.json()["status"] == status


async def pour(connection: HttpConnection, data: bytes) -> None:
    """Send without end, a little at a time."""
    async with asyncio.timeout(4):
        while True:
            connection.writer.write(data)
            await connection.writer.drain()
            await asyncio.sleep(0.01)


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


def chunked_request(target: str, body: bytes) -> bytes:
    return request("POST", target, [("transfer-encoding", "chunked")]) + chunked(body)


class TestStream:
    async def test_frames_arrive_as_written(self, child: Child) -> None:
        connection, body = await open_stream(child, "frames")
        async with connection:
            assert await write(child, "frames", b"5\r\none\n\n\r\n")
            assert await body.read() == b"one\n\n"
            state = await control(child, "frames")
            assert state["pending"] == 0
            assert state["framing"] == "chunked"
            assert state["options"] == [1, 2000, 1]

    async def test_close_ends_the_body(self, child: Child) -> None:
        connection, body = await open_stream(child, "closed")
        async with connection:
            await control(child, "closed", "close")
            assert await body.read() == b""
            assert body.complete
            assert await connection.read_to_end(within=0.5) == b""
            await until(child, "closed", "gone")

    async def test_abort_resets(self, child: Child) -> None:
        connection, body = await open_stream(child, "aborted")
        async with connection:
            await control(child, "aborted", "abort")
            with pytest.raises(Ended) as end:
                await body.read()
            assert end.value.reset
            await until(child, "aborted", "gone")
            await control(child, "aborted", "late")
            assert not await write(child, "aborted", b"1\r\nx\r\n")

    async def test_a_stuck_reader_is_noticed_and_drains_in_order(self, child: Child) -> None:
        connection, body = await open_stream(child, "stuck", receive_buffer=4096)
        async with connection:
            block = b"%x\r\n%b\r\n" % (8 * MIB, b"0123456789abcdef" * (MIB // 2))
            assert not await write(child, "stuck", block)
            state = await control(child, "stuck")
            assert MIB < state["pending"] < len(block)
            assert state["drains"] == 0
            received = bytearray()
            while len(received) < 8 * MIB:
                received += await body.read(within=30)
            assert received == b"0123456789abcdef" * (MIB // 2)
            state = await until(child, "stuck", "drains", 1)
            assert state["pending"] == 0
            assert await write(child, "stuck", b"1\r\nx\r\n")
            assert await body.read() == b"x"
            assert (await control(child, "stuck"))["drains"] == 1

    async def test_close_does_not_wait_for_a_stuck_reader(self, child: Child) -> None:
        connection, _ = await open_stream(child, "stuck-close", receive_buffer=4096)
        async with connection:
            await write(child, "stuck-close", b"x" * (8 * MIB))
            await control(child, "stuck-close", "close")
            await until(child, "stuck-close", "pending", 0, within=3)
            assert (await control(child, "stuck-close"))["options"] == []

    @pytest.mark.parametrize("end", ["close", "half-close", "reset"])
    @pytest.mark.parametrize("before", [b"", b"noise" * 1000, HELLO * 3])
    async def test_the_end_is_noticed(self, child: Child, end: str, before: bytes) -> None:
        name = f"end-{end}-{len(before)}"
        connection, body = await open_stream(child, name)
        async with connection:
            await connection.send(before)
            assert await write(child, name, b"1\r\nx\r\n")
            assert await body.read() == b"x"  # nothing answers the noise
            if end == "close":
                await connection.close()
            elif end == "reset":
                connection.reset()
            else:
                connection.half_close()
            await until(child, name, "gone", within=2)

    async def test_the_end_of_a_stuck_reader_is_noticed(self, child: Child) -> None:
        connection, _ = await open_stream(child, "stuck-end", receive_buffer=4096)
        await write(child, "stuck-end", b"x" * (8 * MIB))
        connection.half_close()
        await until(child, "stuck-end", "gone", within=2)
        await connection.close()

    async def test_requests_pipelined_before_the_stream_are_dropped(self, child: Child) -> None:
        async with await HttpConnection.open(child.url) as connection:
            await connection.send(request("GET", "/stream/pipelined") + HELLO * 2)
            body = Body(connection, await connection.read_head())
            assert await body.read() == b": open\n\n"
            await until(child, "pipelined", "known")
            await write(child, "pipelined", b"1\r\nx\r\n")
            assert await body.read() == b"x"
            await control(child, "pipelined", "close")
            assert await body.read() == b""
            assert await connection.read_to_end(within=0.5) == b""
            await until(child, "pipelined", "gone")

    async def test_half_closed_before_the_stream(self, child: Child) -> None:
        async with await HttpConnection.open(child.url) as connection:
            await connection.send(request("GET", "/stream/early"))
            connection.half_close()
            await connection.read_to_end(within=2)
        await until(child, "early", "gone")

    async def test_http_1_0_gets_no_chunks(self, child: Child) -> None:
        async with await HttpConnection.open(child.url) as connection:
            await connection.send(request("GET", "/stream/old", version="1.0"))
            head = await connection.read_head()
            assert "transfer-encoding" not in head.headers
            assert head.headers.get("connection") == "close"
            state = await until(child, "old", "known")
            assert state["framing"] == "identity"
            await write(child, "old", b"data: 1\n\n")
            await control(child, "old", "close")
            assert await connection.read_to_end(within=1) == b": open\n\ndata: 1\n\n"

    async def test_over_send_alone(self, child: Child) -> None:
        async with await HttpConnection.open(child.url) as connection:
            answer = await connection.exchange(request("GET", "/plain"))
            assert answer.body == b"data: 1\n\n"
            assert await connection.read_to_end(within=1) == b""


class TestAnswers:
    async def test_of_unknown_length(self, child: Child) -> None:
        async with await HttpConnection.open(child.url) as connection:
            answer = await connection.exchange(request("GET", "/parts"))
            assert answer.headers.get("transfer-encoding") == "chunked"
            assert answer.body == b"one two three"
            assert (await connection.exchange(HELLO)).status == 200

    async def test_of_unknown_length_to_http_1_0(self, child: Child) -> None:
        async with await HttpConnection.open(child.url) as connection:
            await connection.send(request("GET", "/parts", [("connection", "keep-alive")], version="1.0"))
            head = await connection.read_head()
            assert "transfer-encoding" not in head.headers
            assert await connection.read_to_end(within=1) == b"one two three"

    async def test_to_head_has_no_body(self, child: Child) -> None:
        async with await HttpConnection.open(child.url) as connection:
            for path in ("/hello", "/parts"):
                assert (await connection.exchange(request("HEAD", path), "HEAD")).status == 200
            assert (await connection.exchange(HELLO)).json()["path"] == "/hello"

    async def test_no_server_header(self, child: Child) -> None:
        async with await HttpConnection.open(child.url) as connection:
            headers = (await connection.exchange(HELLO)).headers
            assert "server" not in headers
            assert "date" in headers

    @pytest.mark.parametrize("when", ["first", "silently", "second"])
    async def test_failure_is_a_problem_without_detail(self, child: Child, when: str) -> None:
        async with await HttpConnection.open(child.url) as connection:
            answer = await connection.exchange(request("GET", f"/fail/{when}"))
            problem(answer, 500, "internal-error")
            assert b"secret" not in answer.body
            assert answer.closes

    async def test_failure_in_the_middle_cuts_off(self, child: Child) -> None:
        async with await HttpConnection.open(child.url) as connection:
            with pytest.raises(Ended):
                await connection.exchange(request("GET", "/fail/late"))

    async def test_pipelined_come_in_order(self, child: Child) -> None:
        async with await HttpConnection.open(child.url) as connection:
            await connection.send(
                request("POST", "/read/a", body=b"abc")
                + request("POST", "/unread/204", body=b"x" * 1000)
                + HELLO
                + request("GET", "/parts")
            )
            assert (await connection.read_response("POST")).json()[0] == 3
            assert (await connection.read_response("POST")).status == 204
            assert (await connection.read_response()).json()["path"] == "/hello"
            assert (await connection.read_response()).body == b"one two three"

    async def test_a_flood_of_pipelined_requests_is_cut(self, child: Child) -> None:
        async with await HttpConnection.open(child.url) as connection:
            await connection.send(request("GET", "/hold") + HELLO * 5000)
            await until(child, "-", "holding")
            await control(child, "-", "release")
            answers = (await connection.read_to_end()).count(b"HTTP/1.1 200")
            assert 1 < answers < 100

    async def test_a_half_closed_client_gets_its_answer(self, child: Child) -> None:
        async with await HttpConnection.open(child.url) as connection:
            await connection.send(request("GET", "/parts") + HELLO)
            connection.half_close()
            assert (await connection.read_response()).body == b"one two three"
            assert (await connection.read_response()).status == 200
            assert await connection.read_to_end(within=1) == b""


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

    async def test_behind_a_good_request(self, child: Child) -> None:
        async with await HttpConnection.open(child.url) as connection:
            await connection.send(request("GET", "/parts") + b"nonsense\r\n\r\n")
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


class TestWebSocket:
    async def test_echo_and_frames_as_written(self, child: Child) -> None:
        async with await RawWebSocket.open(child.url, "/ws/frames") as websocket:
            await websocket.send_frame(TEXT, b"hello")
            assert (await websocket.read_until(TEXT)).payload == b"hello"
            await until(child, "frames", "known")
            assert await write(child, "frames", text_frame(b"one") + text_frame(b"x" * 70_000))
            assert (await websocket.read_until(TEXT)).payload == b"one"
            assert (await websocket.read_until(TEXT)).payload == b"x" * 70_000
            state = await control(child, "frames")
            assert state["framing"] == "websocket"
            assert state["options"] == [1, 2000, 1]

    async def test_close_by_the_writer(self, child: Child) -> None:
        async with await RawWebSocket.open(child.url, "/ws/close") as websocket:
            await until(child, "close", "known")
            await control(child, "close", "close", code=1012)
            assert (await websocket.read_until(CLOSE)).code == 1012
            await until(child, "close", "gone")
            await websocket.send_frame(CLOSE, (1012).to_bytes(2, "big"))
            assert await websocket.connection.read_to_end(within=0.4) == b""

    async def test_a_close_that_is_not_answered_ends_all_the_same(self, child: Child) -> None:
        async with await RawWebSocket.open(child.url, "/ws/unanswered") as websocket:
            await until(child, "unanswered", "known")
            await control(child, "unanswered", "close", code=1000)
            assert (await websocket.read_until(CLOSE)).code == 1000
            assert await websocket.connection.read_to_end(within=2) == b""

    async def test_close_does_not_wait_for_a_stuck_reader(self, child: Child) -> None:
        connection = await HttpConnection.open(child.url, receive_buffer=4096)
        async with connection:
            await connection.send(upgrade("/ws/stuck"))
            await connection.read_head()
            await until(child, "stuck", "framing", "websocket")
            assert not await write(child, "stuck", text_frame(b"x" * (8 * MIB)))
            await control(child, "stuck", "close", code=1008)
            await until(child, "stuck", "options", [], within=3)

    async def test_abort_resets(self, child: Child) -> None:
        async with await RawWebSocket.open(child.url, "/ws/abort") as websocket:
            await until(child, "abort", "known")
            await control(child, "abort", "abort")
            with pytest.raises(Ended) as end:
                await websocket.read_until(CLOSE)
            assert end.value.reset
            await until(child, "abort", "gone")

    @pytest.mark.parametrize("end", ["close", "half-close", "reset"])
    async def test_the_end_is_noticed(self, child: Child, end: str) -> None:
        async with await RawWebSocket.open(child.url, f"/ws/{end}-end") as websocket:
            await until(child, f"{end}-end", "known")
            if end == "close":
                await websocket.send_frame(CLOSE, (1001).to_bytes(2, "big"))
                assert (await websocket.read_until(CLOSE)).code == 1001
                await ended(child, "ws/close-end/1001")
            elif end == "reset":
                websocket.connection.reset()
            else:
                websocket.connection.half_close()
            await until(child, f"{end}-end", "gone", within=2)

    @pytest.mark.parametrize(
        ("frames", "code"),
        [
            (encode(TEXT, b"x" * 65_537), 1009),
            (encode(TEXT, b"x" * 10 * MIB), 1009),
            (encode(TEXT, b"x" * 40_000, final=False) + encode(CONTINUATION, b"x" * 40_000), 1009),
            (encode(TEXT, b"\xff"), 1007),
            (encode(TEXT, b"a", masked=False), 1002),
            (encode(TEXT, b"a", reserved=4), 1002),
            (encode(3, b"a"), 1002),
            (encode(CONTINUATION, b"a"), 1002),
            (encode(PING, b"x" * 126), 1002),
            (encode(CLOSE, b"\x03"), 1002),
        ],
    )
    async def test_what_breaks_the_protocol_is_told(self, child: Child, frames: bytes, code: int) -> None:
        async with await RawWebSocket.open(child.url, "/ws/broken") as websocket:
            await websocket.send_frame(TEXT, b"before")
            assert (await websocket.read_frame()).payload == b"before"
            await websocket.connection.send(encode(TEXT, b"last") + frames + encode(TEXT, b"after"))
            assert (await websocket.read_until(CLOSE)).code == code
            assert await websocket.connection.read_to_end(within=1) == b""
        await ended(child, f"ws/broken/{code}")

    async def test_the_largest_message(self, child: Child) -> None:
        async with await RawWebSocket.open(child.url, "/ws/largest") as websocket:
            await websocket.send_frame(TEXT, b"x" * 65_536)
            assert len((await websocket.read_until(TEXT)).payload) == 65_536
            await websocket.send_frame(BINARY, b"x")
            assert (await websocket.read_until(TEXT)).payload == b"binary"

    async def test_fragments(self, child: Child) -> None:
        async with await RawWebSocket.open(child.url, "/ws/fragments") as websocket:
            await websocket.send_frame(TEXT, b"\xc3", final=False)
            await websocket.send_frame(PING, b"between")
            for _ in range(1000):
                await websocket.send_frame(CONTINUATION, b"", final=False)
            await websocket.send_frame(CONTINUATION, b"\xa9")
            assert (await websocket.read_until(PONG)).payload == b"between"
            assert (await websocket.read_until(TEXT)).payload == "é".encode()

    @pytest.mark.parametrize("path", ["/ws/early", "/late/early"])
    async def test_frames_behind_the_handshake_wait_for_it(self, child: Child, path: str) -> None:
        async with await HttpConnection.open(child.url) as connection:
            await connection.send(upgrade(path) + encode(PING, b"1") + encode(TEXT, b"2"))
            if path.startswith("/late"):
                with pytest.raises(TimeoutError):
                    await connection.read_head(within=0.2)
                await control(child, "-", "release")
            assert (await connection.read_head()).status == 101
            websocket = RawWebSocket(connection)
            assert (await websocket.read_frame()).payload == b"1"
            assert (await websocket.read_until(TEXT)).payload == b"2"

    async def test_a_handshake_of_a_hundred_long_topics(self, child: Child) -> None:
        query = ",".join(f"{number:0255}" for number in range(100))
        async with await RawWebSocket.open(child.url, f"/ws/long?topic={query}"):
            await until(child, "long", "known")

    async def test_pings_are_answered_within_bounds(self, child: Child) -> None:
        before = (await control(child, "-"))["memory"]
        connection = await HttpConnection.open(child.url, receive_buffer=4096)
        async with connection:
            await connection.send(upgrade("/ws/pings"))
            await connection.read_head()
            await until(child, "pings", "known")
            connection.writer.write(encode(PING, b"x" * 125) * 300_000)
            await asyncio.sleep(1.0)
            state = await control(child, "pings")
            assert state["pending"] < MIB
            assert state["memory"] - before < 8 * MIB

    async def test_an_unanswered_ping_closes(self, child: Child) -> None:
        async with await RawWebSocket.open(child.url, "/ws/silent") as websocket:
            await websocket.read_until(PING)
            assert (await websocket.read_until(CLOSE)).code == 1011
            await ended(child, "ws/silent/1011")

    async def test_an_answered_ping_keeps(self, child: Child) -> None:
        async with await RawWebSocket.open(child.url, "/ws/alive") as websocket:
            for _ in range(3):
                await websocket.send_frame(PONG, (await websocket.read_until(PING)).payload)

    async def test_refused_by_the_application(self, child: Child) -> None:
        async with await HttpConnection.open(child.url) as connection:
            answer = await connection.exchange(upgrade("/deny/it") + encode(TEXT, b"x" * 1000))
            assert answer.status == 503
            assert answer.headers.get("retry-after") == "7"
            assert answer.headers.get("content-type") == "application/problem+json"
            assert answer.body == b'{"status":503}'
            assert answer.closes
            assert await connection.read_to_end(within=1) == b""

    async def test_failure_before_the_handshake(self, child: Child) -> None:
        async with await HttpConnection.open(child.url) as connection:
            problem(await connection.exchange(upgrade("/fail/first")), 500, "internal-error")

    async def test_failure_after_the_handshake(self, child: Child) -> None:
        async with await RawWebSocket.open(child.url, "/fail/late") as websocket:
            assert (await websocket.read_until(CLOSE)).code == 1011

    @pytest.mark.parametrize(
        "data",
        [
            upgrade("/ws/bad?topic=\xe9"),
            upgrade("/ws/bad", [("content-length", "5")]) + b"abcde",
            upgrade("/ws/bad", [("transfer-encoding", "chunked")]) + chunked(b"abc"),
            upgrade("/ws/bad", key="short"),
            upgrade("/ws/bad", [("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA==")]),
        ],
    )
    async def test_a_malformed_handshake_is_400(self, child: Child, data: bytes) -> None:
        async with await HttpConnection.open(child.url) as connection:
            problem(await connection.exchange(data), 400, "invalid-request")

    async def test_another_version_is_426(self, child: Child) -> None:
        async with await HttpConnection.open(child.url) as connection:
            data = upgrade("/ws/bad").replace(b"sec-websocket-version: 13", b"sec-websocket-version: 8")
            answer = await connection.exchange(data)
            problem(answer, 426, "invalid-request")
            assert answer.headers.get("sec-websocket-version") == "13"

    async def test_other_methods_and_http_1_0_are_plain_requests(self, child: Child) -> None:
        for data in (
            upgrade("/hello").replace(b"GET", b"POST"),
            upgrade("/hello").replace(b"HTTP/1.1", b"HTTP/1.0"),
        ):
            async with await HttpConnection.open(child.url) as connection:
                assert (await connection.exchange(data)).json()["path"] == "/hello"

    async def test_a_handshake_behind_an_unanswered_request_is_dropped(self, child: Child) -> None:
        async with await HttpConnection.open(child.url) as connection:
            await connection.send(HELLO + upgrade("/ws/behind"))
            assert (await connection.read_response()).status == 200
            assert await connection.read_to_end(within=1) == b""


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

    async def test_an_unknown_version_runs_as_it_is_and_says_so(self) -> None:
        child = Child({"PRETENDED_UVICORN_VERSION": "9.9.1"})
        async with await HttpConnection.open(child.url) as connection:
            assert (await connection.exchange(HELLO)).json()["path"] == "/hello"
        log = child.stop()
        assert child.process.returncode == 0
        assert log.count("uvicorn 9.9.1 is not among the versions tested") == 1
        assert "frames written straight to the socket" in log
