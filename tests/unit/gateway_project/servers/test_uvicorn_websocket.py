"""WebSocket under uvicorn: frames, closing, and what breaks the protocol."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from tests.raw.http import Ended, HttpConnection, chunked
from tests.raw.websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, RawWebSocket, encode, upgrade
from tests.unit.gateway_project.servers.uvicorn_child import Child
from tests.unit.gateway_project.servers.uvicorn_steering import (
    HELLO,
    MIB,
    control,
    ended,
    problem,
    until,
    write,
)
from topics.wire.websocket import text_frame


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    running = Child()
    yield running
    running.stop()


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
            await websocket.connection.send(encode(TEXT, b"last") + frames + encode(PING, b"") + encode(TEXT, b"after"))
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

    async def test_close_in_the_middle_of_a_message(self, child: Child) -> None:
        async with await RawWebSocket.open(child.url, "/ws/middle") as websocket:
            await websocket.send_frame(TEXT, b"half", final=False)
            await websocket.send_frame(CLOSE, (1000).to_bytes(2, "big"))
            assert (await websocket.read_until(CLOSE)).code == 1000
        await ended(child, "ws/middle/1000")

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

    async def test_a_slow_reader_is_not_taken_for_a_dead_one(self, child: Child) -> None:
        connection = await HttpConnection.open(child.url, receive_buffer=65_536)
        async with connection:
            await connection.send(upgrade("/ws/slow"))
            await connection.read_head()
            await until(child, "slow", "framing", "websocket")
            frame = text_frame(b"x" * (8 * MIB))
            assert not await write(child, "slow", frame)
            received = 0
            slow_until = time.monotonic() + 2.5  # longer than a ping and its answer may take
            while received < len(frame):
                slow = time.monotonic() < slow_until
                most = 32_768 if slow else len(frame) - received
                received += len(await connection.reader.read(most))
                if slow:
                    assert (await control(child, "slow"))["pending"] > 0
                    await asyncio.sleep(0.05)
            websocket = RawWebSocket(connection)
            ping = await websocket.read_frame()
            assert ping.opcode == PING
            await websocket.send_frame(PONG, ping.payload)
            await websocket.send_frame(TEXT, b"alive")
            assert (await websocket.read_until(TEXT)).payload == b"alive"

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
