from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from http import HTTPStatus

import pytest

from tests.raw.http import Ended, HttpConnection
from tests.raw.websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, RawWebSocket, encode, upgrade
from tests.unit.gateway_project.servers.daphne_process import DaphneProcess

LARGEST = 65_536


@pytest.fixture(scope="module")
def daphne() -> Iterator[DaphneProcess]:
    with DaphneProcess() as process:
        yield process


@pytest.fixture(scope="module")
def hasty() -> Iterator[DaphneProcess]:
    with DaphneProcess(TEST_HEARTBEAT="0.5") as process:
        yield process


async def test_messages_go_both_ways(daphne: DaphneProcess) -> None:
    async with await RawWebSocket.open(daphne.url, "/echo") as websocket:
        for opcode, payload in ((TEXT, "é".encode()), (BINARY, b"\xff"), (TEXT, b""), (TEXT, b"x" * LARGEST)):
            await websocket.send_frame(opcode, payload)
            frame = await websocket.read_frame()
            assert (frame.opcode, frame.payload) == (opcode, payload)


async def test_accepting_adds_the_applications_headers_and_no_servers_name(daphne: DaphneProcess) -> None:
    async with await HttpConnection.open(daphne.url) as connection:
        await connection.send(upgrade("/echo"))
        head = await connection.read_head()
        assert head.status == HTTPStatus.SWITCHING_PROTOCOLS
        assert head.headers.get("x-test") == "yes"
        assert "server" not in head.headers


async def test_frames_before_the_handshake_is_answered_wait_for_it(daphne: DaphneProcess) -> None:
    async with await HttpConnection.open(daphne.url) as connection:
        # A second handshake in a frame must not be taken for one, nor must the blank line end one.
        trap = upgrade("/echo")
        await connection.send(upgrade("/late") + encode(TEXT, b"one"))
        await asyncio.sleep(0.05)
        await connection.send(encode(BINARY, trap) + encode(TEXT, b"three"))
        assert (await connection.read_head()).status == HTTPStatus.SWITCHING_PROTOCOLS
        websocket = RawWebSocket(connection)
        assert [(await websocket.read_frame()).payload for _ in range(3)] == [b"one", trap, b"three"]


async def test_a_handshake_is_denied_with_a_whole_response(daphne: DaphneProcess) -> None:
    async with await HttpConnection.open(daphne.url) as connection:
        response = await connection.exchange(upgrade("/deny") + encode(TEXT, b"too early"))
        assert response.status == HTTPStatus.TOO_MANY_REQUESTS
        assert response.headers.get("x-test") == "yes"
        assert response.body == b"not now"
        assert response.closes
        assert await connection.read_to_end() == b""
    await daphne.seen("websocket.disconnect-denied")
    assert (await _handshake(daphne, upgrade("/refuse"))) == (HTTPStatus.FORBIDDEN, "")


async def _handshake(daphne: DaphneProcess, raw: bytes) -> tuple[int, str]:
    async with await HttpConnection.open(daphne.url) as connection:
        response = await connection.exchange(raw)
        problem = json.loads(response.body)["type"] if response.body else ""
        assert await connection.read_to_end() == b""
        return response.status, problem


_PLAIN = upgrade("/echo", key="dGhlIHNhbXBsZSBub25jZQ==")


@pytest.mark.parametrize(
    "raw",
    [
        _PLAIN.replace(b"sec-websocket-key", b"x-key"),
        _PLAIN.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"short"),
        _PLAIN.replace(b"version: 13", b"version: 12"),
        _PLAIN.replace(b"version: 13", b"version: x"),
        _PLAIN.replace(b"connection: Upgrade", b"connection: keep-alive"),
        _PLAIN.replace(b"host: gateway.test\r\n", b""),
        _PLAIN.replace(b"host: gateway.test", b"host: gateway.test:port"),
        _PLAIN.replace(b"/echo", b"/echo?\xc3\xa9"),
        _PLAIN.replace(b"/echo", b"/\xe9"),
        upgrade("/echo", [("origin", b"\xe9")]),
        upgrade("/echo", [("origin", "nonsense:::")]),
        upgrade("/echo", [("sec-websocket-protocol", b"\xe9")]),
        upgrade("/echo", [("sec-websocket-protocol", "a, a")]),
        upgrade("/echo", [("sec-websocket-extensions", "permessage-deflate; x=\x0b")]),
        upgrade("/echo", [("sec-websocket-extensions", "permessage-deflate; nonsense=1")]),
        upgrade("/echo", [("x-split", b"a\x85b")]),
        upgrade("/echo", [("content-length", "4")]) + b"body",
        upgrade("/echo", [("transfer-encoding", "chunked")]) + b"0\r\n\r\n",
    ],
)
async def test_a_malformed_handshake_is_a_problem(daphne: DaphneProcess, raw: bytes) -> None:
    status, problem = await _handshake(daphne, raw)
    assert (status, problem) == (HTTPStatus.BAD_REQUEST, "/problems/invalid-request")


async def test_what_is_no_upgrade_is_a_request(daphne: DaphneProcess) -> None:
    for raw in (
        _PLAIN.replace(b"GET /echo", b"POST /early"),
        _PLAIN.replace(b"/echo HTTP/1.1", b"/early HTTP/1.0"),
        _PLAIN.replace(b"/echo", b"/early").replace(b"upgrade: websocket", b"upgrade: h2c"),
    ):
        async with await HttpConnection.open(daphne.url) as connection:
            assert (await connection.exchange(raw)).body == b"early"


async def test_extensions_are_not_negotiated(daphne: DaphneProcess) -> None:
    async with await HttpConnection.open(daphne.url) as connection:
        await connection.send(upgrade("/echo", [("sec-websocket-extensions", "permessage-deflate")]))
        assert "sec-websocket-extensions" not in (await connection.read_head()).headers


async def test_a_failing_application_is_told_apart_from_a_closing_one(daphne: DaphneProcess) -> None:
    assert await _handshake(daphne, upgrade("/raise")) == (500, "/problems/internal-error")
    for path, code in (("/raise-open", 1011), ("/close", 1008)):
        async with await RawWebSocket.open(daphne.url, path) as websocket:
            assert (await websocket.read_until(CLOSE)).code == code


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([(TEXT, b"x" * (LARGEST + 1), True)], 1009),
        ([(TEXT, b"x" * 40_000, False), (CONTINUATION, b"x" * 40_000, True)], 1009),
        ([(TEXT, b"\xff", True)], 1007),
        ([(CONTINUATION, b"", True)], 1002),
        ([(PING, b"x" * 126, True)], 1002),
        ([(3, b"", True)], 1002),
    ],
    ids=["frame", "message", "utf-8", "continuation", "control", "opcode"],
)
async def test_a_bad_frame_is_told_by_its_close_code(
    daphne: DaphneProcess, frames: list[tuple[int, bytes, bool]], code: int
) -> None:
    async with await RawWebSocket.open(daphne.url, "/echo") as websocket:
        for opcode, payload, final in frames:
            await websocket.send_frame(opcode, payload, final=final)
        assert (await websocket.read_until(CLOSE)).code == code
        await daphne.seen(f"websocket-{code}", within=0.5)
        # A peer that does not answer the close is not waited for.
        with pytest.raises(Ended):
            await websocket.read_frame(within=4)
    await daphne.idle()


async def test_an_unmasked_frame_is_a_protocol_error(daphne: DaphneProcess) -> None:
    async with await RawWebSocket.open(daphne.url, "/echo") as websocket:
        await websocket.send_frame(TEXT, b"bare", masked=False)
        assert (await websocket.read_until(CLOSE)).code == 1002


@pytest.mark.parametrize("leave", ["close-frame", "half_close", "reset"])
async def test_the_application_learns_at_once_that_the_client_is_gone(daphne: DaphneProcess, leave: str) -> None:
    seen = (await daphne.state())["seen"]
    code = 1000 if leave == "close-frame" else 1006
    async with await RawWebSocket.open(daphne.url, "/echo") as websocket:
        if leave == "close-frame":
            await websocket.send_frame(CLOSE, b"\x03\xe8")
            assert (await websocket.read_until(CLOSE)).code == 1000
        else:
            getattr(websocket.connection, leave)()
        await daphne.seen(f"websocket-{code}", seen.get(f"websocket-{code}", 0) + 1, within=0.8)
    await daphne.idle()


async def test_a_peer_that_answers_pings_stays_and_another_does_not(hasty: DaphneProcess) -> None:
    mute = await RawWebSocket.open(hasty.url, "/echo")
    closed = asyncio.create_task(mute.read_until(CLOSE))
    async with await RawWebSocket.open(hasty.url, "/echo") as websocket:
        for _ in range(4):
            ping = await websocket.read_until(PING)
            await websocket.send_frame(PONG, ping.payload)
        await websocket.send_frame(TEXT, b"here")
        assert (await websocket.read_until(TEXT)).payload == b"here"
    assert (await closed).code == 1011
    with pytest.raises(Ended):
        await mute.read_frame(within=4)
    await mute.connection.close()
    await hasty.idle()


async def test_a_slow_reader_has_not_seen_the_ping_yet(hasty: DaphneProcess) -> None:
    connection = await HttpConnection.open(hasty.url, receive_buffer=65_536)
    async with connection:
        await connection.send(upgrade("/echo?crawl"))
        await connection.read_head()
        size = 16 << 20
        await hasty.until(lambda state: state["connections"] == 1)
        await hasty.ask(f"/write?crawl={size}")
        received = 0
        # Some six heartbeats, at the rate of a bad line.
        for _ in range(60):
            received += len(await connection.reader.read(65_536))
            await asyncio.sleep(0.05)
        assert received < size / 2
        while received < size + 10:
            received += len(await connection.reader.read(size + 10 - received))
        websocket = RawWebSocket(connection)
        ping = await websocket.read_until(PING)
        await websocket.send_frame(PONG, ping.payload)
        await websocket.send_frame(TEXT, b"here")
        assert (await websocket.read_until(TEXT)).payload == b"here"


async def test_a_writer_writes_frames_and_closes(daphne: DaphneProcess) -> None:
    async with await RawWebSocket.open(daphne.url, "/echo?writer") as websocket:
        await websocket.send_frame(TEXT, b"")
        await websocket.read_frame()
        assert (await daphne.ask("/write?writer=10")).json() == {"free": True, "pending": 0}
        assert (await websocket.read_frame()).payload == b"w" * 10
        written = (await daphne.ask(f"/write?writer={32 << 20}")).json()
        assert not written["free"]
        assert (await websocket.read_frame()).payload == b"w" * (32 << 20)
        await daphne.seen("drained-writer")
        await daphne.ask("/close?writer")
        assert (await websocket.read_frame()).code == 1000
    await daphne.seen("websocket-1006")


async def test_a_writer_goes_behind_what_the_server_itself_has_not_written_yet(daphne: DaphneProcess) -> None:
    async with await RawWebSocket.open(daphne.url, "/behind?behind") as websocket:
        await websocket.send_frame(TEXT, b"first")
        assert (await websocket.read_frame()).payload == b"first"
        assert (await websocket.read_frame()).payload == b"behind"
        await daphne.seen("direct-False")
        await daphne.seen("drained-behind")
        assert (await daphne.ask("/write?behind=10")).json() == {"free": True, "pending": 0}
        assert (await websocket.read_frame()).payload == b"w" * 10


async def test_a_flood_is_not_piled_up_for_an_application_that_does_not_read(hasty: DaphneProcess) -> None:
    before = (await hasty.idle())["memory"]
    websocket = await RawWebSocket.open(hasty.url, "/deaf?flood")
    part = encode(TEXT, b"") * 10_000
    for _ in range(400):
        websocket.connection.writer.write(part)
    await asyncio.sleep(1)
    # Each of the four million messages would cost the server hundreds of bytes.
    assert websocket.connection.writer.transport.get_write_buffer_size() > len(part) * 200
    assert (await hasty.state())["memory"] - before < 32 << 20
    websocket.connection.reset()
    # A peer that is not read from is found by the next ping at the latest.
    await hasty.idle()


async def test_pongs_are_not_piled_up_for_a_peer_that_does_not_read(daphne: DaphneProcess) -> None:
    before = (await daphne.idle())["memory"]
    websocket = await RawWebSocket.open(daphne.url, "/echo")
    websocket.connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
    part = encode(PING, b"x" * 125) * 1000
    for _ in range(400):
        websocket.connection.writer.write(part)
    await asyncio.sleep(2)
    assert websocket.connection.writer.transport.get_write_buffer_size() > 0
    assert (await daphne.state())["memory"] - before < 32 << 20
    websocket.connection.reset()
    await daphne.idle()
