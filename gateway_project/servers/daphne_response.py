"""The bytes of a response: its head, and the framing of its body (RFC 9112). Pure."""

import time
from collections.abc import Iterator, MutableMapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from daphne.utils import HEADER_NAME_RE

from topics.problems import Problem
from topics.wire.sse import LAST_CHUNK, chunk

_NO_BODY = frozenset({204, 304})
_REASONS = {status.value: status.phrase.encode("ascii") for status in HTTPStatus}
# One for all responses of a second.
_date: tuple[int, bytes] = (0, b"")


def http_date() -> bytes:
    """Return the time as the `date` header has it (RFC 9110 §6.6.1)."""
    global _date  # noqa: PLW0603
    now = int(time.time())
    if _date[0] != now:
        _date = (now, formatdate(now, usegmt=True).encode("ascii"))
    return _date[1]


def status_line(version: bytes, status: int) -> bytes:
    """Return the first line of a response.

    Args:
        version: Such as `HTTP/1.1`.
        status: The status code.
    """
    return b"%b %d %b\r\n" % (version, status, _REASONS.get(status, b""))


def checked_headers(message: MutableMapping[str, Any]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the headers of an application's message.

    Raises:
        ValueError: One would break the response (RFC 9110 §5).
    """
    for name, value in message.get("headers") or ():
        if not isinstance(name, bytes) or not isinstance(value, bytes):
            raise ValueError(f"The header {name!r} and its value must be bytes.")
        if not HEADER_NAME_RE.fullmatch(name) or value.translate(None, b"\r\n\0") != value:
            raise ValueError(f"The header {name!r} or its value is malformed.")
        yield name, value


def problem_response(problem: Problem) -> bytes:
    """Encode a problem as a whole response after which the connection is closed."""
    return b"%b%bdate: %b\r\nconnection: close\r\n\r\n%b" % (
        status_line(b"HTTP/1.1", problem.status),
        b"".join(b"%b: %b\r\n" % header for header in problem.asgi_headers()),
        http_date(),
        problem.body(),
    )


class Response:
    """A response of the application on its way out.

    Args:
        version: The request's, such as `HTTP/1.1`.
        method: The request's.
        start: The message `http.response.start`.
        more: Whether more body follows the first part.

    Attributes:
        status: The status code.
        streaming: Whether it has no end that is known: no length, and more to come.
        must_close: Whether only the connection's end can end it, or the application wants that.

    Raises:
        ValueError: A header is malformed.
    """

    __slots__ = ("_chunked", "_connection", "_left", "_lines", "_no_body", "must_close", "status", "streaming")

    def __init__(self, version: bytes, method: bytes, start: MutableMapping[str, Any], *, more: bool) -> None:
        self.status = int(start["status"])
        self._lines = [status_line(version, self.status)]
        has_date = False
        tokens: list[bytes] = []
        length: int | None = None
        for name, value in checked_headers(start):
            lower = name.lower()
            if lower == b"transfer-encoding":
                continue
            if lower == b"connection":
                tokens += [token.strip() for token in value.lower().split(b",")]
                continue
            if lower == b"content-length":
                length = int(value)
            has_date = has_date or lower == b"date"
            self._lines.append(b"%b: %b\r\n" % (name, value))
        if not has_date:
            self._lines.append(b"date: %b\r\n" % http_date())
        self._no_body = method == b"HEAD" or self.status in _NO_BODY
        self._left = None if self._no_body else length
        open_end = length is None and not self._no_body
        self._chunked = open_end and version == b"HTTP/1.1"
        if self._chunked:
            self._lines.append(b"transfer-encoding: chunked\r\n")
        self.streaming = open_end and more
        # Whoever reads a stream has no use for the connection after it, and what comes behind is not parsed.
        # After a 408, whatever comes late could be taken for the next request (RFC 9110 §15.5.9).
        late = self.status == 408
        self.must_close = b"close" in tokens or self.streaming or late or (open_end and not self._chunked)
        # Whether it stays open is the server's decision; a 426 says `upgrade` (RFC 9110 §7.8).
        self._connection = [token for token in tokens if token not in {b"close", b"keep-alive"}]

    def head(self, *, close: bool) -> bytes:
        """Return the status line and headers.

        Args:
            close: Whether the connection is closed after the response.
        """
        if close:
            self._connection.append(b"close")
        if self._connection:
            self._lines.append(b"connection: %b\r\n" % b", ".join(self._connection))
        self._lines.append(b"\r\n")
        head, self._lines = b"".join(self._lines), []
        return head

    def frame(self, body: bytes, *, more: bool) -> bytes:
        """Return a part of the body as it goes out.

        Raises:
            ValueError: The body is longer or, at its end, shorter than its content-length.
        """
        if self._no_body:
            return b""
        if self._left is not None:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise ValueError("The response's body is not as long as its content-length says.")
        if not self._chunked:
            return body
        framed = chunk(body) if body else b""
        return framed if more else framed + self.end()

    def end(self) -> bytes:
        """Return what ends a stream."""
        return LAST_CHUNK if self._chunked else b""
