"""Publishing from Python: `publish` in coroutines, `publish_sync` everywhere else.

In a process that runs the gateway both go through its own runtime. In any other that shares its settings (a web
application, a worker) the process becomes a node of the gateway that holds no connections, which needs Redis.
"""

import asyncio
import atexit
import threading
from collections.abc import Iterable
from contextlib import suppress

from django.conf import settings

from publishing import service
from publishing.sources.events import make_event
from topics import process
from topics.events import Event
from topics.exceptions import GatewayError, PlacementUnavailable
from topics.placement.base import Routed

SECONDS = 30.0
"""Longest wait of `publish_sync`, the start of a node counted in."""

LEAVE_SECONDS = 3.0

_lock = threading.Lock()
_own: asyncio.AbstractEventLoop | None = None


class NotAGateway(GatewayError):
    """This process is not the gateway, and there is no Redis by which it could become one of its nodes."""


async def publish(
    topics: str | Iterable[str],
    data: str,
    *,
    id: str | None = None,
    event: str | None = None,
    retry: int | None = None,
) -> Routed:
    """Publish an event.

    Args:
        topics: A topic list, or topics.
        data: The text.
        id: Unique; made when not given.
        event: Event type, None for `message`.
        retry: Reconnect time for the clients that get it, in milliseconds.

    Returns:
        Whom it was handed to. Without `topics` it was dropped: nobody is connected.

    Raises:
        InvalidInput: The event breaks a rule; the message says which.
        PlacementUnavailable: It cannot be known who is connected; nothing was published.
        NotAGateway: This process is not the gateway, and `GATEWAY_REDIS_URL` is not set.
    """
    checked = make_event(topics, data, id, event, retry, settings=settings.GATEWAY)
    here = asyncio.get_running_loop()
    if process.home() is here or (process.home() is None and process.serves()):
        return await _publish(checked)
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_publish(checked), _home()))


def publish_sync(
    topics: str | Iterable[str],
    data: str,
    *,
    id: str | None = None,
    event: str | None = None,
    retry: int | None = None,
) -> Routed:
    """Publish an event, and wait until it has been routed; as `publish` beside that.

    Raises:
        RuntimeError: It was called in the gateway's own event loop, where it would wait for itself.
        PlacementUnavailable: It took more than `SECONDS`, or as for `publish`.
    """
    checked = make_event(topics, data, id, event, retry, settings=settings.GATEWAY)
    home = _home()
    with suppress(RuntimeError):
        if asyncio.get_running_loop() is home:
            home = None  # type: ignore[assignment]
    if home is None:
        raise RuntimeError("publish_sync was called in a coroutine; await publish instead.")
    waiting = asyncio.run_coroutine_threadsafe(_publish(checked), home)
    try:
        return waiting.result(SECONDS)
    except TimeoutError:
        waiting.cancel()
        raise PlacementUnavailable(f"The event was not routed within {SECONDS:g} seconds.") from None


async def _publish(event: Event) -> Routed:
    return await service.publish(await process.running(), event)


def _home() -> asyncio.AbstractEventLoop:
    """Return the loop of the process's runtime, in a thread of its own where there is no server."""
    global _own  # noqa: PLW0603 - one a process
    with _lock:
        home = process.home() or _own
        if home is not None:
            return home
        if process.serves():
            raise PlacementUnavailable("The gateway has not been started yet.")
        if settings.GATEWAY.redis_url is None:
            raise NotAGateway(
                "This process is not the gateway. Set GATEWAY_REDIS_URL here and there, or publish over HTTP."
            )
        _own = asyncio.new_event_loop()
        threading.Thread(target=_own.run_forever, name="sse-gateway", daemon=True).start()
        atexit.register(_leave, _own)
        return _own


def _leave(loop: asyncio.AbstractEventLoop) -> None:
    # Otherwise the others would count on this node until its lease has run out.
    with suppress(Exception):
        asyncio.run_coroutine_threadsafe(process.shut_down(), loop).result(LEAVE_SECONDS)
    loop.call_soon_threadsafe(loop.stop)
