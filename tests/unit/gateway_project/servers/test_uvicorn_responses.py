"""Event streams and other responses under uvicorn, over real sockets to a child process."""

from collections.abc import Iterator

import pytest

from tests.raw.http import Body, Ended, HttpConnection, request
from tests.unit.gateway_project.servers.uvicorn_child import Child
from tests.unit.gateway_project.servers.uvicorn_steering import HELLO, MIB, control, open_stream, problem, until, write


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    running = Child()
    yield running
    running.stop()


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

    async def test_a_reader_that_stays_stuck_is_given_up_by_the_kernel(self, child: Child) -> None:
        connection, _ = await open_stream(child, "forever", receive_buffer=4096)
        async with connection:
            await write(child, "forever", b"x" * (8 * MIB))
            await until(child, "forever", "gone", within=10)

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

    @pytest.mark.parametrize("half_closes", [False, True])
    async def test_a_flood_of_pipelined_requests_is_cut(self, child: Child, half_closes: bool) -> None:
        async with await HttpConnection.open(child.url) as connection:
            await connection.send(request("GET", "/hold") + HELLO * 5000)
            if half_closes:
                connection.half_close()
            await until(child, "-", "holding")
            await control(child, "-", "release")
            answers = (await connection.read_to_end()).count(b"HTTP/1.1 200")
            assert 100 < answers < 200

    async def test_a_half_closed_client_gets_its_answer(self, child: Child) -> None:
        async with await HttpConnection.open(child.url) as connection:
            await connection.send(request("GET", "/parts") + HELLO)
            connection.half_close()
            assert (await connection.read_response()).body == b"one two three"
            assert (await connection.read_response()).status == 200
            assert await connection.read_to_end(within=1) == b""
