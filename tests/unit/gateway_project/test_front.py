"""What stands before Django: who gets past it, with which body, and what a browser is told."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway_project.front import PUBLIC, Front
from publishing.keys import Keys
from tests.unit.publishing.bodies import Answer, body, request, unread
from topics.asgi import Message, Receive, Scope, Send
from topics.cors import Cors

LIMIT = 1000
KEY = ("x-api-key", "unit-key")
ALLOWED = ("origin", "https://admin.example")
STRANGER = ("origin", "https://evil.example")
PATH = "/api/v1/publish"


class Echo:
    """An application that reads its request to the end and answers with what it got."""

    def __init__(self) -> None:
        self.received: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        self.received.append(message["body"])
        assert not message["more_body"]
        await send({"type": "http.response.start", "status": 201, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok", "more_body": False})


async def call(
    *headers: tuple[str, str], path: str = PATH, method: str = "POST", receive: Receive = unread, seconds: float = 5
) -> tuple[Answer, Echo]:
    application, answer = Echo(), Answer()
    cors = Cors(["https://admin.example"], methods="GET, POST", headers="authorization", expose="retry-after")
    front = Front(application, keys=Keys(["unit-key"]), cors=cors, max_body_bytes=LIMIT, body_seconds=seconds)
    await front(request(path, method, headers), receive, answer)
    return answer, application


async def test_with_a_key_the_body_arrives_whole() -> None:
    answer, application = await call(KEY, receive=body(b"one", b" and ", b"two"))
    assert (answer.status, application.received) == (201, [b"one and two"])
    answer, application = await call(("authorization", "Bearer unit-key"), receive=body(b"x" * LIMIT))
    assert (answer.status, application.received) == (201, [b"x" * LIMIT])


@pytest.mark.parametrize(
    "headers",
    [[], [("x-api-key", "wrong")], [("authorization", "Bearer wrong")], [("content-length", "99999999")]],
)
@pytest.mark.parametrize(
    "path", [PATH, "/api/v1/topics", "/api/nothing", "/api/", "/api/docs/", "/api/v1/openapi.json/"]
)
async def test_without_a_key_nothing_is_read_and_django_sees_nothing(headers: Any, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        answer, application = await call(*headers, path=path, method=method)
        assert (answer.status, application.received) == (401, [])
        assert answer.headers[b"www-authenticate"] == b"Bearer"
        assert json.loads(answer.body)["type"] == "/problems/unauthorized"


@pytest.mark.parametrize("path", sorted(PUBLIC))
async def test_the_documentation_needs_no_key_and_reads_no_body(path: str) -> None:
    for method in ("GET", "POST"):
        answer, application = await call(path=path, method=method)
        assert (answer.status, application.received) == (201, [b""])


@pytest.mark.parametrize("path", ["/", "/health", "/metrics", "/dashboard/", "/apiary", "/nothing"])
async def test_paths_outside_the_api_have_no_body_and_no_cors(path: str) -> None:
    answer, application = await call(ALLOWED, path=path)
    assert (answer.status, application.received) == (201, [b""])
    assert b"access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("declared", ["1001", "9" * 16, "9" * 5000, "-1", "x", "1.0"])
async def test_a_declared_size_that_cannot_be_is_refused_unread(declared: str) -> None:
    answer, application = await call(KEY, ("content-length", declared))
    assert (answer.status, application.received) == (413, [])


async def test_a_size_that_was_not_declared_is_counted() -> None:
    answer, application = await call(KEY, receive=body(b"x" * LIMIT, b"x"))
    assert (answer.status, application.received) == (413, [])
    assert json.loads(answer.body)["type"] == "/problems/too-large"


async def test_a_body_that_does_not_come_is_given_up() -> None:
    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    answer, application = await call(KEY, receive=never, seconds=0.02)
    assert (answer.status, application.received) == (408, [])


async def test_a_client_that_leaves_is_not_answered() -> None:
    answer, application = await call(KEY, receive=body(b"half", complete=False))
    assert (answer.messages, application.received) == ([], [])


async def test_django_learns_of_the_disconnect_and_of_nothing_else() -> None:
    seen: list[Message] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend([await receive(), await receive()])

    front = Front(
        application, keys=Keys(["k"]), cors=Cors([], methods="", headers=""), max_body_bytes=9, body_seconds=5
    )
    # A client that goes on sending behind its body: those messages are nobody's.
    await front(request("/health", "GET"), body(b"late", b"later"), Answer())
    assert [message["type"] for message in seen] == ["http.request", "http.disconnect"]


async def test_every_answer_of_the_api_carries_cors_for_listed_origins_only() -> None:
    for headers, receive in (([KEY], body(b"x")), ([], unread), ([KEY, ("content-length", "1001")], unread)):
        answer, _ = await call(*headers, ALLOWED, receive=receive)
        assert answer.headers[b"access-control-allow-origin"] == b"https://admin.example"
        assert answer.headers[b"vary"] == b"origin"
    for headers in ([], [KEY, ("content-length", "1001")]):
        answer, _ = await call(*headers, STRANGER)
        assert b"access-control-allow-origin" not in answer.headers


async def test_a_preflight_is_answered_here_without_a_key() -> None:
    answer, application = await call(ALLOWED, ("access-control-request-method", "POST"), method="OPTIONS")
    assert (answer.status, application.received) == (204, [])
    assert answer.headers[b"access-control-allow-methods"] == b"GET, POST"
    answer, _ = await call(STRANGER, ("access-control-request-method", "POST"), method="OPTIONS")
    assert answer.status == 204
    assert b"access-control-allow-methods" not in answer.headers


async def test_options_alone_is_djangos_to_answer() -> None:
    answer, application = await call(method="OPTIONS")
    assert (answer.status, application.received) == (201, [b""])


@given(
    path=st.text(max_size=20).map(lambda rest: "/api/" + rest) | st.just(PATH),
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "BREW"]),
    headers=st.lists(
        st.tuples(
            st.sampled_from([b"authorization", b"x-api-key", b"content-length", b"origin", b"expect"]),
            st.binary(max_size=40),
        ),
        max_size=6,
    ),
)
@example(path=PATH, method="POST", headers=[(b"content-length", b"\xb2")])
async def test_no_stranger_gets_past(path: str, method: str, headers: list[tuple[bytes, bytes]]) -> None:
    if path in PUBLIC:
        return
    application, answer = Echo(), Answer()
    cors = Cors(["*"], methods="GET", headers="")
    front = Front(application, keys=Keys(["unit-key"]), cors=cors, max_body_bytes=LIMIT, body_seconds=5)
    await front(request(path, method, headers), unread, answer)
    assert (answer.status, application.received) == (401, [])
