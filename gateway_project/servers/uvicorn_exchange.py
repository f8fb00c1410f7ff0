"""One HTTP request and its response, between the connection and the application."""

import asyncio
import logging
import re
from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Protocol

from gateway_project.servers import limits
from gateway_project.servers.uvicorn_writer import UvicornWriter, reset
from topics.asgi import Application, Message, Scope
from topics.wire.sse import LAST_CHUNK, chunk

logger = logging.getLogger(__name__)

# Field names and values as RFC 9110 §5.1 and §5.5 allow them: nothing may smuggle a line into a response.
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_VALUE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*\Z")

_SHORT = 64

STATUS_LINE = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
"""The first line of a response."""


class Connection(Protocol):
    """What an exchange asks of the connection that it happens on.

    Attributes:
        default_headers: Fields of every response.
        write_paused: Whether the transport holds more than its limit.
        latest: The exchange whose request is being parsed.
    """

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    write_paused: bool
    latest: "Exchange | None"

    @property
    def default_headers(self) -> Sequence[tuple[bytes, bytes]]:
        """Fields of every response."""

    def pause_reading(self) -> None:
        """Let the kernel keep what comes."""

    def resume_reading(self) -> None:
        """Read again."""

    async def drained(self) -> None:
        """Wait until the transport takes more, or the connection is lost."""

    def begin_stream(self) -> None:
        """The response is an event stream."""

    def answered(self, exchange: "Exchange") -> None:
        """The response is complete."""

    def application_failed(self, exchange: "Exchange") -> None:
        """The application gave no whole response."""


class Exchange:
    """One request and its response.

    Args:
        connection: Where it happens.
        scope: ASGI's.
        writer: What was offered to the application in the scope; None for a request with a body: no stream answers it.
        remaining: Bytes of the body still to come; None when chunked.
        expects_continue: The client waits for a 100 before it sends the body (RFC 9110 §10.1.1).
        keep_alive: Whether the connection outlives the response.
    """

    __slots__ = (
        "_awaits_continue",
        "_bodiless",
        "_body",
        "_chunked",
        "_connection",
        "_event_stream",
        "_head",
        "_length",
        "_news",
        "_remaining",
        "_waiter",
        "complete",
        "disconnected",
        "keep_alive",
        "more_body",
        "scope",
        "sent_anything",
        "started",
        "streaming",
        "writer",
    )

    def __init__(
        self,
        connection: Connection,
        scope: Scope,
        writer: UvicornWriter | None,
        *,
        remaining: int | None,
        expects_continue: bool,
        keep_alive: bool,
    ) -> None:
        self._connection = connection
        self.scope = scope
        self.writer = writer
        self.keep_alive = keep_alive
        self.more_body = True
        """The request has not come to its end."""
        self.disconnected = False
        """Nothing reaches the client any more."""
        self.started = False
        """The application has given the response's head."""
        self.sent_anything = False
        """Part of the response has left."""
        self.complete = False
        """All of the response has left."""
        self.streaming = False
        """An event stream is running."""
        self._remaining = remaining
        self._awaits_continue = expects_continue
        self._body: bytes | bytearray = b""
        # Something has come that `receive` has not told.
        self._news = False
        self._waiter: asyncio.Future[None] | None = None
        self._head: list[bytes] = []
        self._length: int | None = None
        self._chunked = False
        self._bodiless = False
        self._event_stream = False

    # The request

    def body_received(self, data: bytes) -> None:
        """Keep body bytes for `receive`, or drop them when nobody will read them."""
        if self._remaining is not None:
            self._remaining -= len(data)
        if self.complete or self.disconnected:
            return
        if not self._body:
            self._body = data
        else:
            if not isinstance(self._body, bytearray):
                self._body = bytearray(self._body)
            self._body += data
        if len(self._body) > limits.READ_BUFFER_BYTES:
            self._connection.pause_reading()
        self._wake()

    def body_complete(self) -> None:
        """No more of the body will come."""
        self.more_body = False
        self._wake()

    def disconnect(self) -> None:
        """Nothing reaches the client any more: `receive` says so and `send` does nothing."""
        self.disconnected = True
        self._body = b""
        if self.writer is not None:
            self.writer.stop()
        self._wake()

    def _wake(self) -> None:
        self._news = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def receive(self) -> Message:
        """ASGI: the next part of the body, or the disconnect. One caller at a time.

        Raises:
            RuntimeError: Another one waits.
        """
        while not (self.disconnected or self.complete):
            if self._news:
                self._news = False
                body, self._body = bytes(self._body), b""
                return {"type": "http.request", "body": body, "more_body": self.more_body}
            transport = self._connection.transport
            if self._awaits_continue:
                self._awaits_continue = False
                if not transport.is_closing():
                    transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            if self._connection.latest is self:
                self._connection.resume_reading()
            if self._waiter is not None and not self._waiter.done():
                raise RuntimeError("Another caller of `receive` waits already.")
            self._waiter = self._connection.loop.create_future()
            await self._waiter
        return {"type": "http.disconnect"}

    # The response

    async def run(self, application: Application) -> None:
        """Run the application for this request."""
        try:
            await application(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            reset(self._connection.transport)
        except Exception:
            logger.exception("The application failed")
            self._connection.application_failed(self)
        else:
            if not (self.complete or self.disconnected):
                logger.error("The application returned without completing its response")
                self._connection.application_failed(self)

    async def send(self, message: Message) -> None:
        """ASGI: the response's start or a part of its body; waits while the client takes nothing."""
        if self._connection.write_paused and not self.disconnected:
            await self._connection.drained()
        if self.disconnected:
            return
        if message["type"] == "http.response.start" and not self.started:
            self._begin(message["status"], message.get("headers", ()))
        elif message["type"] == "http.response.body" and self.started and not self.complete:
            self._write(message.get("body", b""), message.get("more_body", False))
        else:
            raise RuntimeError(f"Unexpected ASGI message {message['type']!r}.")

    def _begin(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Make the response's head. It leaves with the first part of the body, as ASGI says."""
        self.started = True
        expecting, self._awaits_continue = self._awaits_continue, False
        self._bodiless = self.scope["method"] == "HEAD" or status in (204, 304)
        head = [STATUS_LINE[status]]
        for raw_name, value in (*self._connection.default_headers, *headers):
            name, line = _line(raw_name, value) if len(value) > _SHORT else _known(raw_name, value)
            if name == b"connection":
                if b"close" in [token.strip() for token in value.lower().split(b",")]:
                    self.keep_alive = False
                continue
            if name == b"transfer-encoding" or (name == b"content-length" and status == 204):
                continue
            if name == b"content-length":
                self._length = int(value)
            elif name == b"content-type":
                self._event_stream = value.lower().startswith(b"text/event-stream")
            head.append(line)
        if self._length is None and not self._bodiless:
            if self.scope["http_version"] == "1.0":
                self.keep_alive = False
            else:
                self._chunked = True
                head.append(b"transfer-encoding: chunked\r\n")
        if self.more_body and (
            expecting or self._remaining is None or self._remaining > limits.UNREAD_BODY_DRAIN_BYTES
        ):
            # The body is not read to its end: too long, of unknown length, or never to come.
            self.keep_alive = False
        if status == HTTPStatus.REQUEST_TIMEOUT:
            # Whatever comes late could be taken for the next request (RFC 9110 §15.5.9).
            self.keep_alive = False
        if self._event_stream and not self._bodiless:
            # Nothing is answered behind a stream (RFC 9112 §9.6).
            self.keep_alive = False
        head.append(b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")
        self._head = head

    def _write(self, body: bytes, more_body: bool) -> None:
        out, self._head = self._head, []
        if not self._bodiless:
            if self._chunked:
                if body:
                    out.append(chunk(body))
                if not more_body:
                    out.append(LAST_CHUNK)
            else:
                out.append(body)
                if self._length is not None:
                    self._count(len(body), more_body)
        if out:
            self.sent_anything = True
            self._connection.transport.write(b"".join(out))
        if more_body:
            if self._event_stream:
                self._connection.begin_stream()
            return
        self.complete = True
        self._body = b""
        if self.writer is not None:
            self.writer.detach()
        self._wake()
        self._connection.answered(self)

    def _count(self, size: int, more_body: bool) -> None:
        self._length = (self._length or 0) - size
        if self._length < 0 or (self._length and not more_body):
            raise RuntimeError("The response is not as long as its content-length says.")


def _line(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Return a field's name in lower case and the whole line."""
    name = name.lower()
    if not _NAME.match(name) or not _VALUE.match(value):
        raise RuntimeError("A response header has a forbidden character.")
    return name, b"%b: %b\r\n" % (name, value)


# Most fields of most responses are the same.
_known = lru_cache(maxsize=256)(_line)
