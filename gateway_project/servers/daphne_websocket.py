"""One WebSocket under Daphne: bounded both ways, refused with a whole response, written to directly."""

# Twisted's and Autobahn's methods are typed only in part.
# mypy: disallow-untyped-calls=False

import asyncio
import logging
import time
from collections import deque
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import unquote

from autobahn.websocket.types import ConnectionDeny
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet.defer import Deferred

from gateway_project.servers import daphne_application
from gateway_project.servers.daphne_response import checked_headers, http_date, problem_response, status_line
from gateway_project.servers.daphne_scope import ASGI, addresses
from gateway_project.servers.daphne_transport import (
    TransportWriter,
    acknowledged,
    is_plain,
    linger,
    watch_peer,
    write,
)
from gateway_project.servers.limits import MAX_CLOSE_WAIT_SECONDS, READ_BUFFER_BYTES
from topics.problems import INTERNAL, Problem
from topics.wire.websocket import CLOSE_INTERNAL, CLOSE_NORMAL
from topics.writer import EXTENSION, Framing

logger = logging.getLogger(__name__)

# What a message costs beside its payload, so that a flood of empty ones is bounded too.
_MESSAGE_OVERHEAD = 256
_MAX_REASON_BYTES = 123
_CLOSE_NO_CODE = 1005
_CLOSE_ABNORMAL = 1006
_OPEN, _CLOSED = WebSocketProtocol.STATE_OPEN, WebSocketProtocol.STATE_CLOSED


class GatewayWebSocketProtocol(WebSocketProtocol):
    """One WebSocket and its application."""

    _served = False
    _writer: TransportWriter | None = None
    _ended = False
    _deciding = False
    _read_blocked = False
    _write_blocked = False
    _acknowledged = 0

    def __init__(self) -> None:
        super().__init__()
        self._early: list[bytes] = []
        self._early_held = 0
        self._messages: deque[tuple[MutableMapping[str, Any], int]] = deque()
        self._messages_held = 0
        self._wake_receive: asyncio.Future[None] | None = None
        self._wake_send: asyncio.Future[None] | None = None
        self._denial: MutableMapping[str, Any] | None = None
        self._denial_body = b""

    # Called by Twisted

    def connectionMade(self) -> None:
        """Take the place of the HTTP channel towards the transport."""
        self.transport.unregisterProducer()
        self.transport.registerProducer(self, True)
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        """Parse, but keep what comes before the handshake is answered: Autobahn would take it for another one."""
        if not self._deciding:
            super().dataReceived(data)
            return
        self._early.append(data)
        self._early_held += len(data)
        if self._early_held > READ_BUFFER_BYTES:
            self._pause_reading()

    def pauseProducing(self) -> None:
        """Read nothing while the transport holds too much: pongs to a peer that reads nothing must not pile up."""
        self._write_blocked = True
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Go on: the transport holds nothing any more."""
        self._write_blocked = False
        if not self._read_blocked:
            self.transport.resumeProducing()
        if self._writer is not None:
            self._writer.drained()
        self._wake(self._wake_send)

    def stopProducing(self) -> None:
        """Nothing to do: `connectionLost` comes next."""

    def _pause_reading(self) -> None:
        self._read_blocked = True
        self.transport.pauseProducing()

    def _resume_reading(self) -> None:
        if self._read_blocked:
            self._read_blocked = False
            if not self._write_blocked and self.state != _CLOSED:
                self.transport.resumeProducing()

    # The handshake

    def onConnect(self, request: Any) -> Any:
        """Start the application, which decides on the handshake.

        Raises:
            ConnectionDeny: The handshake cannot be put into a scope: 400.
        """
        self.server = self.factory.server_class
        self.request = request
        self.socket_opened = time.time()
        scope = self._scope(request)
        self._served = self._deciding = True
        self.handshake_deferred: Deferred[Any] = Deferred()
        self._put({"type": "websocket.connect"}, 0)
        loop = asyncio.get_running_loop()
        daphne_application.start(self.server, self, scope, self._receive, self._send, loop, at_once=False)
        self._log("connecting")
        return self.handshake_deferred

    def _scope(self, request: Any) -> dict[str, Any]:
        headers = []
        subprotocols: list[str] = []
        for name, value in request.headers.items():
            if not name.isascii() or "_" in name:
                continue
            if name == "sec-websocket-protocol":
                if not value.isascii():
                    raise ConnectionDeny(400, "The header sec-websocket-protocol is not ASCII")
                subprotocols = [item.strip() for item in value.split(",")]
            headers.append((name.lower().encode("ascii"), value.encode("latin-1")))
        if not request.path.isascii():
            raise ConnectionDeny(400, "The path is not ASCII")
        self.path = request.path.encode("ascii")
        peer, host = self.transport.getPeer(), self.transport.getHost()
        self.client_addr, self.server_addr = addresses(peer, host)
        extensions: dict[str, Any] = {"websocket.http.response": {}}
        if is_plain(self.transport):
            self._writer = TransportWriter(self.transport, Framing.WEBSOCKET, self._close)
            extensions[EXTENSION] = {"writer": self._writer}
        return {
            "type": "websocket",
            "asgi": dict(ASGI),
            "http_version": "1.1",
            "scheme": "wss" if self._transport_details.is_secure else "ws",
            "path": unquote(request.path) or "/",
            "raw_path": self.path,
            "root_path": self.server.root_path,
            "headers": headers,
            "query_string": self._raw_query_string,
            "client": self.client_addr,
            "server": self.server_addr,
            "subprotocols": subprotocols,
            "extensions": extensions,
        }

    def _accept(self, message: MutableMapping[str, Any]) -> None:
        if not self._deciding:
            raise RuntimeError("The handshake has been answered already.")
        subprotocol = message.get("subprotocol")
        if subprotocol is not None and subprotocol not in self.websocket_protocols:
            raise ValueError("The subprotocol is none that the client offered.")
        headers: dict[str, list[str]] = {}
        for name, value in checked_headers(message):
            headers.setdefault(name.decode("ascii"), []).append(value.decode("latin-1"))
        headers.setdefault("date", [http_date().decode("ascii")])
        self._deciding = False
        watch_peer(self.transport, self.factory.heartbeat)
        self.handshake_deferred.callback((subprotocol, headers))
        if self._writer is not None and self.state == _OPEN:
            self._writer.start()
        early, self._early = self._early, []
        if early and self.state == _OPEN:
            super().dataReceived(b"".join(early))
        self._resume_reading()

    def sendHttpErrorResponse(self, code: int, reason: str, responseHeaders: Any = None) -> None:
        """Answer a handshake that Autobahn refuses."""
        # Autobahn knows 5xx for versions that a client chose.
        status = code if 400 <= code < 500 else 400
        headers = tuple((name.lower(), value) for name, value in responseHeaders or ())
        detail = reason.encode("ascii", "replace").decode("ascii")[:200]
        problem = Problem(status, "invalid-request", f"The WebSocket handshake is malformed: {detail}.", headers)
        write(self.transport, problem_response(problem))

    def dropConnection(self, abort: bool = False) -> None:
        """End the connection, and tell the application at once."""
        super().dropConnection(abort)
        self._stop(self.remoteCloseCode if self.wasClean else _CLOSE_ABNORMAL, self.remoteCloseReason)

    def _closeConnection(self, abort: bool = False) -> None:
        if abort and not self.wasClean:
            self.transport.abortConnection()
        else:
            linger(self.transport, flush_seconds=MAX_CLOSE_WAIT_SECONDS)

    def _deny(self, start: MutableMapping[str, Any], body: bytes) -> None:
        """Answer the handshake with a response of the application."""
        lines = [status_line(b"HTTP/1.1", int(start["status"]))]
        for name, value in checked_headers(start):
            if name.lower() not in {b"connection", b"content-length", b"transfer-encoding"}:
                lines.append(b"%b: %b\r\n" % (name, value))
        lines.append(b"date: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (http_date(), len(body)))
        write(self.transport, b"".join(lines) + body)
        self._log("rejected")
        self.wasNotCleanReason = "the handshake was refused"
        self.dropConnection()

    def _refuse(self, problem: Problem) -> None:
        self._deny({"status": problem.status, "headers": problem.asgi_headers()}, problem.body())

    # ASGI

    async def _receive(self) -> MutableMapping[str, Any]:
        while not self._messages:
            self._wake_receive = asyncio.get_running_loop().create_future()
            try:
                await self._wake_receive
            finally:
                self._wake_receive = None
        message, size = self._messages[0]
        if message["type"] != "websocket.disconnect":
            # The last message is given to everybody who asks again.
            self._messages.popleft()
        self._messages_held -= size
        if self._messages_held <= READ_BUFFER_BYTES and not self._deciding:
            self._resume_reading()
        return message

    def _put(self, message: MutableMapping[str, Any], size: int) -> None:
        self._messages.append((message, size))
        self._messages_held += size
        if self._messages_held > READ_BUFFER_BYTES and not self._read_blocked:
            self._pause_reading()
        self._wake(self._wake_receive)

    @staticmethod
    def _wake(future: asyncio.Future[None] | None) -> None:
        if future is not None and not future.done():
            future.set_result(None)

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        kind = message["type"]
        # While the connection closes, too: an application learns of it a moment later.
        if self._ended or (self.state != _OPEN and not self._deciding):
            return
        if kind == "websocket.accept":
            self._accept(message)
        elif kind == "websocket.send":
            self._send_message(message)
            while self._write_blocked and not self._ended:
                self._wake_send = asyncio.get_running_loop().create_future()
                try:
                    await self._wake_send
                finally:
                    self._wake_send = None
        elif kind == "websocket.close":
            if self._deciding:
                self._deny({"status": 403}, b"")
            else:
                self._close(message.get("code"), message.get("reason"))
        elif kind in {"websocket.http.response.start", "websocket.http.response.body"} and self._deciding:
            self._denial_part(message)
        else:
            raise ValueError(f"{kind} is no message for this WebSocket now.")

    def _send_message(self, message: MutableMapping[str, Any]) -> None:
        if self._deciding:
            raise RuntimeError("The handshake has not been answered.")
        if self.state != _OPEN:
            # The closing handshake is under way.
            return
        payload, text = message.get("bytes"), message.get("text")
        if (payload is None) == (text is None):
            raise ValueError("A message has either text or bytes.")
        if payload is not None:
            self.sendMessage(payload, True)
        elif text is not None:
            self.sendMessage(text.encode(), False)

    def _denial_part(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "websocket.http.response.start":
            self._denial = message
            return
        if self._denial is None:
            raise RuntimeError("The response has not been started.")
        self._denial_body += message.get("body", b"")
        if not message.get("more_body", False):
            self._deny(self._denial, self._denial_body)

    # Messages, and the end

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Give a message to the application, unless it has closed."""
        if self.state != _OPEN:
            return
        content = {"bytes": payload} if isBinary else {"text": payload.decode()}
        self._put({"type": "websocket.receive", **content}, len(payload) + _MESSAGE_OVERHEAD)

    def onOpen(self) -> None:
        """Log."""
        self._log("connected")

    def _sendAutoPing(self) -> None:
        self._acknowledged, _ = acknowledged(self.transport)
        super()._sendAutoPing()

    def onAutoPingTimeout(self) -> None:
        """Close a connection whose peer did not answer, unless it is still busy with what came before the ping."""
        self.autoPingTimeoutCall = None
        before = self._acknowledged
        self._acknowledged, waiting = acknowledged(self.transport)
        if waiting and self._acknowledged > before:
            self.autoPingTimeoutCall = self.factory.timer.call_later(self.factory.heartbeat, self.onAutoPingTimeout)
            return
        self._close(CLOSE_INTERNAL, "keep-alive unanswered")
        self._stop(_CLOSE_ABNORMAL)

    def _fail_connection(self, code: int = CLOSE_INTERNAL, reason: str = "") -> None:
        """Close on a peer that breaks the protocol; the application need not wait for it to agree."""
        super()._fail_connection(code, reason)
        self._stop(code, reason)

    def _close(self, code: int | None = None, reason: str | None = None) -> None:
        """Begin the closing handshake; Autobahn drops the connection if the peer does not answer."""
        if self.state == _OPEN:
            text = (reason or "").encode()[:_MAX_REASON_BYTES].decode(errors="ignore")
            self.sendCloseFrame(code=code or CLOSE_NORMAL, reasonUtf8=text.encode() or None)

    def sendData(self, *args: Any, **kwargs: Any) -> None:
        """Write what is Autobahn's own: a ping, say."""
        super().sendData(*args, **kwargs)
        if self._writer is not None:
            self._writer.others_wrote()

    def sendCloseFrame(self, *args: Any, **kwargs: Any) -> None:
        """Write the close frame, and no data after it (RFC 6455 §5.5.1)."""
        if self._writer is not None:
            self._writer.stop()
        super().sendCloseFrame(*args, **kwargs)
        # The peer's own close frame may be behind what was not read.
        self._resume_reading()

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """Tell the application that the client is gone."""
        self._stop(code, reason if wasClean else None)
        if not self._served:
            return
        if self in self.server.connections:
            self.server.protocol_disconnected(self)
        self._log("disconnected")

    def _stop(self, code: int | None = None, reason: str | None = None) -> None:
        if self._ended:
            return
        self._ended = True
        self._deciding = False
        self._early.clear()
        if self._writer is not None:
            self._writer.stop()
        # A closed connection without a code is 1005 to the application (RFC 6455 §7.1.5).
        self._messages.append(
            ({"type": "websocket.disconnect", "code": code or _CLOSE_NO_CODE, "reason": reason or ""}, 0)
        )
        self._wake(self._wake_receive)
        self._wake(self._wake_send)

    def application_ended(self, error: BaseException | None) -> None:
        """Answer for an application that ended before its WebSocket."""
        if self._ended or self.state == _CLOSED:
            return
        if isinstance(error, asyncio.CancelledError):
            self.transport.abortConnection()
        elif self._deciding:
            if error is None:
                logger.error("The application ended before it answered the handshake.")
            self._refuse(INTERNAL)
        else:
            self._close(CLOSE_NORMAL if error is None else CLOSE_INTERNAL)

    # What Daphne calls

    def handle_exception(self, exception: BaseException) -> None:
        """Answer for an application that failed."""
        self.application_ended(exception)

    def check_timeouts(self) -> None:
        """Refuse a handshake that the application does not answer; an open WebSocket has no time limit."""
        if self._deciding and self.duration() > self.server.websocket_connect_timeout:
            self._refuse(Problem(503, "timeout", "The handshake was not answered in time."))

    def _log(self, action: str) -> None:
        if self.server.action_logger is not None:
            client = "{}:{}".format(*self.client_addr) if self.client_addr else None
            self.server.log_action("websocket", action, {"path": self.request.path, "client": client})
