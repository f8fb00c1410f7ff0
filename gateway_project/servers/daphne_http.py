"""One HTTP request under Daphne, given to the application when its headers are in."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterable, MutableMapping
from io import BytesIO
from typing import Any
from urllib.parse import unquote

from daphne.http_protocol import WebRequest
from daphne.utils import HEADER_NAME_RE, INVALID_HEADER_VALUE_BYTES
from twisted.web import http

from gateway_project.servers import daphne_application
from gateway_project.servers.daphne_channel import GatewayChannel, problem_response
from gateway_project.servers.daphne_transport import TransportWriter, is_plain, watch_peer, write
from gateway_project.servers.limits import (
    MAX_CLOSE_WAIT_SECONDS,
    READ_BUFFER_BYTES,
    UNREAD_BODY_DRAIN_BYTES,
)
from topics.problems import Problem
from topics.wire.sse import LAST_CHUNK
from topics.writer import EXTENSION, Framing

logger = logging.getLogger(__name__)

_NO_BODY = frozenset({204, 304})
_INTERNAL_ERROR = Problem(500, "internal-error", "The request could not be answered; the log says why.")


class BadRequestError(Exception):
    """Raised for a request that Twisted takes and ASGI has no way to say."""


def split_target(target: bytes) -> tuple[bytes, bytes]:
    """Split a request target into path and query (RFC 9112 §3.2).

    Raises:
        BadRequestError: It is none of a path, an absolute URI and `*`, or not ASCII.
    """
    if not target.isascii():
        raise BadRequestError("The request target is not ASCII; percent-encode it.")
    if target[:7].lower() == b"http://" or target[:8].lower() == b"https://":
        rest = target.split(b"//", 1)[1]
        slash, question = rest.find(b"/"), rest.find(b"?")
        if slash < 0 or 0 <= question < slash:
            target = b"/" + (rest[question:] if question >= 0 else b"")
        else:
            target = rest[slash:]
    elif not target.startswith(b"/") and target != b"*":
        raise BadRequestError("The request target is neither a path nor an absolute URI.")
    path, _, query = target.partition(b"?")
    return path, query


def checked_headers(headers: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[bytes, bytes]]:
    """Yield the application's headers.

    Raises:
        ValueError: One would break the response (RFC 9110 §5).
    """
    for name, value in headers:
        if not isinstance(name, bytes) or not isinstance(value, bytes):
            raise ValueError(f"The header {name!r} and its value must be bytes.")
        if not HEADER_NAME_RE.fullmatch(name) or value.translate(None, b"\r\n\0") != value:
            raise ValueError(f"The header {name!r} or its value is malformed.")
        yield name, value


_date: tuple[int, bytes] = (0, b"")


def http_date() -> bytes:
    """Return the time as the `date` header has it (RFC 9110 §6.6.1)."""
    global _date  # noqa: PLW0603 - one for all responses of a second
    now = int(time.time())
    if _date[0] != now:
        _date = (now, http.datetimeToString(now))
    return _date[1]


class GatewayRequest(WebRequest):
    """One request and its response.

    Twisted parses neither the body nor the query, and nothing is spooled to disk: the body waits in a bounded buffer
    until the application calls `receive`.

    Attributes:
        dispatched: Whether the headers are in and somebody answers this request.
        streaming: Whether the response has no end that is known.
        response_started: Whether the response's head has been written.
        response_complete: Whether all of the response has been written.
    """

    channel: Any
    client: Any
    client_addr: Any
    server_addr: Any
    method: Any
    uri: Any
    dispatched = False
    streaming = False
    response_started = False
    response_complete = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Daphne's own registers with the server before there is anything to serve.
        http.Request.__init__(self, *args, **kwargs)
        self.server = self.channel.factory.server
        self.client_addr = None
        self.server_addr = None
        self.application_queue = None
        self._response_started = False
        self._body: deque[bytes] = deque()
        self._body_held = 0
        self._body_complete = False
        self._body_delivered = False
        self._body_remaining: int | None = 0
        self._expects_continue = False
        self._discard = False
        self._wake_receive: asyncio.Future[None] | None = None
        self._wake_send: asyncio.Future[None] | None = None
        self._start: MutableMapping[str, Any] | None = None
        self._chunked = False
        self._no_body = False
        self._length_left: int | None = None
        self._writer: TransportWriter | None = None
        self._served = False

    # Called by the channel

    def parseCookies(self) -> None:
        """Leave cookies to the application."""

    def gotLength(self, length: int | None) -> None:
        """Give the request to the application: the headers are in.

        Args:
            length: Bytes of the body, None when it is chunked.
        """
        channel: GatewayChannel = self.channel
        self.dispatched = True
        self.method, self.uri, self.clientproto = channel._command, channel._path, channel._version
        self._body_remaining = length
        self._body_complete = length == 0
        self.request_start = time.time()
        channel.stop_idle_timeout()
        try:
            self._check_headers()
            self.path, self.query_string = split_target(self.uri)
            if self._is_upgrade():
                if length != 0:
                    raise BadRequestError("A WebSocket handshake has no body.")
                # Daphne answers it when Twisted calls `process`, which is next.
                self.content = BytesIO()
                self.server.protocol_connected(self)
                return
            scope = self._scope()
        except BadRequestError as error:
            channel.reject(Problem(400, "invalid-request", str(error)))
            return
        finally:
            # Twisted would ask for the body at once; the application's first `receive` does.
            self.requestHeaders.removeHeader(b"expect")
        self._served = True
        daphne_application.start(self.server, self, scope, self._receive, self._send)

    def handleContentChunk(self, data: bytes) -> None:
        """Keep a part of the body for the application."""
        self._expects_continue = False
        if self._body_remaining is not None:
            self._body_remaining -= len(data)
        if self._discard or not data:
            return
        self._body.append(data)
        self._body_held += len(data)
        if self._body_held > READ_BUFFER_BYTES:
            if self.streaming:
                self._discard_body()
            else:
                self.channel.pause_reading()
        self._wake_receiver()

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Take note that the body is in."""
        channel: GatewayChannel = self.channel
        if channel is None or channel._closing:
            return
        if not self._served:
            super().requestReceived(command, path, version)
            return
        self._body_complete = True
        channel.resume_reading()
        if self.response_complete:
            self._done()
        else:
            self._wake_receiver()

    def process(self) -> Any:
        """Upgrade to WebSocket, as Daphne does."""
        self.channel.hand_over()
        result = super().process()
        self.server.connections.pop(self, None)
        return result

    def connectionLost(self, reason: Any) -> None:
        """Tell the application that the client is gone."""
        self.disconnect()
        self.channel = None
        if self in self.server.connections:
            self.server.protocol_disconnected(self)

    def disconnect(self) -> None:
        """Wake the application with `http.disconnect`."""
        self._disconnected = True
        if self._writer is not None:
            self._writer.stop()
        self._body.clear()
        self._wake_receiver()
        self._wake_sender()

    def resume_sending(self) -> None:
        """Let the application write on: the transport holds nothing any more."""
        if self._writer is not None:
            self._writer.drained()
        self._wake_sender()

    # The scope

    def _check_headers(self) -> None:
        for name, values in self.requestHeaders.getAllRawHeaders():
            if not HEADER_NAME_RE.fullmatch(name):
                raise BadRequestError("The name of a header is malformed.")
            for value in values:
                if not INVALID_HEADER_VALUE_BYTES.isdisjoint(value):
                    raise BadRequestError("The value of a header holds a control character.")
        expect = self.requestHeaders.getRawHeaders(b"expect", ())
        if self.clientproto == b"HTTP/1.1" and [value.lower() for value in expect] == [b"100-continue"]:
            self._expects_continue = self._body_remaining != 0
        tokens = b",".join(self.requestHeaders.getRawHeaders(b"connection", ())).lower().split(b",")
        if b"close" in [token.strip() for token in tokens]:
            self.channel.persistent = 0

    def _is_upgrade(self) -> bool:
        upgrade = self.requestHeaders.getRawHeaders(b"upgrade")
        # Any other method, and HTTP/1.0, may not upgrade: the application answers them (RFC 9110 §7.8).
        return (
            upgrade is not None
            and upgrade[0].lower() == b"websocket"
            and self.method == b"GET"
            and self.clientproto == b"HTTP/1.1"
        )

    def _scope(self) -> dict[str, Any]:
        root_path = self.server.root_path
        headers: list[tuple[bytes, bytes]] = []
        for name, values in self.requestHeaders.getAllRawHeaders():
            # A name with an underscore could pass for another in WSGI's environment (CVE-2015-0219).
            if b"_" in name:
                continue
            lower = name.lower()
            if lower == b"daphne-root-path":
                root_path = unquote(values[-1].decode("latin-1"))
                continue
            headers.extend((lower, value) for value in values)
        client, host = self.client, self.host
        if hasattr(client, "host") and hasattr(client, "port"):
            self.client_addr = [str(client.host), client.port]
            self.server_addr = [str(host.host), host.port]
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": self.clientproto[5:].decode("ascii"),
            "method": self.method.decode("ascii"),
            "path": unquote(self.path.decode("ascii")),
            "raw_path": self.path,
            "root_path": root_path,
            "scheme": "https" if self.isSecure() else "http",
            "query_string": self.query_string,
            "headers": headers,
            "client": self.client_addr,
            "server": self.server_addr,
        }
        transport = self.channel.transport
        if is_plain(transport):
            framing = Framing.CHUNKED if self.clientproto == b"HTTP/1.1" else Framing.IDENTITY
            self._writer = TransportWriter(transport, framing, self._end_stream)
            scope["extensions"] = {EXTENSION: {"writer": self._writer}}
        return scope

    # ASGI

    async def _receive(self) -> MutableMapping[str, Any]:
        while True:
            if self._disconnected or self.response_complete:
                return {"type": "http.disconnect"}
            if self._body or (self._body_complete and not self._body_delivered):
                return self._take_body()
            if self._expects_continue and not self.response_started:
                self._expects_continue = False
                self.channel.send_continue()
            self._wake_receive = asyncio.get_running_loop().create_future()
            try:
                await self._wake_receive
            finally:
                self._wake_receive = None

    def _take_body(self) -> MutableMapping[str, Any]:
        body = b"".join(self._body)
        self._body.clear()
        self._body_held = 0
        self._body_delivered = self._body_complete
        if not self._body_complete:
            self.channel.resume_reading()
        return {"type": "http.request", "body": body, "more_body": not self._body_complete}

    def _wake_receiver(self) -> None:
        if self._wake_receive is not None and not self._wake_receive.done():
            self._wake_receive.set_result(None)

    def _wake_sender(self) -> None:
        if self._wake_send is not None and not self._wake_send.done():
            self._wake_send.set_result(None)

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            if self._start is not None or self.response_started:
                raise RuntimeError("The response has been started already.")
            self._start = message
            return
        if kind != "http.response.body":
            raise ValueError(f"{kind} is no message of an HTTP response.")
        if self._start is None and not self.response_started:
            raise RuntimeError("The response has not been started.")
        if self._disconnected or self.response_complete:
            return
        more = bool(message.get("more_body", False))
        body = bytes(message.get("body", b""))
        data = b"" if self._start is None else self._head(self._start, more=more)
        data += self._frame(body, more=more)
        if data:
            write(self.channel.transport, data)
        if not more:
            self._response_written()
            return
        if self.streaming and self._writer is not None:
            self._writer.start()
        while self.channel is not None and self.channel.write_blocked and not self._disconnected:
            self._wake_send = asyncio.get_running_loop().create_future()
            try:
                await self._wake_send
            finally:
                self._wake_send = None

    # The response

    def _head(self, start: MutableMapping[str, Any], *, more: bool) -> bytes:
        status = int(start["status"])
        self.code = status
        version = self.clientproto
        reason = http.RESPONSES.get(status, b"")
        lines = [b"%b %d %b\r\n" % (version, status, reason)]
        has_date = False
        length: int | None = None
        for name, value in checked_headers(start.get("headers", ())):
            lower = name.lower()
            if lower == b"transfer-encoding":
                continue
            if lower == b"connection":
                if b"close" in value.lower():
                    self.channel.persistent = 0
                continue
            if lower == b"content-length":
                length = int(value)
            has_date = has_date or lower == b"date"
            lines.append(b"%b: %b\r\n" % (name, value))
        if not has_date:
            lines.append(b"date: %b\r\n" % http_date())
        self._no_body = self.method == b"HEAD" or status in _NO_BODY
        self._length_left = None if self._no_body else length
        if length is None and not self._no_body:
            self._choose_framing(lines, more=more)
        self._decide_on_body()
        if not self.channel.persistent:
            lines.append(b"connection: close\r\n")
        lines.append(b"\r\n")
        self._start = None
        self.response_started = True
        return b"".join(lines)

    def _choose_framing(self, lines: list[bytes], *, more: bool) -> None:
        if self.clientproto == b"HTTP/1.1":
            self._chunked = True
            lines.append(b"transfer-encoding: chunked\r\n")
        else:
            self.channel.persistent = 0
        if more:
            self.streaming = True
            self.channel.persistent = 0
            watch_peer(self.channel.transport, self.channel.factory.heartbeat)
            if self._body_complete:
                self.channel.read_behind_stream()

    def _decide_on_body(self) -> None:
        """Decide, before the head is written, what becomes of a body that is not in yet."""
        if self._body_complete:
            return
        remaining = self._body_remaining
        if self._expects_continue or remaining is None or remaining > UNREAD_BODY_DRAIN_BYTES:
            # A client that waits for 100 may send the body or not: only closing keeps both in step.
            self.channel.persistent = 0

    def _frame(self, body: bytes, *, more: bool) -> bytes:
        if self._no_body:
            return b""
        if self._length_left is not None:
            self._length_left -= len(body)
            if self._length_left < 0 or (self._length_left and not more):
                # What the client would take for the next response must not follow.
                self.channel.abort()
                raise RuntimeError("The response's body is not as long as its content-length says.")
        self.sentLength += len(body)
        if not self._chunked:
            return body
        framed = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        return framed if more else framed + LAST_CHUNK

    def _response_written(self) -> None:
        self.response_complete = True
        self._log()
        if self._writer is not None:
            self._writer.stop()
        self._wake_receiver()
        self._discard_body()
        if self._body_complete:
            self._done()
        elif self.channel.persistent:
            self.channel.limit_unread_body()
        else:
            self.channel.loseConnection()

    def _end_stream(self, _code: int | None) -> None:
        """End a stream on behalf of its writer."""
        channel = self.channel
        if channel is None or self.response_complete:
            return
        self.response_complete = True
        self._log()
        if self._chunked:
            write(channel.transport, LAST_CHUNK)
        self._wake_receiver()
        channel.end(MAX_CLOSE_WAIT_SECONDS)

    def _discard_body(self) -> None:
        self._discard = True
        self._body.clear()
        self._body_held = 0
        self.channel.resume_reading()

    def _done(self) -> None:
        channel, self.channel = self.channel, None
        self.finished = 1
        channel.requestDone(self)

    # The application's end

    def application_ended(self, error: BaseException | None) -> None:
        """Answer for an application that ended before its response did."""
        if self.channel is None or self._disconnected or self.response_complete:
            return
        if isinstance(error, asyncio.CancelledError):
            self.channel.abort()
            return
        if error is None:
            logger.error("The application ended before its response was complete.")
        self._fail()

    def _fail(self, problem: Problem = _INTERNAL_ERROR) -> None:
        if self.response_started:
            self.channel.abort()
            return
        self.response_started = self.response_complete = True
        self.code = problem.status
        self._log()
        self._wake_receiver()
        write(self.channel.transport, problem_response(problem))
        self.channel.loseConnection()

    # What Daphne calls

    def basic_error(self, status: int, status_text: bytes, body: str) -> None:
        """Answer an upgrade that Daphne refuses."""
        slug = "invalid-request" if status < 500 else "internal-error"
        self.channel.reject(Problem(status, slug, f"{body}."))

    def handle_exception(self, exception: BaseException) -> None:
        """Answer for an application that failed."""
        self.application_ended(exception)

    def check_timeouts(self) -> None:
        """Keep Daphne's `--http-timeout`."""
        timeout = self.server.http_timeout
        if timeout and not self.streaming and self.duration() > timeout and self.channel is not None:
            self._fail(Problem(503, "timeout", f"There was no answer within {timeout:g} s."))

    def _log(self) -> None:
        if self.server.action_logger is None:
            return
        details = {
            "path": self.uri.decode("latin-1"),
            "status": self.code,
            "method": self.method.decode("ascii"),
            "client": "{}:{}".format(*self.client_addr) if self.client_addr else None,
            "time_taken": self.duration(),
            "size": self.sentLength,
        }
        self.server.log_action("http", "complete", details)
