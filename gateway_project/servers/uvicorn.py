"""`serve --server uvicorn`: uvicorn with the protocols that keep the gateway's promises."""

import asyncio
import contextlib
import functools
import logging
import os
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import uvicorn

from gateway_project.servers import limits
from gateway_project.servers.listener import listen
from topics.wire.websocket import MAX_MESSAGE_BYTES

logger = logging.getLogger(__name__)

TESTED_VERSIONS = ("0.54",)
"""uvicorn's minor versions whose protocol classes were found to be as `uvicorn_http` and `uvicorn_websocket` expect."""

NOT_KEPT = (
    "frames written straight to the socket",
    "the bound on an unread body",
    "the header size and time limits",
    "slow readers found by what the server holds for them",
    "problem details for malformed requests",
    "no chunked coding to HTTP/1.0 clients",
    "streams that end when their client shuts its side",
)
"""What an untested version of uvicorn does not keep."""

SHUTDOWN_SECONDS = 1.0
"""How long connections may take to end by themselves once the node has drained."""


class GatewayServer(uvicorn.Server):
    """uvicorn's server, which drains before it stops and then stops within a bound.

    Args:
        config: uvicorn's.
        drain: Awaited at the first SIGTERM or SIGINT, while connections are still accepted.
        on_listening: Called once connections are accepted.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        drain: Callable[[], Awaitable[None]],
        on_listening: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._drain = drain
        self._on_listening = on_listening
        self._signalled = False
        self._draining: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, and say so."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self._on_listening()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Handle the signals that end a server; unlike uvicorn's, they are not raised again: the exit status is 0."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handled = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self.handle_exit) for number in handled}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """First signal: drain, then stop. Second: end at once, as the signal does by itself."""
        if self._signalled or self._loop is None:
            signal.signal(sig, signal.SIG_DFL)
            os.kill(os.getpid(), sig)
            return
        self._signalled = True
        # A signal handler runs between any two steps of the loop.
        self._loop.call_soon_threadsafe(self._begin_drain)

    def _begin_drain(self) -> None:
        self._draining = asyncio.create_task(self._drain_and_stop())

    async def _drain_and_stop(self) -> None:
        try:
            await self._drain()
        except Exception:
            logger.exception("Draining failed; the server stops all the same")
        finally:
            self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listeners, let connections end, and cut off those that do not."""
        for server in self.servers:
            server.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SHUTDOWN_SECONDS
        while (state.connections or state.tasks) and loop.time() < deadline:  # noqa: ASYNC110 - uvicorn has no event
            await asyncio.sleep(0.02)
        for connection in list(state.connections):
            connection.transport.abort()
        tasks = list(state.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=SHUTDOWN_SECONDS)


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
        heartbeat: Seconds between two pings of a WebSocket, and that its answer may take. A peer that acknowledges
            nothing for twice as long is gone.
        drain: Awaited at the first signal, while connections are still accepted. A second signal ends the process at
            once.
        on_listening: Called with the host and port that are really listened on.
        listener: A listening socket to take in place of `host` and `port`.

    Raises:
        SystemExit: The address cannot be listened on, or the application not imported.
    """
    options: dict[str, Any] = {
        "loop": "uvloop",
        "interface": "asgi3",
        "lifespan": "off",
        "log_config": None,
        "log_level": "warning",
        "access_log": False,
        "proxy_headers": False,
        "server_header": False,
        "backlog": limits.LISTEN_BACKLOG,
        "ws_max_size": MAX_MESSAGE_BYTES,
        "ws_per_message_deflate": False,
        "ws_ping_interval": heartbeat,
        "ws_ping_timeout": heartbeat,
        "timeout_keep_alive": 75,
        "timeout_graceful_shutdown": 2,
    }
    if version_is_tested(uvicorn.__version__):
        from gateway_project.servers.uvicorn_http import GatewayHttpProtocol

        protocol = functools.partial(GatewayHttpProtocol, header_timeout=header_timeout, peer_timeout=2 * heartbeat)
        options |= {"http": protocol, "ws": "websockets-sansio"}
    else:
        logger.warning(
            "uvicorn %s is not among the versions tested (%s), so it runs as it is, without: %s",
            uvicorn.__version__,
            ", ".join(TESTED_VERSIONS),
            "; ".join(NOT_KEPT),
        )
        options |= {"http": "httptools", "ws": "websockets-sansio"}
    config = uvicorn.Config(application, **options)
    config.load()
    listener = listener or listen(host, port)
    address = listener.getsockname()
    GatewayServer(config, drain=drain, on_listening=lambda: on_listening(address[0], address[1])).run([listener])


def version_is_tested(version: str) -> bool:
    """Tell whether a uvicorn version is one whose private parts are known."""
    return ".".join(version.split(".")[:2]) in TESTED_VERSIONS
