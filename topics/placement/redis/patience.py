"""Waiting that a stall of this process does not cut short.

Where the machine is starved, or this process was stopped, answers lie in the socket unread while the clock goes on. So
a wait is counted in ticks of a timer, and however late a tick comes, it is one: between two of them the event loop has
read what was there.
"""

import asyncio
from asyncio.events import TimerHandle
from types import TracebackType

SOCKET_SECONDS = 1.0
"""Longest wait for a connection to Redis, and for an answer."""

TICKS = 4
"""In each wait; one more at most, as the first may have begun before it."""


class Patience:
    """Limits waits, one after the other: `async with patience:`.

    Args:
        seconds: The longest wait, a quarter more at most, while this process can hear.
        lasting: Keep the timer for the next wait, which is likely to begin soon: that is cheaper than another timer.
    """

    __slots__ = ("_lasting", "_left", "_limit", "_pause", "_timer")

    def __init__(self, seconds: float, *, lasting: bool = False) -> None:
        self._pause = seconds / TICKS
        self._lasting = lasting
        self._limit: asyncio.Timeout | None = None
        self._left = 0
        self._timer: TimerHandle | None = None

    async def __aenter__(self) -> None:
        limit = asyncio.timeout(None)
        await limit.__aenter__()
        self._limit = limit
        self._left = TICKS
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._pause, self._tick)
        else:
            # Some of its time has passed.
            self._left += 1

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the wait.

        Raises:
            TimeoutError: It took too long, and was cancelled.
        """
        limit, self._limit = self._limit, None
        if self._timer is not None and not self._lasting:
            self._timer.cancel()
            self._timer = None
        if limit is not None:
            await limit.__aexit__(kind, error, trace)

    def _tick(self) -> None:
        self._timer = None
        if self._limit is None:
            return
        self._left -= 1
        loop = asyncio.get_running_loop()
        if self._left > 0:
            self._timer = loop.call_later(self._pause, self._tick)
        else:
            self._limit.reschedule(loop.time())
