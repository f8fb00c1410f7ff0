from __future__ import annotations

import asyncio
import hashlib
import signal
import socket
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.raw.http import Body, Ended, HttpConnection, Response, chunked, request
from tests.unit.gateway_project.servers.daphne_process import DaphneProcess

MIB = 1 << 20


@pytest.fixture(scope="module")
def daphne() -> Iterator[DaphneProcess]:
    with DaphneProcess() as process:
        yield process


@pytest.fixture(scope="module")
def hasty() -> Iterator[DaphneProcess]:
    with DaphneProcess(TEST_HEADER_TIMEOUT="0.5", TEST_HEARTBEAT="0.5") as process:
        yield process


def assert_problem(response: Response, status: int, slug: str) -> None:
    assert response.status == status
    assert response.headers.get("content-type") == "application/problem+json"
    assert response.json()["type"] == f"/problems/{slug}"
    assert "secret" not in response.body.decode()
    assert "Traceback" not in response.body.decode()


# Requests


async def test_the_scope_says_what_the_client_sent(daphne: DaphneProcess) -> None:
    fields = [("X-Twice", "a"), ("x-twice", "b"), ("x_under", "no"), ("daphne-root-path", "/x"), ("host", "h")]
    async with await HttpConnection.open(daphne.url) as connection:
        scope = (await connection.exchange(request("GET", "/scope?q=%C3%A9&r", fields))).json()
    assert scope["method"] == "'GET'"
    assert scope["http_version"] == "'1.1'"
    assert scope["path"] == "'/scope'"
    assert scope["raw_path"] == "b'/scope'"
    assert scope["query_string"] == "b'q=%C3%A9&r'"
    assert scope["headers"] == "[(b'x-twice', b'a'), (b'x-twice', b'b'), (b'daphne-root-path', b'/x'), (b'host', b'h')]"
    assert scope["root_path"] == "''"
    assert scope["client"].startswith("['127.0.0.1', ")


@pytest.mark.parametrize("target", ["http://gateway.test/scope?a", "HTTP://gateway.test:80/scope?a"])
async def test_an_absolute_uri_is_a_path_and_a_query(daphne: DaphneProcess, target: str) -> None:
    scope = (await daphne.ask(target)).json()
    assert (scope["raw_path"], scope["query_string"]) == ("b'/scope'", "b'a'")


async def test_bodies_arrive_whole(daphne: DaphneProcess) -> None:
    body = bytes(range(256)) * 4096
    expected = f"{len(body)} {hashlib.sha256(body).hexdigest()}".encode()
    coded = [("transfer-encoding", "chunked")]
    async with await HttpConnection.open(daphne.url) as connection:
        assert (await connection.exchange(request("POST", "/echo", body=body))).body == expected
        parts = [body[index : index + 10_000] for index in range(0, len(body), 10_000)]
        assert (await connection.exchange(request("POST", "/echo", coded, chunked(*parts)))).body == expected
        assert (await connection.exchange(request("POST", "/echo", body=b""))).body.startswith(b"0 ")


async def test_a_malformed_multipart_body_is_the_applications_business(daphne: DaphneProcess) -> None:
    fields = [("content-type", "multipart/form-data; boundary=x")]
    async with await HttpConnection.open(daphne.url) as connection:
        response = await connection.exchange(request("POST", "/echo", fields, b"no part at all"))
    assert response.status == HTTPStatus.OK
    assert response.body.startswith(b"14 ")


async def test_the_application_starts_before_the_body_and_the_body_waits_for_it(daphne: DaphneProcess) -> None:
    size = 64 * MIB
    before = (await daphne.idle())["memory"]
    async with await HttpConnection.open(daphne.url) as connection:
        await connection.send(request("POST", "/hold?body", [("content-length", str(size))]))
        await daphne.seen("held-body")
        connection.writer.write(bytes(size))
        unsent = size
        while (left := connection.writer.transport.get_write_buffer_size()) < unsent:
            unsent = left
            await asyncio.sleep(0.3)
        # The kernel has some, the server 64 KiB; most has not left this process.
        assert unsent > size / 2
        assert (await daphne.state())["memory"] - before < 8 * MIB
        await daphne.ask("/release?body")
        response = await connection.read_response()
        assert response.body == b"released"
        assert response.closes


async def test_the_body_is_asked_for_only_when_the_application_wants_it(daphne: DaphneProcess) -> None:
    fields = [("expect", "100-continue"), ("content-length", "5")]
    async with await HttpConnection.open(daphne.url) as connection:
        await connection.send(request("POST", "/echo", fields))
        assert (await connection.read_head()).status == HTTPStatus.CONTINUE
        response = await connection.exchange(b"hello")
        assert response.body.startswith(b"5 ")
        response = await connection.exchange(request("POST", "/early", fields))
        assert response.status == HTTPStatus.OK
        assert response.closes
        assert await connection.read_to_end() == b""


async def test_the_application_learns_at_once_that_the_client_is_gone(daphne: DaphneProcess) -> None:
    for index, leave in enumerate(("half_close", "reset")):
        connection = await HttpConnection.open(daphne.url)
        await connection.send(request("GET", "/parked"))
        await daphne.seen("parked", 2 * index + 1)
        getattr(connection, leave)()
        await daphne.seen("unparked", 2 * index + 1, within=1)
        await connection.close()
        connection = await HttpConnection.open(daphne.url)
        await connection.send(request("POST", "/step", [("content-length", "10")]) + b"half")
        await daphne.seen("step", index + 1)
        getattr(connection, leave)()
        await daphne.seen("stepped", index + 1, within=1)
        await connection.close()
        async with await HttpConnection.open(daphne.url) as connection:
            await connection.send(request("GET", "/parked"))
            await daphne.seen("parked", 2 * index + 2)
        await daphne.seen("unparked", 2 * index + 2)
    await daphne.idle()


async def test_the_application_learns_that_its_response_is_complete(daphne: DaphneProcess) -> None:
    async with await HttpConnection.open(daphne.url) as connection:
        assert (await connection.exchange(request("GET", "/after"))).body == b"after"
        await daphne.seen("after")


# Answers before the body


@pytest.mark.parametrize("size", [1, 1000, MIB])
async def test_a_small_unread_body_is_discarded_and_the_connection_kept(daphne: DaphneProcess, size: int) -> None:
    head = request("POST", "/early", [("content-length", str(size))])
    async with await HttpConnection.open(daphne.url) as connection:
        started = time.monotonic()
        response = await connection.exchange(head)
        assert time.monotonic() - started < 0.5
        assert not response.closes
        # The rest, with two requests behind it in the same packets.
        behind = request("GET", "/early") + request("GET", "/early?404")
        await connection.send(b"x" * size + behind)
        assert (await connection.read_response()).status == HTTPStatus.OK
        assert (await connection.read_response()).status == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize(
    "fields",
    [[("content-length", str(MIB + 1))], [("transfer-encoding", "chunked")]],
    ids=["large", "chunked"],
)
async def test_a_larger_unread_body_ends_the_connection_after_the_answer(
    daphne: DaphneProcess, fields: list[tuple[str, str]]
) -> None:
    async with await HttpConnection.open(daphne.url) as connection:
        response = await connection.exchange(request("POST", "/early", fields))
        assert response.closes
        assert response.body == b"early"
        # Our side of it is shut at once, and what still comes is taken for a while.
        assert await connection.read_to_end(within=0.5) == b""
        for _ in range(5):
            await connection.send(b"x" * 65_536)
            await asyncio.sleep(0.1)
        assert not connection.writer.transport.is_closing()
    await daphne.idle()


async def test_a_client_that_sends_all_before_it_reads_sees_the_answer(daphne: DaphneProcess) -> None:
    async with await HttpConnection.open(daphne.url) as connection:
        body = b"x" * (32 * MIB)
        response = await connection.exchange(request("POST", "/early?413", body=body))
        assert response.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


async def test_lingering_ends(daphne: DaphneProcess) -> None:
    before = (await daphne.idle())["descriptors"]
    silent = await HttpConnection.open(daphne.url)
    await silent.exchange(request("POST", "/early", [("transfer-encoding", "chunked")]))
    await daphne.until(lambda state: state["descriptors"] <= before, within=2.5)
    await silent.close()


# Responses


async def test_responses_are_framed_as_the_client_understands(daphne: DaphneProcess) -> None:
    async with await HttpConnection.open(daphne.url) as connection:
        response = await connection.exchange(request("HEAD", "/early"), "HEAD")
        assert response.headers.get("content-length") == "5"
        response = await connection.exchange(request("GET", "/early?204"))
        assert "server" not in response.headers
        assert "date" in response.headers
        response = await connection.exchange(request("GET", "/chunks"))
        assert response.headers.get("transfer-encoding") == "chunked"
        assert response.body == b"onetwo"
        assert response.closes
    async with await HttpConnection.open(daphne.url) as connection:
        await connection.send(request("GET", "/chunks", version="1.0"))
        head = await connection.read_head()
        assert head.version == "1.0"
        assert "transfer-encoding" not in head.headers
        assert await connection.read_to_end() == b"onetwo"


async def test_a_response_pushes_back(daphne: DaphneProcess) -> None:
    size = 256 * MIB
    before = (await daphne.idle())["memory"]
    connection = await HttpConnection.open(daphne.url, receive_buffer=65_536)
    await connection.send(request("GET", f"/large?{size}"))
    await daphne.until(lambda state: state["seen"].get("large-sent", 0) > 0)
    await asyncio.sleep(0.5)
    state = await daphne.state()
    assert state["seen"]["large-sent"] < size / 4
    assert state["memory"] - before < 16 * MIB
    head = await connection.read_head()
    body = Body(connection, head)
    for _ in range(100):
        await body.read()
    await daphne.until(lambda later: later["seen"]["large-sent"] > state["seen"]["large-sent"])
    connection.reset()
    # `send` returns when there is nobody to wait for.
    await daphne.seen("large-done")


@pytest.mark.parametrize("target", ["/raise", "/nothing", "/bad-header"])
async def test_a_failing_application_is_a_problem_without_its_secret(daphne: DaphneProcess, target: str) -> None:
    assert_problem(await daphne.ask(target), 500, "internal-error")


@pytest.mark.parametrize("target", ["/raise-late", "/short"])
async def test_a_response_that_fails_half_way_is_cut_off(daphne: DaphneProcess, target: str) -> None:
    with pytest.raises(Ended) as caught:
        await daphne.ask(target)
    assert caught.value.reset


# Streams and their writer


async def test_a_writer_writes_to_its_stream(daphne: DaphneProcess) -> None:
    for version in ("1.1", "1.0"):
        async with await HttpConnection.open(daphne.url) as connection:
            await connection.send(request("GET", "/stream?plain", version=version))
            head = await connection.read_head()
            body = Body(connection, head)
            assert await body.read() == b": open\n\n"
            assert (await daphne.ask("/write?plain=10")).json() == {"free": True, "pending": 0}
            assert await body.read() == b"w" * 10
            await daphne.ask("/close?plain")
            assert await body.read() == b""
            assert await connection.read_to_end() == b""
    await daphne.seen("gone-plain", 2)


async def test_a_writer_holds_what_the_socket_does_not_take_and_says_when_it_is_gone(daphne: DaphneProcess) -> None:
    async with await HttpConnection.open(daphne.url, receive_buffer=65_536) as connection:
        await connection.send(request("GET", "/stream?slow"))
        head = await connection.read_head()
        size = 32 * MIB
        written = (await daphne.ask(f"/write?slow={size}")).json()
        assert not written["free"]
        assert 0 < written["pending"] < size
        body = Body(connection, head)
        received = 0
        while received < size + len(b": open\n\n"):
            received += len(await body.read())
        await daphne.seen("drained-slow")
        assert (await daphne.ask("/write?slow=10")).json() == {"free": True, "pending": 0}
        assert await body.read() == b"w" * 10
    await daphne.seen("gone-slow")


async def test_a_writer_aborts(daphne: DaphneProcess) -> None:
    async with await HttpConnection.open(daphne.url) as connection:
        await connection.send(request("GET", "/stream?cut"))
        body = Body(connection, await connection.read_head())
        await body.read()
        await daphne.ask("/abort?cut")
        with pytest.raises(Ended) as caught:
            await body.read()
        assert caught.value.reset
    await daphne.seen("gone-cut")


async def test_a_stream_closed_on_a_reader_that_takes_nothing_is_reset(daphne: DaphneProcess) -> None:
    before = (await daphne.idle())["descriptors"]
    async with await HttpConnection.open(daphne.url, receive_buffer=65_536) as connection:
        await connection.send(request("GET", "/stream?stuck"))
        await connection.read_head()
        await daphne.ask(f"/write?stuck={32 * MIB}")
        await daphne.ask("/close?stuck")
        await daphne.until(lambda state: state["descriptors"] <= before, within=4)


async def test_a_client_that_sends_behind_a_stream_is_still_seen_leaving(daphne: DaphneProcess) -> None:
    connection = await HttpConnection.open(daphne.url)
    await connection.send(request("GET", "/stream?chatty"))
    await connection.read_head()
    for _ in range(64):
        await connection.send(request("GET", "/early") * 500)
    await connection.close()
    await daphne.seen("gone-chatty", within=1)


async def test_a_stream_notices_a_peer_that_vanished(hasty: DaphneProcess) -> None:
    async with await HttpConnection.open(hasty.url) as connection:
        sock = connection.writer.get_extra_info("socket")
        await connection.send(request("GET", "/stream?watched"))
        await connection.read_head()
        port = sock.getsockname()[1]
        # The kernel shows the other end's keep-alive timer, code 02, in its table of sockets.
        table = await asyncio.to_thread(Path("/proc/net/tcp").read_text)
        rows = [row.split() for row in table.splitlines()[1:]]
        peer = next(row for row in rows if int(row[2].split(":")[1], 16) == port)
        assert peer[5].startswith("02:")


# Hostile input


@pytest.mark.parametrize(
    "raw",
    [
        b"GET\r\n\r\n",
        b"GET /early\r\n\r\n",
        b"GET /early HTTP/9.9\r\n\r\n",
        b"GET  /early HTTP/1.1\r\n\r\n",
        b"GET early HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /early?\xff HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /early?\xa0 HTTP/1.1\r\nhost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /early HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /early HTTP/1.1\r\nbad name: a\r\n\r\n",
        b"GET /early HTTP/1.1\r\nname : a\r\n\r\n",
        b"GET /early HTTP/1.1\r\nname: a\x00b\r\n\r\n",
        b"GET /early HTTP/1.1\r\nname: a\x0bb\r\n\r\n",
        b"GET /early HTTP/1.1\r\nname: a\rb\r\n\r\n",
        b"POST /early HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /early HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST /early HTTP/1.1\r\ncontent-length: " + b"9" * 5000 + b"\r\n\r\n",
        b"POST /early HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST /early HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n",
    ],
)
async def test_a_malformed_request_is_a_problem_and_the_end(daphne: DaphneProcess, raw: bytes) -> None:
    async with await HttpConnection.open(daphne.url) as connection:
        response = await connection.exchange(raw)
        assert_problem(response, 400, "invalid-request")
        assert response.closes
        assert await connection.read_to_end() == b""


@pytest.mark.parametrize(
    "coded", [b"zz\r\n", b"-1\r\n", b"f" * 20 + b"\r\n", b"5\r\nhelloXX", b"5;\x00\r\nhello\r\n", b"0" * 2000]
)
async def test_a_malformed_chunk_is_a_problem_and_the_application_learns_of_it(
    daphne: DaphneProcess, coded: bytes
) -> None:
    before = (await daphne.state())["seen"].get("disconnect-in-body", 0)
    async with await HttpConnection.open(daphne.url) as connection:
        head = request("POST", "/echo", [("transfer-encoding", "chunked")])
        assert_problem(await connection.exchange(head + b"3\r\nabc\r\n" + coded), 400, "invalid-request")
        await daphne.seen("disconnect-in-body", before + 1)
        assert await connection.read_to_end() == b""


@pytest.mark.parametrize(
    "head",
    [
        b"GET /early HTTP/1.1\r\nlarge: " + b"x" * MIB,
        b"GET /" + b"x" * MIB,
        b"GET /early HTTP/1.1\r\n" + b"name: value\r\n" * 100_000,
        b"GET /early HTTP/1.1\r\n" + b"name: value\r\n" * 600 + b"\r\n",
    ],
    ids=["value", "target", "bytes", "count"],
)
async def test_headers_that_are_too_large_are_refused(daphne: DaphneProcess, head: bytes) -> None:
    async with await HttpConnection.open(daphne.url) as connection:
        response = await connection.exchange(head)
        assert_problem(response, 431, "header-too-large")
        assert await connection.read_to_end() == b""


async def test_a_byte_now_and_then_does_not_move_the_header_deadline(hasty: DaphneProcess) -> None:
    async with await HttpConnection.open(hasty.url) as connection:
        # The deadline counts from each request's first byte, not from the connection's.
        await asyncio.sleep(0.6)
        assert (await connection.exchange(request("GET", "/early"))).status == HTTPStatus.OK
        started = time.monotonic()
        answer = asyncio.create_task(connection.read_response())
        for byte in request("GET", "/early", [("padding", "x" * 100)]):
            if answer.done():
                break
            await connection.send(bytes([byte]))
            await asyncio.sleep(0.05)
        assert_problem(await answer, 408, "timeout")
        assert 0.4 < time.monotonic() - started < 2


async def test_pipelined_requests_are_answered_in_order(daphne: DaphneProcess) -> None:
    targets = ["/slow?0.1", "/early", "/early?404", "/chunks"]
    async with await HttpConnection.open(daphne.url) as connection:
        await connection.send(b"".join(request("GET", target) for target in targets))
        bodies = [(await connection.read_response()).body for _ in targets]
    assert bodies == [b"slow", b"early", b"early", b"onetwo"]


# Leaks, and the end


async def test_churn_leaves_nothing_behind(daphne: DaphneProcess) -> None:
    before = await daphne.idle()

    async def come_and_go(number: int) -> None:
        connection = await HttpConnection.open(daphne.url)
        await connection.send(request("GET", f"/stream?churn{number}"))
        if number % 3:
            await connection.read_head()
        if number % 2:
            connection.reset()
        else:
            await connection.close()

    for start in range(0, 600, 100):
        await asyncio.gather(*(come_and_go(number) for number in range(start, start + 100)))
    await daphne.until(
        lambda state: (
            state["connections"] == 0 and state["tasks"] == 0 and state["descriptors"] <= before["descriptors"]
        )
    )


async def test_hundreds_may_come_at_once() -> None:
    with DaphneProcess() as daphne:
        port = int(daphne.url.rpartition(":")[2])
        # Stopped, the server accepts nobody: the kernel's queue holds them all.
        daphne.process.send_signal(signal.SIGSTOP)
        sockets = []
        try:
            for _ in range(900):
                client = socket.create_connection(("127.0.0.1", port), timeout=0.5)
                sockets.append(client)
        finally:
            daphne.process.send_signal(signal.SIGCONT)
            for client in sockets:
                client.close()
        await daphne.idle()


async def test_sigterm_drains_first_and_exits_with_0() -> None:
    with DaphneProcess() as daphne:
        idle = await HttpConnection.open(daphne.url)
        await idle.exchange(request("GET", "/early"))
        busy = await HttpConnection.open(daphne.url)
        await busy.send(request("GET", "/parked"))
        connection = await HttpConnection.open(daphne.url)
        await connection.send(request("GET", "/stream?last"))
        body = Body(connection, await connection.read_head())
        assert await body.read() == b": open\n\n"
        started = time.monotonic()
        ended = asyncio.create_task(asyncio.to_thread(daphne.end))
        assert await body.read() == b"bye"
        assert await body.read() == b""
        status, errors = await ended
        assert time.monotonic() - started < 5
        assert status == 0
        assert "Traceback" not in errors
        assert "never" not in errors
        for client in (idle, busy, connection):
            await client.close()


async def test_versions_that_were_not_tried_are_left_as_they_are_and_named_once() -> None:
    with DaphneProcess(TEST_UNTRIED="yes") as daphne:
        async with await HttpConnection.open(daphne.url) as connection:
            response = await connection.exchange(request("POST", "/echo", body=b"hello"))
            assert response.body.startswith(b"5 ")
            # Daphne's own answer, not ours.
            assert response.headers.get("server") == "daphne"
            await connection.exchange(request("GET", "/early"))
        status, errors = daphne.end()
        assert status == 0
        assert errors.count("Not tried with daphne") == 1
        assert "Traceback" not in errors
