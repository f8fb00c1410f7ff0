"""The parts of the extended Daphne that need no connection."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.web.http_headers import Headers

from gateway_project.servers import daphne
from gateway_project.servers.daphne_body import RequestBody
from gateway_project.servers.daphne_response import Response, http_date, problem_response
from gateway_project.servers.daphne_scope import BadRequestError, scope_headers, split_target
from gateway_project.servers.limits import READ_BUFFER_BYTES
from tests.raw.http import parse_head
from topics.problems import Problem


def start(*headers: tuple[bytes, bytes], status: int = 200) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers}


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/", b"/", b""),
        (b"/a?b?c", b"/a", b"b?c"),
        (b"/a%3Fb", b"/a%3Fb", b""),
        (b"*", b"*", b""),
        (b"//a/b", b"//a/b", b""),
        (b"http://a/b?c", b"/b", b"c"),
        (b"http://a", b"/", b""),
        (b"http://a?b/c", b"/", b"b/c"),
        (b"HTTPS://a:1/", b"/", b""),
    ],
)
def test_a_target_is_split(target: bytes, path: bytes, query: bytes) -> None:
    assert split_target(target) == (path, query)


@pytest.mark.parametrize("target", [b"a", b"a:80", b"ftp://a/", b"/\xc3\xa9", b"?a"])
def test_a_target_that_is_none_is_refused(target: bytes) -> None:
    with pytest.raises(BadRequestError):
        split_target(target)


def test_headers_keep_their_values_apart_and_lose_ambiguous_names() -> None:
    headers = Headers({b"X-A": [b"1", b"2"], b"X_A": [b"3"]})
    assert scope_headers(headers) == [(b"x-a", b"1"), (b"x-a", b"2")]


def test_the_tried_versions_are_the_locked_ones() -> None:
    assert daphne.untried_versions() == []


def test_an_endpoint_gets_a_backlog_unless_it_names_one() -> None:
    asked: list[str] = []
    wrapped = daphne._with_backlog(lambda _, description: asked.append(description))
    for description in ("tcp:80", r"tcp6:80:interface=\:\:", "tcp:80:backlog=5", "fd:fileno=3"):
        wrapped(None, description)
    assert asked == [
        "tcp:80:backlog=4096",
        r"tcp6:80:interface=\:\::backlog=4096",
        "tcp:80:backlog=5",
        "fd:fileno=3",
    ]


def test_a_body_is_held_within_bounds_and_given_once() -> None:
    body = RequestBody(READ_BUFFER_BYTES + 3)
    assert not body.ready
    assert body.feed(b"a" * READ_BUFFER_BYTES)
    assert not body.feed(b"b")
    assert body.remaining == 2
    assert body.take() == {
        "type": "http.request",
        "body": b"a" * READ_BUFFER_BYTES + b"b",
        "more_body": True,
    }
    assert not body.ready
    body.feed(b"cd")
    body.complete = True
    assert body.take() == {"type": "http.request", "body": b"cd", "more_body": False}
    assert not body.ready


def test_a_discarded_body_counts_on_and_holds_nothing() -> None:
    body = RequestBody(10)
    body.feed(b"a")
    body.discard()
    assert body.feed(b"b" * 4)
    assert body.remaining == 5
    assert not body.ready


def test_a_body_that_is_not_there_is_one_empty_message() -> None:
    body = RequestBody(0)
    assert body.ready
    assert body.take() == {"type": "http.request", "body": b"", "more_body": False}
    assert not body.ready


def test_the_server_frames_what_the_application_did_not() -> None:
    response = Response(b"HTTP/1.1", b"GET", start((b"Transfer-Encoding", b"gzip")), more=False)
    assert not response.must_close
    head = parse_head(response.head(close=False))
    assert head.headers.all("transfer-encoding") == ["chunked"]
    assert "connection" not in head.headers
    assert response.frame(b"ab", more=False) == b"2\r\nab\r\n0\r\n\r\n"


@pytest.mark.parametrize(("version", "framed"), [(b"HTTP/1.1", b"2\r\nab\r\n"), (b"HTTP/1.0", b"ab")])
def test_a_stream_is_the_connections_last_response(version: bytes, framed: bytes) -> None:
    response = Response(version, b"GET", start(), more=True)
    assert response.streaming
    assert response.must_close
    assert response.frame(b"ab", more=True) == framed
    assert response.frame(b"", more=True) == b""
    assert response.end() == (b"0\r\n\r\n" if version == b"HTTP/1.1" else b"")


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", 200), (b"GET", 204), (b"GET", 304)])
def test_a_response_without_a_body_has_none(method: bytes, status: int) -> None:
    response = Response(b"HTTP/1.1", method, start(status=status), more=True)
    assert not response.streaming
    assert "transfer-encoding" not in parse_head(response.head(close=False)).headers
    assert response.frame(b"ab", more=True) + response.frame(b"", more=False) == b""


@pytest.mark.parametrize("parts", [[(b"abc", False)], [(b"a", False)], [(b"ab", True), (b"c", False)]])
def test_a_body_of_another_length_than_told_is_refused(parts: list[tuple[bytes, bool]]) -> None:
    response = Response(b"HTTP/1.1", b"GET", start((b"content-length", b"2")), more=parts[0][1])
    with pytest.raises(ValueError, match="content-length"):
        [response.frame(body, more=more) for body, more in parts]


def test_the_application_may_close_and_upgrade() -> None:
    response = Response(b"HTTP/1.1", b"GET", start((b"connection", b"Upgrade, close")), more=False)
    assert response.must_close
    assert parse_head(response.head(close=True)).headers.all("connection") == ["upgrade, close"]


@pytest.mark.parametrize(
    "header",
    [(b"a\r\nb", b""), (b"a", b"b\r\nc: d"), (b"a", b"\0"), (b"", b""), (b"a b", b""), ("a", "b"), (b"a:", b"b")],
)
def test_a_header_that_would_break_the_response_is_refused(header: Any) -> None:
    with pytest.raises(ValueError, match="header"):
        Response(b"HTTP/1.1", b"GET", start(header), more=False)


def test_a_problem_is_a_whole_response() -> None:
    head, _, body = problem_response(Problem(431, "header-too-large", "Less.")).partition(b"\r\n\r\n")
    parsed = parse_head(head + b"\r\n\r\n")
    assert (parsed.status, parsed.reason) == (431, "Request Header Fields Too Large")
    assert parsed.headers.get("content-length") == str(len(body))
    assert parsed.headers.get("connection") == "close"


def test_the_date_is_an_http_date() -> None:
    assert http_date().endswith(b" GMT")
    assert http_date() is http_date()
