"""A request whose head Twisted has parsed: whatever is not as in nearly all requests, and WebSocket handshakes."""

# Twisted's and Autobahn's methods are typed only in part.
# mypy: disallow-untyped-calls=False

from io import BytesIO
from typing import Any

from daphne.http_protocol import WebRequest
from twisted.web.http import Request

from gateway_project.servers.daphne_exchange import Exchange
from gateway_project.servers.daphne_head import Head
from gateway_project.servers.daphne_scope import BadRequestError, scope_headers, split_target
from topics.problems import Problem


class GatewayRequest(WebRequest):
    """One request from its first line to the end of its head.

    An `Exchange` takes its place then, or a WebSocket. Twisted parses neither the body nor the query.
    """

    channel: Any
    dispatched = False
    streaming = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Daphne's own registers with the server before there is anything to serve.
        Request.__init__(self, *args, **kwargs)
        self.server = self.channel.factory.server
        self.client_addr = None
        self.server_addr = None
        self.application_queue = None
        self._exchange: Exchange | None = None

    def parseCookies(self) -> None:
        """Leave cookies to the application."""

    def gotLength(self, length: int | None) -> None:
        """Give the request to the application: the headers are in.

        Args:
            length: Bytes of the body, None when it is chunked.
        """
        channel = self.channel
        channel.stop_idle_timeout()
        try:
            head = self._head(length)
            if self._is_upgrade():
                if length != 0:
                    raise BadRequestError("A WebSocket handshake has no body.")
                # Daphne answers it when Twisted calls `process`, which is next.
                self.content = BytesIO()
                self.server.protocol_connected(self)
                return
            head.headers = scope_headers(self.requestHeaders)
        except BadRequestError as error:
            channel.reject(Problem(400, "invalid-request", str(error)))
            return
        finally:
            # Twisted would ask for the body at once; the application's first `receive` does.
            self.requestHeaders.removeHeader(b"expect")
        self._exchange = channel.requests[-1] = Exchange(channel, head)
        # Not at once: Twisted is not done with this request.
        self._exchange.start(head, at_once=False)

    def handleContentChunk(self, data: bytes) -> None:
        """Pass on a part of the body: Twisted's decoder was made before the exchange."""
        if self._exchange is not None:
            self._exchange.handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Go on with a handshake."""
        if self.channel is not None and not self.channel.closing:
            super().requestReceived(command, path, version)

    def process(self) -> Any:
        """Upgrade to WebSocket, as Daphne does."""
        self.channel.hand_over()
        result = super().process()
        self.server.connections.pop(self, None)
        return result

    def connectionLost(self, reason: Any) -> None:
        """Let go: there is no application yet."""
        self.channel = None

    def basic_error(self, status: int, status_text: bytes, body: str) -> None:
        """Answer an upgrade that Daphne refuses."""
        slug = "invalid-request" if status < 500 else "internal-error"
        self.channel.reject(Problem(status, slug, f"{body}."))

    def _head(self, length: int | None) -> Head:
        channel = self.channel
        method, target, version = channel._command, channel._path, channel._version
        expect = self.requestHeaders.getRawHeaders(b"expect")
        expects_continue = expect is not None and version == b"HTTP/1.1" and expect[0].lower() == b"100-continue"
        connection = self.requestHeaders.getRawHeaders(b"connection")
        if connection is not None:
            tokens = b",".join(connection).lower().split(b",")
            if b"close" in [token.strip() for token in tokens]:
                channel.persistent = 0
        path, query = split_target(target)
        # Daphne's own parts, which a handshake goes through, look for these.
        self.method, self.uri, self.clientproto = method, target, version
        self.path, self.query_string = path, query
        return Head(method, target, path, query, version, [], length, expects_continue)

    def _is_upgrade(self) -> bool:
        upgrade = self.requestHeaders.getRawHeaders(b"upgrade")
        # Any other method, and HTTP/1.0, may not upgrade: the application answers them (RFC 9110 §7.8).
        return (
            upgrade is not None
            and upgrade[0].lower() == b"websocket"
            and self.method == b"GET"
            and self.clientproto == b"HTTP/1.1"
        )
