"""How Daphne runs the application for a connection."""

import asyncio
import contextvars
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

logger = logging.getLogger(__name__)

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# A socket's callbacks run in the context of whoever asked for them last, which may be an earlier request's.
_EMPTY = contextvars.Context()


class Connection(Protocol):
    """What an application serves."""

    def application_ended(self, error: BaseException | None) -> None:
        """Answer for an application that ended.

        Args:
            error: What it raised, `CancelledError` when it was stopped, or None.
        """


def start(server: Any, connection: Connection, scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Run the application in a task of its own.

    The server knows the connection while the task runs: Daphne looks after time limits, and cancels an application that
    outlives its client by `--application-close-timeout`.

    Args:
        server: Daphne's.
        connection: Told when the application has ended.
        scope: ASGI's, as the next two.
        receive: Messages to the application.
        send: Messages from it.
    """

    async def run() -> None:
        await server.application(scope, receive, send)

    def ended(task: asyncio.Task[None]) -> None:
        server.connections.pop(connection, None)
        error: BaseException | None = asyncio.CancelledError() if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            logger.error("Exception in the application", exc_info=error)
        connection.application_ended(error)

    task = asyncio.get_running_loop().create_task(run(), context=_EMPTY.copy())
    server.connections[connection] = {"connected": time.time(), "application_instance": task}
    task.add_done_callback(ended)
