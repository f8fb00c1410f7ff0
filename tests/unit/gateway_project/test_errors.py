import logging
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pytest
from django.http import HttpRequest, HttpResponse
from django.urls import path
from pytest_django import Settings

from gateway_project.handler import Handler
from gateway_project.urls import handler400, handler403, handler404, handler500
from topics.runtime import Runtime


async def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("the secret reason")


# For `test_an_unexpected_exception_is_told_without_its_reason`: this module as Django's URL configuration.
urlpatterns = [path("broken", broken)]

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]


def check_problem(answer: httpx.Response, status: int, slug: str) -> str:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    problem = answer.json()
    assert (problem["status"], problem["type"]) == (status, f"/problems/{slug}")
    assert int(answer.headers["content-length"]) == len(answer.content)
    return str(problem["detail"])


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("where", ["/nothing", "/api", "/api/", "/api/v1/nothing", "/%00%ff"])
async def test_an_unknown_path_is_404(api: httpx.AsyncClient, method: str, where: str) -> None:
    detail = check_problem(await api.request(method, where), 404, "not-found")
    assert "/api/docs" in detail


@pytest.mark.parametrize("where", ["/api/v1/publish/", "/api/v1/topics/", "/health/", "//api/v1/publish"])
async def test_another_slash_is_another_path_and_never_a_redirect(api: httpx.AsyncClient, where: str) -> None:
    check_problem(await api.post(where, content=b"{}"), 404, "not-found")


@pytest.mark.parametrize(
    ("method", "where", "allow"),
    [
        ("GET", "/api/v1/publish", "OPTIONS, POST"),
        ("PUT", "/api/v1/publish/batch", "OPTIONS, POST"),
        ("POST", "/api/v1/topics", "GET, HEAD, OPTIONS"),
        ("PATCH", "/api/v1/connections/x", "DELETE, GET, HEAD, OPTIONS"),
        ("POST", "/api/docs", "GET, HEAD, OPTIONS"),
        ("DELETE", "/api/v1/openapi.json", "GET, HEAD, OPTIONS"),
        ("POST", "/health", "GET, HEAD, OPTIONS"),
        ("BREW", "/ready", "GET, HEAD, OPTIONS"),
        ("POST", "/metrics", "GET, HEAD, OPTIONS"),
        ("POST", "/static/ninja/swagger-ui.css", "GET, HEAD, OPTIONS"),
    ],
)
async def test_a_wrong_method_is_405_with_allow(api: httpx.AsyncClient, method: str, where: str, allow: str) -> None:
    answer = await api.request(method, where)
    assert allow in check_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == allow
    options = await api.options(where)
    assert (options.status_code, options.headers["allow"], options.content) == (204, allow, b"")


@pytest.mark.parametrize(
    "where", ["/health", "/ready", "/metrics", "/api/v1/topics", "/api/docs", "/api/v1/openapi.json"]
)
async def test_head_is_get_without_content(api: httpx.AsyncClient, where: str) -> None:
    head, get = await api.head(where), await api.get(where)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    if where != "/metrics":  # its counters move
        assert head.headers["content-length"] == get.headers["content-length"]


async def test_the_head_of_a_problem_has_no_content(api: httpx.AsyncClient) -> None:
    answer = await api.head("/nothing")
    assert (answer.status_code, answer.content) == (404, b"")
    assert int(answer.headers["content-length"]) > 0


async def test_too_many_parameters_are_400(api: httpx.AsyncClient) -> None:
    query = "&".join(f"p{number}=1" for number in range(1100))
    check_problem(await api.get(f"/api/v1/topics?{query}"), 400, "invalid-request")


@pytest.fixture
async def broken_api(runtime: Runtime, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    settings.ROOT_URLCONF = __name__
    transport = httpx.ASGITransport(app=cast(Any, Handler()), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield client


async def test_an_unexpected_exception_is_told_without_its_reason(
    broken_api: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    answer = await broken_api.get("/broken")
    check_problem(answer, 500, "internal-error")
    assert "secret" not in answer.text
    assert "the secret reason" in caplog.text


async def test_an_unexpected_exception_of_the_api_is_logged_and_told_without_its_reason(
    api: httpx.AsyncClient, runtime: Runtime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> Any:
        raise RuntimeError("the secret reason")

    caplog.set_level(logging.ERROR)
    monkeypatch.setattr(runtime.placement, "stats", fail)
    answer = await api.get("/api/v1/stats")
    check_problem(answer, 500, "internal-error")
    assert "secret" not in answer.text
    assert "the secret reason" in caplog.text


@pytest.mark.parametrize("query", [b"q=\xff", b"\x80"])
async def test_a_query_that_is_not_utf8_is_400(runtime: Runtime, query: bytes) -> None:
    start, body = await raw(query_string=query)
    assert (start["status"], dict(start["headers"])[b"content-type"]) == (400, b"application/problem+json")
    assert b"/problems/invalid-request" in body


async def raw(**changed: Any) -> tuple[dict[str, Any], bytes]:
    """Call Django as a server would, with what no client library sends."""
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/api/v1/topics",
        "raw_path": b"/api/v1/topics",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"gateway")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    await Handler()(scope | changed, receive, send)
    return sent[0], b"".join(message.get("body", b"") for message in sent[1:])
