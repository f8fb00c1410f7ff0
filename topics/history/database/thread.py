"""A thread with connections of its own to the database, so that the event loop never waits for it."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import connections

Answer = TypeVar("Answer")

_Job = tuple[Callable[[], Any], "asyncio.Future[Any]", asyncio.AbstractEventLoop]


class DatabaseThread:
    """Runs jobs one after the other. A daemon: a database that answers no more does not keep the process alive.

    Args:
        name: Of the thread.
    """

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def run(self, job: Callable[[], Answer]) -> "asyncio.Future[Answer]":
        """Have a job done.

        Returns:
            What it will return or raise. Who cancels the future only stops waiting: a job that has begun is done to its
            end, one that has not is left out.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._jobs.put((job, future, loop))
        return future

    async def close(self, seconds: float) -> None:
        """Let the jobs that wait be done, and close the connections.

        Args:
            seconds: Longest wait for that.
        """
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join, seconds)

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, future, loop = item
            if future.cancelled():
                continue
            try:
                answer = job()
            except BaseException as error:  # noqa: BLE001 - raised where the job is waited for
                _tell(loop, _fail, future, error)
            else:
                _tell(loop, _set, future, answer)
        connections.close_all()


def _tell(loop: asyncio.AbstractEventLoop, *call: Any) -> None:
    # A loop that has been closed no longer waits for anything.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(*call)


def _set(future: "asyncio.Future[Any]", answer: Any) -> None:
    if not future.done():
        future.set_result(answer)


def _fail(future: "asyncio.Future[Any]", error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
