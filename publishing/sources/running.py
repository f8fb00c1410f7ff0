"""The process's one supervisor: started with the server, ended before the node drains."""

import asyncio

from publishing.sources.base import Source
from publishing.sources.status import SourceStatus
from publishing.sources.supervisor import Supervisor
from topics import process
from topics.exceptions import PlacementUnavailable
from topics.runtime import Runtime

_RETRY_SECONDS = 1.0

_supervisor: Supervisor | None = None
_starting: asyncio.Task[None] | None = None


def start_soon(sources: tuple[Source, ...]) -> None:
    """Run the sources as soon as the process's runtime has been started."""
    global _starting  # noqa: PLW0603 - one supervisor a process is what this module is for
    if sources:
        _starting = asyncio.get_running_loop().create_task(_start(sources))


def status() -> list[SourceStatus]:
    """Return the sources of this node."""
    return [] if _supervisor is None else _supervisor.status()


async def status_everywhere() -> list[SourceStatus]:
    """Return the sources of all nodes.

    Raises:
        PlacementUnavailable: It cannot be known what the others say.
    """
    return [] if _supervisor is None else await _supervisor.status_everywhere()


async def stop() -> None:
    """Take no more messages. Does nothing when no sources run."""
    global _supervisor, _starting  # noqa: PLW0603
    if _starting is not None:
        _starting.cancel()
        await asyncio.wait([_starting])
        _starting = None
    supervisor, _supervisor = _supervisor, None
    if supervisor is not None:
        await supervisor.stop()


async def _start(sources: tuple[Source, ...]) -> None:
    global _supervisor  # noqa: PLW0603
    _supervisor = Supervisor(sources, await _runtime())
    _supervisor.start()


async def _runtime() -> Runtime:
    while True:
        try:
            return await process.running()
        except PlacementUnavailable:
            await asyncio.sleep(_RETRY_SECONDS)
