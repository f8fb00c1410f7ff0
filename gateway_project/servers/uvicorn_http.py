"""One connection under uvicorn that speaks HTTP/1.1: whose turn it is to be answered, and how it ends."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from gateway_project.servers import limits
from gateway_project.servers.uvicorn_deadline import Deadline
from gateway_project.servers.uvicorn_exchange import STATUS_LINE, Exchange
from gateway_project.servers.uvicorn_head import Refused, RequestHead, invalid
from gateway_project.servers.uvicorn_requests import RequestReader
from gateway_project.servers.uvicorn_websocket import GatewayWebSocketProtocol
from gateway_project.servers.uvicorn_writer import Linger, UvicornWriter, notice_silence, reset
from topics.asgi import Application, Scope
from topics.problems import INTERNAL, Problem
from topics.wire.sse import LAST_CHUNK
from topics.writer import EXTENSION, Framing

IDLE_SECONDS = 75
"""How long a connection may stay open between two requests."""

MAX_PIPELINED = 128
"""Requests that wait behind another on one connection; what follows is dropped and the connection closed."""

_ASGI = {"version": "3.0", "spec_version": "2.3"}
_FRAMING = {"1.0": Framing.IDENTITY, "1.1": Framing.CHUNKED}

_TIMEOUT = Problem(408, "timeout", "The request's headers did not arrive in time; send them at once.")


class GatewayHttpProtocol(asyncio.Protocol):
    """One client connection that speaks HTTP.

    uvicorn's own protocol keeps some thirty attributes in a dictionary, two events and a timer for each request; this
    one has the same signature and none of its code.

    Args:
        config: uvicorn's, loaded.
        server_state: uvicorn's.
        app_state: uvicorn's.
        header_timeout: Seconds from a request's first byte to the end of its headers.
        peer_timeout: Seconds that the peer of a stream may acknowledge or take nothing.
    """

    __slots__ = (
        "_active",
        "_app_state",
        "_client",
        "_config",
        "_deadline",
        "_drain_waiters",
        "_half_closed",
        "_last_word",
        "_linger",
        "_peer_timeout",
        "_pipeline",
        "_read_paused",
        "_reader",
        "_server",
        "_state",
        "_watched",
        "latest",
        "loop",
        "lost",
        "transport",
        "write_paused",
    )

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
        self._config = config
        self._state = server_state
        self._app_state = app_state
        self._peer_timeout = peer_timeout
        self.loop = _loop or asyncio.get_running_loop()
        self.transport: asyncio.Transport
        self.lost = False
        self.write_paused = False
        self.latest: Exchange | None = None
        # The exchange whose response is due; those behind it wait.
        self._active: Exchange | None = None
        self._pipeline: deque[Exchange] | None = None
        self._deadline = Deadline(self.loop)
        # None when what comes is thrown away: a stream is running, or the connection ends after its answers.
        self._reader: RequestReader | None = RequestReader(self, self._deadline, header_timeout)
        self._linger: Linger | None = None
        # Answered after the responses that are still owed, then the connection is closed.
        self._last_word: Problem | None = None
        self._half_closed = False
        self._watched = False
        self._read_paused = False
        self._drain_waiters: list[asyncio.Future[None]] = []

    # Connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock: a client that says nothing is not kept."""
        self.transport = transport
        self._client = _address(transport.get_extra_info("peername"))
        self._server = _address(transport.get_extra_info("sockname"))
        self._state.connections.add(self)  # type: ignore[arg-type]
        if self._reader is not None:
            self._reader.expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application and let everything go."""
        self.lost = True
        self._state.connections.discard(self)
        self._read_no_more()
        if self._linger is not None:
            self._linger.stop()
        if self._active is not None:
            self._active.disconnect()
        self._pipeline = self._active = self.latest = None
        if self.write_paused:
            self.resume_writing()

    def eof_received(self) -> bool:
        """A half-close: gone for a stream or an unfinished request; others still get their answer."""
        active = self._active
        self._half_closed = True
        if self._linger is not None:
            self._linger.peer_closed()
        elif active is None or active.streaming or active.more_body:
            self._gone()
        else:
            if self.latest is not None and self._reader is not None and self._reader.in_body:
                self._forget(self.latest)
            self._end_after_answers()
        return True

    def pause_writing(self) -> None:
        """The transport holds more than its limit."""
        self.write_paused = True
        if self._active is not None and self._active.writer is not None:
            self._active.writer.paused()
        self._watch()

    def resume_writing(self) -> None:
        """The transport holds little or nothing, or is lost."""
        self.write_paused = False
        if self._drain_waiters:
            waiters, self._drain_waiters = self._drain_waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
        if self._active is not None and self._active.writer is not None:
            self._active.writer.resumed()

    async def drained(self) -> None:
        """Wait until the transport takes more, or the connection is lost."""
        while self.write_paused:
            waiter = self.loop.create_future()
            self._drain_waiters.append(waiter)
            await waiter

    def pause_reading(self) -> None:
        """Let the kernel keep what comes."""
        if not self._read_paused:
            self._read_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if self._read_paused:
            self._read_paused = False
            self.transport.resume_reading()

    @property
    def default_headers(self) -> Sequence[tuple[bytes, bytes]]:
        """Fields of every response."""
        return self._state.default_headers

    def shutdown(self) -> None:
        """The server stops: close when idle, else after the answer."""
        if self._active is None:
            self.transport.close()
        else:
            self._active.keep_alive = False

    # Requests

    def data_received(self, data: bytes) -> None:
        """Parse, unless nobody will want the result."""
        if self._linger is not None:
            self._linger.received()
            return
        reader = self._reader
        if reader is None:
            return
        reader.feed(data)
        if reader.in_body and self._active is None and self._reader is not None:
            # The rest of a body that nobody reads: it may take its time, but not stop.
            self._deadline.set(limits.LINGER_TOTAL_SECONDS, self._close)

    def head_received(self, head: RequestHead, method: bytes, version: str, *, keep_alive: bool) -> Exchange | None:
        """Dispatch: the application decides on the headers; the body waits for `receive`."""
        has_body = head.chunked or bool(head.content_length)
        writer = None if has_body else UvicornWriter(self, self.transport, _FRAMING[version])
        exchange = Exchange(
            self,
            self._scope(head, method, version, writer),
            writer,
            remaining=None if head.chunked else (head.content_length or 0),
            expects_continue=head.expects_continue and version == "1.1",
            keep_alive=keep_alive,
        )
        if self._active is None:
            self.latest = exchange
            self._start(exchange)
            return exchange
        if self._pipeline is None:
            self._pipeline = deque()
        if len(self._pipeline) < MAX_PIPELINED:
            self.latest = exchange
            self.pause_reading()
            self._pipeline.append(exchange)
            return exchange
        self._end_after_answers()
        return None

    def body_discarded(self) -> None:
        """The body of a request that was answered before has come: the connection is idle."""
        self._deadline.set(IDLE_SECONDS, self._close)

    def websocket_requested(self, head: RequestHead, rest: bytes) -> None:
        """Hand the connection over to WebSocket.

        Args:
            head: Of the handshake.
            rest: What came behind it already.
        """
        if self._active is not None:
            # A handshake behind a request that is not answered yet: no client does this in earnest.
            self._end_after_answers()
            return
        if head.chunked or head.content_length:
            self.refuse(invalid("A WebSocket handshake has no body (RFC 6455 §4.1)."))
            return
        try:
            path, raw_path, query = head.target()
        except Refused as refused:
            self.refuse(refused.problem)
            return
        self._read_no_more()
        self._state.connections.discard(self)
        protocol = GatewayWebSocketProtocol(self._config, self._state, self._app_state, peer_timeout=self._peer_timeout)
        protocol.connection_made(self.transport)
        self.transport.set_protocol(protocol)
        protocol.handshake(path, raw_path, query, head.fields, rest)

    def head_late(self) -> None:
        """The headers did not arrive in time."""
        if self._reader is None or not self._reader.in_headers:
            self.transport.close()
        elif self._active is not None:
            self._end_after_answers()
        else:
            self.refuse(_TIMEOUT)

    def refuse(self, problem: Problem) -> None:
        """Answer a request that cannot be understood, after the responses that are owed before it."""
        culprit = self.latest if self._reader is not None and self._reader.in_body else None
        self._read_no_more()
        if culprit is not None:
            self._forget(culprit)
        if self._active is not None and self._active is not culprit:
            self._last_word = problem
            self.resume_reading()
        elif culprit is not None and culprit.sent_anything:
            self._active = None
            self._close_slowly()
        else:
            self._active = None
            self._answer_problem(problem)

    def _scope(self, head: RequestHead, method: bytes, version: str, writer: UvicornWriter | None) -> Scope:
        path, raw_path, query = head.target()
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": version,
            "method": method.decode("ascii"),
            "scheme": "http",
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "root_path": "",
            "headers": head.fields,
            "client": self._client,
            "server": self._server,
            "extensions": {} if writer is None else {EXTENSION: {"writer": writer}},
        }

    def _start(self, exchange: Exchange) -> None:
        self._active = exchange
        application: Application = self._config.loaded_app
        task = self.loop.create_task(exchange.run(application))
        tasks = self._state.tasks
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    # Answers

    def begin_stream(self) -> None:
        """What the client sends from now on is read, so that its end is noticed, and dropped."""
        exchange = self._active
        if exchange is None or exchange.streaming:
            return
        exchange.streaming = True
        self._read_no_more()
        self._pipeline = None
        self.resume_reading()
        self._watch()
        if self._half_closed:
            self.loop.call_soon(self._gone)

    def end_stream(self, code: int | None) -> None:
        """End the running stream and the connection."""
        exchange = self._active
        if exchange is None or self.lost or self.transport.is_closing():
            return
        exchange.disconnect()
        self._active = None
        if exchange.writer is not None and exchange.writer.framing is Framing.CHUNKED:
            self.transport.write(LAST_CHUNK)
        self._close_slowly(limits.MAX_CLOSE_WAIT_SECONDS)

    def answered(self, exchange: Exchange) -> None:
        """A response is complete: go on with the next request, or close."""
        self._active = None
        self._state.total_requests += 1
        if self.lost or self.transport.is_closing():
            return
        if self._pipeline and exchange.keep_alive:
            self._start(self._pipeline.popleft())
            if not self._pipeline and self._reader is not None:
                self.resume_reading()
        elif self._last_word is not None:
            self._answer_problem(self._last_word)
        elif self._reader is None or not exchange.keep_alive:
            self._close_slowly()
        else:
            self.resume_reading()
            if self._reader.in_body:
                self._deadline.set(limits.LINGER_TOTAL_SECONDS, self._close)
            elif not self._reader.in_headers:
                self._deadline.set(IDLE_SECONDS, self._close)

    def application_failed(self, exchange: Exchange) -> None:
        """The application gave no whole answer: say so, or let the client see that it is cut off."""
        if exchange is not self._active or self.lost:
            return
        if exchange.sent_anything:
            reset(self.transport)
        else:
            exchange.disconnect()
            self._active = None
            self._answer_problem(INTERNAL, bodiless=exchange.scope["method"] == "HEAD")

    def _answer_problem(self, problem: Problem, *, bodiless: bool = False) -> None:
        if self._linger is not None or self.lost or self.transport.is_closing():
            return
        headers = [*self._state.default_headers, *problem.asgi_headers(), (b"connection", b"close")]
        head = [STATUS_LINE[problem.status]]
        for name, value in headers:
            head += [name, b": ", value, b"\r\n"]
        self.transport.write(b"".join([*head, b"\r\n", b"" if bodiless else problem.body()]))
        self._close_slowly()

    # Ends

    def _read_no_more(self) -> None:
        """Throw away what comes from now on; nothing is waited for either."""
        if self._reader is not None:
            self._deadline.stop()
            self._reader.stop()
            self._reader = None

    def _forget(self, exchange: Exchange) -> None:
        """A request that came to no end."""
        exchange.disconnect()
        if self._pipeline and self._pipeline[-1] is exchange:
            self._pipeline.pop()

    def _end_after_answers(self) -> None:
        """Hear nothing more; close when every response that is owed has been sent."""
        self._read_no_more()
        last = self._pipeline[-1] if self._pipeline else self._active
        if last is not None:
            last.keep_alive = False

    def _close_slowly(self, stuck_after: float = limits.LINGER_TOTAL_SECONDS) -> None:
        self._read_no_more()
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
            notice_silence(self.transport, self._peer_timeout)


def _address(name: Any) -> tuple[str, int] | None:
    # A Unix socket has none.
    return (name[0], name[1]) if isinstance(name, tuple) else None
