"""The process's one runtime: started by whoever needs it first, drained and closed with the server."""

import asyncio
import logging

from django.conf import settings

from topics.exceptions import PlacementUnavailable
from topics.runtime import Runtime

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0

_starting: asyncio.Task[Runtime] | None = None
_persisting: asyncio.Task[None] | None = None
_port: int | None = None


def listens_on(port: int) -> None:
    """Say which TCP port the process' node reports; to be called before the runtime is started."""
    global _port  # noqa: PLW0603
    _port = port


def serves() -> bool:
    """Tell whether this process is one that takes connections, as far as it is known."""
    return _port is not None


def home() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that the process's runtime lives in, None when it was not started yet."""
    return None if _starting is None else _starting.get_loop()


async def running() -> Runtime:
    """Return the process's runtime, started by the first caller.

    Servers without ASGI's lifespan (Daphne) have no other moment for it.

    Raises:
        PlacementUnavailable: The placement store cannot be reached; the next caller tries again.
    """
    global _starting  # noqa: PLW0603 - one runtime a process is what this module is for
    if _starting is None:
        _starting = asyncio.create_task(_start())
    starting = _starting
    if not starting.done():
        # Shielded: the first caller may leave, the others still wait for it.
        await asyncio.wait([starting])
    if starting.exception() is not None and _starting is starting:
        _starting = None
    return starting.result()


async def _start() -> Runtime:
    runtime = Runtime(settings.GATEWAY, port=_port)
    await runtime.start()
    logger.info("gateway started", extra={"node": runtime.node.name})
    return runtime


def start_soon() -> None:
    """Start the runtime without waiting for a request, and again until it can be: other nodes count on knowing it."""
    global _persisting  # noqa: PLW0603
    _persisting = asyncio.get_running_loop().create_task(_persist())


async def _persist() -> None:
    while True:
        try:
            await running()
        except PlacementUnavailable as error:
            logger.warning("placement store unreachable", extra={"detail": str(error)})
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            return


async def shut_down() -> None:
    """Drain and close the process's runtime, if it was ever started."""
    global _starting  # noqa: PLW0603
    if _persisting is not None:
        _persisting.cancel()
    if _starting is None:
        return
    try:
        runtime = await running()
    except PlacementUnavailable:
        return
    await runtime.drain()
    await runtime.close()
    _starting = None
