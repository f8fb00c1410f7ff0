"""The turn: of all nodes on one database, only one at a time gives out positions and hands the events on.

It is not the lock of the transaction that stores the events. That one ends with the commit, and another node could hand
on later events before this one has handed on its own.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from django.db import Error, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from topics.history.database.address import BUSY_SECONDS
from topics.models import HistoryTurn


class Turn(Protocol):
    """The lock; used in one thread only."""

    def held(self) -> contextlib.AbstractContextManager[None]:
        """Hold it for as long as the context lasts.

        Raises:
            django.db.Error: It could not be had.
        """

    def close(self) -> None:
        """Let go of its connection; the next use makes another."""


class FileTurn:
    """The lock of a file beside an SQLite database: its processes are all on one machine.

    Args:
        database: The database's file.
    """

    def __init__(self, database: str) -> None:
        self._path = Path(f"{database}-turn")

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold it."""
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise OperationalError(f"{self._path} cannot be opened: {error.strerror}") from error
        try:
            # In the order of their coming. Who waits behind a process that stands still has answered its publishers.
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)

    def close(self) -> None:
        """Do nothing: the lock ends with its holder."""


class RowTurn:
    """The lock of a row, over a connection of its own: it outlives the transaction that stores the events.

    Args:
        alias: The database's name among Django's.
    """

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._connection: BaseDatabaseWrapper | None = None

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold it."""
        if self._connection is None:
            # Another connection than that of this thread to the same database.
            self._connection = connections[self._alias].copy()
        connection = self._connection
        if connection.connection is None:
            limit_waits(connection)
            connection.set_autocommit(False)
        table = connection.ops.quote_name(HistoryTurn._meta.db_table)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT id FROM {table} WHERE id = 1 FOR UPDATE")  # noqa: S608 - our own table's name
            cursor.fetchone()
        try:
            yield
        finally:
            try:
                # Nothing was changed; ended so, no disk is waited for.
                connection.rollback()
            except Error:
                # The lock ended with the connection.
                self.close()

    def close(self) -> None:
        """Close its connection."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with contextlib.suppress(Exception):
                connection.close()


def turn_of(alias: str) -> Turn:
    """Return the lock that suits a database."""
    connection = connections[alias]
    if connection.vendor == "sqlite":
        return FileTurn(str(connection.settings_dict["NAME"]))
    return RowTurn(alias)


def limit_waits(connection: BaseDatabaseWrapper) -> None:
    """Open a connection whose waits end: a node that stands still must not hold up the others for ever."""
    connection.ensure_connection()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('lock_timeout', %s, false), set_config('statement_timeout', %s, false), "
                "set_config('idle_in_transaction_session_timeout', %s, false)",
                [str(times * BUSY_SECONDS * 1000) for times in (1, 2, 3)],
            )
