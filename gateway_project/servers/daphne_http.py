"""One HTTP request under Daphne, given to the application when its headers are in."""

# Twisted's and Autobahn's methods are typed only in part.
# mypy: disallow-untyped-calls=False

import asyncio
import logging
import time
from collections.abc import MutableMapping
from io import BytesIO
from typing import Any
from urllib.parse import unquote

from daphne.http_protocol import WebRequest
from twisted.web.http import Request

from gateway_project.servers import daphne_application
from gateway_project.servers.daphne_body import RequestBody
from gateway_project.servers.daphne_channel import GatewayChannel
from gateway_project.servers.daphne_response import Response, problem_response
from gateway_project.servers.daphne_scope import ASGI, BadRequestError, addresses, scope_headers, split_target
from gateway_project.servers.daphne_transport import TransportWriter, is_plain, watch_peer, write
from gateway_project.servers.limits import MAX_CLOSE_WAIT_SECONDS, UNREAD_BODY_DRAIN_BYTES
from topics.problems import Problem
from topics.writer import EXTENSION, Framing

logger = logging.getLogger(__name__)

_INTERNAL_ERROR = Problem(500, "internal-error", "The request could not be answered; the log says why.")


class GatewayRequest(WebRequest):
    """One request and its response.

    Twisted parses neither the body nor the query, and nothing is spooled to disk: the body waits in a bounded buffer
    until the application calls `receive`.

    Attributes:
        dispatched: Whether the headers are in and somebody answers this request.
        streaming: Whether the response has no end that is known.
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
    response_complete = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Daphne's own registers with the server before there is anything to serve.
        Request.__init__(self, *args, **kwargs)
        self.server = self.channel.factory.server
        self.client_addr = None
        self.server_addr = None
        self.application_queue = None
        self._body = RequestBody(0)
        self._expects_continue = False
        self._wake_receive: asyncio.Future[None] | None = None
        self._wake_send: asyncio.Future[None] | None = None
        self._start: MutableMapping[str, Any] | None = None
        self._response: Response | None = None
        self._writer: TransportWriter | None = None
        self._served = False

    @property
    def response_started(self) -> bool:
        """Whether the response's head has been written."""
        return self._response is not None

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
        self._body = RequestBody(length)
        self.request_start = time.time()
        channel.stop_idle_timeout()
        try:
            self._read_headers()
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
        if not self._body.feed(data):
            if self.streaming:
                self._discard_body()
            else:
                self.channel.pause_reading()
        self._wake_receiver()

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Take note that the body is in."""
        channel = self.channel
        if channel is None or channel._closing:
            return
        if not self._served:
            super().requestReceived(command, path, version)
            return
        self._body.complete = True
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
        self._body.discard()
        self._wake_receiver()
        self._wake_sender()

    def resume_sending(self) -> None:
        """Let the application write on: the transport holds nothing any more."""
        if self._writer is not None:
            self._writer.drained()
        self._wake_sender()

    def _read_headers(self) -> None:
        expect = self.requestHeaders.getRawHeaders(b"expect")
        if expect is not None and self.clientproto == b"HTTP/1.1" and expect[0].lower() == b"100-continue":
            self._expects_continue = not self._body.complete
        connection = self.requestHeaders.getRawHeaders(b"connection")
        if connection is not None:
            tokens = b",".join(connection).lower().split(b",")
            if b"close" in [token.strip() for token in tokens]:
                self.channel.persistent = 0
        self.path, self.query_string = split_target(self.uri)

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
        self.client_addr, self.server_addr = addresses(self.client, self.host)
        plain = is_plain(self.channel.transport)
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": dict(ASGI),
            "http_version": self.clientproto[5:].decode("ascii"),
            "method": self.method.decode("ascii"),
            "path": unquote(self.path.decode("ascii")),
            "raw_path": self.path,
            "root_path": self.server.root_path,
            "scheme": "http" if plain or not self.isSecure() else "https",
            "query_string": self.query_string,
            "headers": scope_headers(self.requestHeaders),
            "client": self.client_addr,
            "server": self.server_addr,
        }
        if plain:
            framing = Framing.CHUNKED if self.clientproto == b"HTTP/1.1" else Framing.IDENTITY
            self._writer = TransportWriter(self.channel.transport, framing, self._end_stream)
            scope["extensions"] = {EXTENSION: {"writer": self._writer}}
        return scope

    # ASGI

    async def _receive(self) -> MutableMapping[str, Any]:
        while True:
            if self._disconnected or self.response_complete:
                return {"type": "http.disconnect"}
            if self._body.ready:
                message = self._body.take()
                if message["more_body"]:
                    self.channel.resume_reading()
                return message
            if self._expects_continue and not self.response_started:
                self._expects_continue = False
                self.channel.send_continue()
            self._wake_receive = asyncio.get_running_loop().create_future()
            try:
                await self._wake_receive
            finally:
                self._wake_receive = None

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
        if self._disconnected or self.response_complete:
            return
        more = bool(message.get("more_body", False))
        body = bytes(message.get("body", b""))
        response, data = self._response, b""
        if response is None:
            if self._start is None:
                raise RuntimeError("The response has not been started.")
            response, data = self._begin(self._start, more=more)
        try:
            data += response.frame(body, more=more)
        except ValueError:
            # What the client would take for the next response must not follow.
            self.channel.abort()
            raise
        self.sentLength += len(body)
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

    def _begin(self, start: MutableMapping[str, Any], *, more: bool) -> tuple[Response, bytes]:
        response = Response(self.clientproto, self.method, start, more=more)
        self.code = response.status
        channel = self.channel
        if response.must_close or self._leaves_out_of_step():
            channel.persistent = 0
        if response.streaming:
            self.streaming = True
            watch_peer(channel.transport, channel.factory.heartbeat)
            if self._body.complete:
                channel.read_behind_stream()
        self._start = None
        self._response = response
        return response, response.head(close=not channel.persistent)

    def _leaves_out_of_step(self) -> bool:
        """Whether only closing keeps both sides in step, with a body that is not in yet."""
        if self._body.complete:
            return False
        remaining = self._body.remaining
        # A client that waits for 100 may send its body or not.
        return self._expects_continue or remaining is None or remaining > UNREAD_BODY_DRAIN_BYTES

    def _response_written(self) -> None:
        self.response_complete = True
        self._log()
        if self._writer is not None:
            self._writer.stop()
        self._wake_receiver()
        self._discard_body()
        if self._body.complete:
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
        if self._response is not None:
            write(channel.transport, self._response.end())
        self._wake_receiver()
        channel.end(MAX_CLOSE_WAIT_SECONDS)

    def _discard_body(self) -> None:
        self._body.discard()
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
        self.response_complete = True
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
