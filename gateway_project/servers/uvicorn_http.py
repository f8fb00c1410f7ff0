"""uvicorn's HTTP/1.1 on httptools, made to keep the gateway's promises about bodies, streams and bad input."""

import asyncio
import logging
from asyncio.events import TimerHandle
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from gateway_project.servers import limits
from gateway_project.servers.uvicorn_exchange import Exchange
from gateway_project.servers.uvicorn_head import TOO_LARGE, Refused, RequestHead, invalid, target
from gateway_project.servers.uvicorn_websocket import GatewayWebSocketProtocol
from gateway_project.servers.uvicorn_writer import Linger, UvicornWriter, notice_silence, reset
from topics.problems import Problem
from topics.wire.sse import LAST_CHUNK
from topics.writer import EXTENSION, Framing

logger = logging.getLogger(__name__)

IDLE_SECONDS = 75
"""How long a connection may stay open between two requests."""

MAX_PIPELINED = 128
"""Requests that wait behind another on one connection; what follows is dropped and the connection closed."""

_TIMEOUT = Problem(408, "timeout", "The request's headers did not arrive in time; send them at once.")
_INTERNAL = Problem(500, "internal-error", "The gateway failed to answer; its log says why.")


class GatewayHttpProtocol(HttpToolsProtocol):
    """One client connection that speaks HTTP.

    Args:
        config: uvicorn's, loaded.
        server_state: uvicorn's.
        app_state: uvicorn's.
        header_timeout: Seconds from a request's first byte to the end of its headers.
        peer_timeout: Seconds that the peer of a stream may acknowledge or take nothing.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        header_timeout: float = limits.HEADER_TIMEOUT_SECONDS,
        peer_timeout: float = 30.0,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.header_timeout = header_timeout
        self.peer_timeout = peer_timeout
        self.lost = False
        self._active: Exchange | None = None
        self._timer: TimerHandle | None = None
        self._linger: Linger | None = None
        # What comes from the client is thrown away: a stream is running, or the connection ends after its answers.
        self._deaf = False
        # Answered after the responses that are still owed, then the connection is closed.
        self._last_word: Problem | None = None
        self._half_closed = False
        self._in_headers = False
        self._in_body = False
        self._watched = False
        # Bytes that came without completing anything: an endless header, trailer or chunk extension.
        self._unfinished = 0
        self._begun = 0
        self._progress = False
        self._head = RequestHead()
        self._upgrading = False

    # Connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock: a client that says nothing is not kept."""
        super().connection_made(transport)
        self._set_timer(self.header_timeout, self._headers_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application and let everything go."""
        self.lost = True
        self._clear_timer()
        if self._linger is not None:
            self._linger.stop()
        if self._active is not None:
            self._active.disconnect()
        self.pipeline.clear()
        super().connection_lost(exc)
        self._active = None
        self.cycle = None  # type: ignore[assignment]

    def eof_received(self) -> bool:  # type: ignore[override]
        """A half-close: gone for a stream or an unfinished request; others still get their answer."""
        active = self._active
        self._half_closed = True
        if self._linger is not None:
            self._linger.peer_closed()
        elif active is None or active.streaming or active.more_body:
            self._gone()
        else:
            if self._in_body:
                self._forget(cast("Exchange", self.cycle))
            self._end_after_answers()
        return True

    def pause_writing(self) -> None:
        """The transport holds more than its limit."""
        super().pause_writing()
        if self._active is not None:
            self._active.writer.paused()
        self._watch()

    def resume_writing(self) -> None:
        """The transport holds little or nothing."""
        super().resume_writing()
        if self._active is not None:
            self._active.writer.resumed()

    def shutdown(self) -> None:
        """The server stops: close when idle, else after the answer."""
        if self._active is None:
            self.transport.close()
        else:
            self._active.keep_alive = False

    # Bytes in

    def data_received(self, data: bytes) -> None:
        """Parse, unless nobody will want the result."""
        if self._linger is not None:
            self._linger.received()
            return
        if self._deaf:
            return
        at_start = not (self._in_headers or self._in_body)
        self._begun = 0
        self._progress = False
        self._feed(data)
        if self._listens() and (self._in_headers or self._in_body):
            if self._progress:
                self._unfinished = 0
            elif at_start or not self._begun:
                self._unfinished += len(data)
            if self._unfinished > limits.MAX_HEADER_BYTES:
                self._fail(TOO_LARGE if self._in_headers else invalid("A chunk's framing has no end."))
            elif self._in_headers and self._timer is None:
                self._set_timer(self.header_timeout, self._headers_late)
            elif self._in_body and self._active is None:
                # The rest of a body that nobody reads: it may take its time, but not stop.
                self._set_timer(limits.LINGER_TOTAL_SECONDS, self._close)

    def _listens(self) -> bool:
        return not (self._deaf or self.lost)

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            cause = error.__context__
            if isinstance(cause, Refused):
                self._fail(cause.problem)
            elif cause is not None:
                logger.error("The HTTP parser's callback failed", exc_info=cause)
                self._fail(_INTERNAL)
            else:
                self._fail(invalid(f"The request is not HTTP/1.1 as in RFC 9112: {error}."))

    # Parser callbacks

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        if self._deaf:
            return
        super().on_message_begin()
        self._clear_timer()
        self._begun += 1
        self._in_headers = True
        self._unfinished = 0
        self._head = RequestHead()
        self._upgrading = False

    def on_url(self, url: bytes) -> None:
        """Gather a part of the request target."""
        if not self._deaf:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field of the header section, or of the trailers, which are counted and dropped."""
        if self._deaf:
            return
        self._head.count(name, value)
        if self._in_headers:
            super().on_header(name, value)
            self._head.field(name.lower(), value)

    def on_headers_complete(self) -> None:
        """Dispatch: the application decides on the headers; the body waits for `receive`."""
        if self._deaf:
            return
        self._clear_timer()
        self._in_headers = False
        version = self.parser.get_http_version()
        method = self.parser.get_method()
        self._head.check(method, self.url, version)
        self.scope["method"] = method.decode("ascii")
        self.scope["http_version"] = version
        if self.parser.should_upgrade():
            self._upgrading = True
            return
        self._in_body = self._progress = True
        self.scope["path"], self.scope["raw_path"], self.scope["query_string"] = target(self.url)
        writer = UvicornWriter(self, self.transport, Framing.IDENTITY if version == "1.0" else Framing.CHUNKED)
        self.scope["extensions"] = {EXTENSION: {"writer": writer}}
        cycle = Exchange(
            self,
            writer,
            self.scope,
            remaining=None if self._head.chunked else (self._head.content_length or 0),
            expect_100_continue=self.expect_100_continue and version == "1.1",
            keep_alive=version == "1.1" and self.parser.should_keep_alive(),
        )
        self.cycle = cycle
        if self._active is None:
            self._start(cycle, self.app)
        elif len(self.pipeline) < MAX_PIPELINED:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))
        else:
            self.cycle = self.pipeline[0][0]
            self._end_after_answers()

    def on_body(self, body: bytes) -> None:
        """Hand body bytes to the request that they belong to, or drop them when it is answered."""
        if self._deaf or self._upgrading:
            return
        self._progress = True
        cast("Exchange", self.cycle).body_received(body)

    def on_message_complete(self) -> None:
        """The end of a request."""
        if self._deaf or self._upgrading:
            return
        self._in_body = False
        cast("Exchange", self.cycle).body_complete()
        if self._active is None:
            self._set_timer(IDLE_SECONDS, self._close)

    def _start(self, cycle: Exchange, app: ASGI3Application) -> None:
        self._active = cycle
        self._start_asgi_task(cycle, app)

    # Upgrade

    def _upgrade(self, rest: bytes) -> None:
        if self._deaf:
            return
        websocket = any(name == b"upgrade" and value.lower() == b"websocket" for name, value in self.headers)
        if self.scope["method"] == "CONNECT":
            self._fail(invalid("This is no proxy: CONNECT is not understood."))
        elif websocket and self.scope["method"] == "GET" and self.scope["http_version"] == "1.1":
            self._upgrade_to_websocket(rest)
        else:
            # An upgrade that is not spoken here is to be ignored (RFC 9110 §7.8): Java's HttpClient offers h2c with
            # every first request. The parser insists on its own way, so it gets the request again without.
            head = [self.scope["method"].encode(), b" ", self.url, b" HTTP/"]
            head += [self.scope["http_version"].encode(), b"\r\n"]
            for name, value in self.headers:
                if name != b"upgrade":
                    head += [name, b": ", value, b"\r\n"]
            self.parser = httptools.HttpRequestParser(self)
            self._feed(b"".join([*head, b"\r\n"]) + rest)

    def _upgrade_to_websocket(self, rest: bytes) -> None:
        if self._active is not None:
            # A handshake behind a request that is not answered yet: no client does this in earnest.
            self._end_after_answers()
            return
        if self._head.chunked or self._head.content_length:
            self._fail(invalid("A WebSocket handshake has no body (RFC 6455 §4.1)."))
            return
        try:
            path, raw_path, query = target(self.url)
        except Refused as refused:
            self._fail(refused.problem)
            return
        self._clear_timer()
        self.connections.discard(self)
        protocol = GatewayWebSocketProtocol(
            self.config, self.server_state, self.app_state, peer_timeout=self.peer_timeout
        )
        protocol.connection_made(self.transport)
        self.transport.set_protocol(protocol)
        protocol.handshake(path, raw_path, query, self.headers, rest)
        self.parser = None  # type: ignore[assignment]

    # Answers

    def begin_stream(self) -> None:
        """What the client sends from now on is read, so that its end is noticed, and dropped."""
        cycle = self._active
        if cycle is None or cycle.streaming:
            return
        cycle.streaming = True
        self._deaf = True
        self._clear_timer()
        self.pipeline.clear()
        self.flow.resume_reading()
        self._watch()
        if self._half_closed:
            self.loop.call_soon(self._gone)

    def end_stream(self, code: int | None) -> None:
        """End the running stream and the connection."""
        cycle = self._active
        if cycle is None or self.lost or self.transport.is_closing():
            return
        cycle.disconnect()
        self._active = None
        if cycle.writer.framing is Framing.CHUNKED:
            self.transport.write(LAST_CHUNK)
        self._close_slowly(limits.MAX_CLOSE_WAIT_SECONDS)

    def answered(self, cycle: Exchange) -> None:
        """A response is complete: go on with the next request, or close."""
        self._active = None
        self.server_state.total_requests += 1
        if self.lost or self.transport.is_closing():
            return
        if self.pipeline and cycle.keep_alive:
            self._start(*cast("tuple[Exchange, ASGI3Application]", self.pipeline.pop()))
            if not self.pipeline and not self._deaf:
                self.flow.resume_reading()
        elif self._last_word is not None:
            self._answer_problem(self._last_word)
        elif self._deaf or not cycle.keep_alive:
            self._close_slowly()
        else:
            self.flow.resume_reading()
            if self._in_body:
                self._set_timer(limits.LINGER_TOTAL_SECONDS, self._close)
            elif not self._in_headers:
                self._set_timer(IDLE_SECONDS, self._close)

    def application_failed(self, cycle: Exchange) -> None:
        """The application gave no whole answer: say so, or let the client see that it is cut off."""
        if cycle is not self._active or self.lost:
            return
        if cycle.sent_anything:
            reset(self.transport)
        else:
            cycle.disconnect()
            self._active = None
            self._answer_problem(_INTERNAL, bodiless=cycle.scope["method"] == "HEAD")

    def _fail(self, problem: Problem) -> None:
        """Answer a request that cannot be understood, after the responses that are owed before it."""
        self._clear_timer()
        self._deaf = True
        culprit = cast("Exchange | None", self.cycle) if self._in_body else None
        if culprit is not None:
            self._forget(culprit)
        if self._active is not None and self._active is not culprit:
            self._last_word = problem
            self.flow.resume_reading()
        elif culprit is not None and culprit.sent_anything:
            self._active = None
            self._close_slowly()
        else:
            self._active = None
            self._answer_problem(problem)

    def _answer_problem(self, problem: Problem, *, bodiless: bool = False) -> None:
        if self._linger is not None or self.lost or self.transport.is_closing():
            return
        headers = [*self.server_state.default_headers, *problem.asgi_headers(), (b"connection", b"close")]
        head = [STATUS_LINE[problem.status]]
        for name, value in headers:
            head += [name, b": ", value, b"\r\n"]
        self.transport.write(b"".join([*head, b"\r\n", b"" if bodiless else problem.body()]))
        self._close_slowly()

    # Ends

    def _forget(self, cycle: Exchange) -> None:
        """A request that came to no end."""
        cycle.disconnect()
        self.pipeline = deque(item for item in self.pipeline if item[0] is not cycle)

    def _end_after_answers(self) -> None:
        """Hear nothing more; close when every response that is owed has been sent."""
        self._deaf = True
        self._clear_timer()
        last = self.pipeline[0][0] if self.pipeline else self._active
        if last is not None:
            last.keep_alive = False

    def _close_slowly(self, stuck_after: float = limits.LINGER_TOTAL_SECONDS) -> None:
        self._deaf = True
        self._clear_timer()
        if self._linger is not None or self.lost or self.transport.is_closing():
            return
        self._linger = Linger(self.transport, stuck_after=stuck_after, half_closed=self._half_closed)

    def _close(self) -> None:
        if self.transport.get_write_buffer_size():
            reset(self.transport)
        else:
            self.transport.close()

    def _gone(self) -> None:
        """The client has closed its side: nothing more is owed to it."""
        if self._active is not None:
            self._active.disconnect()
        self._close()

    def _watch(self) -> None:
        if not self._watched:
            self._watched = True
            notice_silence(self.transport, self.peer_timeout)

    def _headers_late(self) -> None:
        self._timer = None
        if not self._in_headers:
            self.transport.close()
        elif self._active is not None:
            self._end_after_answers()
        else:
            self._fail(_TIMEOUT)

    def _set_timer(self, seconds: float, callback: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, callback)

    def _clear_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
