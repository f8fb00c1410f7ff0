"""What builds the connections of the extended Daphne."""

# Twisted's and Autobahn's methods are typed only in part.
# mypy: disallow-untyped-calls=False

import asyncio
from collections.abc import Callable
from typing import Any

from daphne.http_protocol import HTTPFactory
from daphne.ws_protocol import WebSocketFactory

from gateway_project.servers.daphne_channel import GatewayChannel
from gateway_project.servers.daphne_http import GatewayRequest
from gateway_project.servers.daphne_websocket import GatewayWebSocketProtocol
from gateway_project.servers.limits import MAX_CLOSE_WAIT_SECONDS
from topics.wire.websocket import MAX_MESSAGE_BYTES


class GatewayHTTPFactory(HTTPFactory):
    """Builds HTTP connections.

    Args:
        server: Daphne's.
        header_timeout: Seconds from the first byte of a request to the end of its headers.
        heartbeat: Seconds between signs of life in a stream.
    """

    def __init__(self, server: Any, *, header_timeout: float, heartbeat: float) -> None:
        super().__init__(server)
        self.header_timeout = header_timeout
        self.heartbeat = heartbeat

    def buildProtocol(self, addr: Any) -> Any:
        """Build one, without the proxy that Twisted puts before it for HTTP/2."""
        channel: Any = GatewayChannel()
        channel.factory = self
        channel.requestFactory = GatewayRequest
        channel.callLater = self.reactor.callLater
        channel.timeOut = self.timeOut
        channel.header_timeout = self.header_timeout
        return channel

    def acceptableProtocols(self) -> list[bytes]:
        """Offer HTTP/1.1 alone in TLS."""
        return [b"http/1.1"]


class Timer:
    """What stands in for Autobahn's timer, which rounds to whole seconds and cancels by searching a list."""

    @staticmethod
    def call_later(delay: float, function: Callable[..., None], *args: Any) -> asyncio.TimerHandle:
        """Call a function after a delay in seconds."""
        return asyncio.get_running_loop().call_later(delay, function, *args)


class GatewayWebSocketFactory(WebSocketFactory):
    """Builds WebSockets, with the gateway's limits over Daphne's options.

    Args:
        daphne_server: Daphne's.
        heartbeat: Seconds between pings, and for their answer.
        options: Daphne's.
    """

    def __init__(self, daphne_server: Any, /, *, heartbeat: float, **options: Any) -> None:
        self.heartbeat = heartbeat
        # No `server` header: what runs here is nobody's business.
        super().__init__(daphne_server, **{**options, "server": ""})
        self.timer = self._batched_timer = Timer()

    def setProtocolOptions(self, **options: Any) -> None:
        """Set what Daphne asks for, and what the gateway promises."""
        super().setProtocolOptions(
            **{
                **options,
                "maxFramePayloadSize": MAX_MESSAGE_BYTES,
                "maxMessagePayloadSize": MAX_MESSAGE_BYTES,
                "autoPingInterval": self.heartbeat,
                "autoPingTimeout": self.heartbeat,
                # The request is in when Autobahn gets it; the application's time is limited below.
                "openHandshakeTimeout": 0,
                "closeHandshakeTimeout": MAX_CLOSE_WAIT_SECONDS,
                # A peer that breaks the protocol is told with a close frame why (RFC 6455 §7.1.7).
                "failByDrop": False,
            }
        )
        # Autobahn copies every option to every connection, and formats them all for a line that nobody
        # logs. As attributes of the class they are there already.
        values = {name: getattr(self, name) for name in GatewayWebSocketProtocol.CONFIG_ATTRS}
        values = {name: staticmethod(value) if callable(value) else value for name, value in values.items()}
        self.protocol = type(
            GatewayWebSocketProtocol.__name__, (GatewayWebSocketProtocol,), {**values, "CONFIG_ATTRS": []}
        )
