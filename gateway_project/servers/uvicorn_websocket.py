"""uvicorn's WebSocket over websockets' sans-I/O core, made to keep the gateway's promises about bounds and closing."""

import asyncio
import logging
from asyncio.events import TimerHandle
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any, cast

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent, WebSocketScope
from uvicorn.config import Config
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.datastructures import Headers
from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from gateway_project.servers import limits
from gateway_project.servers.uvicorn_writer import Linger, UvicornWriter, notice_silence, reset
from topics.problems import INTERNAL, Problem
from topics.wire.websocket import CLOSE_INTERNAL, CLOSE_NORMAL, CLOSE_RESTART
from topics.writer import EXTENSION, Framing

logger = logging.getLogger(__name__)

# uvicorn and websockets log every accept at info, the one with the query, which may hold what is private.
_quiet = logging.getLogger(f"{__name__}.library")
_quiet.setLevel(logging.ERROR)

_INVALID_TEXT = 1007
_ABNORMAL = 1006

# Frames are parsed in pieces of so many bytes, while nothing waits for the application: a thousand tiny messages of one
# read do not become a thousand objects.
_PIECE = 4096

# More fragments of one message are joined: each is an object, however small.
_MAX_FRAGMENTS = 256


class _Frames(ServerProtocol):
    """websockets' framing, but the peer may close in the middle of a fragmented message.

    websockets answers that with 1002; control frames may come between fragments (RFC 6455 §5.4), close included.
    """

    def recv_frame(self, frame: Frame) -> None:
        """Take one frame; a close frame gives up the message that it interrupts."""
        if frame.opcode is Opcode.CLOSE:
            self.current_size = None
        super().recv_frame(frame)


class GatewayWebSocketProtocol(WebSocketsSansIOProtocol):
    """One client connection that speaks WebSocket, taken over from HTTP at the end of the handshake's headers.

    Args:
        config: uvicorn's, loaded.
        server_state: uvicorn's.
        app_state: uvicorn's.
        peer_timeout: Seconds that the peer may acknowledge or take nothing.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        peer_timeout: float = 30.0,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.server_state = server_state
        self.logger = _quiet
        self.conn = _Frames(max_size=config.ws_max_size, logger=_quiet)
        self.writer: UvicornWriter | None = None
        self._peer_timeout = peer_timeout
        self._linger: Linger | None = None
        self._unparsed = bytearray()
        self._close_deadline: TimerHandle | None = None

    # Handshake

    def handshake(
        self, path: str, raw_path: bytes, query: bytes, headers: list[tuple[bytes, bytes]], rest: bytes
    ) -> None:
        """Check a handshake (RFC 6455 §4.2.1) and give it to the application, or refuse it.

        Args:
            path: Decoded.
            raw_path: As it came.
            query: As it came, ASCII.
            headers: Lower-case names.
            rest: What came behind the handshake already.
        """
        # The connection's object is made from the parsed request, not from bytes: its parser allows a line of 8 KiB
        # only, and a hundred topics are longer.
        decoded = Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers])
        self.request = Request(raw_path.decode("ascii"), decoded)
        self.response = self.conn.accept(self.request)
        self.handshake_initiated = True
        if self.response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            self._refuse(decoded)
            return
        self.writer = UvicornWriter(self, self.transport, Framing.WEBSOCKET)
        self.scope: WebSocketScope = {
            "type": "websocket",
            "asgi": {"version": self.asgi_version, "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": self.scheme,
            "server": self.server,
            "client": self.client,
            "root_path": "",
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": headers,
            "subprotocols": [
                token.strip() for value in decoded.get_all("Sec-WebSocket-Protocol") for token in value.split(",")
            ],
            "state": self.app_state.copy(),
            "extensions": {"websocket.http.response": {}, EXTENSION: {"writer": self.writer}},
        }
        self.queue.put_nowait({"type": "websocket.connect"})
        task = self.loop.create_task(self.run_asgi())
        task.add_done_callback(self.on_task_complete)
        self.tasks.add(task)
        if rest:
            self.data_received(rest)

    def _refuse(self, headers: Headers) -> None:
        if headers.get_all("Sec-WebSocket-Version") not in ([], ["13"]):
            advice = (("sec-websocket-version", "13"),)
            problem = Problem(426, "invalid-request", "Only WebSocket version 13 is spoken here.", advice)
        else:
            problem = Problem(400, "invalid-request", "The WebSocket handshake is malformed (RFC 6455 §4.1).")
        self._answer_problem(problem)

    # Connection

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application and let everything go."""
        if self._linger is not None:
            self._linger.stop()
        self._cancel_deadline()
        self._unparsed.clear()
        if self.writer is not None:
            self.writer.stop()
        super().connection_lost(exc)
        # A generator that knows its object: the two would wait for the garbage collector.
        self.conn.parser.close()

    def eof_received(self) -> None:
        """A half-close counts as gone."""
        if self.transport.get_write_buffer_size():
            reset(self.transport)

    def pause_writing(self) -> None:
        """The transport holds more than its limit."""
        super().pause_writing()
        if self.writer is not None:
            self.writer.paused()

    def resume_writing(self) -> None:
        """The transport holds little or nothing."""
        super().resume_writing()
        if self.writer is not None:
            self.writer.resumed()
        self._parse()

    def shutdown(self) -> None:
        """The server stops."""
        if self.handshake_complete and not self.close_sent:
            self.end_stream(CLOSE_RESTART)
        elif not self.handshake_complete:
            self._answer_problem(
                Problem(503, "draining", "This node is shutting down; try again.", (("retry-after", "1"),))
            )

    # Bytes in

    def data_received(self, data: bytes) -> None:
        """Keep what came until the application has taken what came before."""
        if self._linger is not None:
            self._linger.received()
            return
        self._unparsed += data
        self._parse()

    def _parse(self) -> None:
        """Parse while nothing waits for the application and the client takes its pongs."""
        while (
            self._unparsed
            and self.handshake_complete
            and self._linger is None
            and (self.queue.empty() or self.close_sent)
            and self.transport.get_write_buffer_size() <= limits.WRITE_BUFFER_BYTES
        ):
            piece = bytes(self._unparsed[:_PIECE])
            del self._unparsed[:_PIECE]
            self.conn.receive_data(piece)
            self.handle_events()
            if self.conn.parser_exc is not None:
                self.handle_parser_exception()
        if self._linger is not None:
            self._unparsed.clear()
        elif len(self._unparsed) > limits.READ_BUFFER_BYTES:
            if not self.read_paused:
                self.read_paused = True
                self.transport.pause_reading()
        elif self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()

    def handle_cont(self, event: Frame) -> None:
        """Gather a fragment; empty ones, which could come without end, leave nothing, tiny ones little."""
        if event.data:
            self.frames.append(bytes(event.data))
            if len(self.frames) > _MAX_FRAGMENTS:
                self.frames = [b"".join(self.frames)]
        if event.fin:
            self.send_receive_event_to_app()

    def send_receive_event_to_app(self) -> None:
        """Hand a whole message to the application."""
        data, self.frames = b"".join(self.frames), []
        if self.close_sent:
            return
        if self.curr_msg_data_type == "bytes":
            self.queue.put_nowait({"type": "websocket.receive", "bytes": data})
            return
        try:
            text = data.decode()
        except UnicodeDecodeError:
            self._disconnect(_INVALID_TEXT)
            self._close_frame(_INVALID_TEXT)
            self._close_slowly()
            return
        self.queue.put_nowait({"type": "websocket.receive", "text": text})

    def handle_ping(self) -> None:
        """Send the pong, unless the connection is being closed."""
        self._flush()

    def handle_close(self, event: Frame) -> None:
        """The peer closes, or answers our close: the TCP connection ends (RFC 6455 §7.1.1)."""
        self._flush()
        if not self.close_sent:
            self.close_sent = True
            received = self.conn.close_rcvd
            self._disconnect(received.code if received else _ABNORMAL, received.reason if received else "")
        self._close_slowly()

    def handle_parser_exception(self) -> None:
        """The peer broke the protocol or a limit: the close frame with the code for it, then the end."""
        code = self.conn.close_sent.code if self.conn.close_sent else _ABNORMAL
        self._disconnect(code)
        self._flush()
        self.close_sent = True
        self._close_slowly()

    def send_keepalive_ping(self) -> None:
        """Ping, unless the ping would only wait behind what a slow peer has not taken yet."""
        if self.transport.get_write_buffer_size():
            self.schedule_ping()
        else:
            super().send_keepalive_ping()

    def keepalive_timeout(self) -> None:
        """No answer to a ping: nobody is there."""
        if (self._unparsed or self.transport.get_write_buffer_size()) and self.ping_timeout:
            # The answer may be among what is not parsed yet. A peer that takes nothing is found by the kernel.
            self.pong_timer = self.loop.call_later(self.ping_timeout, self.keepalive_timeout)
            return
        self.pong_timer = None
        self._disconnect(CLOSE_INTERNAL, "keep-alive unanswered")
        self._close_frame(CLOSE_INTERNAL, "keep-alive unanswered")
        self._close_slowly()

    # Application

    async def run_asgi(self) -> None:
        """Run the application for this connection."""
        try:
            await self.app(self.scope, self.receive, self.send)
        except ClientDisconnected:
            pass
        except asyncio.CancelledError:
            reset(self.transport)
            return
        except Exception:
            logger.exception("The application failed")
            self._fail()
        else:
            if not self.handshake_complete:
                logger.error("The application returned without completing the handshake")
                self._fail()
        if self.close_sent:
            return
        self._close_frame(CLOSE_NORMAL)
        self._await_close()

    def _fail(self) -> None:
        if self.handshake_complete:
            self._close_frame(CLOSE_INTERNAL)
            self._close_slowly()
        else:
            self._answer_problem(INTERNAL)

    async def receive(self) -> ASGIReceiveEvent:
        """ASGI: the next message."""
        message = await self.queue.get()
        if self._unparsed:
            self._parse()
        return message

    async def send(self, event: ASGISendEvent) -> None:
        """ASGI: accept, refuse, send or close; waits while the client takes nothing."""
        message = cast("MutableMapping[str, Any]", event)
        await self.writable.wait()
        if self.disconnected or (self.close_sent and self.initial_response is None):
            raise ClientDisconnected
        kind = message["type"]
        if self.initial_response is not None:
            if kind != "websocket.http.response.body":
                raise RuntimeError(f"Unexpected ASGI message {kind!r} in a refused handshake.")
            self._deny(message.get("body", b""), message.get("more_body", False))
        elif self.handshake_complete:
            self._send_open(message)
        elif kind == "websocket.accept":
            self._accept(message.get("subprotocol"), list(message.get("headers", [])))
        elif kind == "websocket.close":
            self._answer_problem(Problem(403, "invalid-request", "The handshake was refused."))
        elif kind == "websocket.http.response.start":
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message.get("headers", [])]
            self.initial_response = (message["status"], headers, b"")
        else:
            raise RuntimeError(f"Unexpected ASGI message {kind!r} before the handshake is answered.")

    def _accept(self, subprotocol: str | None, headers: list[tuple[bytes, bytes]]) -> None:
        for name, value in headers:
            self.response.headers[name.decode("latin-1")] = value.decode("latin-1")
        if subprotocol:
            self.response.headers["Sec-WebSocket-Protocol"] = subprotocol
        if self.transport.is_closing():
            raise ClientDisconnected
        self.transport.write(self.response.serialize())
        # The handshake's object still waits for its bytes; frames get one that begins behind it.
        self.conn.parser.close()
        self.conn = _Frames(state=OPEN, max_size=self.config.ws_max_size, logger=_quiet)
        self.handshake_complete = True
        notice_silence(self.transport, self._peer_timeout)
        self.start_keepalive()
        self._parse()

    def _deny(self, body: bytes, more_body: bool) -> None:
        status, headers, so_far = cast("tuple[int, list[tuple[str, str]], bytes]", self.initial_response)
        self.initial_response = (status, headers, so_far + body)
        if not more_body:
            self._answer(status, headers, so_far + body)

    def _send_open(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "websocket.send":
            text, data = message.get("text"), message.get("bytes")
            try:
                if text is not None:
                    self.conn.send_text(text.encode())
                elif data is not None:
                    self.conn.send_binary(data)
            except InvalidState:
                raise ClientDisconnected from None
            self._flush()
        elif message["type"] == "websocket.close":
            self.end_stream(message.get("code", CLOSE_NORMAL), message.get("reason") or "")
        else:
            raise RuntimeError(f"Unexpected ASGI message {message['type']!r} on an open WebSocket.")

    # Writer

    def begin_stream(self) -> None:
        """Do nothing: all was prepared with the handshake."""

    def end_stream(self, code: int | None, reason: str = "") -> None:
        """Close from our side: the close frame, then the peer's within a bound."""
        if self.close_sent or self.disconnected:
            return
        code = code or CLOSE_NORMAL
        self._disconnect(code, reason)
        self._close_frame(code, reason)
        self._await_close()

    # Ends

    def _disconnect(self, code: int, reason: str = "") -> None:
        if self.writer is not None:
            self.writer.stop()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})

    def _close_frame(self, code: int, reason: str = "") -> None:
        self.close_sent = True
        self.stop_keepalive()
        try:
            self.conn.send_close(code, reason)
        except InvalidState:
            return  # the peer's close frame was answered already
        self._flush()

    def _flush(self) -> None:
        if self._linger is None and not self.transport.is_closing():
            self.transport.write(b"".join(self.conn.data_to_send()))

    def _await_close(self) -> None:
        """Wait for the peer's close frame, but not for long."""
        if self._close_deadline is None and self._linger is None and not self.disconnected:
            self._close_deadline = self.loop.call_later(limits.MAX_CLOSE_WAIT_SECONDS, self._give_up)
            self._parse()

    def _give_up(self) -> None:
        self._close_deadline = None
        if self.transport.get_write_buffer_size():
            reset(self.transport)
        else:
            self._close_slowly()

    def _close_slowly(self) -> None:
        self.stop_keepalive()
        self._cancel_deadline()
        if self._linger is None and not self.disconnected and not self.transport.is_closing():
            self._linger = Linger(self.transport, stuck_after=limits.MAX_CLOSE_WAIT_SECONDS)

    def _cancel_deadline(self) -> None:
        if self._close_deadline is not None:
            self._close_deadline.cancel()
            self._close_deadline = None

    def _answer_problem(self, problem: Problem) -> None:
        headers = [(name.decode("ascii"), value.decode("ascii")) for name, value in problem.asgi_headers()]
        self._answer(problem.status, headers, problem.body())

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Refuse the handshake with a whole HTTP response and close."""
        if self.close_sent or self.disconnected:
            return
        self.close_sent = self.handshake_complete = True
        self._unparsed.clear()
        fields = Headers([(name.decode(), value.decode()) for name, value in self.server_state.default_headers])
        for name, value in headers:
            fields[name] = value
        fields["connection"] = "close"
        if "content-length" not in fields:
            fields["content-length"] = str(len(body))
        response = Response(status, HTTPStatus(status).phrase, fields, body)
        self._disconnect(_ABNORMAL)
        if not self.transport.is_closing():
            self.transport.write(response.serialize())
        self._close_slowly()
