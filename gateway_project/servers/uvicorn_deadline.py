"""One deadline of a connection, moved with every request."""

import asyncio
from asyncio.events import TimerHandle
from collections.abc import Callable


class Deadline:
    """Calls a function when its time has come, unless it is moved or cleared before.

    Each request moves it twice: a timer that is due too early and looks again costs less than two new ones.

    Args:
        loop: The event loop.
    """

    __slots__ = ("_due", "_loop", "_overdue", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due = 0.0
        self._overdue: Callable[[], None] | None = None
        self._timer: TimerHandle | None = None

    @property
    def is_set(self) -> bool:
        """Whether there is one."""
        return self._overdue is not None

    def set(self, seconds: float, overdue: Callable[[], None]) -> None:
        """Have `overdue` called after so many seconds."""
        self._due = self._loop.time() + seconds
        self._overdue = overdue
        if self._timer is not None and self._timer.when() > self._due:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_later(seconds, self._look)

    def clear(self) -> None:
        """Have nothing called; soon there will be another."""
        self._overdue = None

    def stop(self) -> None:
        """Have nothing called, and keep no timer."""
        self._overdue = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        overdue = self._overdue
        if overdue is None:
            return
        left = self._due - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._overdue = None
            overdue()
