"""One HTTP request and its response, between uvicorn's connection and the application."""

import asyncio
import logging
import re
from typing import Protocol

from uvicorn._types import ASGI3Application, ASGIReceiveEvent, ASGISendEvent, HTTPScope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle
from uvicorn.server import ServerState

from gateway_project.servers import limits
from gateway_project.servers.uvicorn_writer import UvicornWriter, reset
from topics.wire.sse import LAST_CHUNK, chunk

logger = logging.getLogger(__name__)

# Field names and values as RFC 9110 §5.1 and §5.5 allow them: nothing may smuggle a line into a response.
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_VALUE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*\Z")


class Connection(Protocol):
    """What an exchange asks of the connection that it happens on."""

    transport: asyncio.Transport
    flow: FlowControl
    server_state: ServerState
    cycle: RequestResponseCycle
    """The exchange whose request is being parsed: the last one."""

    def begin_stream(self) -> None:
        """The response is an event stream."""

    def answered(self, cycle: "Exchange") -> None:
        """The response is complete."""

    def application_failed(self, cycle: "Exchange") -> None:
        """The application gave no whole response."""


class Exchange(RequestResponseCycle):
    """One request and its response.

    Args:
        protocol: The connection.
        writer: Offered to the application in the scope.
        scope: ASGI's.
        remaining: Bytes of the body still to come; None when chunked.
        expect_100_continue: The client waits for a 100 before it sends the body (RFC 9110 §10.1.1).
        keep_alive: Whether the connection outlives the response.
    """

    def __init__(
        self,
        protocol: Connection,
        writer: UvicornWriter,
        scope: HTTPScope,
        *,
        remaining: int | None,
        expect_100_continue: bool,
        keep_alive: bool,
    ) -> None:
        super().__init__(
            scope=scope,
            transport=protocol.transport,
            flow=protocol.flow,
            logger=logger,
            access_logger=logger,
            access_log=False,
            default_headers=protocol.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=expect_100_continue,
            keep_alive=keep_alive,
            on_response=lambda: None,
        )
        self.protocol = protocol
        self.writer = writer
        self.streaming = False
        """An event stream is running."""
        self.sent_anything = False
        """Part of the response has left."""
        self._remaining = remaining
        self._head: list[bytes] = []
        self._bodiless = False
        self._event_stream = False

    # The request

    def body_received(self, data: bytes) -> None:
        """Keep body bytes for `receive`, or drop them when nobody will read them."""
        if self._remaining is not None:
            self._remaining -= len(data)
        if self.response_complete or self.disconnected:
            return
        self.body += data
        if len(self.body) > limits.READ_BUFFER_BYTES:
            self.flow.pause_reading()
        self.message_event.set()

    def body_complete(self) -> None:
        """No more of the body will come."""
        self.more_body = False
        self.message_event.set()

    def disconnect(self) -> None:
        """Nothing reaches the client any more: `receive` says so and `send` does nothing."""
        self.disconnected = True
        self.body = bytearray()
        self.writer.stop()
        self.message_event.set()

    async def receive(self) -> ASGIReceiveEvent:
        """ASGI: the next part of the body, or the disconnect."""
        while not (self.disconnected or self.response_complete):
            if self.message_event.is_set():
                self.message_event.clear()
                body, self.body = bytes(self.body), bytearray()
                return {"type": "http.request", "body": body, "more_body": self.more_body}
            if self.waiting_for_100_continue:
                self.waiting_for_100_continue = False
                if not self.transport.is_closing():
                    self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            if self.protocol.cycle is self:
                self.flow.resume_reading()
            await self.message_event.wait()
        return {"type": "http.disconnect"}

    # The response

    async def run_asgi(self, app: ASGI3Application) -> None:
        """Run the application for this request."""
        try:
            await app(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            reset(self.transport)
        except Exception:
            logger.exception("The application failed")
            self.protocol.application_failed(self)
        else:
            if not (self.response_complete or self.disconnected):
                logger.error("The application returned without completing its response")
                self.protocol.application_failed(self)

    async def send(self, message: ASGISendEvent) -> None:
        """ASGI: the response's start or a part of its body; waits while the client takes nothing."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if message["type"] == "http.response.start" and not self.response_started:
            self._begin(message["status"], list(message.get("headers", [])))
        elif message["type"] == "http.response.body" and self.response_started and not self.response_complete:
            self._write(message.get("body", b""), message.get("more_body", False))
        else:
            raise RuntimeError(f"Unexpected ASGI message {message['type']!r}.")

    def _begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Make the response's head. It leaves with the first part of the body, as ASGI says."""
        self.response_started = True
        expecting, self.waiting_for_100_continue = self.waiting_for_100_continue, False
        method, version = self.scope["method"], self.scope["http_version"]
        self._bodiless = method == "HEAD" or status in (204, 304)
        length: int | None = None
        head = [STATUS_LINE[status]]
        for raw_name, value in [*self.protocol.server_state.default_headers, *headers]:
            name = raw_name.lower()
            if not _NAME.match(name) or not _VALUE.match(value):
                raise RuntimeError("A response header has a forbidden character.")
            if name == b"connection":
                if b"close" in [token.strip() for token in value.lower().split(b",")]:
                    self.keep_alive = False
                continue
            if name == b"transfer-encoding" or (name == b"content-length" and status == 204):
                continue
            if name == b"content-length":
                length = int(value)
            elif name == b"content-type":
                self._event_stream = value.lower().startswith(b"text/event-stream")
            head += [name, b": ", value, b"\r\n"]
        self.chunked_encoding = False
        self.expected_content_length = -1 if length is None else length
        if length is None and not self._bodiless:
            if version == "1.0":
                self.keep_alive = False
            else:
                self.chunked_encoding = True
                head.append(b"transfer-encoding: chunked\r\n")
        if self.more_body and (
            expecting or self._remaining is None or self._remaining > limits.UNREAD_BODY_DRAIN_BYTES
        ):
            # The body is not read to its end: too long, of unknown length, or never to come.
            self.keep_alive = False
        if status == 408:
            # Whatever comes late could be taken for the next request (RFC 9110 §15.5.9).
            self.keep_alive = False
        if self._event_stream and not self._bodiless:
            # Nothing is answered behind a stream (RFC 9112 §9.6).
            self.keep_alive = False
        if not self.keep_alive:
            head.append(b"connection: close\r\n")
        head.append(b"\r\n")
        self._head = head

    def _write(self, body: bytes, more_body: bool) -> None:
        out, self._head = self._head, []
        if not self._bodiless:
            if self.chunked_encoding:
                if body:
                    out.append(chunk(body))
                if not more_body:
                    out.append(LAST_CHUNK)
            else:
                out.append(body)
                if self.expected_content_length >= 0:
                    self._count(len(body), more_body)
        if out:
            self.sent_anything = True
            self.transport.write(b"".join(out))
        if more_body:
            if self._event_stream:
                self.protocol.begin_stream()
            return
        self.response_complete = True
        self.body = bytearray()
        self.writer.detach()
        self.message_event.set()
        self.protocol.answered(self)

    def _count(self, size: int, more_body: bool) -> None:
        self.expected_content_length -= size
        if self.expected_content_length < 0 or (self.expected_content_length and not more_body):
            raise RuntimeError("The response is not as long as its content-length says.")
