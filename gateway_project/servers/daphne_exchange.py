"""One request and its response under Daphne, given to the application when its head is in."""

# Twisted's and Autobahn's methods are typed only in part.
# mypy: disallow-untyped-calls=False

import asyncio
import logging
import time
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from gateway_project.servers import daphne_application
from gateway_project.servers.daphne_body import RequestBody
from gateway_project.servers.daphne_head import Head
from gateway_project.servers.daphne_response import Response, problem_response
from gateway_project.servers.daphne_scope import ASGI
from gateway_project.servers.daphne_transport import TransportWriter, is_plain, watch_peer, write
from gateway_project.servers.limits import MAX_CLOSE_WAIT_SECONDS, UNREAD_BODY_DRAIN_BYTES
from topics.problems import INTERNAL, Problem
from topics.writer import EXTENSION, Framing

if TYPE_CHECKING:
    from gateway_project.servers.daphne_channel import GatewayChannel

logger = logging.getLogger(__name__)


class Exchange:
    """One request and its response.

    Nothing is spooled to disk: the body waits in a bounded buffer until the application calls `receive`.

    Args:
        channel: The connection.
        head: The request's.

    Attributes:
        dispatched: Whether somebody answers this request: always.
        streaming: Whether the response has no end that is known.
        response_complete: Whether all of the response has been written.
    """

    __slots__ = (
        "_begun",
        "_body",
        "_disconnected",
        "_expects_continue",
        "_method",
        "_response",
        "_sent",
        "_start",
        "_status",
        "_target",
        "_version",
        "_wake_receive",
        "_wake_send",
        "_writer",
        "channel",
        "response_complete",
        "server",
        "streaming",
    )

    dispatched = True

    def __init__(self, channel: "GatewayChannel", head: Head) -> None:
        self.channel: Any = channel
        self.server: Any = channel.factory.server
        self.streaming = False
        self.response_complete = False
        self._method = head.method
        self._target = head.target
        self._version = head.version
        self._begun = time.time()
        self._body = RequestBody(head.length)
        self._expects_continue = head.expects_continue and not self._body.complete
        self._disconnected = False
        self._wake_receive: asyncio.Future[None] | None = None
        self._wake_send: asyncio.Future[None] | None = None
        self._start: MutableMapping[str, Any] | None = None
        self._response: Response | None = None
        self._writer: TransportWriter | None = None
        self._status = 0
        self._sent = 0

    @property
    def response_started(self) -> bool:
        """Whether the response's head has been written."""
        return self._response is not None

    def start(self, head: Head, *, at_once: bool) -> None:
        """Give the request to the application.

        Args:
            head: The request's, once more.
            at_once: Whether the application may run before this returns.
        """
        scope = self._scope(head)
        loop = self.channel.loop
        daphne_application.start(self.server, self, scope, self._receive, self._send, loop, at_once=at_once)

    # Called by the channel

    def handleContentChunk(self, data: bytes) -> None:
        """Keep a part of the body for the application."""
        self._expects_continue = False
        if not self._body.feed(data):
            if self.streaming:
                self._discard_body()
            else:
                self.channel.pause_reading()
        self._wake_receiver()

    def requestReceived(self, *_request_line: bytes) -> None:
        """Take note that the body is in."""
        channel = self.channel
        if channel is None or channel.closing:
            return
        self._body.complete = True
        channel.resume_reading()
        if self.response_complete:
            self._done()
        else:
            self._wake_receiver()

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

    def _scope(self, head: Head) -> dict[str, Any]:
        channel = self.channel
        plain = is_plain(channel.transport)
        path = head.path.decode("ascii")
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": dict(ASGI),
            "http_version": self._version[5:].decode("ascii"),
            "method": self._method.decode("ascii"),
            "path": unquote(path) if "%" in path else path,
            "raw_path": head.path,
            "root_path": self.server.root_path,
            "scheme": "http" if plain or not channel.isSecure() else "https",
            "query_string": head.query,
            "headers": head.headers,
            "client": channel.client_addr,
            "server": channel.server_addr,
        }
        if plain:
            framing = Framing.CHUNKED if self._version == b"HTTP/1.1" else Framing.IDENTITY
            self._writer = TransportWriter(channel.transport, framing, self._end_stream)
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
            self._wake_receive = self.channel.loop.create_future()
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
        self._sent += len(body)
        if data:
            write(self.channel.transport, data)
        if not more:
            self._response_written()
            return
        if self.streaming and self._writer is not None:
            self._writer.start()
        while self.channel is not None and self.channel.write_blocked and not self._disconnected:
            self._wake_send = self.channel.loop.create_future()
            try:
                await self._wake_send
            finally:
                self._wake_send = None

    # The response

    def _begin(self, start: MutableMapping[str, Any], *, more: bool) -> tuple[Response, bytes]:
        response = Response(self._version, self._method, start, more=more)
        self._status = response.status
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

    def _fail(self, problem: Problem = INTERNAL) -> None:
        if self.response_started:
            self.channel.abort()
            return
        self.response_complete = True
        self._status = problem.status
        self._log()
        self._wake_receiver()
        write(self.channel.transport, problem_response(problem))
        self.channel.loseConnection()

    # What Daphne calls

    def handle_exception(self, exception: BaseException) -> None:
        """Answer for an application that failed."""
        self.application_ended(exception)

    def check_timeouts(self) -> None:
        """Keep Daphne's `--http-timeout`."""
        timeout = self.server.http_timeout
        if timeout and not self.streaming and time.time() - self._begun > timeout and self.channel is not None:
            self._fail(Problem(503, "timeout", f"There was no answer within {timeout:g} s."))

    def _log(self) -> None:
        if self.server.action_logger is None:
            return
        client = self.channel.client_addr
        details = {
            "path": self._target.decode("latin-1"),
            "status": self._status,
            "method": self._method.decode("ascii"),
            "client": "{}:{}".format(*client) if client else None,
            "time_taken": time.time() - self._begun,
            "size": self._sent,
        }
        self.server.log_action("http", "complete", details)
