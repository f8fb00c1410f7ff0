"""Heads parsed in one pass: taken only where Twisted's parser would come to the same end."""

# Twisted's methods are typed only in part.
# mypy: disallow-untyped-calls=False

from __future__ import annotations

import random
from typing import Any

import pytest
from twisted.internet.testing import StringTransport
from twisted.web.http import HTTPChannel, Request

from gateway_project.servers import daphne_head
from gateway_project.servers.daphne_head import Head, read_head
from gateway_project.servers.daphne_scope import scope_headers

POST = (
    b"POST /publish?a=%2C&b HTTP/1.1\r\nHost: a\r\nX-Sse-Topic: a, b\r\nX-Sse-Topic:c\r\nx-empty:\r\n"
    b"Connection: Keep-Alive\r\nContent-Length: 3 \r\n\r\nabcGET"
)


def test_an_ordinary_head_is_taken() -> None:
    found = read_head(POST)
    assert found is not None
    head, body = found
    assert head == Head(
        method=b"POST",
        target=b"/publish?a=%2C&b",
        path=b"/publish",
        query=b"a=%2C&b",
        version=b"HTTP/1.1",
        headers=[
            (b"host", b"a"),
            (b"x-sse-topic", b"a, b"),
            (b"x-sse-topic", b"c"),
            (b"x-empty", b""),
            (b"connection", b"Keep-Alive"),
            (b"content-length", b"3"),
        ],
        length=3,
    )
    assert POST[body:] == b"abcGET"


def test_a_request_without_a_length_has_no_body() -> None:
    found = read_head(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    assert found is not None
    assert found[0].length == 0


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET / HTTP/1.1\r\nhost: a\r\n",
        b"\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.0\r\nhost: a\r\n\r\n",
        b"GET  / HTTP/1.1\r\nhost: a\r\n\r\n",
        b"get / HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET http://a/ HTTP/1.1\r\nhost: a\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /\xe9 HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET / HTTP/1.1\nhost: a\r\n\r\n",
    ],
)
def test_another_first_line_is_left_to_twisted(data: bytes) -> None:
    assert read_head(data) is None


@pytest.mark.parametrize(
    "field",
    [
        b"no colon",
        b"nocolon",
        b": no name",
        b"a b: c",
        b"a : b",
        b" folded: a",
        b"\tfolded",
        b"a_b: c",
        b"a\xe9: b",
        b"a: b\nc: d",
        b"a: b\rc: d",
        b"a: \0",
        b"a: \x0b",
        b"a: \x7f",
        b"a: \x85",
        b"connection: close",
        b"connection: keep-alive, close",
        b"expect: 100-continue",
        b"transfer-encoding: chunked",
        b"upgrade: websocket",
        b"content-length: +1",
        b"content-length: 1, 1",
        b"content-length:",
        b"content-length: 0\r\ncontent-length: 0",
        b"content-length: 1000000000000000",
        b"\r\n".join([b"a: b"] * 100),
        b"a: " + b"b" * 65_536,
    ],
)
def test_an_unusual_field_is_left_to_twisted(field: bytes) -> None:
    assert read_head(b"POST / HTTP/1.1\r\nhost: a\r\n%b\r\n\r\n" % field) is None


def test_names_that_clients_make_up_do_not_fill_the_memory() -> None:
    for number in range(2 * daphne_head._MAX_NAMES):
        found = read_head(b"GET / HTTP/1.1\r\nX-%d: a\r\n\r\n" % number)
        assert found is not None
        assert found[0].headers == [(b"x-%d" % number, b"a")]
    assert len(daphne_head._names) <= daphne_head._MAX_NAMES


class _Recorded(Request):
    heads: list[tuple[Any, ...]]

    def gotLength(self, length: int | None) -> None:
        channel: Any = self.channel
        headers = sorted(scope_headers(self.requestHeaders))
        self.heads.append((channel._command, channel._path, channel._version, headers, length, channel.persistent))
        super().gotLength(length)


def _as_twisted(data: bytes) -> list[tuple[Any, ...]]:
    """Return the heads that Twisted's own parser takes."""
    heads: list[tuple[Any, ...]] = []
    channel: Any = HTTPChannel()
    channel.timeOut = None
    channel.requestFactory = type("Recorded", (_Recorded,), {"heads": heads})
    channel.makeConnection(StringTransport())
    channel.dataReceived(data)
    return heads


def test_what_is_taken_is_what_twisted_takes() -> None:
    pick = random.Random(9112)
    pieces = [b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"_", b"\0", b"\x85", b"\xe9", b"5", b"chunked", b"close", b"/"]
    pieces += [b"\r\nContent-Length: 3", b"\r\nTransfer-Encoding: chunked", b"\r\n folded", b"HTTP/1.0", b"\r\n\r\n"]
    taken = 0
    for _ in range(20_000):
        data = POST
        for _ in range(pick.randint(1, 2)):
            at, cut = pick.randrange(len(POST)), pick.choice((0, 0, 1, 2, 5))
            data = data[:at] + pick.choice(pieces) + data[at + cut :]
        found = read_head(data)
        if found is None:
            continue
        taken += 1
        head, _ = found
        expected = (head.method, head.target, head.version, sorted(head.headers), head.length, True)
        assert _as_twisted(data)[:1] == [expected], data
    assert taken > 1000
