"""How Daphne runs the application for a connection."""

import asyncio
import contextvars
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
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


def start(
    server: Any,
    connection: Connection,
    scope: dict[str, Any],
    receive: Receive,
    send: Send,
    loop: Any,
    *,
    at_once: bool,
) -> None:
    """Run the application in a task of its own.

    The server knows the connection while the task waits: Daphne looks after time limits, and cancels an application
    that outlives its client by `--application-close-timeout`.

    Args:
        server: Daphne's.
        connection: Told when the application has ended.
        scope: ASGI's, as the next two.
        receive: Messages to the application.
        send: Messages from it.
        loop: The event loop, which runs.
        at_once: Whether the task may run to its first wait before this returns; else it runs in the loop's next turn.
    """
    task = loop.create_task(_run(server.application, scope, receive, send), context=_EMPTY.copy())
    if at_once and asyncio.current_task(loop) is None:
        _begin(task, loop)
        if task.done():
            _ended(server, connection, task)
            return
    server.connections[connection] = {"connected": time.time(), "application_instance": task}
    task.add_done_callback(partial(_ended, server, connection))


async def _run(application: Any, scope: dict[str, Any], receive: Receive, send: Send) -> None:
    await application(scope, receive, send)


def _begin(task: asyncio.Task[None], loop: Any) -> None:
    """Do now what a new task does in the loop's next turn, as Python 3.12 can: most requests are answered by then."""
    handles = getattr(loop, "_ready", None)
    if handles and handles[-1]._callback.__self__ is task:
        handles.pop()._run()


def _ended(server: Any, connection: Connection, task: asyncio.Task[None]) -> None:
    server.connections.pop(connection, None)
    error: BaseException | None = asyncio.CancelledError() if task.cancelled() else task.exception()
    if isinstance(error, Exception):
        logger.error("Exception in the application", exc_info=error)
    connection.application_ended(error)
