"""Heartbeats that are events: some older clients watch for them, where a comment would not be seen."""

import asyncio
from collections.abc import Callable

from topics.connection import Connection


class Heartbeat:
    """Events of one connection, at a steady pace.

    Args:
        connection: Which.
        seconds: Between two of them.
        payload: Returns the next one, encoded.
    """

    def __init__(self, connection: Connection, seconds: float, payload: Callable[[], bytes]) -> None:
        self._connection = connection
        self._seconds = seconds
        self._payload = payload
        self._timer = asyncio.get_running_loop().call_later(seconds, self._beat)

    def stop(self) -> None:
        """Send no more."""
        self._timer.cancel()

    def _beat(self) -> None:
        self._connection.tell(self._payload())
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._beat)
