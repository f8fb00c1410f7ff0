"""The connection of a thread to the database: opened when it is needed, and anew when it was lost."""

import contextlib
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import Error, connections

from topics.history.database.address import BUSY_SECONDS
from topics.history.database.order import Turn, limit_waits

Answer = TypeVar("Answer")


class Access:
    """What a thread needs to ask the database. Used in one thread only.

    Args:
        alias: The database's name among Django's.
        turn: Its connection is closed with the thread's own; for the thread that takes turns.
    """

    def __init__(self, alias: str, turn: Turn | None = None) -> None:
        self._alias = alias
        self._turn = turn

    def close(self) -> None:
        """Let go of what may be broken; the next job opens it anew."""
        if self._turn is not None:
            self._turn.close()
        # What is broken already may say so once more.
        with contextlib.suppress(Error):
            connections[self._alias].close()

    def attempt(self, job: Callable[[], Answer], *, begun: Callable[[], bool] = lambda: False) -> Answer:
        """Do a job over a connection whose waits end.

        Once more when it failed at once: the database may have been restarted since the last job.

        Args:
            job: Raises a `django.db.Error` when it fails.
            begun: Tells whether a failed job may have done a part of what must not be done twice.
        """
        started = time.monotonic()
        try:
            return self._once(job)
        except Error:
            # A connection that ended unnoticed fails at once; a wait that ran out would only run out again.
            if begun() or time.monotonic() - started > BUSY_SECONDS / 2:
                raise
        return self._once(job)

    def _once(self, job: Callable[[], Answer]) -> Answer:
        try:
            connection = connections[self._alias]
            if connection.connection is None:
                limit_waits(connection)
            return job()
        except Error:
            self.close()
            raise
