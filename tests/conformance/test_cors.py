"""Contract §2: other origins may subscribe, and may not publish or administer."""

from __future__ import annotations

import pytest

from tests.conformance.subject import Gateway

ORIGIN = ("origin", "https://elsewhere.example")


def members(value: str) -> set[str]:
    """The members of a comma-separated field, in lower case."""
    return {member.strip().lower() for member in value.split(",")}


def preflight(method: str, headers: str = "") -> list[tuple[str, str]]:
    """The headers of a CORS preflight (WHATWG Fetch, 3.2.2)."""
    asked = [ORIGIN, ("access-control-request-method", method)]
    return [*asked, ("access-control-request-headers", headers)] if headers else asked


async def test_a_page_of_another_origin_may_subscribe(gateway: Gateway, topic: str) -> None:
    async with gateway.sse(topic, headers=[ORIGIN]) as stream:
        assert stream.head.headers.get("access-control-allow-origin") in {"*", ORIGIN[1]}


async def test_a_page_of_another_origin_may_read_why_it_cannot_subscribe(gateway: Gateway) -> None:
    answer = await gateway.exchange("GET", "/sse?topic=a,,b", [ORIGIN])
    assert answer.status == 400
    assert answer.headers.get("access-control-allow-origin") in {"*", ORIGIN[1]}


async def test_the_preflight_of_a_subscription_allows_its_headers(gateway: Gateway) -> None:
    answer = await gateway.exchange("OPTIONS", "/sse", preflight("GET", "last-event-id,x-sse-topic"))
    assert answer.status == 204
    assert answer.body == b""
    assert answer.headers.get("access-control-allow-origin") in {"*", ORIGIN[1]}
    assert "get" in members(answer.headers.get("access-control-allow-methods"))
    assert {"x-sse-topic", "last-event-id"} <= members(answer.headers.get("access-control-allow-headers"))


async def test_a_websocket_of_another_origin_may_subscribe(gateway: Gateway, topic: str) -> None:
    async with gateway.websocket(topic, headers=dict([ORIGIN])) as socket:
        await gateway.delivered(topic)
        assert (await socket.receive())["data"] == "data"


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/publish", "POST"),
        ("/api/v1/publish", "POST"),
        ("/api/v1/publish/batch", "POST"),
        ("/api/v1/topics", "GET"),
        ("/api/v1/connections", "GET"),
        ("/api/v1/connections/x", "DELETE"),
        ("/api/v1/tail", "GET"),
    ],
)
async def test_a_page_of_another_origin_may_not_publish_or_administer(
    gateway: Gateway, topic: str, path: str, method: str
) -> None:
    answer = await gateway.exchange("OPTIONS", path, preflight(method, "authorization,x-sse-topic,x-sse-id"))
    assert answer.status < 500
    assert "access-control-allow-origin" not in answer.headers
    assert "access-control-allow-headers" not in answer.headers
    fields = [ORIGIN, ("authorization", f"Bearer {gateway.key}"), ("x-sse-topic", topic), ("x-sse-id", "1")]
    answer = await gateway.exchange(method, path, fields, b"" if method == "POST" else None)
    assert "access-control-allow-origin" not in answer.headers


async def test_options_on_publish_says_what_is_allowed(gateway: Gateway) -> None:
    answer = await gateway.exchange("OPTIONS", "/publish")
    assert answer.status in {200, 204}
    assert {"POST", "OPTIONS"} <= {method.strip() for method in answer.headers.get("allow").split(",")}
