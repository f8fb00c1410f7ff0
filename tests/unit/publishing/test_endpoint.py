"""`POST /publish` as an ASGI application, on a real runtime: what is answered, and when the body is read."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from pytest_django import Settings
from structlog.testing import capture_logs

from publishing.endpoint import PublishEndpoint
from publishing.keys import Keys
from tests.unit.publishing.bodies import Answer, body, request, unread
from tests.unit.topics.scripted import Client
from topics import runtime as runtime_module
from topics.asgi import Message, Receive
from topics.conf import GatewaySettings
from topics.cors import Cors
from topics.exceptions import PlacementUnavailable
from topics.history.rules import parse_rules
from topics.placement.memory import MemoryPlacement
from topics.process import running, shut_down
from topics.runtime import Runtime

LIMIT = 1000
GOOD = {"authorization": "Bearer unit-key", "x-sse-topic": "news", "x-sse-id": "42"}
ENDPOINT = PublishEndpoint(
    keys=Keys(["unit-key"]),
    cors=Cors(["https://admin.example"], methods="POST", headers="authorization", expose="x-sse-dropped"),
    max_topics=3,
    max_event_bytes=LIMIT,
    body_seconds=5,
)


@pytest.fixture
async def runtime(settings: Settings) -> AsyncIterator[Runtime]:
    settings.GATEWAY = GatewaySettings(api_keys=("unit-key",), drain_seconds=0)
    yield await running()
    await shut_down()


async def join(runtime: Runtime, *topics: str) -> Client:
    client = Client(topics)
    await runtime.attach(client.connection)
    return client.open()


async def post(receive: Receive = unread, method: str = "POST", /, **headers: str | None) -> Answer:
    answer = Answer()
    fields: dict[str, str | None] = {**GOOD, **{name.replace("_", "-"): value for name, value in headers.items()}}
    sent = [(name, value) for name, value in fields.items() if value is not None]
    await ENDPOINT(request("/publish", method, sent), receive, answer)
    return answer


async def test_an_event_with_a_subscriber_is_delivered_as_it_came(runtime: Runtime) -> None:
    client, other = await join(runtime, "news", "more"), await join(runtime, "news")
    data = "Ünïcode\r\n\x00 and lines".encode()
    answer = await post(body(data[:3], data[3:]), x_sse_topic="news,more,nobody", x_sse_event="greeting")
    assert answer.status == 200
    assert answer.headers[b"content-type"] == b"application/json"
    assert json.loads(answer.body) == {"id": "42", "subscribers": 3, "topics": {"news": 2, "more": 1}}
    await asyncio.sleep(0)
    for each in (client, other):
        (seen,) = each.seen()
        assert (seen.type, seen.id, seen.data) == ("greeting", "42", "Ünïcode\n\x00 and lines")


async def test_a_publish_to_nobody_is_answered_without_its_body(runtime: Runtime) -> None:
    await join(runtime, "other")
    with capture_logs() as lines:
        answer = await post(unread, content_length="1000")
    assert (answer.status, answer.headers[b"x-sse-dropped"], answer.body) == (204, b"no-subscribers", b"")
    (line,) = lines
    assert (line["event"], line["topics"], line["id"]) == ("publish dropped", ("news",), "42")


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (401, {"authorization": None}),
        (401, {"authorization": "Bearer wrong", "x_sse_topic": None}),
        (400, {"x_sse_id": None}),
        (400, {"x_sse_event": "gateway.close"}),
        (413, {"content_length": "1001"}),
    ],
)
@pytest.mark.parametrize("topic_exists", [False, True])
async def test_every_refusal_on_headers_leaves_the_body_unread(
    runtime: Runtime, status: int, headers: dict[str, str | None], topic_exists: bool
) -> None:
    if topic_exists:
        await join(runtime, "news")
    answer = await post(unread, **headers)
    assert answer.status == status
    assert answer.headers[b"content-type"] == b"application/problem+json"
    assert json.loads(answer.body)["status"] == status


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
async def test_other_methods_are_refused_with_allow(runtime: Runtime, method: str) -> None:
    answer = await post(unread, method, authorization=None)
    assert (answer.status, answer.headers[b"allow"]) == (405, b"POST, OPTIONS")


async def test_a_body_over_the_limit_is_refused_while_it_is_read(runtime: Runtime) -> None:
    client = await join(runtime, "news")
    answer = await post(body(b"x" * LIMIT, b"x"))
    assert answer.status == 413
    answer = await post(body(b"x" * LIMIT))
    assert answer.status == 200
    await asyncio.sleep(0)
    assert [len(seen.data) for seen in client.seen()] == [LIMIT]


async def test_a_body_that_is_not_utf_8_is_refused_where_it_goes_wrong(runtime: Runtime) -> None:
    client = await join(runtime, "news")
    for wrong in (b"ab\xff", "aé".encode("utf-16"), b"\xed\xa0\x80", b"\xc3"):
        answer = await post(body(wrong))
        assert (answer.status, json.loads(answer.body)["type"]) == (400, "/problems/invalid-body")
    assert "at byte 2" in json.loads((await post(body(b"ab\xff"))).body)["detail"]
    assert client.seen() == []


async def test_a_client_that_leaves_mid_body_publishes_nothing_and_gets_no_answer(runtime: Runtime) -> None:
    client = await join(runtime, "news")
    answer = await post(body(b"half", complete=False))
    await asyncio.sleep(0)
    assert (answer.messages, client.seen(), runtime.hub.published) == ([], [], 0)


async def test_subscribers_that_leave_while_the_body_is_read_make_it_a_drop(runtime: Runtime) -> None:
    client = await join(runtime, "news")

    async def leave_meanwhile() -> Message:
        await runtime.detach(client.connection)
        return {"type": "http.request", "body": b"x", "more_body": False}

    answer = await post(leave_meanwhile)
    assert (answer.status, answer.headers[b"x-sse-dropped"]) == (204, b"no-subscribers")
    assert (runtime.hub.published, runtime.hub.dropped) == (0, 1)


async def test_a_topic_that_keeps_history_answers_200_without_a_subscriber(settings: Settings) -> None:
    settings.GATEWAY = GatewaySettings(api_keys=("unit-key",), drain_seconds=0, history=parse_rules("news=9"))
    try:
        await running()
        answer = await post(body(b"x"), x_sse_topic="news,nobody")
        assert (answer.status, json.loads(answer.body)) == (200, {"id": "42", "subscribers": 0, "topics": {"news": 0}})
        answer = await post(body(b"\xff"))
        assert answer.status == 400
        assert (await post(unread, x_sse_topic="nobody")).status == 204
    finally:
        await shut_down()


class Away(MemoryPlacement):
    """A placement whose store cannot be reached at some step."""

    def __init__(self, step: str) -> None:
        super().__init__()
        setattr(self, step, self._unreachable)

    async def _unreachable(self, *_args: object, **_keywords: object) -> None:
        raise PlacementUnavailable("away")


@pytest.mark.parametrize("step", ["start", "exist", "route"])
async def test_a_store_that_is_away_is_503_and_never_a_200_or_a_204(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    settings.GATEWAY = GatewaySettings(api_keys=("unit-key",), drain_seconds=0)
    monkeypatch.setattr(runtime_module, "MemoryPlacement", lambda _dedupe: Away(step))
    if step != "start":
        await join(await running(), "news")
    answer = await post(body(b"x") if step == "route" else unread)
    assert answer.status == 503
    assert int(answer.headers[b"retry-after"]) > 0
    assert json.loads(answer.body)["type"] == "/problems/unavailable"
    # Nobody without a key learns of it.
    assert (await post(unread, authorization=None)).status == 401
    if step != "start":
        await shut_down()


async def test_only_listed_origins_may_read_an_answer(runtime: Runtime) -> None:
    wrong: tuple[dict[str, str | None], ...] = ({}, {"authorization": None}, {"x_sse_id": None})
    for headers in wrong:
        allowed = await post(unread, origin="https://admin.example", **headers)
        stranger = await post(unread, origin="https://evil.example", **headers)
        assert allowed.headers[b"access-control-allow-origin"] == b"https://admin.example"
        assert b"access-control-allow-origin" not in stranger.headers
        assert allowed.headers[b"vary"] == stranger.headers[b"vary"] == b"origin"


async def test_a_preflight_needs_no_key_and_reads_nothing(runtime: Runtime) -> None:
    answer = await post(unread, "OPTIONS", authorization=None, origin="https://admin.example")
    assert answer.status == 204
    assert answer.headers[b"access-control-allow-origin"] == b"https://admin.example"
    assert b"authorization" in answer.headers[b"access-control-allow-headers"]
    plain = await post(unread, "OPTIONS", authorization=None)
    assert (plain.status, plain.headers[b"allow"]) == (204, b"POST, OPTIONS")
