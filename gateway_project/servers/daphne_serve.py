"""`serve --server daphne`: Daphne, extended, until a signal ends it."""

import importlib
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from daphne.endpoints import build_endpoint_description_strings
from daphne.server import Server

from gateway_project.servers.daphne import install


class GatewayServer(Server):
    """Daphne's server, which says where it really listens and fails when it cannot.

    Args:
        on_listening: Called with host and port.
        options: Daphne's.
    """

    def __init__(self, *, on_listening: Callable[[str, int], None], **options: Any) -> None:
        super().__init__(**options)
        self._on_listening = on_listening
        self.failure: str | None = None

    def listen_success(self, port: Any) -> None:
        """Say where."""
        super().listen_success(port)
        address = port.getHost()
        # In the loop's first turn: by then SIGTERM drains, and whoever waits for this word may send it.
        reactor: Any = port.reactor
        reactor.callLater(0, self._on_listening, address.host, address.port)

    def listen_error(self, failure: Any) -> None:
        """Remember why, and stop: Daphne would exit with status 0."""
        self.failure = failure.getErrorMessage()
        self.stop()


def run(
    application: str,
    *,
    host: str,
    port: int,
    header_timeout: float,
    heartbeat: float,
    drain: Callable[[], Awaitable[None]],
    on_listening: Callable[[str, int], None],
    listener: socket.socket | None = None,
) -> None:
    """Serve an ASGI application until SIGTERM or SIGINT; returns when all is closed.

    Args:
        application: Import path, `package.module:name`.
        host: Address to listen on.
        port: TCP port; 0 takes a free one.
        header_timeout: Seconds from a request's first byte to the end of its headers.
        heartbeat: Seconds between two pings of a WebSocket, and that its answer may take.
        drain: Awaited at the first signal, while connections are still accepted.
        on_listening: Called with the host and port that are really listened on.
        listener: A listening socket to take in place of `host` and `port`.

    Raises:
        SystemExit: The address cannot be listened on, or the application not imported.
    """
    install(header_timeout=header_timeout, heartbeat=heartbeat, drain=drain)
    if listener is None:
        endpoints = build_endpoint_description_strings(host=host, port=port)
    else:
        # Twisted makes a socket of its own of it.
        endpoints = build_endpoint_description_strings(file_descriptor=listener.detach())
    module, _, name = application.partition(":")
    server = GatewayServer(
        application=getattr(importlib.import_module(module), name),
        endpoints=endpoints,
        on_listening=on_listening,
        ping_interval=heartbeat,
        ping_timeout=heartbeat,
        websocket_timeout=-1,
        server_name="",
        verbosity=0,
    )
    server.run()
    if server.failure is not None:
        sys.exit(f"Cannot listen on {host}:{port}: {server.failure}")
