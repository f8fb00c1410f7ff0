"""What the gateway adds to Daphne, by replacing names of `daphne.server` before a server is made.

`manage.py serve`, `manage.py runserver` and plain `daphne gateway_project.asgi:application` all make
`daphne.server.Server`, so one call of `install` serves them all.
"""

# Twisted's and Autobahn's methods are typed only in part.
# mypy: disallow-untyped-calls=False

import asyncio
import importlib.metadata
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from gateway_project.servers.limits import HEADER_TIMEOUT_SECONDS, LISTEN_BACKLOG

logger = logging.getLogger(__name__)

TRIED_VERSIONS: dict[str, tuple[str, ...]] = {
    "daphne": ("4.2",),
    "twisted": ("26.10",),
    "autobahn": ("26.10",),
}
"""Minor versions whose private parts are known to be what the gateway takes them for."""

NOT_KEPT = (
    "decisions on headers alone, back-pressure, writes straight to the socket, the header deadline, "
    "problem details for malformed requests, bounded WebSocket messages"
)
"""What is missing with any other version."""

_FLUSH_SECONDS = 1.0
_STOP_SECONDS = 1.0


@dataclass(slots=True)
class _Options:
    header_timeout: float = HEADER_TIMEOUT_SECONDS
    heartbeat: float = 15.0
    drain: Callable[[], Awaitable[None]] | None = None


_options = _Options()
_installed = False


def untried_versions() -> list[str]:
    """List the packages whose version was not tried, each as "name version"."""
    found = {name: importlib.metadata.version(name) for name in TRIED_VERSIONS}
    return [
        f"{name} {version}"
        for name, version in found.items()
        if ".".join(version.split(".")[:2]) not in TRIED_VERSIONS[name]
    ]


def install(
    *,
    header_timeout: float = HEADER_TIMEOUT_SECONDS,
    heartbeat: float = 15.0,
    drain: Callable[[], Awaitable[None]] | None = None,
) -> bool:
    """Extend Daphne in this process; a further call only changes the options of servers that are made after it.

    It imports `daphne.server`, which makes the Twisted reactor with an event loop of its own.

    Args:
        header_timeout: Seconds from the first byte of a request to the end of its headers.
        heartbeat: Seconds between WebSocket pings, and for their answer; half of what a silent peer gets.
        drain: Awaited after SIGTERM or SIGINT, while the server still answers; it should take its own time limit.

    Returns:
        Whether every promise is kept. With versions that were not tried it is False: one warning says what is
        missing, and only the listen backlog and the drain are added.
    """
    global _installed  # noqa: PLW0603 - the process has one Daphne
    _options.header_timeout = header_timeout
    _options.heartbeat = heartbeat
    _options.drain = drain
    untried = untried_versions()
    if _installed:
        return not untried

    import daphne.server

    _installed = True
    daphne.server.serverFromString = _with_family(_with_backlog(daphne.server.serverFromString))
    server_class: Any = daphne.server.Server
    server_class.kill_all_applications = _drain_and_stop
    if untried:
        logger.warning("Not tried with %s; missing: %s.", ", ".join(untried), NOT_KEPT)
        return False
    daphne.server.HTTPFactory, daphne.server.WebSocketFactory = _factories()
    _leave_out_log_context()
    return True


def _leave_out_log_context() -> None:
    """Have Twisted serve a socket without first noting whose log lines may follow: that cost 4 µs for every read."""
    import twisted.internet.asyncioreactor

    asyncio_reactor: Any = twisted.internet.asyncioreactor
    asyncio_reactor.callWithLogger = lambda _selectable, function, *args: function(*args)


def _factories() -> tuple[Callable[..., Any], Callable[..., Any]]:
    from gateway_project.servers.daphne_factories import GatewayHTTPFactory, GatewayWebSocketFactory

    def http_factory(server: Any) -> Any:
        return GatewayHTTPFactory(server, header_timeout=_options.header_timeout, heartbeat=_options.heartbeat)

    def websocket_factory(daphne_server: Any, /, **options: Any) -> Any:
        return GatewayWebSocketFactory(daphne_server, heartbeat=_options.heartbeat, **options)

    return http_factory, websocket_factory


def _with_backlog(server_from_string: Callable[..., Any]) -> Callable[..., Any]:
    """Give an endpoint a listen backlog that takes all clients at once, where it names none."""

    def wrapped(reactor: Any, description: str) -> Any:
        kind = description.partition(":")[0]
        if kind in {"tcp", "tcp6", "ssl", "unix"} and "backlog=" not in description:
            description = f"{description}:backlog={LISTEN_BACKLOG}"
        return server_from_string(reactor, description)

    return wrapped


def _with_family(server_from_string: Callable[..., Any]) -> Callable[..., Any]:
    """Take an inherited socket for what it is: Daphne takes each for IPv4, and reads wrong addresses from others."""

    def wrapped(reactor: Any, description: str) -> Any:
        kind, _, number = description.partition(":fileno=")
        if kind != "fd" or not number.isdecimal():
            return server_from_string(reactor, description)
        from twisted.internet.endpoints import AdoptedStreamServerEndpoint

        with socket.socket(fileno=os.dup(int(number))) as inherited:
            family = inherited.family
        return AdoptedStreamServerEndpoint(reactor, int(number), family)

    return wrapped


def _drain_and_stop(server: Any) -> Any:
    """Stand in for `Server.kill_all_applications`, which Twisted awaits before it shuts down."""
    from twisted.internet.defer import Deferred

    loop = asyncio.get_running_loop()
    return Deferred.fromFuture(loop.create_task(_stop(server)))


async def _stop(server: Any) -> None:
    if _options.drain is not None:
        try:
            await _options.drain()
        except Exception:
            logger.exception("The drain failed")
    await _flush()
    running = [
        task
        for details in list(server.connections.values())
        if (task := details.get("application_instance")) is not None and not task.done()
    ]
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running, timeout=_STOP_SECONDS)


async def _flush() -> None:
    """Wait until the sockets have what was written, which Twisted's shutdown would drop."""
    from twisted.internet import reactor

    give_up = asyncio.get_running_loop().time() + _FLUSH_SECONDS
    selectables: Any = reactor
    # Twisted tells nobody when its last socket is flushed.
    while selectables.getWriters() and asyncio.get_running_loop().time() < give_up:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
